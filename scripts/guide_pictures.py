#!/usr/bin/env python
"""Draws the three charts of docs/attention.md that no command of nmt draws.

python scripts/guide_pictures.py lengths lengths.png report/report.json      from the report of `nmt compare`
python scripts/guide_pictures.py saturation saturation.png                   also prints the numbers as a table
python scripts/guide_pictures.py positions positions.png runs/zoo/relative   a run of experiment=zoo_relative
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes

from nmt.models import ALiBiPositions, RotaryPositions, SinusoidalPositions
from nmt.models.positions import rotate
from nmt.run import RunFolder

SIZES = (1, 4, 16, 64, 256, 1024)
"""Numbers per query and key."""

NUM_KEYS = 16
"""As many as a sentence of about a dozen words has pieces."""

NUM_QUERIES = 2000

DISTANCES = torch.arange(-16, 17)
"""The position of a query minus that of a key."""


def measure_saturation(size: int, *, scaled: bool) -> dict[str, float]:
    """Means over queries with `size` independent numbers of mean 0 and variance 1, and keys like them.

    Returns:
        the largest weight, the entropy of the weights in nats, and the largest derivative of a weight w by its own
        score, which is w (1 - w).
    """
    torch.manual_seed(1)
    queries, keys = torch.randn(NUM_QUERIES, 1, size), torch.randn(NUM_QUERIES, NUM_KEYS, size)
    scores = (queries @ keys.transpose(1, 2)).squeeze(1)  # (NUM_QUERIES, NUM_KEYS)
    weights = (scores / math.sqrt(size) if scaled else scores).softmax(-1)  # (NUM_QUERIES, NUM_KEYS)
    return {
        "largest weight": weights.amax(-1).mean().item(),
        "entropy": torch.special.entr(weights).sum(-1).mean().item(),
        "derivative": (weights * (1 - weights)).amax(-1).mean().item(),
    }


def draw_saturation(path: Path) -> None:
    """The largest weight and the entropy against the size of queries and keys; also prints them as a table."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 2.9), layout="constrained")
    for scaled, label, style in ((False, "q·k", "o-"), (True, "q·k / √d", "s--")):
        results = [measure_saturation(size, scaled=scaled) for size in SIZES]
        for axis, key in zip(axes, ("largest weight", "entropy"), strict=True):
            axis.plot(SIZES, [result[key] for result in results], style, label=label)
        for key in results[0]:
            print(f"| {key}, {label} | " + " | ".join(f"{result[key]:.3f}" for result in results) + " |")
    titles = {"Largest weight of 16": 1.0, "Entropy in nats": math.log(NUM_KEYS)}
    for axis, (title, top) in zip(axes, titles.items(), strict=True):
        axis.set_xscale("log", base=4)
        axis.set_xticks(SIZES, map(str, SIZES))
        axis.set(title=title, xlabel="d, numbers per query and key", ylim=(0, 1.05 * top))
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=110)


def draw_lengths(path: Path, report: Path) -> None:
    """BLEU by the number of words of the source sentence, with confidence bands."""
    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    ranges = json.loads(report.read_text(encoding="utf-8"))["bleu_by_length"]["ranges"]
    lengths = [each["mean_length"] for each in ranges]
    for number, style in enumerate(("o-", "s--", "^:", "D-.")):
        groups = [each["groups"][number] for each in ranges]
        axis.plot(lengths, [group["bleu"] for group in groups], style, label=groups[0]["group"])
        axis.fill_between(lengths, [group["low"] for group in groups], [group["high"] for group in groups], alpha=0.15)
    axis.axvline(17.5, color="0.6", linewidth=1)
    axis.text(18, 102, "longer than any training sentence", color="0.4", fontsize="small")
    axis.set(xlabel="words in the source sentence", ylabel="BLEU", ylim=(0, 110))
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(path, dpi=110)


def draw_positions(path: Path, relative: Path) -> None:
    """What each kind of positions adds to a score, against the distance of query and key."""
    figure, axes = plt.subplots(1, 4, figsize=(12, 2.9), layout="constrained")
    middle, length = 50, 101

    table = SinusoidalPositions(model_size=128, max_length=length).table  # (length, 128)
    plot_distances(axes[0], "sinusoidal: p_i · p_j / D", [table[middle - DISTANCES] @ table[middle] / 128])

    rotation = RotaryPositions(model_size=128, num_heads=4, base=10_000).rotation(0, length, table)  # (2, length, 16)
    vectors = rotate(torch.ones(length, 32) / math.sqrt(32), rotation)  # (length, 32): equal queries and keys
    plot_distances(axes[1], "rotary: q · k of equal q and k", [vectors[middle - DISTANCES] @ vectors[middle]])

    distances = DISTANCES.unsqueeze(0)  # (1, 33)
    plot_distances(axes[2], "ALiBi, 4 heads", ALiBiPositions(num_heads=4).bias(distances, causal=False)[:, 0])

    encoder = RunFolder(relative).model().encoder
    with torch.no_grad():
        biases = encoder.positions.bias(distances, causal=False)[:, 0]  # (H, 33)
    plot_distances(axes[3], "relative, learned by 4 heads", biases)
    figure.savefig(path, dpi=110)


def plot_distances(axis: Axes, title: str, lines: Any) -> None:
    """A line for each head, against the position of the key minus that of the query."""
    for number, (line, style) in enumerate(zip(lines, ("-", "--", ":", "-."), strict=False)):
        axis.plot(-DISTANCES, line, style, label=f"head {number}")
    axis.set(title=title, xlabel="key's position − query's")
    axis.grid(alpha=0.3)
    if len(lines) > 1:
        axis.legend(fontsize="small")


CHARTS: dict[str, Callable[..., None]] = {
    "lengths": draw_lengths,
    "saturation": draw_saturation,
    "positions": draw_positions,
}


def main() -> None:
    draw = CHARTS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    if draw is None or len(signature(draw).parameters) != len(sys.argv) - 2:
        sys.exit("usage: python scripts/guide_pictures.py lengths|saturation|positions FILE [REPORT.json or RUN]")
    draw(*map(Path, sys.argv[2:]))


if __name__ == "__main__":
    main()
