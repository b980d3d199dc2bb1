"""Tiny models of every architecture for the search, and a model that reads its probabilities from a table."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nmt.models import (
    AdditiveScore,
    BahdanauRNN,
    CoverageScore,
    DecoderOnly,
    DotScore,
    GeneralScore,
    GlobalSpan,
    GRUCell,
    LinearTransformer,
    LSTMCell,
    LuongRNN,
    MonotonicSpan,
    PlainRNN,
    RelativePositions,
    Seq2Seq,
    SinusoidalPositions,
    Transformer,
)
from nmt.models.attention import NO_RECORD, AttentionRecord
from nmt.models.ensemble import Ensemble
from nmt.models.seq2seq import Memory, State, TranslationModel

PAD, BOS, EOS = 0, 1, 2

VOCABULARY: dict[str, Any] = {
    "source_vocab_size": 9,
    "target_vocab_size": 6,
    "shared_vocab": False,
    "tie_output": False,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
}
RECURRENT: dict[str, Any] = {
    **VOCABULARY,
    "cell": LSTMCell(),
    "embedding_size": 6,
    "hidden_size": 8,
    "variational_dropout": False,
    "recurrent_dropout": 0.0,
}
SIZES = {"query_size": 8, "value_size": 8}
ATTENTIONAL: dict[str, Any] = RECURRENT | {"encoder_dropout": 0.0, "span": GlobalSpan()}
TRANSFORMER: dict[str, Any] = {
    **VOCABULARY,
    "model_size": 8,
    "feedforward_size": 12,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "layer_dropout": 0.0,
    "num_heads": 2,
}
LAYERS: dict[str, Any] = {
    "num_encoder_layers": 1,
    "num_decoder_layers": 2,
    "num_key_value_heads": 2,
    "encoder_attention": None,
}


def positions() -> SinusoidalPositions:
    return SinusoidalPositions(model_size=8, max_length=12)


ARCHITECTURES: dict[str, Callable[[], TranslationModel]] = {
    "lstm": lambda: PlainRNN(**RECURRENT, num_layers=2),
    "lstm_bahdanau": lambda: BahdanauRNN(**ATTENTIONAL, num_layers=1, score=AdditiveScore(**SIZES, attention_size=5)),
    "lstm_luong-dot": lambda: LuongRNN(**ATTENTIONAL, num_layers=1, score=DotScore(**SIZES), input_feeding=False),
    "lstm_luong-general": lambda: LuongRNN(
        **ATTENTIONAL, num_layers=2, score=GeneralScore(**SIZES), input_feeding=True
    ),
    "gru_luong-coverage-local_m": lambda: LuongRNN(
        **ATTENTIONAL | {"cell": GRUCell(), "span": MonotonicSpan(window=2)},
        num_layers=1,
        score=CoverageScore(**SIZES, attention_size=5),
        input_feeding=True,
    ),
    "transformer-pre_norm": lambda: Transformer(**TRANSFORMER, positions=positions(), **LAYERS, pre_norm=True),
    "transformer-post_norm": lambda: Transformer(**TRANSFORMER, positions=positions(), **LAYERS, pre_norm=False),
    "transformer-relative": lambda: Transformer(
        **TRANSFORMER, positions=RelativePositions(num_heads=2, num_buckets=4, max_distance=6), **LAYERS, pre_norm=True
    ),
    "transformer-linear": lambda: LinearTransformer(**TRANSFORMER, positions=positions(), **LAYERS, pre_norm=True),
    "decoder_only": lambda: DecoderOnly(**TRANSFORMER, num_layers=2, pre_norm=True, max_length=12),
    "ensemble": lambda: Ensemble(
        [
            PlainRNN(**RECURRENT, num_layers=2),
            Transformer(**TRANSFORMER, positions=positions(), **LAYERS, pre_norm=True),
        ]
    ),
}


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> Callable[[], TranslationModel]:
    """A function that builds a tiny model."""
    return ARCHITECTURES[request.param]


@pytest.fixture
def model(architecture: Callable[[], TranslationModel]) -> TranslationModel:
    """A model in float64 with large random weights, so that no two hypotheses have the same score."""
    torch.manual_seed(4)
    model = architecture()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model.double().eval()


@dataclass(frozen=True)
class ScriptedMemory(Memory):
    """The sentences of the table that are translated."""

    name: Tensor  # (A,), the first source id


@dataclass(frozen=True)
class ScriptedState(State):
    """The prefix of each hypothesis."""

    tokens: Tensor  # (A·K, t), all tokens so far, `bos` first


class ScriptedModel(Seq2Seq):
    """p(token | source, tokens before) from a table {(first source id, *tokens before): {token: probability}}.

    A prefix that is not in the table ends with certainty.
    """

    def __init__(self, table: dict[tuple[int, ...], dict[int, float]]) -> None:
        super().__init__()
        self.table = table
        self.parameter = nn.Parameter(torch.zeros(1))
        self.rows_per_step: list[int] = []

    @property
    def max_length(self) -> int | None:
        return None

    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        raise NotImplementedError

    def encode(self, source: Tensor, source_mask: Tensor) -> ScriptedMemory:
        return ScriptedMemory(source_mask, source[:, 0])

    def start(self, memory: Memory) -> ScriptedState:
        assert isinstance(memory, ScriptedMemory)
        return ScriptedState(memory.name.new_empty(len(memory.name), 0))

    def step(self, token: Tensor, state: ScriptedState, memory: ScriptedMemory) -> tuple[Tensor, ScriptedState]:
        self.rows_per_step.append(len(token))
        state = replace(state, tokens=torch.cat([state.tokens, token.unsqueeze(1)], dim=1))  # (A·K, t + 1)
        logits = torch.full((len(token), 6), -math.inf)  # (A·K, V)
        names = memory.repeated(len(token)).name.tolist()
        for row, (name, (bos, *prefix)) in enumerate(zip(names, state.tokens.tolist(), strict=True)):
            assert bos == BOS
            for piece, probability in self.table.get((name, *prefix), {EOS: 1.0}).items():
                logits[row, piece] = math.log(probability)
        return logits, state


@pytest.fixture
def scripted_model() -> type[ScriptedModel]:
    """The class of models that read their probabilities from a table."""
    return ScriptedModel
