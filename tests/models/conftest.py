"""Tiny models of every architecture and variant, from one fixture, so that a property is tested for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from nmt.models import (
    LSTM,
    AdditiveScore,
    ALiBiPositions,
    BahdanauLSTM,
    DotScore,
    GeneralScore,
    LearnedPositions,
    LuongLSTM,
    RelativePositions,
    RotaryPositions,
    Seq2Seq,
    SinusoidalPositions,
    Transformer,
)
from nmt.models.attention import Score
from nmt.models.positions import Positions

LUONG = {
    f"lstm_luong-{score}-{fed}": (score, fed == "fed")
    for score in ("dot", "general", "concat")
    for fed in ("fed", "unfed")
}
POSITIONS: dict[str, Callable[[], Positions]] = {
    "learned": lambda: LearnedPositions(model_size=8, max_length=24),
    "rotary": lambda: RotaryPositions(model_size=8, num_heads=2, base=100.0),
    "relative": lambda: RelativePositions(num_heads=2, num_buckets=4, max_distance=6),
    "alibi": lambda: ALiBiPositions(num_heads=2),
}
SHARING = {"transformer-rotary", "transformer-relative"}  # both heads share keys and values
TRANSFORMERS = ["transformer-pre_norm", "transformer-post_norm", *(f"transformer-{name}" for name in POSITIONS)]
ARCHITECTURES = ["lstm", "lstm_bahdanau", *LUONG, *TRANSFORMERS]
CHOICES = [(1, False, False), (2, True, True), (2, False, True)]  # num_layers, shared_vocab, tie_output


def sinusoidal() -> Positions:
    return SinusoidalPositions(model_size=8, max_length=24)


@dataclass(frozen=True)
class Variant:
    """A way to build a tiny model. Its sizes differ wherever possible, so that a mix-up of two sizes fails."""

    architecture: str
    num_layers: int
    shared_vocab: bool
    tie_output: bool

    def build(self, *, dropout: float = 0.0, seed: int = 1, **options: Any) -> Seq2Seq:
        """A model in float64 and evaluation mode, with all parameters random, biases and gains included.

        Args:
            dropout: probability of each dropout that the architecture has.
            options: values of arguments, of which those that the architecture does not have are ignored.
        """
        torch.manual_seed(seed)
        arguments: dict[str, Any] = {
            "source_vocab_size": 13 if self.shared_vocab else 11,
            "target_vocab_size": 13,
            "shared_vocab": self.shared_vocab,
            "tie_output": self.tie_output,
            "dropout": dropout,
        }
        if self.architecture.startswith("transformer"):
            model: Seq2Seq = Transformer(
                **arguments,
                model_size=8,
                feedforward_size=12,
                num_heads=2,
                num_key_value_heads=1 if self.architecture in SHARING else 2,
                num_encoder_layers=self.num_layers,
                num_decoder_layers=3 - self.num_layers,
                embedding_dropout=options.get("embedding_dropout", dropout),
                word_dropout=options.get("word_dropout", dropout),
                activation_dropout=options.get("activation_dropout", dropout),
                attention_dropout=options.get("attention_dropout", dropout),
                layer_dropout=options.get("layer_dropout", dropout),
                pre_norm=self.architecture != "transformer-post_norm",
                positions=POSITIONS.get(self.architecture.removeprefix("transformer-"), sinusoidal)(),
            )
        else:
            arguments |= {"embedding_size": 6, "hidden_size": 8, "num_layers": self.num_layers}
            recurrent: dict[str, Any] = {
                "embedding_dropout": options.get("embedding_dropout", dropout),
                "word_dropout": options.get("word_dropout", dropout),
                "variational_dropout": options.get("variational_dropout", False),
                "recurrent_dropout": options.get("recurrent_dropout", dropout),
            }
            attentional = recurrent | {"encoder_dropout": options.get("encoder_dropout", dropout)}
            if self.architecture == "lstm":
                model = LSTM(**arguments, **recurrent)
            elif self.architecture == "lstm_bahdanau":
                model = BahdanauLSTM(**arguments, **attentional, attention_size=5)
            else:
                name, input_feeding = LUONG[self.architecture]
                sizes: dict[str, Any] = {"query_size": 8, "value_size": 8}
                scores: dict[str, Callable[[], Score]] = {
                    "dot": lambda: DotScore(**sizes),
                    "general": lambda: GeneralScore(**sizes),
                    "concat": lambda: AdditiveScore(**sizes, attention_size=5),
                }
                model = LuongLSTM(**arguments, **attentional, score=scores[name](), input_feeding=input_feeding)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model.double().eval()


VARIANTS = [Variant(name, *choices) for name in ARCHITECTURES for choices in CHOICES]


def name_of(variant: Variant) -> str:
    """The name of a variant in the test's id."""
    return (
        f"{variant.architecture}-{variant.num_layers}"
        f"{'-shared' if variant.shared_vocab else ''}{'-tied' if variant.tie_output else ''}"
    )


@pytest.fixture(params=VARIANTS, ids=name_of)
def variant(request: pytest.FixtureRequest) -> Variant:
    return request.param


@pytest.fixture
def model(variant: Variant) -> Seq2Seq:
    return variant.build()


@pytest.fixture(params=[Variant(name, 2, True, True) for name in ARCHITECTURES], ids=name_of)
def largest(request: pytest.FixtureRequest) -> Variant:
    """The largest variant of each architecture, for slower tests."""
    return request.param
