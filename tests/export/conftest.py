"""Systems with random weights in every variant of the Transformer that an export must convert."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt import models
from nmt.data.tokenizer import Tokenizer
from nmt.export.system import System
from nmt.run import RunFolder
from nmt.run.registry import build
from nmt.run.weights import save_weights

SIZES: dict[str, Any] = {"model_size": 32, "feedforward_size": 48, "num_heads": 4, "num_key_value_heads": 4}
SINUSOIDAL = {"class": "SinusoidalPositions", "arguments": {"model_size": 32, "max_length": 60}}
VARIANTS: dict[str, dict[str, Any]] = {
    "pre_norm": {},
    "post_norm": {"pre_norm": False},
    "untied": {"tie_output": False, "num_decoder_layers": 1},
    "two_vocabularies": {"shared_vocab": False},
    "two_vocabularies_post_norm": {"shared_vocab": False, "pre_norm": False, "tie_output": False},
    "shared_heads": {"num_key_value_heads": 2},
    "multi_query": {"num_key_value_heads": 1, "pre_norm": False},
    "learned": {"positions": {"class": "LearnedPositions", "arguments": {"model_size": 32, "max_length": 60}}},
    "rotary": {
        "num_key_value_heads": 2,
        "positions": {"class": "RotaryPositions", "arguments": {"model_size": 32, "num_heads": 4, "base": 500}},
    },
    "relative": {
        "positions": {
            "class": "RelativePositions",
            "arguments": {"num_heads": 4, "num_buckets": 8, "max_distance": 16},
        }
    },
    "sparse": {
        "encoder_attention": {"class": "SparseAttention", "arguments": {"window": 8, "num_global": 2, "num_random": 1}},
        "num_encoder_layers": 1,
        "num_decoder_layers": 1,
    },
    "alibi": {"positions": {"class": "ALiBiPositions", "arguments": {"num_heads": 4}}},
}
"""What differs from the first variant, which has one vocabulary for everything, and sinusoidal positions."""

LINES = ["one two three", "nine", "seven six five four three two one nine eight seven six five four three", "two two"]


@pytest.fixture
def make_system(
    transformer_run: Path, tokenizer: Tokenizer, corpus_folder: Path, tmp_path: Path
) -> Callable[..., System]:
    """Makes a system of this variant, in a run folder of its own: `make_system("rotary")`."""

    def make(variant: str, *, tags: tuple[str, ...] = (), source_tag: str | None = None) -> System:
        run = RunFolder(shutil.copytree(transformer_run, tmp_path / variant))
        own = tokenizer
        if tags or not VARIANTS[variant].get("shared_vocab", True):
            sides = ((corpus_folder / f"train.{language}").read_text().splitlines() for language in ("en", "de"))
            own = Tokenizer.train(
                *sides,
                vocab_size=40,
                model_type="bpe",
                shared=VARIANTS[variant].get("shared_vocab", True),
                character_coverage=1.0,
                byte_fallback=False,
                normalization="compose",
                tags=tags,
            ).with_source_tag(source_tag)
        own.save(run.path)
        arguments = run.description("model")["arguments"] | SIZES | {"positions": SINUSOIDAL}
        arguments |= {"num_encoder_layers": 2, "num_decoder_layers": 2, **VARIANTS[variant]}
        arguments |= {"source_vocab_size": own.source_size, "target_vocab_size": own.target_size}
        description = {"class": "Transformer", "arguments": arguments}
        torch.manual_seed(1)
        model = build(description, models)
        for parameter in model.parameters():  # no bias is zero, and no norm the identity
            torch.nn.init.normal_(parameter, mean=float(parameter.dim() == 1), std=0.3)
        run.write_description("model", description)
        save_weights(model.state_dict(), run.best, step=1)
        search = {"beam_size": 3, "length_penalty": 0.6, "max_length_factor": 0.0, "max_length_margin": 12}
        run.write_description("search", {"class": "BeamSearch", "arguments": search})
        return System.load(run)

    return make


@pytest.fixture
def lines() -> list[str]:
    """Lines of different lengths."""
    return LINES
