"""Every architecture at a small size, as a description that both packages of models can build."""

from typing import Any

import numpy as np
import pytest
import torch

from nmt.data.batch import Batch, make_batch

SIZES = {
    "source_vocab_size": 50,
    "target_vocab_size": 50,
    "shared_vocab": True,
    "tie_output": True,
    "dropout": 0.0,
}
RECURRENT = SIZES | {"embedding_size": 16, "hidden_size": 24, "num_layers": 2}
SCORE = {"class": "GeneralScore", "arguments": {"query_size": 24, "value_size": 24}}
DESCRIPTIONS = {
    "lstm": ("LSTM", RECURRENT),
    "lstm_bahdanau": ("BahdanauLSTM", RECURRENT | {"attention_size": 12}),
    "lstm_luong": ("LuongLSTM", RECURRENT | {"input_feeding": True, "score": SCORE}),
    "lstm_luong-dot": (
        "LuongLSTM",
        RECURRENT | {"input_feeding": False, "score": SCORE | {"class": "DotScore"}},
    ),
    "lstm_luong-concat": (
        "LuongLSTM",
        RECURRENT
        | {
            "input_feeding": False,
            "score": {"class": "AdditiveScore", "arguments": SCORE["arguments"] | {"attention_size": 12}},
        },
    ),
    "transformer": (
        "Transformer",
        SIZES
        | {
            "model_size": 16,
            "feedforward_size": 24,
            "num_heads": 2,
            "num_encoder_layers": 2,
            "num_decoder_layers": 2,
            "pre_norm": True,
            "max_length": 32,
        },
    ),
}


@pytest.fixture(params=DESCRIPTIONS)
def description(request: pytest.FixtureRequest) -> dict[str, Any]:
    name, arguments = DESCRIPTIONS[request.param]
    return {"class": name, "arguments": arguments}


@pytest.fixture
def batch() -> Batch:
    """Six pairs of different lengths."""
    torch.manual_seed(1)
    draw = np.random.default_rng(1)
    sources = [draw.integers(4, 50, size=size).tolist() for size in range(3, 9)]
    targets = [draw.integers(4, 50, size=size).tolist() for size in range(9, 3, -1)]
    return make_batch(sources, targets, pad_id=0, bos_id=1, eos_id=2)
