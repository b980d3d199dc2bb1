"""Pieces in and out: the embedding tables, the output projection that may share them, and positions.

Press and Wolf (2017), https://arxiv.org/abs/1608.05859, for tying the output to the target's embedding, and to the
source's where both languages share a vocabulary.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nmt.checks import check_sizes
from nmt.errors import UserError


class Vocabulary(nn.Module):
    """The source embedding (V_s, E), the target embedding (V, E) and the output layer E -> V.

    Args:
        source_vocab_size: pieces of the source language.
        target_vocab_size: pieces of the target language.
        shared_vocab: both languages use one set of pieces, so that one table serves both.
        tie_output: the output layer's weights are the target embedding's.
        embedding_size: E.
    """

    def __init__(
        self,
        *,
        source_vocab_size: int,
        target_vocab_size: int,
        shared_vocab: bool,
        tie_output: bool,
        embedding_size: int,
    ) -> None:
        super().__init__()
        check_sizes(
            source_vocab_size=source_vocab_size, target_vocab_size=target_vocab_size, embedding_size=embedding_size
        )
        if shared_vocab and source_vocab_size != target_vocab_size:
            raise UserError(f"a shared vocabulary has one size, not {source_vocab_size} and {target_vocab_size}")
        self.target = nn.Embedding(target_vocab_size, embedding_size)
        self.source = self.target if shared_vocab else nn.Embedding(source_vocab_size, embedding_size)
        self.output = nn.Linear(embedding_size, target_vocab_size)
        for table in (self.target, self.source):
            nn.init.normal_(table.weight, std=embedding_size**-0.5)
        nn.init.zeros_(self.output.bias)
        if tie_output:
            self.output.weight = self.target.weight


class SinusoidalPositions(nn.Module):
    """Adds to position `pos` the sines and cosines of pos / 10000^(2i/D) (Vaswani et al., 2017, §3.5).

    Sines fill the first half of the dimensions and cosines the second; the paper interleaves them, which is the same
    up to an order of dimensions that the first projection learns anyway.
    """

    table: Tensor

    def __init__(self, *, model_size: int, max_length: int) -> None:
        super().__init__()
        check_sizes(model_size=model_size, max_length=max_length)
        if model_size % 2:
            raise UserError(f"model_size={model_size} must be even: each frequency has a sine and a cosine")
        table = torch.empty(max_length, model_size)
        if not table.is_meta:  # there only shapes count, and to calculate torch would import its compiler
            frequencies = torch.exp(-math.log(10_000) * torch.arange(0, model_size, 2) / model_size)  # (D/2,)
            angles = torch.arange(max_length).unsqueeze(1) * frequencies  # (max_length, D/2)
            torch.cat([angles.sin(), angles.cos()], dim=1, out=table)
        self.register_buffer("table", table, persistent=False)

    def forward(self, inputs: Tensor, *, start: int = 0) -> Tensor:
        """Inputs (B, T, D) whose first position is `start`."""
        return inputs + self.at(start, inputs.size(1))

    def at(self, start: int, length: int) -> Tensor:
        """What is added to `length` positions from `start` on, (length, D)."""
        end = start + length
        assert end <= self.table.size(0), f"position {end} is past the limit of {self.table.size(0)}"
        return self.table[start:end]
