"""Sentences side by side: padded tensors and their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
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
        target_places: (num_tokens,) where the real tokens are among all B · T. Made on the host, which would have to
            wait for a GPU to learn how many there are.
        num_tokens: real target tokens, `eos` included.
        rows: (B,) the sentences' numbers in their split, from 0 on; empty where they come from none.
    """

    source: Tensor
    source_mask: Tensor
    target_input: Tensor
    target_output: Tensor
    target_mask: Tensor
    target_places: Tensor
    num_tokens: int
    rows: tuple[int, ...] = ()

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What a training loss is computed from."""
        return self.source, self.source_mask, self.target_input, self.target_output, self.target_places

    def to(self, device: torch.device) -> Self:
        """The same batch on `device`; from pinned memory the copy does not wait."""
        names = ("source", "source_mask", "target_input", "target_output", "target_mask", "target_places")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


Sentences = Sequence[Sequence[int]] | Sequence[NDArray[np.int32]]
"""Piece ids without `bos` and `eos`."""


def pad(
    sentences: Sentences,
    pad_id: int,
    *,
    first: int | None = None,
    last: int | None = None,
    pinned: bool = False,
) -> tuple[Tensor, Tensor]:
    """Ids (B, longest) with `pad_id` behind the shorter ones, and the mask (B, longest) of real tokens.

    Args:
        first, last: what every sentence is opened and closed with.
        pinned: in memory from which a GPU takes a copy without anybody waiting.
    """
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))[:, None]  # (B, 1)
    begin = 0 if first is None else 1
    end = begin if last is None else begin + 1
    ids = torch.empty((len(sentences), int(lengths.max()) + end), dtype=torch.int64, pin_memory=pinned)
    mask = torch.empty(ids.shape, dtype=torch.bool, pin_memory=pinned)
    table, places = ids.numpy(), np.arange(ids.size(1))
    table.fill(pad_id)
    table[(places >= begin) & (places < lengths + begin)] = np.concatenate(
        [np.asarray(sentence, dtype=np.int64) for sentence in sentences]
    )
    if first is not None:
        table[:, 0] = first
    if last is not None:
        table[places == lengths + begin] = last
    np.less(places, lengths + end, out=mask.numpy())
    return ids, mask


def make_batch(
    sources: Sentences,
    targets: Sentences,
    *,
    pad_id: int,
    bos_id: int,
    eos_id: int,
    rows: Sequence[int] = (),
    pinned: bool = False,
) -> Batch:
    """Pads sentence pairs; `pinned` is that of `pad`."""
    source, source_mask = pad(sources, pad_id, last=eos_id, pinned=pinned)
    target_input, target_mask = pad(targets, pad_id, first=bos_id, pinned=pinned)
    target_output, _ = pad(targets, pad_id, last=eos_id, pinned=pinned)
    places = places_of(target_mask)
    if pinned:
        places = places.pin_memory()
    return Batch(source, source_mask, target_input, target_output, target_mask, places, len(places), tuple(rows))


def places_of(mask: Tensor) -> Tensor:
    """The places of the real tokens of a mask (B, T) among all B · T, in order."""
    return mask.flatten().nonzero().squeeze(1)


def without_tokens(batch: Batch) -> Batch:
    """The same batch with nothing to learn in it: it stands in where a process has no share of a batch.

    It goes through a model like any other, but its loss is zero and so is each gradient.
    """
    none = torch.zeros_like(batch.target_mask)
    return replace(batch, target_mask=none, target_places=places_of(none), num_tokens=0, rows=())
