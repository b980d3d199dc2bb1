"""Local attention, coverage and additive heads compared with the equations of their papers, in loops over positions."""

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.errors import UserError
from nmt.models import (
    AdditiveScore,
    BahdanauRNN,
    CoverageScore,
    DotScore,
    GeneralScore,
    GlobalSpan,
    GRUCell,
    LSTMCell,
    LuongRNN,
    MonotonicSpan,
    MultiHeadAdditiveScore,
    PredictiveSpan,
    Seq2Seq,
)
from nmt.models.attention import Score, Span
from nmt.models.heads import list_heads, silence_heads
from nmt.models.recurrent import Cell

EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}
SOURCE = torch.tensor([[5, 6, 7, 8, 9, 2], [8, 9, 2, 0, 0, 0]])
MASK = SOURCE != 0
TARGET = torch.tensor([[1, 9, 4, 5, 6, 7, 3], [1, 7, 3, 4, 8, 9, 10]])
SIZES: dict[str, int] = {"query_size": 8, "value_size": 8}
SCORES: dict[str, Callable[[], Score]] = {
    "dot": lambda: DotScore(**SIZES),
    "general": lambda: GeneralScore(**SIZES),
    "concat": lambda: AdditiveScore(**SIZES, attention_size=6),
    "coverage": lambda: CoverageScore(**SIZES, attention_size=6),
    "multi_head": lambda: MultiHeadAdditiveScore(**SIZES, attention_size=6, num_heads=2),
}
SPANS: dict[str, Callable[[], Span]] = {
    "global": GlobalSpan,
    "local_m": lambda: MonotonicSpan(window=2),
    "local_p": lambda: PredictiveSpan(query_size=8, window=2),
}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_model(kind: str, score: str, span: str, cell: Cell) -> Any:
    arguments: dict[str, Any] = {
        "source_vocab_size": 11,
        "target_vocab_size": 13,
        "shared_vocab": False,
        "tie_output": False,
        "cell": cell,
        "embedding_size": 6,
        "hidden_size": 8,
        "num_layers": 1,
        "score": SCORES[score](),
        "span": SPANS[span](),
        "dropout": 0.0,
        "embedding_dropout": 0.0,
        "encoder_dropout": 0.0,
        "word_dropout": 0.0,
        "variational_dropout": False,
        "recurrent_dropout": 0.0,
    }
    model = BahdanauRNN(**arguments) if kind == "bahdanau" else LuongRNN(**arguments, input_feeding=kind == "fed")
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    return model.eval()


def score_by_hand(score: Any, query: Tensor, annotation: Tensor, covered: float, head: int) -> float:
    """One number: the score of one head for one query and one annotation."""
    if isinstance(score, DotScore):
        return float(query @ annotation)  # Luong §3.1, dot
    if isinstance(score, GeneralScore):
        return float(query @ (score.key_projection.weight @ annotation))  # Luong §3.1, general
    inner = score.query_projection.weight @ query + score.key_projection.weight @ annotation  # W_a s + U_a h_j
    if isinstance(score, CoverageScore):
        inner = inner + score.coverage_weight * covered  # See Eq. 11
    units = slice(3 * head, 3 * head + 3) if isinstance(score, MultiHeadAdditiveScore) else slice(None)
    return float(score.energy[units] @ torch.tanh(inner[units]))  # v_aᵀ tanh(…)


def span_by_hand(span: Any, query: Tensor, t: int, length: int) -> list[float]:
    """The factor of each position's exponentiated score: 0 outside the window."""
    if isinstance(span, GlobalSpan):
        return [1.0] * length
    if isinstance(span, MonotonicSpan):
        return [float(abs(s - min(t, length - 1)) <= 2) for s in range(length)]  # p_t = t
    v_p, w_p = span.center_weight, span.hidden.weight
    center = length / (1 + math.exp(-float(v_p @ torch.tanh(w_p @ query))))  # Eq. 9
    return [math.exp(-((s - center) ** 2) / (2 * 1.0**2)) * (abs(s - center) <= 2) for s in range(length)]  # Eq. 10


def attend_by_hand(model: Any, query: Tensor, annotations: Tensor, t: int, covered: list[float]) -> tuple[Tensor, Any]:
    """The context (D,), and the weights of each head."""
    score = model.decoder.score
    factors = span_by_hand(model.decoder.span, query, t, len(annotations))
    contexts, weights = [], []
    for head in range(score.num_heads):
        terms = [
            factor * math.exp(score_by_hand(score, query, annotation, done, head))
            for factor, annotation, done in zip(factors, annotations, covered, strict=True)
        ]
        weights.append([term / sum(terms) for term in terms])
        context = sum(weight * annotation for weight, annotation in zip(weights[-1], annotations, strict=True))
        if isinstance(score, MultiHeadAdditiveScore):
            context = score.value_projection.weight[4 * head : 4 * head + 4] @ context  # V_i, (4, 8)
        contexts.append(context)
    return torch.cat(contexts), weights


def decode_by_hand(model: Any, kind: str, row: int) -> tuple[Tensor, Tensor]:
    """The decoder outputs (T, E) and the weights (H, T, S) of one sentence, position by position."""
    length = int(MASK[row].sum())
    outputs, state = model.encode_source(SOURCE[row : row + 1, :length], MASK[row : row + 1, :length])
    decoder, annotations = model.decoder, outputs[0]
    attentional, covered = torch.zeros(1, 6), [0.0] * length
    results, all_weights = [], []
    for t, token in enumerate(TARGET[row]):
        embedded = model.vocabulary.target.weight[token][None]
        if kind == "bahdanau":
            context, weights = attend_by_hand(model, state.top[0], annotations, t, covered)
            state = decoder.recurrence(decoder.recurrence.project_inputs(embedded), context[None], state)
            readout = torch.cat([state.top, embedded, context[None]], dim=-1)
        else:
            if kind == "fed":
                state = decoder.recurrence(decoder.recurrence.project_inputs(embedded), attentional, state)
            else:
                state = decoder.recurrence.step(embedded, state)
            context, weights = attend_by_hand(model, state.top[0], annotations, t, covered)
            readout = torch.cat([context[None], state.top], dim=-1)
        attentional = torch.tanh(decoder.readout(readout))
        covered = [before + now for before, now in zip(covered, weights[0], strict=True)]  # See Eq. 10
        results.append(attentional[0])
        all_weights.append(weights)
    return torch.stack(results), torch.tensor(all_weights).transpose(0, 1)


COMBINATIONS = [
    *product(["fed", "unfed"], ["dot", "general", "concat", "multi_head"], ["local_m", "local_p"], [LSTMCell()]),
    *product(["bahdanau", "fed"], ["coverage", "multi_head"], ["global", "local_p"], [GRUCell()]),
]


@pytest.mark.parametrize(("kind", "score", "span", "cell"), COMBINATIONS)
@torch.no_grad()
def test_attention_equals_its_equations_by_hand(kind: str, score: str, span: str, cell: Cell) -> None:
    model = make_model(kind, score, span, cell)
    outputs = model.decoder_outputs(SOURCE, MASK, TARGET)
    weights = model.attention(SOURCE, MASK, TARGET)["cross"]  # (B, 1, H, T, S)
    for row, length in enumerate(MASK.sum(1).tolist()):
        expected, expected_weights = decode_by_hand(model, kind, row)
        torch.testing.assert_close(outputs[row], expected, **EXACT)
        torch.testing.assert_close(weights[row, 0, :, :, :length], expected_weights, **EXACT)
        assert (weights[row, 0, :, :, length:] == 0).all()


@torch.no_grad()
def test_coverage_goes_on_growing_in_bfloat16() -> None:
    """A bfloat16 sum of weights of 0.1 would stop at 32."""
    model = make_model("fed", "coverage", "global", GRUCell()).bfloat16()
    memory = model.encode(SOURCE, MASK)
    history = model.decoder.start_history(memory)
    for _ in range(500):
        history = history.after(torch.full(MASK.shape, 0.1, dtype=torch.bfloat16))
    assert history.coverage is not None and history.coverage.flatten().tolist() == pytest.approx(
        [50.0] * MASK.numel(), rel=0.01
    )
    context, _ = model.decoder.attend(torch.zeros(len(MASK), 8, dtype=torch.bfloat16), memory, history)
    assert context.dtype == torch.bfloat16


def test_a_monotonic_window_moves_with_the_target_and_stops_at_the_end_of_the_source() -> None:
    weights = make_model("fed", "general", "local_m", LSTMCell()).attention(SOURCE, MASK, TARGET)["cross"][:, 0, 0] > 0
    window = [[0, 1, 2], [0, 1, 2, 3], [0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5], [3, 4, 5], [3, 4, 5]]
    assert [row.nonzero().flatten().tolist() for row in weights[0]] == window
    assert [row.nonzero().flatten().tolist() for row in weights[1]] == [[0, 1, 2]] * 7  # its source has 3 positions


def test_the_gradient_moves_a_predicted_window_towards_the_right_position() -> None:
    """A gradient reaches p_t through the Gaussian: p_t, 3 at first (p_t = S σ(0)), moves to the position to learn."""
    span = PredictiveSpan(query_size=4, window=4)
    query = torch.ones(1, 1, 4)
    nn.init.zeros_(span.center_weight)
    mask = torch.ones(1, 6, dtype=torch.bool)
    weights = list(span.parameters())
    for _ in range(50):
        loss = -span(torch.zeros(1, 1, 6), query, None, mask).log_softmax(-1)[0, 0, 5]
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data -= gradient
    center = span.center(query, None, mask.sum(1, keepdim=True)).item()
    assert 4.5 < center < 6.0


@torch.no_grad()
def test_a_silenced_additive_head_adds_nothing_to_the_context() -> None:
    model = make_model("bahdanau", "multi_head", "global", LSTMCell())
    assert [str(head) for head in list_heads(model, "cross")] == ["cross.0.0", "cross.0.1"]
    memory = model.encode(SOURCE, MASK)
    query = torch.randn(2, 8)
    before, _ = model.decoder.attend(query, memory, model.decoder.start_history(memory))
    silence_heads(model, ["cross.0.1"])
    memory = model.encode(SOURCE, MASK)
    after, _ = model.decoder.attend(query, memory, model.decoder.start_history(memory))
    torch.testing.assert_close(after, torch.cat([before[:, :4], torch.zeros(2, 4)], dim=1), **EXACT)


def test_a_head_that_does_not_exist_is_named() -> None:
    model: Seq2Seq = make_model("fed", "multi_head", "global", LSTMCell())
    with pytest.raises(UserError, match=r"^heads_off=encoder\.0\.0: the model has no such head, only cross\.0\.0 to"):
        silence_heads(model, ["encoder.0.0"])
