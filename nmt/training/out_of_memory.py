"""The report of a batch that was too large for the memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from nmt.data.batch import Batch
from nmt.errors import Failure


@contextmanager
def explain_out_of_memory(step: int, batch: Batch) -> Iterator[None]:
    """Inside, an out-of-memory error becomes a Failure: one line with the batch's shape and the settings to change.

    Raises:
        Failure: the memory ran out.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        # torch's CPU allocator and the CUDA driver raise a plain RuntimeError, recognised by its text.
        has_own_class = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if not has_own_class and not any(text in str(error) for text in ("allocate memory", "out of memory")):
            raise
        num_sentences, source_length = batch.source.shape
        raise Failure(
            f"step {step}: out of memory on a batch of {num_sentences} sentences, {source_length} source and "
            f"{batch.target_input.size(1)} target positions: lower loader.batch_tokens, and raise trainer.accumulate "
            f"to keep the size of an update; lower loader.max_length to leave out very long sentences"
        ) from None
