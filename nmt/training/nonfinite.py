"""The report of an update whose loss or gradient is not finite."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from nmt.data.batch import Batch
from nmt.data.tokenizer import Tokenizer
from nmt.files import write_json
from nmt.training.distributed import Processes
from nmt.training.update import PendingUpdate, UpdateResult


def save_nonfinite_update(
    folder: Path,
    update: PendingUpdate,
    result: UpdateResult,
    *,
    epoch: int,
    tokenizer: Tokenizer,
    processes: Processes,
) -> str:
    """Writes nonfinite-step-N.json to `folder`: the update's numbers, the shapes of its batches, and its sentences.

    Every process calls this, since each holds a share of the sentences; the main process writes.

    Returns:
        One line for the log: step, learning rate, loss, gradient norm, and the path of the file. The loss is that of a
        target token, the mean over all batches and processes.
    """
    nll, num_tokens = processes.sum(result.nll, sum(batch.num_tokens for batch in update.batches))
    loss = nll / num_tokens
    sentences = []
    for batch in update.batches:
        sentences += processes.gather(_pairs(batch, tokenizer))
    path = folder / f"nonfinite-step-{update.step:08d}.json"
    if processes.is_main:
        record = {
            "step": update.step,
            "epoch": epoch,
            "learning_rate": update.learning_rate,
            "loss": repr(loss),  # as text: JSON has no NaN
            "gradient_norm": repr(result.gradient_norm),
            "parameters": [name for name, norm in result.gradient_norms.items() if not math.isfinite(norm)],
            "batches": [_shape(batch) for batch in update.batches],
            "sentences": sentences,
        }
        write_json(path, record)
    return (
        f"step {update.step}, learning rate {update.learning_rate:.2e}: the loss is {loss:g}, the gradient norm "
        f"is {result.gradient_norm:g}; the batch is in {path}"
    )


def _pairs(batch: Batch, tokenizer: Tokenizer) -> list[dict[str, Any]]:
    """Each pair of the batch, with its line in the training split (from 1) and its pieces as the model saw them."""
    pairs = []
    for row, index in enumerate(batch.indices):
        source = batch.source[row][batch.source_mask[row]].tolist()  # (S,) without padding
        target = batch.target_output[row][batch.target_mask[row]].tolist()  # (T,) without padding
        pairs.append(
            {
                "line": index + 1,
                "source": " ".join(tokenizer.source_pieces(source)),
                "target": " ".join(tokenizer.target_pieces(target)),
            }
        )
    return pairs


def _shape(batch: Batch) -> dict[str, int]:
    """The sizes of a batch, padding included."""
    return {
        "sentences": batch.source.size(0),
        "source_positions": batch.source.size(1),
        "target_positions": batch.target_input.size(1),
    }
