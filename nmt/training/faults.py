"""When an update cannot be made: what a person is told, and what is kept to look into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nmt.data.batch import Batch
from nmt.data.tokenizer import Tokenizer
from nmt.errors import Failure
from nmt.files import write_json
from nmt.training.distributed import Processes


@contextmanager
def out_of_memory(step: int, batch: Batch) -> Iterator[None]:
    """Tells the shape of the batch on which the memory ran out, and what to lower.

    Raises:
        Failure: the memory ran out inside.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # A CPU's allocator has no class of its own for it, nor has what a GPU gives out beside torch's own allocator.
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not known and not any(words in str(error) for words in ("allocate memory", "out of memory")):
            raise
        sentences, source_length = batch.source.shape
        raise Failure(
            f"step {step}: out of memory on a batch of {sentences} sentences, {source_length} source and "
            f"{batch.target_input.size(1)} target positions: lower loader.batch_tokens, and raise trainer.accumulate "
            f"to keep the size of an update; very long sentences go by loader.max_length"
        ) from None


def save_bad_update(
    folder: Path,
    facts: dict[str, Any],
    group: Sequence[Batch],
    tokenizer: Tokenizer,
    processes: Processes,
) -> Path:
    """Writes nonfinite-step-N.json: `facts`, the shapes of the update's batches, and their sentences.

    Each with its line in the training split, and in the pieces in which the model saw it.

    Returns:
        the file's path.
    """
    sentences = []
    for batch in group:
        share = []
        for place, row in enumerate(batch.indices):
            source = batch.source[place][batch.source_mask[place]].tolist()
            target = batch.target_output[place][batch.target_mask[place]].tolist()
            texts = {"source": tokenizer.source_pieces(source), "target": tokenizer.target_pieces(target)}
            share.append({"line": row + 1, **{side: " ".join(pieces) for side, pieces in texts.items()}})
        sentences += processes.gather(share)
    path = folder / f"nonfinite-step-{facts['step']:08d}.json"
    if processes.is_main:
        shapes = [
            {
                "sentences": batch.source.size(0),
                "source_positions": batch.source.size(1),
                "target_positions": batch.target_input.size(1),
            }
            for batch in group
        ]
        write_json(path, {**facts, "batches": shapes, "sentences": sentences})
    return path
