"""Scores and multi-head attention compared with the formulas, torch's own module, and numbers computed by hand."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.models import (
    AdditiveScore,
    BahdanauRNN,
    DotScore,
    GeneralScore,
    GlobalSpan,
    LSTMCell,
    LuongRNN,
    Seq2Seq,
    SinusoidalPositions,
    Transformer,
)
from nmt.models.attention import MultiHeadAttention, Score, attend, step_attention
from nmt.models.attention.kernels import attention_with_weights, fused_attention
from nmt.search import BeamSearch, GreedySearch
from nmt.search.protocol import Search, SearchRequest

EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    torch.manual_seed(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# Two queries and three positions of the source.
QUERY = torch.tensor([[[1.0, 2.0], [0.0, -1.0]]], dtype=torch.float64)
VALUES = torch.tensor([[[3.0, 4.0], [0.0, 1.0], [-2.0, 5.0]]], dtype=torch.float64)


def test_the_dot_score_is_the_dot_product() -> None:
    score = DotScore(query_size=2, value_size=2)
    expected = [[3 + 8, 2, -2 + 10], [-4, -1, -5]]
    assert score(QUERY, score.keys(VALUES)).tolist() == [expected]
    assert list(score.parameters()) == []


def test_the_general_score_is_the_dot_product_with_projected_values() -> None:
    score = GeneralScore(query_size=2, value_size=3)
    score.key_projection.weight.data = torch.tensor([[1.0, 0.0, 2.0], [0.0, 3.0, -1.0]])
    values = torch.tensor([[[1.0, 1.0, 1.0], [0.0, 2.0, -1.0]]])
    # W_a h_1 = (3, 2), W_a h_2 = (-2, 7)
    expected = [[3 + 4, -2 + 14], [-2, -7]]
    assert score(QUERY, score.keys(values)).tolist() == [expected]


def test_the_additive_score_equals_its_formula_by_hand() -> None:
    score = AdditiveScore(query_size=2, value_size=3, attention_size=2)
    score.query_projection.weight.data = torch.tensor([[0.5, -0.25], [1.0, 0.0]])  # W_a
    score.key_projection.weight.data = torch.tensor([[0.1, 0.2, 0.3], [0.0, -1.0, 1.0]])  # U_a
    score.energy.data = torch.tensor([2.0, -3.0])  # v_a
    values = torch.tensor([[[1.0, 1.0, 1.0], [0.0, 2.0, -1.0]]])
    # W_a s: (0, 1) and (0.25, 0);   U_a h: (0.6, 0) and (0.1, -3)
    expected = [
        [2 * math.tanh(0.6) - 3 * math.tanh(1.0), 2 * math.tanh(0.1) - 3 * math.tanh(-2.0)],
        [2 * math.tanh(0.85), 2 * math.tanh(0.35) - 3 * math.tanh(-3.0)],
    ]
    torch.testing.assert_close(score(QUERY, score.keys(values)), torch.tensor([expected]), **EXACT)


def test_additive_score_is_luongs_concat() -> None:
    """score(h_t, h̄_s) = v_aᵀ tanh(W_a [h_t; h̄_s]) with one matrix W_a (Luong et al., 2015, §3.1)."""
    score = AdditiveScore(query_size=4, value_size=6, attention_size=5)
    query, values = torch.randn(2, 3, 4), torch.randn(2, 7, 6)
    matrix = torch.cat([score.query_projection.weight, score.key_projection.weight], dim=1)  # (5, 4 + 6)
    scores = score(query, score.keys(values))
    assert scores.shape == (2, 3, 7)
    for row in range(2):
        for t in range(3):
            for s in range(7):
                expected = score.energy @ torch.tanh(matrix @ torch.cat([query[row, t], values[row, s]]))
                torch.testing.assert_close(scores[row, t, s], expected, **EXACT)


def test_attend_averages_the_values_of_real_positions_by_their_weights() -> None:
    # The exponentials are 1, 3 and 6, so the weights are 0.1, 0.3 and 0.6. In the second row, the third is padding.
    scores = torch.tensor([[[0.0, math.log(3), math.log(6)]], [[0.0, math.log(3), 100.0]]])
    values = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 50.0]]).expand(2, 3, 2)
    context, weights = attend(scores, values, torch.tensor([[True, True, True], [True, True, False]]))
    expected_weights = torch.tensor([[[0.1, 0.3, 0.6]], [[0.25, 0.75, 0.0]]])
    torch.testing.assert_close(weights, expected_weights, **EXACT)
    assert weights[1, 0, 2] == 0
    torch.testing.assert_close(context, torch.tensor([[[2.5, 37.0]], [[1.75, 17.5]]]), **EXACT)


def multi_head(dropout: float = 0.0) -> MultiHeadAttention:
    """Three heads with random weights and biases."""
    attention = MultiHeadAttention(
        model_size=12, num_heads=3, num_key_value_heads=3, dropout=dropout, attention_dropout=0.0
    )
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.5)
    return attention


LENGTHS = torch.tensor([5, 2])
MASK = torch.arange(5) < LENGTHS[:, None]  # (B, S)


def by_head(attention: MultiHeadAttention, query: Tensor, inputs: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
    """Vaswani et al. (2017), Eq. 1 and §3.2.2, one head, one row and one query at a time; allowed: (B, T, S)."""
    size = attention.key_value_projection.in_features
    width = size // attention.num_heads
    w_key, w_value = attention.key_value_projection.weight.chunk(2)
    b_key, b_value = attention.key_value_projection.bias.chunk(2)
    outputs, weights = torch.zeros_like(query), torch.zeros(len(query), 3, query.size(1), inputs.size(1))
    for row in range(len(query)):
        for t in range(query.size(1)):
            heads = []
            for head in range(attention.num_heads):
                own = slice(head * width, (head + 1) * width)
                q = attention.query_projection.weight[own] @ query[row, t] + attention.query_projection.bias[own]
                numerators, total = {}, torch.zeros(())
                for s in range(inputs.size(1)):
                    if allowed[row, t, s]:
                        key = w_key[own] @ inputs[row, s] + b_key[own]
                        numerators[s] = torch.exp(q @ key / math.sqrt(width))
                        total = total + numerators[s]
                result = torch.zeros(width)
                for s, numerator in numerators.items():
                    weights[row, head, t, s] = numerator / total
                    result = result + numerator / total * (w_value[own] @ inputs[row, s] + b_value[own])
                heads.append(result)
            outputs[row, t] = attention.output_projection.weight @ torch.cat(heads) + attention.output_projection.bias
    return outputs, weights


def by_torch(attention: MultiHeadAttention, query: Tensor, inputs: Tensor, **masks: Tensor) -> tuple[Tensor, Tensor]:
    """The output and the attention weights of torch's own module with the same weights."""
    reference = nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        projections = [attention.query_projection, attention.key_value_projection]
        reference.in_proj_weight.copy_(torch.cat([projection.weight for projection in projections]))
        reference.in_proj_bias.copy_(torch.cat([projection.bias for projection in projections]))
        reference.out_proj.load_state_dict(attention.output_projection.state_dict())
    return reference(query, inputs, inputs, average_attn_weights=False, **masks)


@torch.no_grad()
def test_multi_head_attention_over_a_padded_source_equals_formula_and_torch() -> None:
    attention = multi_head()
    query, inputs = torch.randn(2, 4, 12), torch.randn(2, 5, 12)
    keys, values = attention.keys_values(inputs)
    assert keys.shape == values.shape == (2, 3, 5, 4)
    mask = MASK[:, None, None, :]
    fused = attention(query, inputs, mask=mask)
    queries = attention.query_projection(query).view(2, 4, 3, 4).transpose(1, 2)  # (2, 3, 4, 4)
    bias = torch.zeros(2, 3, 1, 5).masked_fill(~mask, -math.inf)
    heads = step_attention(*(tensor.flatten(0, 1) for tensor in (queries, keys.transpose(2, 3), values, bias)))
    stepped = attention.output_projection(heads.view(2, 3, 4, 4).transpose(1, 2).flatten(2))
    record: list[torch.Tensor] = []
    recorded = attention(query, inputs, mask=mask, record=record)
    [weights] = record
    for expected, expected_weights in (
        by_head(attention, query, inputs, MASK.unsqueeze(1).expand(2, 4, 5)),
        by_torch(attention, query, inputs, key_padding_mask=~MASK),
    ):
        torch.testing.assert_close(fused, expected, **EXACT)
        torch.testing.assert_close(stepped, expected, **EXACT)
        torch.testing.assert_close(recorded, expected, **EXACT)
        torch.testing.assert_close(weights, expected_weights, **EXACT)
    assert (weights[1, :, :, 2:] == 0).all()


@torch.no_grad()
def test_causal_multi_head_attention_equals_formula_and_torch() -> None:
    attention = multi_head()
    inputs = torch.randn(2, 5, 12)
    output = attention(inputs, causal=True)
    allowed = torch.tensor([[s <= t for s in range(5)] for t in range(5)])
    expected, expected_weights = by_head(attention, inputs, inputs, allowed.expand(2, 5, 5))
    torch.testing.assert_close(output, expected, **EXACT)
    record: list[torch.Tensor] = []
    torch.testing.assert_close(attention(inputs, causal=True, record=record), expected, **EXACT)
    torch.testing.assert_close(record[0], expected_weights, **EXACT)
    torch.testing.assert_close(by_torch(attention, inputs, inputs, attn_mask=~allowed)[0], expected, **EXACT)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 5e-2)]
)
def test_the_fused_kernel_keeps_the_number_format(dtype: torch.dtype, tolerance: float) -> None:
    attention = multi_head()
    inputs = torch.randn(2, 5, 12)
    mask = MASK[:, None, None, :]
    expected, _ = by_head(attention, inputs, inputs, MASK.unsqueeze(1).expand(2, 5, 5))
    attention.to(dtype)
    output = attention(inputs.to(dtype), mask=mask)
    assert output.dtype == dtype
    assert (output.double() - expected).abs().max() < tolerance * expected.abs().max()


def test_the_fused_kernel_under_autocast_is_close_to_float32() -> None:
    attention = multi_head().float()
    inputs = torch.randn(2, 5, 12, dtype=torch.float32)
    mask = MASK[:, None, None, :]
    expected = attention(inputs, mask=mask)
    parameters = dict(attention.named_parameters())
    expected_gradients = torch.autograd.grad(expected.square().sum(), list(parameters.values()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = attention(inputs, mask=mask)
    assert output.dtype == torch.bfloat16
    assert (output - expected).abs().max() < 5e-2 * expected.abs().max()
    gradients = torch.autograd.grad(output.float().square().sum(), list(parameters.values()))
    for name, gradient, other in zip(parameters, gradients, expected_gradients, strict=True):
        assert (gradient - other).norm() < 0.1 * other.norm() + 1e-6, name


@pytest.mark.parametrize("length", [20, 300])
def test_bf16_attention_over_long_sentences_keeps_no_attention_weights(length: int) -> None:
    """Short sentences keep their weights for the backward pass; those of long ones would take too much memory."""
    queries, keys, values = (torch.randn(1, 2, length, 4, dtype=torch.float32, requires_grad=True) for _ in range(3))
    mask = (torch.arange(length) < length - 3).view(1, 1, 1, -1)  # (1, 1, 1, S)
    sizes: list[int] = []

    def record(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        output = fused_attention(queries.bfloat16(), keys.bfloat16(), values.bfloat16(), mask=mask, causal=False)
    assert (2 * length * length in sizes) == (length == 20)
    assert output.dtype == torch.bfloat16
    expected, _ = attention_with_weights(queries, keys, values, mask=mask, causal=False)
    assert (output - expected).abs().max() < 5e-2 * expected.abs().max()


def test_multi_head_attention_drops_elements_of_its_output() -> None:
    attention = multi_head(dropout=0.5)
    inputs = torch.randn(2, 5, 12)
    mask = MASK[:, None, None, :]
    full = attention.eval()(inputs, mask=mask)
    attention.train()
    output = attention(inputs, mask=mask)
    dropped = output == 0
    assert 0.25 < dropped.double().mean() < 0.75
    torch.testing.assert_close(output[~dropped], 2 * full[~dropped], **EXACT)


VOCABULARY: dict[str, Any] = {
    "source_vocab_size": 9,
    "target_vocab_size": 9,
    "shared_vocab": False,
    "tie_output": False,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
}
LSTM_SIZES: dict[str, Any] = {
    **VOCABULARY,
    "cell": LSTMCell(),
    "span": GlobalSpan(),
    "embedding_size": 6,
    "hidden_size": 8,
    "num_layers": 1,
    "variational_dropout": False,
    "recurrent_dropout": 0.0,
}


def luong(score: Score, input_feeding: bool) -> LuongRNN:
    return LuongRNN(**LSTM_SIZES, encoder_dropout=0.0, score=score, input_feeding=input_feeding)


def general() -> GeneralScore:
    return GeneralScore(query_size=8, value_size=8)


def concat() -> AdditiveScore:
    return AdditiveScore(query_size=8, value_size=8, attention_size=5)


@pytest.mark.parametrize(
    "search",
    [
        BeamSearch(beam_size=3, length_penalty=0.5, max_length_factor=0.0, max_length_margin=6),
        GreedySearch(max_length_factor=0.0, max_length_margin=6),
    ],
)
@pytest.mark.parametrize(
    ("model", "projections", "steps"),
    [
        (
            lambda: BahdanauRNN(**LSTM_SIZES, encoder_dropout=0.0, score=concat()),
            ["decoder.score.key_projection"],
            ["decoder.score.query_projection"],
        ),
        (lambda: luong(general(), True), ["decoder.score.key_projection"], ["decoder.score"]),
        (lambda: luong(general(), False), ["decoder.score.key_projection"], ["decoder.score"]),
        (lambda: luong(concat(), True), ["decoder.score.key_projection"], ["decoder.score.query_projection"]),
        (
            lambda: Transformer(
                **VOCABULARY,
                model_size=8,
                feedforward_size=12,
                num_heads=2,
                num_key_value_heads=2,
                num_encoder_layers=1,
                num_decoder_layers=2,
                activation_dropout=0.0,
                attention_dropout=0.0,
                layer_dropout=0.0,
                pre_norm=True,
                encoder_attention=None,
                positions=SinusoidalPositions(model_size=8, max_length=24),
            ),
            [f"decoder.layers.{layer}.cross_attention.key_value_projection" for layer in (0, 1)],
            [],  # counted in tests/models/test_cache.py
        ),
    ],
)
def test_keys_of_the_source_are_projected_once_per_search(
    search: Search, model: Callable[[], Seq2Seq], projections: list[str], steps: list[str]
) -> None:
    model_to_search = model().eval()
    model_to_search.vocabulary.output.bias.data[2] = -100.0  # `eos` only at the length limit: six steps
    calls: dict[str, list[Any]] = {name: [] for name in projections + steps}
    for name, shapes in calls.items():
        model_to_search.get_submodule(name).register_forward_hook(
            lambda _, inputs, __, shapes=shapes: shapes.append(inputs[0].shape[:2])
        )
    source = torch.tensor([[4, 5, 2, 0], [6, 7, 8, 2]])
    request = SearchRequest(source=source, source_mask=source != 0, bos_id=1, eos_id=2, banned_ids=[0, 1], n_best=1)
    search(model_to_search, request)
    for name in projections:
        assert calls[name] == [(2, 4)], name  # once per sentence, not per hypothesis
    width = 3 if isinstance(search, BeamSearch) else 1
    for name in steps:  # one call per step for all hypotheses: first one of each of the two sentences, then `width`
        assert calls[name] == [(2, 1)] + [(2, width)] * 5, name
