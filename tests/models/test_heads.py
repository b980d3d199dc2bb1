"""Silencing attention heads: the model computes what the formula gives without them."""

from typing import Any

import pytest
import torch
from torch import Tensor

from nmt.data.batch import Batch
from nmt.errors import UserError
from nmt.models import Seq2Seq, SinusoidalPositions, Transformer
from nmt.models.attention import MultiHeadAttention
from nmt.models.heads import Head, list_heads, parse_heads, silence_heads

NAMES = ["encoder.0.1", "cross.1.0", "decoder.0.1"]


@pytest.fixture
def transformer() -> Transformer:
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"source_vocab_size": 50, "target_vocab_size": 50, "shared_vocab": True, "tie_output": True}
    model = Transformer(
        **sizes,
        model_size=16,
        feedforward_size=24,
        num_heads=2,
        num_key_value_heads=2,
        num_encoder_layers=2,
        num_decoder_layers=2,
        dropout=0.0,
        activation_dropout=0.0,
        embedding_dropout=0.0,
        word_dropout=0.0,
        attention_dropout=0.0,
        layer_dropout=0.0,
        pre_norm=True,
        encoder_attention=None,
        positions=SinusoidalPositions(model_size=16, max_length=32),
    )
    return model.eval()


def attention_without(attention: MultiHeadAttention, inputs: Tensor, head: int) -> Tensor:
    """Self-attention by the formula of Vaswani et al. (2017, §3.2.2), head by head, where one head is zero."""
    size = inputs.size(-1) // attention.num_heads
    queries = attention.query_projection(inputs)
    keys, values = attention.key_value_projection(inputs).chunk(2, dim=-1)
    heads = []
    for number in range(attention.num_heads):
        part = slice(number * size, (number + 1) * size)
        scores = queries[..., part] @ keys[..., part].transpose(1, 2) / size**0.5
        heads.append(torch.zeros_like(queries[..., part]) if number == head else scores.softmax(-1) @ values[..., part])
    return torch.nn.functional.linear(
        torch.cat(heads, dim=-1), attention.output_projection.weight, attention.output_projection.bias
    )


@pytest.mark.parametrize("head", [0, 2])
def test_a_silenced_head_is_zero_in_the_formula(head: int) -> None:
    torch.manual_seed(2)
    attention = MultiHeadAttention(
        model_size=12, num_heads=3, num_key_value_heads=3, dropout=0.0, attention_dropout=0.0
    )
    inputs = torch.randn(2, 5, 12)
    with torch.no_grad():
        full, expected = attention(inputs), attention_without(attention, inputs, head)
        attention.silence(head)
        torch.testing.assert_close(attention(inputs), expected)
    assert (full - expected).abs().max() > 0.01


def decode(model: Seq2Seq, batch: Batch) -> Tensor:
    """The logits (B, T, V) of the target, computed step by step."""
    memory = model.encode(batch.source, batch.source_mask)
    state, logits = model.start(memory), []
    for token in batch.target_input.unbind(1):
        step_logits, state = model.step(token, state, memory)
        logits.append(step_logits.clone())
    return torch.stack(logits, dim=1)


@torch.no_grad()
def test_decoding_steps_lack_the_same_heads_as_teacher_forcing(transformer: Transformer, batch: Batch) -> None:
    def logits() -> Tensor:
        return transformer(batch.source, batch.source_mask, batch.target_input)

    full = logits()
    silence_heads(transformer, NAMES)
    expected = logits()
    assert (full - expected).abs().max() > 0.01
    transformer.prepare_for_decoding()
    real = batch.target_mask
    torch.testing.assert_close(decode(transformer, batch)[real], expected[real], atol=1e-5, rtol=1e-4)


def test_without_all_heads_the_encoder_sees_one_word_at_a_time(transformer: Transformer) -> None:
    silence_heads(transformer, map(str, list_heads(transformer, "encoder")))
    mask = torch.ones(1, 3, dtype=torch.bool)
    first, second = (transformer.encode_source(torch.tensor([ids]), mask) for ids in ([5, 6, 7], [5, 6, 8]))
    torch.testing.assert_close(first[:, :2], second[:, :2])


def test_heads_are_listed_by_kind(transformer: Transformer) -> None:
    assert list(map(str, list_heads(transformer, "encoder"))) == [
        "encoder.0.0",
        "encoder.0.1",
        "encoder.1.0",
        "encoder.1.1",
    ]
    assert len(list_heads(transformer, "encoder", "cross", "decoder")) == 12
    assert parse_heads(["encoder.1.0", "cross.0.3", "encoder.1.0"]) == [Head("cross", 0, 3), Head("encoder", 1, 0)]


@pytest.mark.parametrize("name", ["encoder.0", "encoder", "0.1", "", "encoder.-1.0", "encoders.0.0", "cross.0.1.2"])
def test_names_of_other_forms_are_refused(name: str, transformer: Transformer) -> None:
    with pytest.raises(UserError, match=rf"heads_off={name} is no name of a head: write KIND.LAYER.HEAD, such as"):
        silence_heads(transformer, [name])


@pytest.mark.parametrize("name", ["encoder.2.0", "cross.0.2"])
def test_the_error_for_a_missing_head_names_those_that_exist(name: str, transformer: Transformer) -> None:
    existing = "cross.0.0 to cross.1.1, encoder.0.0 to encoder.1.1, decoder.0.0 to decoder.1.1"
    with pytest.raises(UserError, match=f"heads_off={name}: the model has no such head, only {existing}"):
        silence_heads(transformer, [name])
