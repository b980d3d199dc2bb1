"""Tiny models of every architecture and variant, from one fixture, so that a property is tested for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from nmt.models import (
    AdditiveScore,
    ALiBiPositions,
    BahdanauRNN,
    CoverageScore,
    DecoderOnly,
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
    PictureTransformer,
    PlainRNN,
    PredictiveSpan,
    PrefixLM,
    RelativePositions,
    RotaryPositions,
    Seq2Seq,
    SinusoidalPositions,
    SparseAttention,
    Transformer,
)
from nmt.models.attention import Score
from nmt.models.positions import Positions

LUONG = {
    f"lstm_luong-{score}-{fed}": (score, fed == "fed")
    for score in ("dot", "general", "concat")
    for fed in ("fed", "unfed")
}
COVERAGE, HEADS = "gru_bahdanau-coverage-local_p", "gru_luong-multi_head-unfed-local_m"
RECURRENT = ["lstm", "lstm_bahdanau", *LUONG, COVERAGE, HEADS]
POSITIONS: dict[str, Callable[[], Positions]] = {
    "learned": lambda: LearnedPositions(model_size=8, max_length=24),
    "rotary": lambda: RotaryPositions(model_size=8, num_heads=2, base=100.0),
    "relative": lambda: RelativePositions(num_heads=2, num_buckets=4, max_distance=6),
    "alibi": lambda: ALiBiPositions(num_heads=2),
}
SHARING = {f"transformer-{name}" for name in ("rotary", "relative", "big_bird", "linear")}
"""The variants whose two heads share keys and values."""
PATTERNS: dict[str, Callable[[], SparseAttention]] = {
    "sliding_window": lambda: SparseAttention(window=1, num_global=0, num_random=0),
    "big_bird": lambda: SparseAttention(window=2, num_global=1, num_random=1),
}
TRANSFORMERS = [
    "transformer-pre_norm",
    "transformer-post_norm",
    *(f"transformer-{name}" for name in [*POSITIONS, *PATTERNS, "linear"]),
]
DECODER_ONLY: dict[str, tuple[type[DecoderOnly], bool]] = {  # class and pre_norm
    "decoder_only-post_norm": (DecoderOnly, False),
    "prefix_lm-pre_norm": (PrefixLM, True),
}
ARCHITECTURES = [*RECURRENT, *TRANSFORMERS, *DECODER_ONLY]
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
            kind = self.architecture.removeprefix("transformer-")
            classes: dict[str, Callable[..., Seq2Seq]] = {
                "linear": LinearTransformer,
                "pictures": partial(PictureTransformer, first_patch_id=8),  # ids from 8 on: an empty patch, and objects
            }
            model = classes.get(kind, Transformer)(
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
                positions=POSITIONS.get(kind, sinusoidal)(),
                encoder_attention=PATTERNS[kind]() if kind in PATTERNS else None,
            )
        elif self.architecture in DECODER_ONLY:
            decoder_only, pre_norm = DECODER_ONLY[self.architecture]
            model = decoder_only(
                **arguments,
                model_size=8,
                feedforward_size=12,
                num_heads=2,
                num_layers=self.num_layers,
                embedding_dropout=options.get("embedding_dropout", dropout),
                word_dropout=options.get("word_dropout", dropout),
                activation_dropout=options.get("activation_dropout", dropout),
                attention_dropout=options.get("attention_dropout", dropout),
                layer_dropout=options.get("layer_dropout", dropout),
                pre_norm=pre_norm,
                max_length=24,
            )
        else:
            arguments |= {"embedding_size": 6, "hidden_size": 8, "num_layers": self.num_layers}
            recurrent: dict[str, Any] = {
                "cell": GRUCell() if self.architecture.startswith("gru") else LSTMCell(),
                "embedding_dropout": options.get("embedding_dropout", dropout),
                "word_dropout": options.get("word_dropout", dropout),
                "variational_dropout": options.get("variational_dropout", False),
                "recurrent_dropout": options.get("recurrent_dropout", dropout),
            }
            attentional = recurrent | {"encoder_dropout": options.get("encoder_dropout", dropout), "span": GlobalSpan()}
            sizes: dict[str, Any] = {"query_size": 8, "value_size": 8}
            if self.architecture == "lstm":
                model = PlainRNN(**arguments, **recurrent)
            elif self.architecture == "lstm_bahdanau":
                model = BahdanauRNN(**arguments, **attentional, score=AdditiveScore(**sizes, attention_size=5))
            elif self.architecture == COVERAGE:
                attentional["span"] = PredictiveSpan(query_size=8, window=2)
                model = BahdanauRNN(**arguments, **attentional, score=CoverageScore(**sizes, attention_size=5))
            elif self.architecture == HEADS:
                attentional["span"] = MonotonicSpan(window=2)
                score = MultiHeadAdditiveScore(**sizes, attention_size=6, num_heads=2)
                model = LuongRNN(**arguments, **attentional, score=score, input_feeding=False)
            else:
                name, input_feeding = LUONG[self.architecture]
                scores: dict[str, Callable[[], Score]] = {
                    "dot": lambda: DotScore(**sizes),
                    "general": lambda: GeneralScore(**sizes),
                    "concat": lambda: AdditiveScore(**sizes, attention_size=5),
                }
                model = LuongRNN(**arguments, **attentional, score=scores[name](), input_feeding=input_feeding)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
        return model.double().eval()


VARIANTS = [
    *(Variant(name, *choices) for name in ARCHITECTURES for choices in CHOICES),
    Variant("transformer-pictures", 2, shared_vocab=False, tie_output=True),  # the target has no pictures
]


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


@pytest.fixture(params=[*(Variant(name, 2, True, True) for name in ARCHITECTURES), VARIANTS[-1]], ids=name_of)
def largest(request: pytest.FixtureRequest) -> Variant:
    """The largest variant of each architecture, for slower tests."""
    return request.param
