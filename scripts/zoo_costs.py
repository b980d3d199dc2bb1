#!/usr/bin/env python
"""Measures what each attention mechanism costs in training and in decoding, for the table of scripts/zoo.sh.

    OMP_NUM_THREADS=1 python scripts/zoo_costs.py runs/zoo

Measures the first seed of every mechanism that runs/zoo/grammar holds, and writes runs/zoo/costs.json. If that file has
all mechanisms already, nothing is measured again. All mechanisms are measured in turn in every round, so that a busy
moment of the machine affects all of them, and a figure is the median over the rounds. The time is processor time of
this process, which does not include the time in which other processes used the core. Memory is counted, not measured:
it is the same on every machine.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from nmt.data.batch import Batch, make_batch
from nmt.data.grammar import generate_pairs
from nmt.device import subnormals_as_zero
from nmt.errors import UserError
from nmt.files import write_json
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.training.distributed import Processes
from nmt.training.loss import Objective
from nmt.training.update import Updater
from nmt.translator import Translator

NUM_ROUNDS = 5
NUM_TRAINING_PAIRS = 60  # about the 800 tokens of a batch of the experiments
NUM_SENTENCES = 100
"""Sentences that are translated together."""

STATE_LENGTH = 64
"""Pieces of the source, and of the target so far, for which the memory of decoding is counted."""


class Costs:
    """The costs of one system, whose runs are in `folder`."""

    def __init__(self, folder: Path) -> None:
        run = RunFolder.open(folder)
        self.model: Any = run.model()
        self.translator = Translator.load(folder, device="cpu")
        pairs = list(itertools.islice(generate_pairs(seed=10), NUM_TRAINING_PAIRS + NUM_SENTENCES))
        tokenizer = run.tokenizer()
        self.batch = make_batch(
            tokenizer.encode_source([pair.source for pair in pairs[:NUM_TRAINING_PAIRS]]),
            tokenizer.encode_target([pair.target for pair in pairs[:NUM_TRAINING_PAIRS]]),
            pad_id=tokenizer.pad_id,
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
        )
        self.lines = [pair.source for pair in pairs[NUM_TRAINING_PAIRS:]]
        self.updater = Updater(
            model=self.model,
            objective=Objective(self.model, label_smoothing=0.0),
            optimizer=torch.optim.Adam(self.model.parameters()),
            autocast=nullcontext,
            clip_norm=1.0,
            processes=Processes(),
        )

    def training_speed(self) -> float:
        """Target tokens per second of processor time, in one update."""
        return self.batch.num_tokens / time_call(lambda: self.updater.update([self.batch], rate=0.0, step=1))

    def decoding_speed(self) -> float:
        """Sentences per second of processor time, translated in batches."""
        return len(self.lines) / time_call(lambda: self.translator.translate(self.lines))

    def single_speed(self) -> float:
        """Sentences per second of processor time, translated one by one."""
        lines = self.lines[:10]
        return len(lines) / time_call(lambda: [self.translator.translate(line) for line in lines])


def time_call(function: Callable[[], object]) -> float:
    """Seconds of processor time that a call takes."""
    start = time.process_time()
    function()
    return time.process_time() - start


def count_activations(model: Seq2Seq, batch: Batch) -> int:
    """Bytes of the tensors that a training step keeps for its backward pass, parameters not counted."""
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in parameters:
            kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss, _ = Objective(model.train(), label_smoothing=0.0)(*batch.tensors)
    assert loss.requires_grad
    return count_bytes(kept)


@torch.no_grad()
def count_decoding_memory(model: Seq2Seq) -> tuple[int, int]:
    """Bytes of a sentence's memory and of a hypothesis's state, with STATE_LENGTH pieces on both sides."""
    source = torch.full((1, STATE_LENGTH), 5)  # (1, S), any piece
    memory = model.eval().encode(source, torch.ones_like(source, dtype=torch.bool))
    state = model.start(memory)
    for _ in range(STATE_LENGTH):
        _, state = model.step(source[:, 0], state, memory)
    return count_bytes(list_tensors(memory)), count_bytes(list_tensors(state))


def list_tensors(value: object) -> list[Tensor]:
    """All tensors in a dataclass, a sequence, or an object with attributes."""
    if isinstance(value, Tensor):
        return [value]
    items = value if isinstance(value, tuple | list) else vars(value).values() if hasattr(value, "__dict__") else ()
    return [tensor for item in items for tensor in list_tensors(item)]


def count_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the memory of some tensors, counted once where tensors are views of the same memory."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def measure(folders: dict[str, Path]) -> dict[str, dict[str, float]]:
    """The costs of all mechanisms, measured in turn."""
    costs = {name: Costs(folder) for name, folder in folders.items()}
    results: dict[str, dict[str, float]] = {}
    for name, each in costs.items():
        memory, state = count_decoding_memory(each.model)
        activations = count_activations(each.model, each.batch)
        results[name] = {"activation_bytes": activations, "memory_bytes": memory, "state_bytes": state}
    for speed in (Costs.training_speed, Costs.decoding_speed, Costs.single_speed):
        speeds: dict[str, list[float]] = {name: [] for name in costs}
        for number in range(NUM_ROUNDS + 1):
            for name, each in costs.items():
                measured = speed(each)
                if number > 0:  # the first round is for warm-up
                    speeds[name].append(measured)
        for name, measured_speeds in speeds.items():
            results[name][speed.__name__] = median(measured_speeds)
    return results


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/zoo_costs.py RUNS")
    runs = Path(sys.argv[1])
    folders: dict[str, Path] = {}
    for path in sorted((runs / "grammar").glob("*-seed*/checkpoints/best.safetensors")):
        folder = path.parents[1]
        folders.setdefault(folder.name.split("-seed")[0], folder)
    out = runs / "costs.json"
    if out.is_file() and json.loads(out.read_text()).keys() == folders.keys():
        return
    print(f"measuring {', '.join(folders)}", file=sys.stderr)
    torch.set_num_threads(1)
    try:
        with subnormals_as_zero():
            write_json(out, measure(folders))
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
