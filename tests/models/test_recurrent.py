"""The recurrent models compared with torch's LSTMs, and with the equations of the papers computed by hand."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nmt.models import (
    AdditiveScore,
    BahdanauRNN,
    DotScore,
    GeneralScore,
    GlobalSpan,
    GRUCell,
    LSTMCell,
    LuongRNN,
    PlainRNN,
)
from nmt.models.attention import Score
from nmt.models.dropout import Dropout
from nmt.models.recurrent import BidirectionalEncoder, Cell, FusedCells, RecurrentState, StackedCells
from nmt.models.recurrent.encoder import reorder, reversed_positions

EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def randomised(module: Any) -> Any:
    """The module in evaluation mode with all parameters random, biases too."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def test_sentences_are_reversed_within_their_lengths() -> None:
    mask = torch.tensor([[True, True, True, False], [True, False, False, False], [True] * 4])
    order = reversed_positions(mask)
    assert order.tolist() == [[2, 1, 0, 3], [0, 1, 2, 3], [3, 2, 1, 0]]
    inputs = torch.arange(24.0).view(3, 4, 2)
    assert reorder(inputs, order)[0].tolist() == [[4, 5], [2, 3], [0, 1], [6, 7]]


CELLS: list[tuple[Cell, Any, Any]] = [(LSTMCell(), nn.LSTM, nn.LSTMCell), (GRUCell(), nn.GRU, nn.GRUCell)]
"""Each kind of cell, and torch's modules for layers and for one cell."""


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize(("cell", "torch_layers", "_"), CELLS)
def test_the_encoder_equals_torchs_bidirectional_layers(cell: Cell, torch_layers: Any, _: Any, num_layers: int) -> None:
    encoder = randomised(
        BidirectionalEncoder(cell=cell, input_size=6, hidden_size=8, num_layers=num_layers, dropout=Dropout(0.0))
    )
    reference = torch_layers(6, 4, num_layers, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for layer in range(num_layers):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                for layers, suffix in ((encoder.forwards[layer], ""), (encoder.backwards[layer], "_reverse")):
                    getattr(reference, f"{name}_l{layer}{suffix}").copy_(getattr(layers, f"{name}_l0"))
    inputs = torch.randn(4, 7, 6)
    lengths = torch.tensor([7, 1, 4, 6])
    mask = torch.arange(7) < lengths[:, None]
    outputs, summary = encoder(inputs, mask)
    packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    expected, last = reference(packed)
    hidden = last[0] if isinstance(last, tuple) else last
    expected, _ = pad_packed_sequence(expected, batch_first=True)
    torch.testing.assert_close(outputs[mask], expected[mask], **EXACT)
    torch.testing.assert_close(summary, torch.cat([hidden[-2], hidden[-1]], dim=-1), **EXACT)


def random_state(cell: Cell, num_layers: int) -> RecurrentState:
    """Of 2 rows and 4 numbers per layer."""
    return RecurrentState(tuple(torch.randn(2, num_layers, 4) for _ in range(cell.num_parts)))


def step_with_torch(cells: list[Any], below: Tensor, state: RecurrentState) -> RecurrentState:
    """One step of torch's cells, one above the other."""
    new = []
    for cell, parts in zip(cells, state.layers, strict=True):
        result = cell(below, parts if len(parts) == 2 else parts[0])
        new.append(result if isinstance(result, tuple) else (result,))
        below = new[-1][0]
    return RecurrentState.stack(new)


def assert_states_equal(state: RecurrentState, expected: RecurrentState) -> None:
    for part, expected_part in zip(state.parts, expected.parts, strict=True):
        torch.testing.assert_close(part, expected_part, **EXACT)


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize(("cell", "_", "torch_cell"), CELLS)
def test_stacked_cells_equal_torchs_cells(cell: Cell, _: Any, torch_cell: Any, num_layers: int) -> None:
    cells = randomised(
        StackedCells(cell=cell, input_size=5, feedback_size=3, hidden_size=4, num_layers=num_layers, dropout=0.0)
    )
    lowest = torch_cell(5 + 3, 4)
    with torch.no_grad():
        from_feedback, from_hidden = cells.gates_from_feedback.weight.split([3, 4], dim=1)
        lowest.weight_ih.copy_(torch.cat([cells.gates_from_input.weight, from_feedback], dim=1))
        lowest.weight_hh.copy_(from_hidden)
        lowest.bias_ih.copy_(cells.gates_from_input.bias)
        lowest.bias_hh.zero_()
    state = expected = random_state(cell, num_layers)
    inputs, feedback = torch.randn(2, 6, 5), torch.randn(2, 6, 3)
    projected = cells.project_inputs(inputs)
    for step in range(6):
        state = cells(projected[:, step], feedback[:, step], state)
        below = torch.cat([inputs[:, step], feedback[:, step]], dim=-1)
        expected = step_with_torch([lowest, *cells.upper], below, expected)
        assert_states_equal(state, expected)
        assert torch.equal(state.top, state.parts[0][:, -1])


@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize(("cell", "_", "torch_cell"), CELLS)
@torch.no_grad()
def test_fused_cells_equal_a_loop_over_their_steps_and_over_torchs_cells(
    cell: Cell, _: Any, torch_cell: Any, num_layers: int
) -> None:
    fused = randomised(FusedCells(cell=cell, input_size=5, hidden_size=4, num_layers=num_layers, dropout=0.0))
    cells = [torch_cell(5 if layer == 0 else 4, 4) for layer in range(num_layers)]
    for layer, one in enumerate(cells):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(one, name).copy_(getattr(fused.layers, f"{name}_l{layer}"))
    inputs = torch.randn(2, 6, 5)
    state = expected = random_state(cell, num_layers)
    outputs = fused(inputs, state)
    for position in range(6):
        state = fused.step(inputs[:, position], state)
        expected = step_with_torch(cells, inputs[:, position], expected)
        torch.testing.assert_close(outputs[:, position], expected.top, **EXACT)
        assert_states_equal(state, expected)


@torch.no_grad()
def test_a_gru_equals_its_equations_by_hand() -> None:
    """Cho et al. (2014, Eq. 5 to 8), but with the reset gate after the product with U, as in torch and cuDNN."""
    cells = randomised(
        StackedCells(cell=GRUCell(), input_size=5, feedback_size=3, hidden_size=4, num_layers=1, dropout=0.0)
    )
    y, f, h = torch.randn(5), torch.randn(3), torch.randn(4)
    w = (cells.gates_from_input.weight @ y + cells.gates_from_input.bias).split(4)
    w_f, u = cells.gates_from_feedback.weight.split([3, 4], dim=1)
    x = [own + fed for own, fed in zip(w, (w_f @ f).split(4), strict=True)]
    reset, update = (1 / (1 + (-(x[gate] + u[4 * gate : 4 * gate + 4] @ h)).exp()) for gate in (0, 1))
    candidate = torch.tanh(x[2] + reset * (u[8:] @ h))
    expected = update * h + (1 - update) * candidate
    state = cells(cells.project_inputs(y[None]), f[None], RecurrentState((h[None, None],)))
    torch.testing.assert_close(state.top[0], expected, **EXACT)


SIZES: dict[str, Any] = {
    "source_vocab_size": 11,
    "target_vocab_size": 13,
    "shared_vocab": False,
    "tie_output": False,
    "cell": LSTMCell(),
    "embedding_size": 6,
    "hidden_size": 8,
    "num_layers": 2,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
    "variational_dropout": False,
    "recurrent_dropout": 0.0,
}
ATTENTIONAL: dict[str, Any] = {"encoder_dropout": 0.0, "span": GlobalSpan()}
SOURCE = torch.tensor([[5, 6, 7, 2]])
MASK = torch.ones(1, 4, dtype=torch.bool)
TARGET = torch.tensor([1, 9, 4])


def linear(module: nn.Linear, vector: Tensor) -> Tensor:
    """Wx + b, or Wx."""
    return module.weight @ vector + (module.bias if module.bias is not None else 0)


def lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """torch's order of gates: input, forget, candidate, output."""
    i, f, g, o = gates.chunk(4)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def encoded(model: Any) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The annotations h_j (S, D), and the decoder's first hidden and cell states, one vector per layer."""
    outputs, summary = model.encoder(model.vocabulary.source.weight[SOURCE], MASK)
    bridged = linear(model.bridge, summary[0])  # all hidden states, then all cell states
    states = bridged.view(4, 8).unbind()
    return outputs[0], [torch.tanh(state) for state in states[:2]], list(states[2:])


def cells_by_hand(cells: StackedCells, below: Tensor, hidden: list[Tensor], cell: list[Tensor]) -> None:
    """Both layers of StackedCells one step further; below: [y; feedback]."""
    lowest = torch.cat([cells.gates_from_input.weight, cells.gates_from_feedback.weight], dim=1)
    hidden[0], cell[0] = lstm_cell(lowest @ torch.cat([below, hidden[0]]) + cells.gates_from_input.bias, cell[0])
    upper: Any = cells.upper[0]
    gates = upper.weight_ih @ hidden[0] + upper.bias_ih + upper.weight_hh @ hidden[1] + upper.bias_hh
    hidden[1], cell[1] = lstm_cell(gates, cell[1])


def fused_by_hand(lstm: nn.LSTM, below: Tensor, hidden: list[Tensor], cell: list[Tensor]) -> None:
    """Both layers of torch's LSTM one step further."""
    for layer in range(2):
        w_ih, w_hh, b_ih, b_hh = (
            getattr(lstm, f"{name}_l{layer}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        hidden[layer], cell[layer] = lstm_cell(w_ih @ below + b_ih + w_hh @ hidden[layer] + b_hh, cell[layer])
        below = hidden[layer]


@torch.no_grad()
def test_the_lstm_equals_its_equations_by_hand() -> None:
    model = randomised(PlainRNN(**SIZES))
    _, hidden, cell = encoded(model)
    expected = []
    for token in TARGET:
        fused_by_hand(model.decoder.recurrence.layers, model.vocabulary.target.weight[token], hidden, cell)
        expected.append(linear(model.vocabulary.output, torch.tanh(linear(model.decoder.readout, hidden[1]))))
    torch.testing.assert_close(model(SOURCE, MASK, TARGET[None])[0], torch.stack(expected), **EXACT)


@torch.no_grad()
def test_bahdanau_equals_its_equations_by_hand() -> None:
    """Bahdanau et al. (2015): the previous state is the query; the context enters the recurrence and the output."""
    model = randomised(BahdanauRNN(**SIZES, **ATTENTIONAL, score=additive()))
    score = model.decoder.score
    annotations, hidden, cell = encoded(model)
    memory = model.encode(SOURCE, MASK)
    state = model.start(memory)
    expected, all_weights = [], []
    for token in TARGET:
        embedded = model.vocabulary.target.weight[token]
        query = linear(score.query_projection, hidden[1])  # W_a s_{i-1}
        energies = torch.stack(
            [score.energy @ torch.tanh(query + linear(score.key_projection, h)) for h in annotations]
        )
        weights = energies.exp() / energies.exp().sum()  # Eq. 6
        context = sum(weight * h for weight, h in zip(weights, annotations, strict=True))  # Eq. 5
        cells_by_hand(model.decoder.recurrence, torch.cat([embedded, context]), hidden, cell)
        readout = torch.tanh(linear(model.decoder.readout, torch.cat([hidden[1], embedded, context])))  # Eq. 4
        expected.append(linear(model.vocabulary.output, readout))
        all_weights.append(weights)
        logits, state = model.step(token[None], state, memory)
        torch.testing.assert_close(logits[0], expected[-1], **EXACT)
    torch.testing.assert_close(model(SOURCE, MASK, TARGET[None])[0], torch.stack(expected), **EXACT)
    attention = model.attention(SOURCE, MASK, TARGET[None])["cross"]  # (1, 1, 1, T, S)
    torch.testing.assert_close(attention[0, 0, 0], torch.stack(all_weights), **EXACT)


@torch.no_grad()
@pytest.mark.parametrize("input_feeding", [True, False])
def test_luong_equals_its_equations_by_hand(input_feeding: bool) -> None:
    """Luong et al. (2015), §3.1 to §3.3: the current state is the query; h̃_t is an input of the next step, or not."""
    score = GeneralScore(query_size=8, value_size=8)
    model = randomised(LuongRNN(**SIZES, **ATTENTIONAL, score=score, input_feeding=input_feeding))
    annotations, hidden, cell = encoded(model)
    memory = model.encode(SOURCE, MASK)
    state = model.start(memory)
    attentional = torch.zeros(6)
    expected, all_weights = [], []
    for token in TARGET:
        embedded = model.vocabulary.target.weight[token]
        if input_feeding:
            cells_by_hand(model.decoder.recurrence, torch.cat([embedded, attentional]), hidden, cell)
        else:
            fused_by_hand(model.decoder.recurrence.layers, embedded, hidden, cell)
        scores = torch.stack([hidden[1] @ (score.key_projection.weight @ h) for h in annotations])  # §3.1
        weights = scores.exp() / scores.exp().sum()  # Eq. 7
        context = sum(weight * h for weight, h in zip(weights, annotations, strict=True))
        attentional = torch.tanh(model.decoder.readout.weight @ torch.cat([context, hidden[1]]))  # Eq. 5
        expected.append(linear(model.vocabulary.output, attentional))  # Eq. 6
        all_weights.append(weights)
        logits, state = model.step(token[None], state, memory)
        torch.testing.assert_close(logits[0], expected[-1], **EXACT)
    torch.testing.assert_close(model(SOURCE, MASK, TARGET[None])[0], torch.stack(expected), **EXACT)
    attention = model.attention(SOURCE, MASK, TARGET[None])["cross"]  # (1, 1, 1, T, S)
    torch.testing.assert_close(attention[0, 0, 0], torch.stack(all_weights), **EXACT)


def additive() -> AdditiveScore:
    return AdditiveScore(query_size=8, value_size=8, attention_size=5)


def count_calls(module: nn.Module) -> list[int]:
    """A list that gets one element for each call of the module."""
    calls: list[int] = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize(
    ("score", "sizes"), [(DotScore, {}), (GeneralScore, {}), (AdditiveScore, {"attention_size": 5})]
)
@pytest.mark.parametrize(("input_feeding", "expected"), [(False, 1), (True, 3)])
def test_without_input_feeding_all_target_positions_run_at_once(
    score: type[Score], sizes: dict[str, int], input_feeding: bool, expected: int
) -> None:
    model = LuongRNN(
        **SIZES, **ATTENTIONAL, score=score(query_size=8, value_size=8, **sizes), input_feeding=input_feeding
    )
    inside = [count_calls(model.get_submodule(name)) for name in ("decoder.recurrence", "decoder.score")]
    outside = [count_calls(module) for module in (model.vocabulary.target, model.vocabulary.output)]
    model(SOURCE, MASK, TARGET[None])
    assert [len(calls) for calls in inside] == [expected, expected]
    assert [len(calls) for calls in outside] == [1, 1]


DOT = DotScore(query_size=8, value_size=8)


@pytest.mark.parametrize("model", [PlainRNN(**SIZES), LuongRNN(**SIZES, **ATTENTIONAL, score=DOT, input_feeding=False)])
def test_a_step_does_not_call_torchs_fused_lstm(model: Any) -> None:
    """It rearranges its weights in every call, which takes three times as long as a step of one sentence."""
    calls = count_calls(model.decoder.recurrence.layers)
    model.eval()
    memory = model.encode(SOURCE, MASK)
    model.step(TARGET[:1], model.start(memory), memory)
    assert calls == []
    model(SOURCE, MASK, TARGET[None])
    assert calls == [1]


def test_bahdanau_runs_layers_outside_the_loop_where_possible() -> None:
    model = BahdanauRNN(**SIZES, **ATTENTIONAL, score=additive())
    decoder: Any = model.decoder
    once = [decoder.recurrence.gates_from_input, decoder.score.key_projection, decoder.readout, model.vocabulary.output]
    calls = [count_calls(module) for module in once]
    steps = count_calls(decoder.recurrence.gates_from_feedback)
    model(SOURCE, MASK, TARGET[None])
    assert [len(call) for call in calls] == [1, 1, 1, 1]
    assert len(steps) == 3
