"""Decoding measured: a model and a plain one translate the same sentences with the same search, in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

from nmt.benchmark.training import percentiles, ratio
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.translator import Translator

NEVER = -1e4
"""A bias by which `eos` is chosen only where there is no other choice."""


def never_end(model: Seq2Seq, eos_id: int) -> None:
    """Makes every translation as long as its limit, by the output layer's bias of `eos`.

    Raises:
        ValueError: the model has no such layer where it is looked for.
    """
    try:
        bias = model.get_parameter("vocabulary.output.bias")
    except AttributeError:
        raise UserError(
            f"{type(model).__name__} has no vocabulary.output.bias, without which decoding cannot be measured: "
            f"set sentences=0"
        ) from None
    with torch.no_grad():
        bias[eos_id] = NEVER


def measure_decoding(
    own: Translator, plain: Translator, lines: Sequence[str], *, singles: int, rounds: int
) -> dict[str, Any]:
    """Translates in turn; see `nmt.benchmark` for the method. Both models were told to `never_end`.

    Args:
        lines: translated together, in batches.
        singles: so many of them are also translated one at a time.
        rounds: of both.
    """
    alone = lines[:singles]
    for translator in (own, plain):
        translator.model.eval()
        translator.translate(alone)
    batches: dict[str, list[float]] = {"model": [], "plain": []}
    latencies: dict[str, list[list[float]]] = {"model": [], "plain": []}
    for _ in range(rounds):
        for name, translator in (("model", own), ("plain", plain)):
            batches[name].append(timed(translator, lines))
            latencies[name].append([timed(translator, [line]) for line in alone])
    both = zip(batches["model"], batches["plain"], strict=True)
    each = zip(latencies["model"], latencies["plain"], strict=True)
    return {
        **{
            name: {
                "sentences_per_second": median(len(lines) / seconds for seconds in batches[name]),
                "latency_seconds": percentiles([second for seconds in latencies[name] for second in seconds]),
            }
            for name in batches
        },
        "ratio": ratio([theirs / mine for mine, theirs in both]),
        "latency_ratio": ratio([median(theirs) / median(mine) for mine, theirs in each]),
    }


def timed(translator: Translator, lines: Sequence[str]) -> float:
    """Seconds from lines to translations, which are text: a device has then done all it was given."""
    began = time.perf_counter()
    translator.translate(lines)
    return time.perf_counter() - began
