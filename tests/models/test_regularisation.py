"""Each kind of dropout, in every architecture that has it: off in evaluation, a gradient for all, and its formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from nmt.models import Seq2Seq
from nmt.models.attention import AttentionRecord, MultiHeadAttention
from nmt.models.dropout import Dropout, dropout_mask
from nmt.models.embedding import PieceEmbedding
from nmt.models.recurrent import Cell, GRUCell, LSTMCell, RecurrentState, StackedCells
from nmt.models.recurrent.weight_dropout import WeightDropout
from nmt.models.transformer.sublayers import LayerDropout, LayerSettings

if TYPE_CHECKING:
    from tests.models.conftest import Variant

SOURCE = torch.tensor([[5, 6, 7, 4, 2], [8, 3, 9, 2, 0], [6, 2, 0, 0, 0]])
MASK = SOURCE != 0
TARGET = torch.tensor([[1, 4, 5, 6], [1, 7, 8, 9], [1, 10, 11, 12]])

EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}


def options_of(variant: Variant) -> list[str]:
    """The probabilities that an architecture has, beside `dropout`."""
    if variant.architecture.startswith(("transformer", "decoder_only", "prefix_lm")):
        return ["embedding_dropout", "word_dropout", "activation_dropout", "attention_dropout", "layer_dropout"]
    recurrent = ["embedding_dropout", "word_dropout", "recurrent_dropout"]
    return recurrent if variant.architecture == "lstm" else [*recurrent, "encoder_dropout"]


def logits_by_steps(model: Seq2Seq) -> Tensor:
    memory = model.encode(SOURCE, MASK)
    state, logits = model.start(memory), []
    for token in TARGET.unbind(1):
        step_logits, state = model.step(token, state, memory)
        logits.append(step_logits)
    return torch.stack(logits, 1)  # (B, T, V)


def test_in_evaluation_no_option_changes_anything(variant: Variant) -> None:
    expected = variant.build(dropout=0.0)(SOURCE, MASK, TARGET)
    model = variant.build(dropout=0.5, variational_dropout=True)
    assert torch.equal(model(SOURCE, MASK, TARGET), expected)
    torch.testing.assert_close(logits_by_steps(model), expected, **EXACT)


def test_each_option_alone_is_random_and_leaves_every_parameter_a_gradient(largest: Variant) -> None:
    """Also the parameters of layers that are left out: several processes exchange all gradients in every update."""
    for option in options_of(largest):
        changes: dict[str, Any] = {option: 0.5}
        model = largest.build(**changes).train()
        torch.manual_seed(1)
        first, second = model(SOURCE, MASK, TARGET), model(SOURCE, MASK, TARGET)
        assert not torch.allclose(first, second), option
        first.square().sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters()), option
        torch.manual_seed(1)
        assert torch.equal(model(SOURCE, MASK, TARGET), first), option


@pytest.mark.parametrize("variational", [True, False])
def test_variational_masks_are_the_same_at_every_position(largest: Variant, variational: bool) -> None:
    if largest.architecture.startswith(("transformer", "decoder_only", "prefix_lm")):
        return
    model: Any = largest.build(dropout=0.5, word_dropout=0.0, variational_dropout=variational).train()
    masks: list[Tensor] = []
    modules = {model.embedding_dropout, model.dropout, getattr(model, "encoder_dropout", model.dropout)}
    for module in modules:
        module.register_forward_hook(lambda _, inputs, output: masks.append(output / inputs[0]))
    model(SOURCE, MASK, TARGET)
    # Embeddings of source and target, between two layers of the encoder, and before the output layer: at least four.
    assert len(masks) == (4 if largest.architecture == "lstm" else 5)
    for mask in masks:  # (B, positions, size)
        assert set(mask.flatten().tolist()) == {0.0, 2.0}
        assert bool((mask == mask[:, :1]).all()) == variational
        assert not (mask == mask[:1]).all()  # each sentence has its own


def test_word_dropout_drops_whole_pieces(largest: Variant) -> None:
    model = largest.build(word_dropout=0.5).train()
    table = model.vocabulary.target.weight
    vectors = model.vocabulary.target(TARGET.repeat(10, 1))  # (30, 4, E)
    ratio = (vectors / table[TARGET.repeat(10, 1)]).flatten(0, 1)  # (120, E)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    assert {round(value, 9) for value in ratio.flatten().tolist()} == {0.0, 2.0}


@pytest.mark.parametrize(("shared_dim", "mask_shape"), [(None, (3, 4, 5)), (1, (3, 1, 5)), (-1, (3, 4, 1))])
def test_a_shared_mask_is_drawn_once_along_its_dimension(shared_dim: int | None, mask_shape: tuple[int, ...]) -> None:
    inputs = torch.randn(3, 4, 5)
    torch.manual_seed(1)
    found = Dropout(0.25, shared_dim=shared_dim).train()(inputs)
    torch.manual_seed(1)
    assert torch.equal(found, inputs * dropout_mask(torch.Size(mask_shape), 0.25, inputs.dtype))


@pytest.mark.parametrize("shared_dim", [1, -1])
def test_a_shared_mask_keeps_the_mean(shared_dim: int) -> None:
    torch.manual_seed(1)
    output = Dropout(0.25, shared_dim=shared_dim).train()(torch.ones(400, 100, 100))
    draws = 400 * 100
    assert output.mean().item() == pytest.approx(1.0, abs=5 * (0.25 / 0.75 / draws) ** 0.5)


def test_the_recurrent_weights_of_an_lstm_are_masked_as_in_the_formula() -> None:
    lstm: Any = nn.LSTM(3, 4, batch_first=True)
    masked: Any = nn.LSTM(3, 4, batch_first=True)
    drop = WeightDropout(0.5, num_gates=4).train()
    inputs = torch.randn(2, 6, 3)
    torch.manual_seed(1)
    outputs, _ = drop(lstm, inputs)
    outputs.sum().backward()

    torch.manual_seed(1)
    mask = dropout_mask(torch.Size([16, 4]), 0.5, torch.float32)  # M / (1 - p), for all positions and sentences
    masked.load_state_dict(lstm.state_dict())
    masked.weight_hh_l0.detach().mul_(mask)
    expected, _ = masked(inputs)
    torch.testing.assert_close(outputs, expected)
    expected.sum().backward()
    torch.testing.assert_close(lstm.weight_hh_l0.grad, masked.weight_hh_l0.grad * mask)
    torch.testing.assert_close(lstm.weight_ih_l0.grad, masked.weight_ih_l0.grad)

    masked.load_state_dict(lstm.state_dict())
    assert torch.equal(drop.eval()(lstm, inputs)[0], masked(inputs)[0])  # afterwards the weights are whole


def test_recurrent_dropout_under_autocast_is_close_to_float32() -> None:
    cells: Any = StackedCells(cell=LSTMCell(), input_size=3, feedback_size=5, hidden_size=4, num_layers=2, dropout=0.0)
    state = RecurrentState((torch.randn(2, 2, 4), torch.randn(2, 2, 4)))
    inputs = torch.randn(2, 16), torch.randn(2, 5), state
    drop = WeightDropout(0.5, num_gates=4).train()
    results = []
    for enabled in (False, True):
        torch.manual_seed(1)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            hidden = drop(cells, *inputs).top.float()
        weights = [cells.gates_from_feedback.weight, cells.upper[0].weight_hh]
        results.append([hidden, *torch.autograd.grad(hidden.square().sum(), weights)])
    for expected, found in zip(*results, strict=True):
        assert found.dtype == torch.float32
        assert (found - expected).norm() < 0.05 * expected.norm()


@pytest.mark.parametrize("cell", [LSTMCell(), GRUCell()])
def test_only_the_recurrent_part_of_a_decoders_weights_is_masked(cell: Cell) -> None:
    cells: Any = StackedCells(cell=cell, input_size=3, feedback_size=5, hidden_size=4, num_layers=2, dropout=0.0)
    state = RecurrentState(tuple(torch.randn(2, 2, 4) for _ in range(cell.num_parts)))
    size = cell.num_gates * 4
    inputs = torch.randn(2, size), torch.randn(2, 5), state
    torch.manual_seed(1)
    found = WeightDropout(0.5, num_gates=cell.num_gates).train()(cells, *inputs)
    torch.manual_seed(1)
    with torch.no_grad():
        cells.gates_from_feedback.weight[:, 5:] *= dropout_mask(torch.Size([size, 4]), 0.5, torch.float32)
        cells.upper[0].weight_hh *= dropout_mask(torch.Size([size, 4]), 0.5, torch.float32)
    torch.testing.assert_close(found.parts, cells(*inputs).parts)


def test_attention_dropout_masks_the_weights_and_records_them_whole() -> None:
    attention = MultiHeadAttention(model_size=8, num_heads=2, num_key_value_heads=2, dropout=0.0, attention_dropout=0.5)
    attention.double().train()
    inputs, mask = torch.randn(2, 5, 8, dtype=torch.float64), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    record: list[Tensor] = []
    torch.manual_seed(1)
    found = attention(inputs, mask=mask[:, None, None], record=record)
    torch.manual_seed(1)
    assert torch.equal(attention(inputs, mask=mask[:, None, None]), found)
    torch.manual_seed(1)
    kept = dropout_mask(torch.Size([2, 2, 5, 5]), 0.5, torch.float64)
    _, values = attention.keys_values(inputs)
    heads = (record[0] * kept) @ values  # (B, H, T, d)
    torch.testing.assert_close(found, attention.output_projection(heads.transpose(1, 2).flatten(2)), **EXACT)
    torch.testing.assert_close(record[0].sum(-1), torch.ones(2, 2, 5, dtype=torch.float64), **EXACT)


def test_a_layer_is_left_out_for_some_sentences() -> None:
    settings = LayerSettings(
        model_size=4,
        num_heads=1,
        num_key_value_heads=1,
        feedforward_size=4,
        dropout=0.0,
        activation_dropout=0.0,
        attention_dropout=0.0,
        layer_dropout=0.3,
        self_attention_class=MultiHeadAttention,
        pre_norm=True,
    )
    layer_dropout = LayerDropout(settings).train()
    inputs, outputs = torch.zeros(5000, 2, 3), torch.ones(5000, 2, 3)
    torch.manual_seed(1)
    found = layer_dropout(inputs, outputs)
    assert (found == found[:, :1, :1]).all()  # whole sentences
    assert found.mean().item() == pytest.approx(0.7, abs=5 * (0.21 / 5000) ** 0.5)  # not scaled
    assert layer_dropout.eval()(inputs, outputs) is outputs


def test_the_transformer_without_its_layers_is_its_embeddings(largest: Variant) -> None:
    if largest.architecture != "transformer-pre_norm":
        return
    model: Any = largest.build(layer_dropout=0.999).train()
    for stack in (model.encoder, model.decoder):
        stack.layer_dropout.p = 1.0  # no constructor allows it
    found = model.decoder_outputs(SOURCE, MASK, TARGET)
    expected = model.decoder.norm(model.embed(TARGET, model.vocabulary.target, model.decoder.positions))
    assert torch.equal(found, expected)
    record = AttentionRecord("cross")
    model.decoder_outputs(SOURCE, MASK, TARGET, record=record)
    assert record.weights("cross") is not None


def test_embeddings_look_pieces_up_as_torch_does() -> None:
    embedding = PieceEmbedding(7, 3, word_dropout=0.5).eval()
    ids = torch.tensor([[1, 6], [0, 1]])
    assert torch.equal(embedding(ids), nn.functional.embedding(ids, embedding.weight))
