"""Sentences side by side: padded tensors and their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Sentence pairs for teacher forcing.

    Attributes:
        source: (B, S) ids, each sentence closed by `eos`.
        source_mask: (B, S), True = a real token.
        target_input: (B, T) ids, each sentence opened by `bos`.
        target_output: (B, T) ids, what is to be predicted: each sentence closed by `eos`.
        target_mask: (B, T).
        num_tokens: real target tokens, `eos` included.
        rows: (B,) the sentences' numbers in their split, from 0 on; empty where they come from none.
    """

    source: Tensor
    source_mask: Tensor
    target_input: Tensor
    target_output: Tensor
    target_mask: Tensor
    num_tokens: int
    rows: tuple[int, ...] = ()

    def to(self, device: torch.device) -> Self:
        """The same batch on `device`; from pinned memory the copy does not wait."""
        names = ("source", "source_mask", "target_input", "target_output", "target_mask")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


def pad(sentences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Ids (B, longest) with `pad_id` behind the shorter ones, and the mask (B, longest) of real tokens."""
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
    mask = np.arange(lengths.max()) < lengths[:, None]  # (B, longest)
    ids = np.full(mask.shape, pad_id, dtype=np.int64)
    ids[mask] = np.concatenate([np.asarray(sentence, dtype=np.int64) for sentence in sentences])
    return torch.from_numpy(ids), torch.from_numpy(mask)


def make_batch(
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    *,
    pad_id: int,
    bos_id: int,
    eos_id: int,
    rows: Sequence[int] = (),
) -> Batch:
    """Pads sentence pairs, given as piece ids without `bos` and `eos`."""
    source, source_mask = pad([[*sentence, eos_id] for sentence in sources], pad_id)
    target_input, target_mask = pad([[bos_id, *sentence] for sentence in targets], pad_id)
    target_output, _ = pad([[*sentence, eos_id] for sentence in targets], pad_id)
    return Batch(source, source_mask, target_input, target_output, target_mask, int(target_mask.sum()), tuple(rows))


def without_tokens(batch: Batch) -> Batch:
    """The same batch with nothing to learn in it: it stands in where a process has no share of a batch.

    It goes through a model like any other, but its loss is zero and so is each gradient.
    """
    return replace(batch, target_mask=torch.zeros_like(batch.target_mask), num_tokens=0, rows=())
