"""The decoder-only models, compared with the formulas computed position by position."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.models import DecoderOnly, PrefixLM
from nmt.models.decoder_only.stack import renormalised
from nmt.models.heads import silence_heads

SIZES: dict[str, Any] = {
    "source_vocab_size": 11,
    "target_vocab_size": 13,
    "shared_vocab": False,
    "tie_output": False,
    "model_size": 8,
    "feedforward_size": 12,
    "num_heads": 2,
    "num_layers": 2,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "layer_dropout": 0.0,
    "max_length": 16,
}
SOURCE, TARGET = [5, 6, 7, 2], [1, 4, 9]
BOTH = pytest.mark.parametrize("kind", [DecoderOnly, PrefixLM])


def build(kind: type[DecoderOnly], *, pre_norm: bool = True) -> DecoderOnly:
    torch.manual_seed(1)
    model = kind(**SIZES, pre_norm=pre_norm)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.double().eval()


def visible_to(kind: type[DecoderOnly], row: int) -> list[int]:
    """The columns that a row of the whole sequence may attend to."""
    if kind is PrefixLM and row < len(SOURCE):
        return list(range(len(SOURCE)))
    return list(range(row + 1))


def embed(model: DecoderOnly) -> list[Tensor]:
    """√D · embedding + position + side, with positions counted from 0 on either side."""
    vectors = []
    sides = (
        (model.vocabulary.source.weight, SOURCE, model.source_side),
        (model.vocabulary.target.weight, TARGET, model.target_side),
    )
    for table, ids, side in sides:
        for position, piece in enumerate(ids):
            angles = [position / 10_000 ** (2 * i / 8) for i in range(4)]
            encoding = torch.tensor([*map(math.sin, angles), *map(math.cos, angles)], dtype=torch.float64)
            vectors.append(math.sqrt(8) * table[piece] + encoding + side)
    return vectors


def attend(layer: Any, vectors: list[Tensor], kind: type[DecoderOnly]) -> tuple[list[Tensor], Tensor]:
    """Multi-head attention (Vaswani et al., 2017, Eq. 1) by loops; also its weights (H, N, N)."""
    attention = layer.self_attention
    weights = torch.zeros(2, len(vectors), len(vectors), dtype=torch.float64)
    outputs = []
    for row, vector in enumerate(vectors):
        heads = []
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            query = attention.query_projection(vector)[part]
            keys_values = [attention.key_value_projection(vectors[column]) for column in visible_to(kind, row)]
            scores = [query @ each[:8][part] / math.sqrt(4) for each in keys_values]
            total = sum(math.exp(score) for score in scores)
            context = torch.zeros(4, dtype=torch.float64)
            for column, (score, each) in enumerate(zip(scores, keys_values, strict=True)):
                weights[head, row, column] = math.exp(score) / total
                context += weights[head, row, column] * each[8:][part]
            heads.append(context)
        outputs.append(attention.output_projection(torch.cat(heads)))
    return outputs, weights


def reference(model: DecoderOnly, *, pre_norm: bool) -> tuple[Tensor, list[Tensor]]:
    """The logits (T, V) of one sentence, and each layer's weights (H, N, N), whose rows cover source and target."""
    kind, vectors, all_weights = type(model), embed(model), []
    for layer in model.stack:
        before: Callable[..., Tensor] = layer.around_attention.norm if pre_norm else lambda vector: vector
        after: Callable[..., Tensor] = (lambda vector: vector) if pre_norm else layer.around_attention.norm
        outputs, weights = attend(layer, [before(vector) for vector in vectors], kind)
        vectors = [after(vector + output) for vector, output in zip(vectors, outputs, strict=True)]
        all_weights.append(weights)
        inner, outer = layer.feedforward[0], layer.feedforward[3]
        before = layer.around_feedforward.norm if pre_norm else lambda vector: vector
        after = (lambda vector: vector) if pre_norm else layer.around_feedforward.norm
        vectors = [after(vector + outer(F.relu(inner(before(vector))))) for vector in vectors]
    logits = [model.vocabulary.output(model.stack.norm(vector)) for vector in vectors[len(SOURCE) :]]
    return torch.stack(logits), all_weights


def arguments() -> tuple[Tensor, Tensor, Tensor]:
    source = torch.tensor([SOURCE])
    return source, torch.ones_like(source, dtype=torch.bool), torch.tensor([TARGET])


@BOTH
@pytest.mark.parametrize("pre_norm", [True, False])
@torch.no_grad()
def test_the_model_equals_the_formulas(kind: type[DecoderOnly], pre_norm: bool) -> None:
    """Outputs, and the weights of each block: those of the whole row, divided by the block's share of it."""
    model = build(kind, pre_norm=pre_norm)
    logits, all_weights = reference(model, pre_norm=pre_norm)
    # Not to the last digits, since the table of positions was computed in float32.
    torch.testing.assert_close(model(*arguments())[0], logits, rtol=0.0, atol=2e-5)
    source, target = slice(len(SOURCE)), slice(len(SOURCE), None)
    blocks = {"encoder": (source, source), "cross": (target, source), "decoder": (target, target)}
    attention: dict[Any, Tensor] = {**model.attention(*arguments())}
    assert attention.keys() == blocks.keys()
    for name, (rows, columns) in blocks.items():
        for layer, weights in enumerate(all_weights):
            block = weights[:, rows, columns]
            expected = block / block.sum(-1, keepdim=True)
            torch.testing.assert_close(attention[name][0, layer], expected, rtol=0.0, atol=2e-5, msg=name)
    assert all_weights[0][:, target, source].sum(-1).max() < 0.999  # the target attends to itself, too


@BOTH
def test_padding_is_hidden_between_source_and_target(kind: type[DecoderOnly]) -> None:
    mask = torch.tensor([[True, True, False]])
    visible = build(kind).visible_positions(mask, 2)[0].int().tolist()
    first = [1, 0, 0, 0, 0] if kind is DecoderOnly else [1, 1, 0, 0, 0]
    assert visible == [first, [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 0, 1, 0], [1, 1, 0, 1, 1]]


def test_a_block_without_any_weight_left_becomes_uniform() -> None:
    """Where all weights were rounded to zero; where they were not, the smallest number that is added changes none."""
    weights = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.3, 0.0]])
    visible = torch.tensor([[True, True, False], [True, True, True]])
    expected = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.75, 0.0]])
    torch.testing.assert_close(renormalised(weights, visible), expected)


@torch.no_grad()
def test_a_silenced_head_is_silent_in_all_its_roles() -> None:
    """A head of the stack attends within the source, within the target, and from the target to the source."""
    expected, whole = [], build(DecoderOnly)(*arguments())
    for name in ("cross.1.0", "encoder.1.0", "decoder.1.0"):
        model = build(DecoderOnly)
        silence_heads(model, [name])
        assert model.stack.layers[1].get_parameter("self_attention.output_projection.weight")[:, :4].abs().max() == 0
        expected.append(model(*arguments()))
    assert torch.equal(expected[0], expected[1]) and torch.equal(expected[0], expected[2])
    assert (expected[0] - whole).abs().max() > 0.01
