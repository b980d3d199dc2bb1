"""Constructors refuse wrong arguments, and models have the expected number of parameters."""

from collections.abc import Iterator
from typing import Any

import pytest

from nmt.errors import UserError
from nmt.models import (
    AdditiveScore,
    ALiBiPositions,
    BahdanauRNN,
    CoverageScore,
    DotScore,
    GeneralScore,
    GlobalSpan,
    GRUCell,
    LearnedPositions,
    LinearTransformer,
    LSTMCell,
    LuongRNN,
    MonotonicSpan,
    MultiHeadAdditiveScore,
    PlainRNN,
    PredictiveSpan,
    RelativePositions,
    RotaryPositions,
    SinusoidalPositions,
    SparseAttention,
    Transformer,
)
from nmt.models.embedding import Vocabulary

VOCABULARY: dict[str, Any] = {
    "source_vocab_size": 11,
    "target_vocab_size": 13,
    "shared_vocab": False,
    "tie_output": False,
    "word_dropout": 0.1,
}
RECURRENT: dict[str, Any] = {
    **VOCABULARY,
    "cell": LSTMCell(),
    "embedding_size": 6,
    "hidden_size": 8,
    "num_layers": 1,
    "dropout": 0.1,
    "embedding_dropout": 0.1,
    "variational_dropout": True,
    "recurrent_dropout": 0.1,
}
ADDITIVE: dict[str, Any] = {"query_size": 8, "value_size": 8, "attention_size": 5}
ATTENTIONAL: dict[str, Any] = {**RECURRENT, "encoder_dropout": 0.1, "span": GlobalSpan()}
TRANSFORMER: dict[str, Any] = {
    **VOCABULARY,
    "model_size": 8,
    "feedforward_size": 12,
    "num_heads": 2,
    "num_key_value_heads": 2,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "dropout": 0.1,
    "embedding_dropout": 0.1,
    "activation_dropout": 0.1,
    "attention_dropout": 0.1,
    "layer_dropout": 0.1,
    "pre_norm": True,
    "encoder_attention": None,
    "positions": SinusoidalPositions(model_size=8, max_length=24),
}
CLASSES: dict[type, dict[str, Any]] = {
    PlainRNN: RECURRENT,
    BahdanauRNN: {**ATTENTIONAL, "score": AdditiveScore(**ADDITIVE)},
    LuongRNN: {**ATTENTIONAL, "score": DotScore(query_size=8, value_size=8), "input_feeding": True},
    Transformer: TRANSFORMER,
    LinearTransformer: TRANSFORMER,
    SparseAttention: {"window": 4, "num_global": 1, "num_random": 2},
    AdditiveScore: ADDITIVE,
    GeneralScore: {"query_size": 8, "value_size": 8},
    DotScore: {"query_size": 8, "value_size": 8},
    CoverageScore: ADDITIVE,
    MultiHeadAdditiveScore: {**ADDITIVE, "attention_size": 6, "num_heads": 2},
    MonotonicSpan: {"window": 2},
    PredictiveSpan: {"query_size": 8, "window": 2},
    SinusoidalPositions: {"model_size": 8, "max_length": 24},
    LearnedPositions: {"model_size": 8, "max_length": 24},
    RotaryPositions: {"model_size": 8, "num_heads": 2, "base": 100.0},
    RelativePositions: {"num_heads": 2, "num_buckets": 8, "max_distance": 16},
    ALiBiPositions: {"num_heads": 2},
}


def wrong_arguments() -> Iterator[tuple[type, dict[str, Any], str]]:
    """Classes, the argument to change, and the text that the error message must contain."""
    for cls, arguments in CLASSES.items():
        for name in arguments:
            if name.endswith(("_size", "_layers", "_heads", "_buckets", "_distance", "max_length", "window")):
                for value in (0, -1, 2.5, True):
                    yield cls, {name: value}, f"{name}={value}"
            if name.endswith("dropout") and name != "variational_dropout":
                for value in (-0.1, 1.0, 1.5, float("nan")):
                    yield cls, {name: value}, f"{name}={value}"
        if "hidden_size" in arguments:
            yield cls, {"hidden_size": 9}, "hidden_size=9"
        if "shared_vocab" in arguments:
            yield cls, {"shared_vocab": True}, "11 and 13"
    yield Transformer, {"num_heads": 3}, "num_heads=3"
    yield MultiHeadAdditiveScore, {"num_heads": 1}, "model/score=concat"
    yield MultiHeadAdditiveScore, {"num_heads": 4}, "attention_size=6 must be a multiple of num_heads=4"
    yield MultiHeadAdditiveScore, {"num_heads": 3}, "value_size=8 must be a multiple of num_heads=3"
    for cls in (BahdanauRNN, LuongRNN):
        yield cls, {"score": GeneralScore(query_size=8, value_size=6)}, "hidden_size=8"
        yield cls, {"span": PredictiveSpan(query_size=6, window=2)}, "query_size=6 must be hidden_size=8"
    yield LuongRNN, {"score": CoverageScore(**ADDITIVE), "input_feeding": False}, "set model.input_feeding=true"
    yield Transformer, {"num_key_value_heads": 3}, "num_heads=2 must be a multiple of num_key_value_heads=3"
    yield Transformer, {"model_size": 16}, "model_size=8, but the model has model_size=16"
    yield Transformer, {"positions": ALiBiPositions(num_heads=4)}, "num_heads=4, but the model has num_heads=2"
    yield SinusoidalPositions, {"model_size": 9}, "model_size=9"
    yield LinearTransformer, {"positions": ALiBiPositions(num_heads=2)}, "choose sinusoidal or learned positions"
    sparse = SparseAttention(window=4, num_global=0, num_random=0)
    yield LinearTransformer, {"encoder_attention": sparse}, "set encoder_attention=null"
    biased = {"positions": ALiBiPositions(num_heads=2), "encoder_attention": sparse}
    yield Transformer, biased, "choose sinusoidal, learned or rotary positions"
    yield SparseAttention, {"num_global": -1}, "num_global=-1"
    yield SparseAttention, {"num_random": 1.5}, "num_random=1.5"
    yield RotaryPositions, {"model_size": 6}, "model_size=6"
    yield RotaryPositions, {"base": 1.0}, "base=1.0"
    yield RelativePositions, {"num_buckets": 6}, "num_buckets=6"
    yield RelativePositions, {"max_distance": 4}, "max_distance=4 must be more than num_buckets / 2 = 4"
    yield DotScore, {"query_size": 6}, "query_size=6, value_size=8"


@pytest.mark.parametrize(("cls", "changes", "message"), list(wrong_arguments()))
def test_a_wrong_argument_is_named_in_one_line(cls: type, changes: dict[str, Any], message: str) -> None:
    cls(**CLASSES[cls])  # without the change it is accepted
    with pytest.raises(UserError) as caught:
        cls(**{**CLASSES[cls], **changes})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shared_vocab", [False, True])
@pytest.mark.parametrize("tie_output", [False, True])
def test_embeddings_can_be_shared_with_or_without_tying_the_output(shared_vocab: bool, tie_output: bool) -> None:
    vocabulary = Vocabulary(
        source_vocab_size=13,
        target_vocab_size=13,
        shared_vocab=shared_vocab,
        tie_output=tie_output,
        embedding_size=6,
        word_dropout=0.0,
    )
    assert (vocabulary.source.weight is vocabulary.target.weight) == shared_vocab
    assert (vocabulary.output.weight is vocabulary.target.weight) == tie_output


# An LSTM layer of torch has two biases per gate: 4 D (inputs + D) + 8 D parameters.
EMBEDDINGS = 11 * 6 + 13 * 6
OUTPUT = 6 * 13 + 13
ENCODER = 2 * (16 * (6 + 4) + 32)  # two directions of 4
BRIDGE = 8 * 16 + 16  # to a hidden and a cell state of 8
SHARED = EMBEDDINGS + OUTPUT + ENCODER + BRIDGE


def test_the_lstm_has_the_expected_number_of_parameters() -> None:
    decoder, readout = 32 * (6 + 8) + 64, 8 * 6 + 6
    assert PlainRNN(**CLASSES[PlainRNN]).num_parameters() == SHARED + decoder + readout == 1329


def test_bahdanau_has_the_expected_number_of_parameters() -> None:
    score = 8 * 5 + 8 * 5 + 5
    cell = 32 * (6 + 8 + 8) + 32  # piece, context and state; one bias
    readout = (8 + 6 + 8) * 6 + 6
    assert BahdanauRNN(**CLASSES[BahdanauRNN]).num_parameters() == SHARED + score + cell + readout == 1722


def test_a_gru_has_three_gates_and_one_state() -> None:
    """Bahdanau's attention with heads, coverage's weights or a predicted window adds a few matrices and vectors."""
    encoder, bridge = 2 * (12 * (6 + 4) + 24), 8 * 8 + 8
    cell, readout = 24 * (6 + 8 + 8) + 24, (8 + 6 + 8) * 6 + 6
    arguments = {**CLASSES[BahdanauRNN], "cell": GRUCell(), "span": PredictiveSpan(query_size=8, window=2)}
    fixed = EMBEDDINGS + OUTPUT + encoder + bridge + cell + readout + (8 * 8 + 8)  # W_p and v_p of the span
    heads = MultiHeadAdditiveScore(query_size=8, value_size=8, attention_size=6, num_heads=2)
    model = BahdanauRNN(**{**arguments, "score": heads})
    assert model.num_parameters() == fixed + 8 * 6 + 8 * 6 + 6 + 8 * 8
    model = BahdanauRNN(**{**arguments, "score": CoverageScore(**ADDITIVE)})
    assert model.num_parameters() == fixed + 8 * 5 + 8 * 5 + 5 + 5


def test_luong_with_two_layers_has_the_expected_number_of_parameters() -> None:
    score = 8 * 8
    cell = 32 * (6 + 6 + 8) + 32  # piece, attentional vector and state
    readout = (8 + 8) * 6
    second_layer = 2 * (16 * (8 + 4) + 32) + (32 * (8 + 8) + 64) + (8 * 16 + 16)  # encoder, decoder, bridge
    model = LuongRNN(
        **{**ATTENTIONAL, "num_layers": 2, "tie_output": True},
        score=GeneralScore(query_size=8, value_size=8),
        input_feeding=True,
    )
    assert model.num_parameters() == SHARED - 6 * 13 + score + cell + readout + second_layer == 2685


@pytest.mark.parametrize(("pre_norm", "total"), [(True, 1517), (False, 1485)])
def test_the_transformer_has_the_expected_number_of_parameters(pre_norm: bool, total: int) -> None:
    attention, feedforward, norm = 4 * (8 * 8 + 8), 8 * 12 + 12 + 12 * 8 + 8, 8 + 8
    encoder = attention + feedforward + 2 * norm
    decoder = 2 * attention + feedforward + 3 * norm
    shared: dict[str, Any] = {"source_vocab_size": 13, "shared_vocab": True, "tie_output": True, "pre_norm": pre_norm}
    model = Transformer(**{**TRANSFORMER, **shared})
    vocabulary = 13 * 8 + 13  # one matrix for both embeddings and the output layer, and its bias
    assert model.num_parameters() == vocabulary + encoder + decoder + 2 * norm * pre_norm == total
