"""The Transformer compared with torch's own, and its decoding step compared with teacher forcing."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.models import SinusoidalPositions, Transformer
from nmt.models.attention import (
    MIN_KEY_POSITIONS,
    AttentionRecord,
    Kind,
    MultiHeadAttention,
    attention_with_weights,
    multi_head,
    step_attention,
)
from nmt.models.transformer import decoding_step
from nmt.models.transformer.sublayers import Residual

pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor")  # a warning about torch's own fast path

SIZES: dict[str, Any] = {
    "model_size": 8,
    "feedforward_size": 12,
    "num_heads": 2,
    "num_key_value_heads": 2,
    "num_encoder_layers": 2,
    "num_decoder_layers": 3,
}

LENGTHS = torch.tensor([5, 1, 3])
MASK = torch.arange(5) < LENGTHS[:, None]  # (3, 5)


def transformer(*, pre_norm: bool, dropout: float = 0.0) -> Transformer:
    torch.manual_seed(1)
    model = Transformer(
        **SIZES,
        source_vocab_size=11,
        target_vocab_size=13,
        shared_vocab=False,
        tie_output=False,
        dropout=dropout,
        embedding_dropout=dropout,
        activation_dropout=dropout,
        attention_dropout=0.0,
        layer_dropout=0.0,
        word_dropout=0.0,
        pre_norm=pre_norm,
        encoder_attention=None,
        positions=SinusoidalPositions(model_size=8, max_length=16),
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    """Copies our weights into torch's module."""
    theirs.in_proj_weight.copy_(torch.cat([ours.query_projection.weight, ours.key_value_projection.weight]))
    theirs.in_proj_bias.copy_(torch.cat([ours.query_projection.bias, ours.key_value_projection.bias]))
    theirs.out_proj.load_state_dict(ours.output_projection.state_dict())


@torch.no_grad()
def torchs_own(model: Transformer, *, pre_norm: bool) -> nn.Transformer:
    """torch.nn.Transformer with the model's weights."""
    reference = nn.Transformer(
        SIZES["model_size"],
        SIZES["num_heads"],
        SIZES["num_encoder_layers"],
        SIZES["num_decoder_layers"],
        SIZES["feedforward_size"],
        dropout=0.0,
        norm_first=pre_norm,
        batch_first=True,
    ).double()
    for side in ("encoder", "decoder"):
        theirs_all = getattr(reference, side)
        for ours, theirs in zip(getattr(model, side).layers, theirs_all.layers, strict=True):
            copy_attention(ours.self_attention, theirs.self_attn)
            if side == "decoder":
                copy_attention(ours.cross_attention, theirs.multihead_attn)
            theirs.linear1.load_state_dict(ours.feedforward[0].state_dict())
            theirs.linear2.load_state_dict(ours.feedforward[3].state_dict())
            residuals = [module for module in ours.children() if isinstance(module, Residual)]
            for number, residual in enumerate(residuals, start=1):
                getattr(theirs, f"norm{number}").load_state_dict(residual.norm.state_dict())
        if pre_norm:
            theirs_all.norm.load_state_dict(getattr(model, side).norm.state_dict())
        else:
            theirs_all.norm = None  # torch adds a final norm, which the paper does not have
    return reference


def embedded(table: nn.Embedding, ids: Tensor) -> Tensor:
    """√D · embedding + position, position by position (Vaswani et al., 2017, §3.4 and §3.5)."""
    size = table.weight.size(1)
    result = table.weight[ids] * math.sqrt(size)
    for position in range(ids.size(1)):
        for i in range(size // 2):
            angle = position / 10_000 ** (2 * i / size)
            result[:, position, i] += math.sin(angle)
            result[:, position, size // 2 + i] += math.cos(angle)
    return result


@torch.no_grad()
@pytest.mark.parametrize("pre_norm", [True, False])
def test_the_model_equals_torchs_transformer(pre_norm: bool) -> None:
    model = transformer(pre_norm=pre_norm)
    source, target = torch.randint(0, 11, (3, 5)), torch.randint(0, 13, (3, 6))
    hidden = torchs_own(model, pre_norm=pre_norm)(
        embedded(model.vocabulary.source, source),
        embedded(model.vocabulary.target, target),
        tgt_mask=torch.ones(6, 6, dtype=torch.bool).triu(1),  # True = masked
        src_key_padding_mask=~MASK,
        memory_key_padding_mask=~MASK,
    )
    expected = hidden @ model.vocabulary.output.weight.T + model.vocabulary.output.bias
    # Not to the last digits, since the table of positions was computed in float32.
    torch.testing.assert_close(model(source, MASK, target), expected, rtol=0.0, atol=2e-5)
    assert expected.std() > 0.5


@pytest.mark.parametrize("size", [2, 8, 64])
def test_positions_are_sines_and_cosines_up_to_the_maximum_length(size: int) -> None:
    positions = SinusoidalPositions(model_size=size, max_length=50)
    assert positions.table.shape == (50, size)
    for position in (0, 1, 7, 49):
        for i in range(size // 2):
            angle = position / 10_000 ** (2 * i / size)
            assert positions.table[position, i] == pytest.approx(math.sin(angle), abs=1e-5)
            assert positions.table[position, size // 2 + i] == pytest.approx(math.cos(angle), abs=1e-5)
    inputs = torch.randn(2, 3, size)
    assert torch.equal(positions.add(inputs, 0, 3), inputs + positions.table[:3])
    assert torch.equal(positions.add(inputs, 47, 3), inputs + positions.table[47:])
    with pytest.raises(AssertionError, match="limit of 50"):
        positions.add(inputs, 48, 3)
    assert positions.state_dict() == {}  # computed, so not saved


@torch.no_grad()
def test_attention_weights_equal_torchs() -> None:
    model = transformer(pre_norm=True)
    source = torch.randint(0, 11, (3, 5))
    target = torch.randint(0, 13, (3, 6))
    reference = torchs_own(model, pre_norm=True)
    expected: dict[Kind, list[Tensor]] = {"encoder": [], "decoder": [], "cross": []}
    modules: list[tuple[Kind, Any]] = [("encoder", layer.self_attn) for layer in reference.encoder.layers]
    for layer in reference.decoder.layers:
        modules += [("decoder", layer.self_attn), ("cross", layer.multihead_attn)]
    for kind, attention in modules:

        def record_weights(*inputs: Any, _kind: Kind = kind, _forward: Any = attention.forward, **options: Any) -> Any:
            arguments = {**options, "need_weights": True, "average_attn_weights": False}
            expected[_kind].append(_forward(*inputs, **arguments)[1])
            return _forward(*inputs, **options)

        attention.forward = record_weights
    reference.train()  # torch's encoder has a fast path for inference, which calls no attention module
    reference(
        embedded(model.vocabulary.source, source),
        embedded(model.vocabulary.target, target),
        tgt_mask=torch.ones(6, 6, dtype=torch.bool).triu(1),
        src_key_padding_mask=~MASK,
        memory_key_padding_mask=~MASK,
    )
    weights = model.attention(source, MASK, target)
    assert weights.keys() == expected.keys()
    for kind, layers in expected.items():
        torch.testing.assert_close(weights[kind], torch.stack(layers, 1), rtol=0.0, atol=2e-5, msg=kind)


def test_attention_weights_cost_nothing_unless_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the layer and kind that a record asks for leave the fused kernel."""
    calls: list[tuple[int, ...]] = []

    def recorded(queries: Tensor, *arguments: Any, **options: Any) -> Any:
        calls.append(tuple(queries.shape))
        return attention_with_weights(queries, *arguments, **options)

    monkeypatch.setattr(multi_head, "attention_with_weights", recorded)
    model = transformer(pre_norm=True).eval()
    arguments = torch.randint(0, 11, (3, 5)), MASK, torch.randint(0, 13, (3, 6))
    model(*arguments)
    memory = model.encode(*arguments[:2])
    model.step(torch.tensor([1, 1, 1]), model.start(memory), memory)
    assert calls == []
    record = AttentionRecord("cross", layer=1)
    outputs = model.decoder_outputs(*arguments, record=record)
    assert calls == [(3, 2, 6, outputs.size(-1) // 2)]  # (B, H, T, d)
    weights = record.weights("cross")
    assert weights is not None
    assert weights.shape == (3, 1, 2, 6, 5)
    query_projection = model.get_parameter("decoder.layers.1.cross_attention.query_projection.weight")
    [gradient] = torch.autograd.grad(weights.square().sum(), query_projection)
    assert gradient.abs().max() > 0  # they can be trained


def test_a_target_of_the_maximum_length_fits_and_a_longer_one_does_not() -> None:
    model = transformer(pre_norm=True)
    source = torch.tensor([[5, 2]])
    memory = model.encode(source, source != 0)
    state = model.start(memory)
    for _ in range(16):
        _, state = model.step(torch.tensor([3]), state, memory)
    with pytest.raises(AssertionError, match="limit of 16"):
        model.step(torch.tensor([3]), state, memory)


def test_embeddings_and_all_sublayers_have_dropout() -> None:
    """With only one dropout layer in training mode at a time, the outputs change."""
    model = transformer(pre_norm=True, dropout=0.5)
    arguments = (torch.randint(0, 11, (3, 5)), MASK, torch.randint(0, 13, (3, 6)))
    expected = model(*arguments)
    dropouts: dict[str, nn.Module] = {"embeddings": model.embedding_dropout}
    for side in ("encoder", "decoder"):
        layer = getattr(model, side).layers[0]
        dropouts[f"{side}'s self-attention"] = layer.self_attention
        dropouts[f"{side}'s feed-forward network"] = layer.feedforward[2]
        dropouts[f"{side}'s feed-forward output"] = layer.feedforward[4]
    dropouts["cross-attention"] = model.get_submodule("decoder.layers.0.cross_attention")
    for name, module in dropouts.items():
        module.train()
        assert (model(*arguments) - expected).abs().max() > 1e-6, name
        module.eval()


def test_a_step_attends_to_at_least_min_key_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both to a source of three pieces and to a target of one position."""
    num_keys = []

    def recorded(queries: Tensor, keys: Tensor, *rest: Tensor) -> Any:
        num_keys.append(keys.size(2))
        return step_attention(queries, keys, *rest)

    monkeypatch.setattr(decoding_step, "step_attention", recorded)
    model = transformer(pre_norm=True).eval()
    memory = model.encode(torch.tensor([[5, 6, 2]]), torch.ones(1, 3, dtype=torch.bool))
    model.step(torch.tensor([1]), model.start(memory), memory)
    assert num_keys == [MIN_KEY_POSITIONS, MIN_KEY_POSITIONS] * len(model.decoder.layers)
    assert MIN_KEY_POSITIONS >= 16


@torch.no_grad()
@pytest.mark.parametrize("pre_norm", [True, False])
def test_each_layer_of_a_step_equals_that_layer_of_teacher_forcing(
    pre_norm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = transformer(pre_norm=pre_norm)
    source, target = torch.randint(0, 11, (3, 5)), torch.randint(0, 13, (3, 6))
    expected = []
    for layer in model.decoder.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: expected.append(output))
    model(source, MASK, target)
    outputs = []
    call = decoding_step.LayerStep.__call__

    def recorded(layer: Any, *arguments: Any) -> Any:
        hidden = call(layer, *arguments)
        outputs.append(hidden)
        return hidden

    monkeypatch.setattr(decoding_step.LayerStep, "__call__", recorded)
    memory = model.encode(source, MASK)
    state = model.start(memory)
    for token in target.unbind(1):
        _, state = model.step(token, state, memory)
    by_layer = [torch.stack(outputs[layer :: len(expected)], 1) for layer in range(len(expected))]
    assert len(expected) == SIZES["num_decoder_layers"]
    for stepped, hidden in zip(by_layer, expected, strict=True):
        torch.testing.assert_close(stepped, hidden, rtol=1e-11, atol=1e-12)
