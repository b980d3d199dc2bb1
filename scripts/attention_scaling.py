#!/usr/bin/env python
"""Trains a Transformer with and without the factor 1/√d in its attention, for docs/attention.md.

    python scripts/attention_scaling.py runs/start 3
    python scripts/attention_scaling.py runs/scaling 1000

Both are the Transformer of `nmt demo` with one head of d = 128 numbers instead of four heads of 32, trained for 3 or
1,000 steps. The program writes the run folders `scaled` and `unscaled`, and prints how sharp the attention of each is
and how well it translates. 1,000 steps of both take about three minutes of one CPU core.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nmt import RunFolder, Translator, models
from nmt.cli import main as nmt
from nmt.models import Transformer

NUM_SENTENCES = 100
"""How many sentences of test the sharpness is measured on."""


class UnscaledTransformer(Transformer):
    """A Transformer whose scores are q·k: its queries are multiplied by √d, which cancels the factor 1/√d."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        for attentions in self.attention_layers().values():
            for attention in attentions:
                factor = math.sqrt(attention.head_size)
                attention.query_projection.register_forward_hook(lambda *call, factor=factor: call[-1] * factor)


def train(run: Path, class_name: str, *, num_steps: str) -> None:
    """Trains a system without validation, which would decode by a path that has no hooks."""
    settings = ["model.num_heads=1", "model.num_key_value_heads=1", f"trainer.max_steps={num_steps}", "device=cpu"]
    model = f"model._target_=nmt.models.{class_name}"
    if nmt(["train", "experiment=demo_transformer", model, *settings, "validation_split=null", f"run={run}"]) != 0:
        sys.exit(1)


def fold_factor(run: Path) -> None:
    """Multiplies W_Q by the factor of the hooks, so that the run becomes that of an ordinary Transformer."""
    description = run / "model.json"
    description.write_text(description.read_text(encoding="utf-8").replace("Unscaled", ""), encoding="utf-8")
    weights = run / "checkpoints" / "best.safetensors"
    with safe_open(weights, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name, tensor in tensors.items():
        if "query_projection" in name:
            tensors[name] = tensor * math.sqrt(tensor.shape[0])  # one head, so d is the size of the model
    save_file(tensors, weights, metadata=metadata)


def print_sharpness(run: Path) -> None:
    """Prints the mean largest weight and entropy of each layer's attention, forced to write the references of test."""
    pairs = RunFolder(run).corpus().split("test")
    translator = Translator.load(run, device="cpu")
    translations = [
        translator.force_decode(source, target, attention="all")
        for source, target in zip(pairs["source"][:NUM_SENTENCES], pairs["target"][:NUM_SENTENCES], strict=True)
    ]
    for kind in ("encoder", "decoder", "cross"):
        weights = [torch.from_numpy(each.attention[kind].weights) for each in translations]  # (L, 1, R, C) each
        for layer in range(2):
            rows = [row for each in weights for row in each[layer, 0]]
            largest = torch.stack([row.max() for row in rows]).mean()
            entropy = torch.stack([torch.special.entr(row).sum() for row in rows]).mean()
            print(f"{run.name}: {kind}, layer {layer}: largest weight {largest:.2f}, entropy {entropy:.2f} nats")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: python scripts/attention_scaling.py FOLDER STEPS")
    folder, num_steps = Path(sys.argv[1]), sys.argv[2]
    models.UnscaledTransformer = UnscaledTransformer  # type: ignore[attr-defined]
    models.__all__.append("UnscaledTransformer")
    train(folder / "scaled", "Transformer", num_steps=num_steps)
    train(folder / "unscaled", "UnscaledTransformer", num_steps=num_steps)
    fold_factor(folder / "unscaled")
    for run in (folder / "scaled", folder / "unscaled"):
        print_sharpness(run)
        nmt(["evaluate", f"run={run}", "split=test", "device=cpu"])


if __name__ == "__main__":
    main()
