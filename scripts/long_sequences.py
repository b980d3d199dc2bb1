#!/usr/bin/env python
"""Measures how time and memory of self-attention grow with the length of a sequence, up to 16,384 pieces.

    OMP_NUM_THREADS=1 python scripts/long_sequences.py docs/pictures

Writes long-sequences.json and long-sequences.png for docs/mechanisms.md, and prints the numbers as a table. It runs on
one thread and takes some minutes. Three costs are measured for one sequence and one layer of an encoder or
decoder, 128 wide with 4 heads:

    encoder, time      a forward and a backward pass of self-attention over the whole sequence
    encoder, memory    the bytes that the forward pass keeps for the backward pass
    decoder, time      one more position after a sequence of this length, with one hypothesis

A time is the median over the rounds of this process's processor time; all kinds are measured in turn in every round.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from nmt import models
from nmt.models import Seq2Seq, SparseAttention
from nmt.models.attention import MultiHeadAttention
from nmt.models.transformer.linear import LinearSelfAttention
from nmt.run.registry import build

LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
WIDTH, NUM_HEADS, WINDOW = 128, 4, 64
NUM_ROUNDS = 3
NUM_STEPS = 20
"""Decoding steps whose time is measured together."""

PATTERNS = {
    "full": None,
    "sliding window": SparseAttention(window=WINDOW, num_global=0, num_random=0),
    "window and global": SparseAttention(window=WINDOW, num_global=4, num_random=0),
    "BigBird": SparseAttention(window=WINDOW, num_global=4, num_random=2),
    "linear": None,
}
Curves = dict[str, dict[int, float]]
"""Kind of attention -> {length: measured cost}."""


def make_layer(kind: str) -> MultiHeadAttention:
    """The self-attention of one layer."""
    layer_class = LinearSelfAttention if kind == "linear" else MultiHeadAttention
    return layer_class(
        model_size=WIDTH, num_heads=NUM_HEADS, num_key_value_heads=NUM_HEADS, dropout=0.0, attention_dropout=0.0
    )


def attend(kind: str, layer: MultiHeadAttention, inputs: Tensor) -> Tensor:
    """One forward pass over inputs (1, S, D)."""
    mask = torch.ones(1, 1, 1, inputs.size(1), dtype=torch.bool)  # (1, 1, 1, S)
    pattern = PATTERNS[kind]
    return layer(inputs, mask=mask) if pattern is None else layer(inputs, mask=mask, pattern=pattern)


def encoder_time(kind: str, length: int) -> float:
    """Milliseconds of a forward and a backward pass."""
    layer, inputs = make_layer(kind), torch.randn(1, length, WIDTH, requires_grad=True)
    start = time.process_time()
    attend(kind, layer, inputs).sum().backward()
    return (time.process_time() - start) * 1e3


def encoder_memory(kind: str, length: int) -> float:
    """Megabytes that a forward pass keeps for the backward pass."""
    layer, inputs = make_layer(kind), torch.randn(1, length, WIDTH, requires_grad=True)
    kept: dict[int, int] = {}  # bytes by address

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = attend(kind, layer, inputs)
    assert output.requires_grad
    return sum(kept.values()) / 1e6


def make_model(kind: str) -> Seq2Seq:
    """A Transformer with one decoder layer."""
    sizes = {
        "model_size": WIDTH,
        "num_heads": NUM_HEADS,
        "num_key_value_heads": NUM_HEADS,
        "feedforward_size": 2 * WIDTH,
    }
    arguments: dict[str, Any] = sizes | {"source_vocab_size": 100, "target_vocab_size": 100, "shared_vocab": True}
    arguments |= dict.fromkeys(("dropout", "embedding_dropout", "word_dropout", "activation_dropout"), 0.0)
    arguments |= {"attention_dropout": 0.0, "layer_dropout": 0.0, "tie_output": True, "pre_norm": True}
    arguments |= {"num_encoder_layers": 1, "num_decoder_layers": 1, "encoder_attention": None}
    positions = {"model_size": WIDTH, "max_length": 2 * max(LENGTHS)}
    arguments["positions"] = {"class": "SinusoidalPositions", "arguments": positions}
    model: Seq2Seq = build(
        {"class": "LinearTransformer" if kind == "linear" else "Transformer", "arguments": arguments}, models
    )
    model.prepare_for_decoding()
    return model


@torch.inference_mode()
def decoder_times(kind: str) -> dict[int, float]:
    """Milliseconds of a decoding step after each number of pieces."""
    model, token = make_model(kind), torch.zeros(1, dtype=torch.int64)
    memory = model.encode(torch.zeros(1, 16, dtype=torch.int64), torch.ones(1, 16, dtype=torch.bool))
    state, times = model.start(memory), {}
    for number in range(max(LENGTHS) + NUM_STEPS):
        if number in LENGTHS:
            start = time.process_time()
        _, state = model.step(token, state, memory)
        if number + 1 - NUM_STEPS in LENGTHS:
            times[number + 1 - NUM_STEPS] = (time.process_time() - start) * 1e3 / NUM_STEPS
    return times


def measure_in_turn(cost: Callable[[str, int], float], *, rounds: int) -> Curves:
    """The median cost of every kind and length over some rounds; a first call with the shortest length warms up."""
    costs: dict[str, dict[int, list[float]]] = {kind: {length: [] for length in LENGTHS} for kind in PATTERNS}
    for kind in PATTERNS:
        cost(kind, LENGTHS[0])
    for _ in range(rounds):
        for length in LENGTHS:
            for kind in PATTERNS:
                costs[kind][length].append(cost(kind, length))
    return {kind: {length: median(values) for length, values in each.items()} for kind, each in costs.items()}


def measure_decoding() -> Curves:
    """The median times of decoding steps over the rounds."""
    rounds = [{kind: decoder_times(kind) for kind in ("full", "linear")} for _ in range(NUM_ROUNDS)]
    return {kind: {length: median(times[kind][length] for times in rounds) for length in LENGTHS} for kind in rounds[0]}


def draw(path: Path, plots: dict[str, tuple[str, Curves]]) -> None:
    """Draws plots side by side. Both axes are logarithmic, so linear growth is a straight line of slope one."""
    figure, axes = plt.subplots(1, len(plots), figsize=(4.6 * len(plots), 3.9), layout="constrained")
    for axis, (title, (label, curves)) in zip(axes, plots.items(), strict=True):
        for number, (kind, marker) in enumerate(zip(PATTERNS, "os^Dv", strict=True)):
            if kind in curves:
                values = [curves[kind][length] for length in LENGTHS]
                axis.plot(LENGTHS, values, color=f"C{number}", marker=marker, ms=4, label=kind)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_xticks(LENGTHS, [f"{length:,}" for length in LENGTHS], rotation=45)
        axis.set(title=title, xlabel="pieces", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=110)


def print_table(title: str, curves: Curves) -> None:
    """Prints one kind per row, in Markdown."""
    print(f"\n| {title} | " + " | ".join(f"{length:,}" for length in LENGTHS) + " |")
    print("| --- |" + " ---: |" * len(LENGTHS))
    for kind, values in curves.items():
        print(f"| {kind} | " + " | ".join(f"{values[length]:.3g}" for length in LENGTHS) + " |")


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/long_sequences.py FOLDER")
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(1)
    curves = {
        "encoder, ms": measure_in_turn(encoder_time, rounds=NUM_ROUNDS),
        "encoder, MB": measure_in_turn(encoder_memory, rounds=1),
        "decoder, ms": measure_decoding(),
    }
    (folder / "long-sequences.json").write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    plots = {
        "Encoder: forward and backward": ("milliseconds", curves["encoder, ms"]),
        "Encoder: memory for the backward pass": ("megabytes", curves["encoder, MB"]),
        "Decoder: one more position": ("milliseconds", curves["decoder, ms"]),
    }
    draw(folder / "long-sequences.png", plots)
    for title, each in curves.items():
        print_table(title, each)


if __name__ == "__main__":
    main()
