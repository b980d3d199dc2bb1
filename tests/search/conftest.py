"""Tiny models of every architecture for the search, and a model that reads its probabilities from a table."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from nmt.models import LSTM, AdditiveScore, BahdanauLSTM, DotScore, GeneralScore, LuongLSTM, Seq2Seq, Transformer
from nmt.models.seq2seq import Memory, State, StepOutput

PAD, BOS, EOS = 0, 1, 2

VOCABULARY = {
    "source_vocab_size": 9,
    "target_vocab_size": 6,
    "shared_vocab": False,
    "tie_output": False,
    "dropout": 0.0,
}
RECURRENT = {**VOCABULARY, "embedding_size": 6, "hidden_size": 8}
SIZES = {"query_size": 8, "value_size": 8}
TRANSFORMER = {
    **VOCABULARY,
    "model_size": 8,
    "feedforward_size": 12,
    "num_heads": 2,
    "num_encoder_layers": 1,
    "num_decoder_layers": 2,
    "max_length": 12,
}

ARCHITECTURES: dict[str, Callable[[], Seq2Seq]] = {
    "lstm": lambda: LSTM(**RECURRENT, num_layers=2),
    "lstm_bahdanau": lambda: BahdanauLSTM(**RECURRENT, num_layers=1, attention_size=5),
    "lstm_luong-dot": lambda: LuongLSTM(**RECURRENT, num_layers=1, score=DotScore(**SIZES), input_feeding=False),
    "lstm_luong-general": lambda: LuongLSTM(**RECURRENT, num_layers=2, score=GeneralScore(**SIZES), input_feeding=True),
    "lstm_luong-concat": lambda: LuongLSTM(
        **RECURRENT, num_layers=1, score=AdditiveScore(**SIZES, attention_size=5), input_feeding=True
    ),
    "transformer-pre_norm": lambda: Transformer(**TRANSFORMER, pre_norm=True),
    "transformer-post_norm": lambda: Transformer(**TRANSFORMER, pre_norm=False),
}


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> Callable[[], Seq2Seq]:
    """Makes a model."""
    return ARCHITECTURES[request.param]


@pytest.fixture
def model(architecture: Callable[[], Seq2Seq]) -> Seq2Seq:
    """Of 64-bit numbers and large random weights, so that its distributions differ and no two scores are alike."""
    torch.manual_seed(4)
    model = architecture()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.7)
    return model.double().eval()


@dataclass(frozen=True)
class Script(Memory):
    name: Tensor  # (B,), the first source id


@dataclass(frozen=True)
class Prefix(State):
    tokens: Tensor  # (B, t), all tokens read, `bos` first


class ScriptedModel(Seq2Seq):
    """p(token | source, tokens before) from a table {(first source id, *tokens before): {token: probability}}.

    What the table does not know ends at once.
    """

    def __init__(self, table: dict[tuple[int, ...], dict[int, float]]) -> None:
        super().__init__()
        self.table = table
        self.parameter = nn.Parameter(torch.zeros(1))
        self.rows: list[int] = []  # how many rows each step was given

    @property
    def max_length(self) -> int | None:
        return None

    def decoder_outputs(self, source: Tensor, source_mask: Tensor, target_input: Tensor) -> Tensor:
        raise NotImplementedError

    def encode(self, source: Tensor, source_mask: Tensor) -> Script:
        return Script(source_mask, source[:, 0])

    def start(self, memory: Script) -> Prefix:
        return Prefix(memory.name.new_empty(len(memory.name), 0))

    def step(self, token: Tensor, state: Prefix, memory: Script, *, need_attention: bool = False) -> StepOutput:
        self.rows.append(len(token))
        state = replace(state, tokens=torch.cat([state.tokens, token.unsqueeze(1)], dim=1))
        logits = torch.full((len(token), 6), -math.inf)
        names = memory.repeated(len(token)).name.tolist()
        for row, (name, (bos, *before)) in enumerate(zip(names, state.tokens.tolist(), strict=True)):
            assert bos == BOS
            for piece, probability in self.table.get((name, *before), {EOS: 1.0}).items():
                logits[row, piece] = math.log(probability)
        return StepOutput(logits, None, state)


@pytest.fixture
def scripted() -> type[ScriptedModel]:
    return ScriptedModel
