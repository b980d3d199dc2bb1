"""Pads sentence pairs into the tensors of a batch, with masks.

Shapes: B sentence pairs, S source positions, T target positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Sentences = Sequence[Sequence[int]] | Sequence[NDArray[np.int32]]
"""Piece ids per sentence, without `bos` and `eos`."""


@dataclass(frozen=True)
class Batch:
    """Sentence pairs for teacher forcing.

    Attributes:
        source: (B, S) piece ids; each sentence ends with `eos`.
        source_mask: (B, S), True for real tokens, False for padding.
        target_input: (B, T) ids that the decoder reads; each sentence starts with `bos`.
        target_output: (B, T) ids that the decoder must predict; each sentence ends with `eos`.
        target_mask: (B, T), True for real tokens; the same for `target_input` and `target_output`.
        target_indices: (num_tokens,) indices of the real target tokens in the flattened (B · T,) target. They are
            computed on the host, because their number is a shape: computed on a GPU, the host would wait for it.
        num_tokens: number of real target tokens, including `eos`.
        indices: the positions of the B pairs in their split, from 0; empty if the pairs come from no split.
        link_cells: (cells,) the cells of the flattened attention matrices (B · T · S) that word links mark: each row
            belongs to a target token that the decoder predicts, each column to a source token. None without links.
        link_shares: (cells,) the share of each cell in its row's gold distribution, which sums to one.
    """

    source: Tensor
    source_mask: Tensor
    target_input: Tensor
    target_output: Tensor
    target_mask: Tensor
    target_indices: Tensor
    num_tokens: int
    indices: tuple[int, ...] = ()
    link_cells: Tensor | None = None
    link_shares: Tensor | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The arguments of a training loss: five tensors, and with links seven."""
        tensors = self.source, self.source_mask, self.target_input, self.target_output, self.target_indices
        return (*tensors, *(links for links in (self.link_cells, self.link_shares) if links is not None))

    def to(self, device: torch.device) -> Self:
        """Copies the batch to `device`; from pinned memory, without waiting for the copy."""
        tensors: dict[str, Any] = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()})


def make_batch(
    sources: Sentences,
    targets: Sentences,
    *,
    pad_id: int,
    bos_id: int,
    eos_id: int,
    indices: Sequence[int] = (),
    pin_memory: bool = False,
) -> Batch:
    """Pads B sentence pairs into a batch.

    Args:
        indices: the positions of the pairs in their split.
        pin_memory: allocate page-locked memory, which a GPU can copy from asynchronously.
    """
    source, source_mask = pad(sources, pad_id, last=eos_id, pin_memory=pin_memory)
    target_input, target_mask = pad(targets, pad_id, first=bos_id, pin_memory=pin_memory)
    target_output, _ = pad(targets, pad_id, last=eos_id, pin_memory=pin_memory)
    target_indices = find_token_indices(target_mask)
    if pin_memory:
        target_indices = target_indices.pin_memory()
    return Batch(
        source=source,
        source_mask=source_mask,
        target_input=target_input,
        target_output=target_output,
        target_mask=target_mask,
        target_indices=target_indices,
        num_tokens=len(target_indices),
        indices=tuple(indices),
    )


def pad(
    sentences: Sentences,
    pad_id: int,
    *,
    first: int | None = None,
    last: int | None = None,
    pin_memory: bool = False,
) -> tuple[Tensor, Tensor]:
    """Pads sentences on the right to the longest one, length L.

    Args:
        first: an id to put before every sentence, such as `bos`.
        last: an id to put after every sentence, such as `eos`.
        pin_memory: allocate page-locked memory.

    Returns:
        ids (B, L) and the mask (B, L), True for real tokens, which include `first` and `last`.
    """
    lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))[:, None]  # (B, 1)
    start = 0 if first is None else 1  # the position of a sentence's own first piece
    num_extra = start if last is None else start + 1
    ids = torch.empty((len(sentences), int(lengths.max()) + num_extra), dtype=torch.int64, pin_memory=pin_memory)
    mask = torch.empty(ids.shape, dtype=torch.bool, pin_memory=pin_memory)
    table = ids.numpy()  # (B, L), shares the tensor's memory
    positions = np.arange(ids.size(1))  # (L,)
    table.fill(pad_id)
    # A boolean index selects row by row, so one assignment copies all sentences, laid end to end: (all pieces,).
    is_piece = (positions >= start) & (positions < lengths + start)  # (B, L)
    table[is_piece] = np.concatenate([np.asarray(sentence, dtype=np.int64) for sentence in sentences])
    if first is not None:
        table[:, 0] = first
    if last is not None:
        table[positions == lengths + start] = last  # (B, L): one position per sentence
    np.less(positions, lengths + num_extra, out=mask.numpy())  # (B, L)
    return ids, mask


def find_token_indices(mask: Tensor) -> Tensor:
    """The indices (num_tokens,) of the True elements of a mask (B, T) in the flattened (B · T,) mask, ascending."""
    return mask.flatten().nonzero().squeeze(1)


def predict_only(batch: Batch, predicted: Sequence[NDArray[np.bool_]]) -> Batch:
    """The same batch with only some of its target tokens to predict, which the loss counts.

    Args:
        predicted: for each sentence, which of its target pieces these are. `eos` is not.
    """
    mask, _ = pad([flags.astype(np.int32) for flags in predicted], 0, last=0)  # (B, T)
    target_mask = mask.bool()
    target_indices = find_token_indices(target_mask)
    if batch.target_mask.is_pinned():
        target_mask, target_indices = target_mask.pin_memory(), target_indices.pin_memory()
    return replace(batch, target_mask=target_mask, target_indices=target_indices, num_tokens=len(target_indices))


def mask_all_targets(batch: Batch) -> Batch:
    """The same batch with every target token masked: its loss and all gradients are zero.

    A process computes such a batch when it gets no sentence of a batch, because all processes must take part in the
    communication of every update.
    """
    mask = torch.zeros_like(batch.target_mask)  # (B, T)
    links = {name: links[:0] for name in ("link_cells", "link_shares") if (links := getattr(batch, name)) is not None}
    return replace(batch, target_mask=mask, target_indices=find_token_indices(mask), num_tokens=0, indices=(), **links)
