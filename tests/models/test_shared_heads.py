"""Multi-query and grouped-query attention: heads that share keys and values."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.models import RelativePositions, RotaryPositions, Transformer
from nmt.models.attention import MultiHeadAttention
from nmt.models.positions import Positions

EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}
HEADS, HEAD_SIZE = 4, 2
SOURCE = torch.tensor([[4, 5, 2, 0], [6, 7, 8, 2], [3, 2, 0, 0]])
TARGET = torch.tensor([[1, 4, 5, 6, 7], [1, 8, 3, 4, 4], [1, 3, 3, 3, 3]])


def transformer(num_key_value_heads: int, positions: Positions) -> Transformer:
    torch.manual_seed(1)
    model = Transformer(
        source_vocab_size=9,
        target_vocab_size=9,
        shared_vocab=False,
        tie_output=False,
        model_size=HEADS * HEAD_SIZE,
        feedforward_size=12,
        num_heads=HEADS,
        num_key_value_heads=num_key_value_heads,
        num_encoder_layers=1,
        num_decoder_layers=2,
        dropout=0.0,
        activation_dropout=0.0,
        embedding_dropout=0.0,
        word_dropout=0.0,
        attention_dropout=0.0,
        layer_dropout=0.0,
        pre_norm=True,
        positions=positions,
        encoder_attention=None,
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


@torch.no_grad()
def with_all_heads(sharing: Transformer, positions: Positions) -> Transformer:
    """The same model with a copy of shared keys and values for each head (Ainslie et al., 2023, Figure 2)."""
    full = transformer(HEADS, positions)
    weights = sharing.state_dict()
    for name, weight in weights.items():
        if "key_value_projection" in name:
            heads = weight.view(2, -1, HEAD_SIZE, *weight.shape[1:])  # (2, G, d, …)
            heads = torch.stack([heads[:, head * heads.size(1) // HEADS] for head in range(HEADS)], dim=1)
            weights[name] = heads.flatten(0, 2)  # (2·H·d, …)
    full.load_state_dict(weights)
    return full


def make_positions(kind: str) -> Positions:
    if kind == "rotary":
        return RotaryPositions(model_size=HEADS * HEAD_SIZE, num_heads=HEADS, base=10.0)
    return RelativePositions(num_heads=HEADS, num_buckets=4, max_distance=4)


@torch.no_grad()
@pytest.mark.parametrize("num_key_value_heads", [1, 2])
@pytest.mark.parametrize("kind", ["rotary", "relative"])
def test_sharing_equals_full_heads_with_equal_keys_and_values(num_key_value_heads: int, kind: str) -> None:
    """Teacher forcing, attention weights, and decoding steps with three hypotheses of each sentence."""
    sharing = transformer(num_key_value_heads, make_positions(kind))
    full = with_all_heads(sharing, make_positions(kind))
    arguments = SOURCE, SOURCE != 0, TARGET
    expected = full(*arguments)
    torch.testing.assert_close(sharing(*arguments), expected, **EXACT)
    expected_weights = full.attention(*arguments)
    for name, weights in sharing.attention(*arguments).items():
        torch.testing.assert_close(weights, expected_weights[name], **EXACT)
    memory = sharing.encode(SOURCE, SOURCE != 0)
    state = sharing.start(memory)
    _, state = sharing.step(TARGET[:, 0], state, memory)
    state = state.select(torch.arange(3).unsqueeze(1).expand(3, 3), None)  # three hypotheses of each sentence
    for position, offsets in ((1, [0, 1, 2]), (2, [0, 0, 0])):
        tokens = (TARGET[:, position].unsqueeze(1) + torch.tensor(offsets)) % 9  # (3, 3)
        logits, state = sharing.step(tokens.flatten(), state, memory)
    torch.testing.assert_close(logits.view(3, 3, 9)[:, 0], expected[:, 2], **EXACT)
    for offset in (1, 2):
        target = TARGET[:, :3].clone()
        target[:, 1] = (target[:, 1] + offset) % 9
        other = full(SOURCE, SOURCE != 0, target)[:, 2]
        torch.testing.assert_close(logits.view(3, 3, 9)[:, offset], other, **EXACT)


@torch.no_grad()
def test_memory_and_cache_hold_the_shared_heads_only() -> None:
    model = transformer(2, make_positions("rotary"))
    memory = model.encode(SOURCE, SOURCE != 0)
    assert all(keys.shape == (3, 2, HEAD_SIZE, 16) for keys in memory.keys)  # (A, G, d, S')
    _, state = model.step(TARGET[:, 0], model.start(memory), memory)
    assert state.buffer.keys.shape[:4] == (2, 3, 2, HEAD_SIZE)  # (L, A, G, d)
    assert state.buffer.values.shape[:3] == (2, 3, 2)  # (L, A, G)


@torch.no_grad()
@pytest.mark.parametrize("causal", [False, True])
def test_grouped_heads_follow_the_formula(causal: bool) -> None:
    """head_i = softmax(Q_i K_gᵀ / √d) V_g with g = ⌊i · G / H⌋, head by head."""
    torch.manual_seed(2)
    attention = MultiHeadAttention(
        model_size=12, num_heads=6, num_key_value_heads=2, dropout=0.0, attention_dropout=0.0
    ).double()
    inputs = torch.randn(3, 5, 12, dtype=torch.float64)
    queries = attention.query_projection(inputs)  # (B, T, 6 · 2)
    keys, values = attention.key_value_projection(inputs).split(4, dim=-1)  # 2 × (B, T, 2 · 2)
    heads = []
    for head in range(6):
        own, shared = slice(2 * head, 2 * head + 2), slice(2 * (head // 3), 2 * (head // 3) + 2)
        scores = queries[..., own] @ keys[..., shared].transpose(1, 2) / 2**0.5  # (B, T, T)
        if causal:
            scores = scores + torch.full((5, 5), -torch.inf, dtype=torch.float64).triu(1)
        heads.append(scores.softmax(-1) @ values[..., shared])
    expected = attention.output_projection(torch.cat(heads, dim=-1))
    record: list[Tensor] = []
    torch.testing.assert_close(attention(inputs, causal=causal), expected, **EXACT)
    torch.testing.assert_close(attention(inputs, causal=causal, record=record), expected, **EXACT)
    assert record[0].shape == (3, 6, 5, 5)
