"""Decoding speed: the model and the plain model translate the same sentences with the same search, in turn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

from nmt.benchmark.training import percentiles, summarize_ratios
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.translator import Translator

SUPPRESSED_EOS_BIAS = -1e4
"""Output bias of `eos`; so low that `eos` is chosen only where the search allows nothing else."""


def suppress_eos(model: Seq2Seq, eos_id: int) -> None:
    """Makes every translation as long as its limit, by changing the output bias of `eos` in place.

    Raises:
        UserError: the model has no parameter `vocabulary.output.bias`.
    """
    try:
        bias = model.get_parameter("vocabulary.output.bias")  # (V,)
    except AttributeError:
        raise UserError(
            f"{type(model).__name__} has no parameter vocabulary.output.bias, which measuring its decoding needs: "
            f"set sentences=0"
        ) from None
    with torch.no_grad():
        bias[eos_id] = SUPPRESSED_EOS_BIAS


def measure_decoding(
    translator: Translator, plain_translator: Translator, lines: Sequence[str], *, single_sentences: int, rounds: int
) -> dict[str, Any]:
    """Times both translators in turn; see `nmt.benchmark` for the method.

    Args:
        translator: translates with the model, after `suppress_eos`.
        plain_translator: translates with the plain model, after `suppress_eos`.
        lines: sentences that are translated together, in batches.
        single_sentences: how many of the lines, from the first on, are also translated one at a time.
        rounds: measurements of each translator.
    """
    singles = lines[:single_sentences]
    translators = {"model": translator, "plain": plain_translator}
    for each in translators.values():
        each.model.eval()
        each.translate(singles)  # the first call is slower than the others
    batch_seconds: dict[str, list[float]] = {name: [] for name in translators}  # of all lines, by round
    latencies: dict[str, list[list[float]]] = {name: [] for name in translators}  # of each single sentence, by round
    for _ in range(rounds):
        for name, each in translators.items():
            batch_seconds[name].append(time_translation(each, lines))
            latencies[name].append([time_translation(each, [line]) for line in singles])
    batch_pairs = zip(batch_seconds["model"], batch_seconds["plain"], strict=True)
    latency_pairs = zip(latencies["model"], latencies["plain"], strict=True)
    return {
        **{
            name: {
                "sentences_per_second": median(len(lines) / seconds for seconds in batch_seconds[name]),
                "latency_seconds": percentiles([seconds for round_ in latencies[name] for seconds in round_]),
            }
            for name in translators
        },
        "ratio": summarize_ratios([plain_seconds / model_seconds for model_seconds, plain_seconds in batch_pairs]),
        "latency_ratio": summarize_ratios(
            [median(plain_seconds) / median(model_seconds) for model_seconds, plain_seconds in latency_pairs]
        ),
    }


def time_translation(translator: Translator, lines: Sequence[str]) -> float:
    """Seconds from text to text. The result is text on the host, so a GPU has finished its work by then."""
    start = time.perf_counter()
    translator.translate(lines)
    return time.perf_counter() - start
