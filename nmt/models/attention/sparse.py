"""Sparse self-attention: a position attends to some positions only, so time and memory grow linearly with the length.

    position p may attend to q if                                                   scores of S positions
        |p - q| ≤ w                              sliding window                     S · (2 w + 1)
        or p < g or q < g                        the first g positions are global   + 2 S · g
        or q's block is random for p's block     r random blocks of w positions     + S · r · w

Sliding window: Child et al. (2019), https://arxiv.org/abs/1904.10509, and Beltagy et al. (2020, Longformer), §3.1
Global positions: Beltagy et al., https://arxiv.org/abs/2004.05150, §3.1
Random blocks: Zaheer et al. (2020, BigBird), https://arxiv.org/abs/2007.14062, §2 and appendix D

Processors are fast at products of whole blocks, not at choosing single numbers. So, as in BigBird (appendix D), the
sentence is cut into blocks of w positions, and each block of queries reads a few blocks of keys:

    query block 3 reads key blocks    0 (global)    2 3 4 (window)    7 (random)

What a block holds beyond the rule above is masked.

Shapes: B batch, S positions, H heads, d numbers per head, w positions per block, N blocks, M blocks read by each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.checks import check_counts, check_sizes
from nmt.models.attention.kernels import attention_with_weights, repeat_heads
from nmt.models.dropout import Dropout

NO_BLOCK = -1
"""In place of a block number: this place reads nothing."""

GOLDEN_GAMMA, FIRST_MULTIPLIER, SECOND_MULTIPLIER = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""SplitMix64's constants as signed numbers, see `nmt.data.counter_rng`."""


class SparseAttention(nn.Module):
    """Scaled dot-product self-attention between some pairs of positions, over a whole sentence.

    Args:
        window: w, how far a position sees on either side; also the size of a block.
        num_global: g, number of positions at the start of a sentence that attend to all, and to which all attend.
        num_random: r, number of random blocks to which each block attends. They depend only on the number of the block
            and on the length of the sentence, and are the same in every layer and head.

    Raises:
        UserError: an argument is not a whole number in its range.
    """

    def __init__(self, *, window: int, num_global: int, num_random: int) -> None:
        super().__init__()
        check_sizes(window=window)
        check_counts(num_global=num_global, num_random=num_random)
        self.window = window
        self.num_global = num_global
        self.num_random = num_random

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, dropout: Dropout) -> Tensor:
        """The output (B, H, S, d); the formula is `attention_with_weights` with the mask of `visible`.

        Args:
            queries: (B, H, S, d).
            keys: (B, G, S, d), G = H or fewer that are shared.
            values: (B, G, S, d).
            mask: (B, S), True at real positions.
            dropout: of the attention weights.
        """
        _, num_heads, length, _ = queries.shape
        keys, values = repeat_heads(keys, num_heads), repeat_heads(values, num_heads)  # 2 × (B, H, S, d)
        # 1. Cut the sentence into N blocks of w positions; padding fills the last one.
        query_blocks, key_blocks, value_blocks = (self._cut(each) for each in (queries, keys, values))
        padded_mask = F.pad(mask, (0, -length % self.window))  # (B, N·w)
        # 2. Collect the key blocks that each query block reads.
        blocks = self._blocks_to_read(padded_mask)  # (B, N, M)
        sentences = torch.arange(len(mask), device=mask.device)[:, None, None]  # (B, 1, 1)
        chosen = sentences, blocks.clamp(min=0)
        read_keys = key_blocks[chosen].transpose(2, 3).flatten(3, 4)  # (B, N, H, M·w, d)
        read_values = value_blocks[chosen].transpose(2, 3).flatten(3, 4)  # (B, N, H, M·w, d)
        # 3. Attend inside of them.
        allowed = self._allowed(blocks, padded_mask).unsqueeze(2)  # (B, N, 1, w, M·w)
        heads, _ = attention_with_weights(
            query_blocks, read_keys, read_values, mask=allowed, causal=False, dropout=dropout
        )  # (B, N, H, w, d)
        outputs = heads.transpose(1, 2).flatten(2, 3)[:, :, :length]  # (B, H, S, d)
        # 4. The global positions attend to all others.
        if self.num_global == 0:
            return outputs
        everywhere = mask[:, None, None, :]  # (B, 1, 1, S)
        first, _ = attention_with_weights(
            queries[:, :, : self.num_global], keys, values, mask=everywhere, causal=False, dropout=dropout
        )  # (B, H, g, d)
        return torch.cat([first, outputs[:, :, self.num_global :]], dim=2)  # (B, H, S, d)

    def visible(self, mask: Tensor) -> Tensor:
        """Which positions attend to which, (B, 1, S, S), by the rule at the top; `mask` is (B, S).

        A position of padding attends to all real ones, because a softmax needs at least one.
        """
        length = mask.size(1)
        positions = torch.arange(length, device=mask.device)  # (S,)
        rows, columns = positions[:, None], positions  # (S, 1), (S,)
        pairs = (rows - columns).abs() <= self.window  # (S, S)
        pairs = pairs | (rows < self.num_global) | (columns < self.num_global)
        num_blocks = -(-length // self.window)  # N
        random = self._random_blocks(mask, num_blocks)  # (B, N, r)
        is_random = F.one_hot(random, num_blocks).sum(2) > 0  # (B, N, N)
        block_of = positions // self.window  # (S,)
        pairs = pairs | is_random[:, block_of][:, :, block_of]  # (B, S, S)
        return ((pairs | ~mask.unsqueeze(2)) & mask.unsqueeze(1)).unsqueeze(1)  # (B, 1, S, S)

    def _cut(self, vectors: Tensor) -> Tensor:
        """Blocks of positions, (B, N, H, w, d), of vectors (B, H, S, d)."""
        padded = F.pad(vectors, (0, 0, 0, -vectors.size(2) % self.window))  # (B, H, N·w, d)
        batch_size, num_heads, _, head_size = vectors.shape
        return padded.view(batch_size, num_heads, -1, self.window, head_size).transpose(1, 2)  # (B, N, H, w, d)

    def _blocks_to_read(self, mask: Tensor) -> Tensor:
        """The numbers (B, N, M) of the key blocks that each query block reads, none of them twice; or NO_BLOCK.

        The first r places are random blocks, then follow the window's three and the global ones.
        """
        num_blocks = mask.size(1) // self.window  # N
        own = torch.arange(num_blocks, device=mask.device)[:, None]  # (N, 1)
        window = own + torch.arange(-1, 2, device=mask.device)  # (N, 3)
        window = window.masked_fill(window >= num_blocks, NO_BLOCK)  # block -1 is NO_BLOCK already
        num_global_blocks = min(-(-self.num_global // self.window), num_blocks)
        first = torch.arange(num_global_blocks, device=mask.device).expand(num_blocks, -1)  # (N, blocks)
        fixed = torch.cat([window, first], dim=1).expand(len(mask), -1, -1)  # (B, N, 3 + blocks)
        blocks = torch.cat([self._random_blocks(mask, num_blocks), fixed], dim=2)  # (B, N, M)
        is_equal = blocks.unsqueeze(3) == blocks.unsqueeze(2)  # (B, N, M, M)
        is_repeated = is_equal.tril(-1).any(dim=3)  # (B, N, M)
        return blocks.masked_fill(is_repeated, NO_BLOCK)

    def _random_blocks(self, mask: Tensor, num_blocks: int) -> Tensor:
        """The numbers (B, N, r) of the random blocks, among those that hold a sentence's real positions.

        A number depends on its place only, so that a sentence has the same blocks alone and in any batch.
        """
        shape = num_blocks, self.num_random
        counts = torch.arange(1, num_blocks * self.num_random + 1, device=mask.device).view(shape)  # (N, r)
        num_real = -(-mask.sum(1) // self.window)  # (B,)
        return random_numbers(counts) % num_real.clamp(min=1)[:, None, None]  # (B, N, r)

    def _allowed(self, blocks: Tensor, mask: Tensor) -> Tensor:
        """Which of the positions that it reads a query attends to, (B, N, w, M·w).

        A query at a position of padding attends to itself, because a softmax needs at least one position.
        """
        num_blocks = blocks.size(1)
        inside = torch.arange(self.window, device=mask.device)  # (w,)
        rows = (torch.arange(num_blocks, device=mask.device)[:, None] * self.window + inside).unsqueeze(2)  # (N, w, 1)
        positions = (blocks.clamp(min=0).unsqueeze(3) * self.window + inside).flatten(2)  # (B, N, M·w)
        columns = positions.unsqueeze(2)  # (B, N, 1, M·w)
        is_random = torch.arange(blocks.size(2), device=mask.device) < self.num_random  # (M,)
        pairs = ((rows - columns).abs() <= self.window) | (columns < self.num_global)  # (B, N, w, M·w)
        pairs = pairs | is_random.repeat_interleave(self.window)
        is_real = mask.gather(1, positions.flatten(1)).view_as(positions)  # (B, N, M·w)
        is_read = (blocks != NO_BLOCK).repeat_interleave(self.window, dim=2)  # (B, N, M·w)
        return (pairs & is_real.unsqueeze(2) | (rows == columns)) & is_read.unsqueeze(2)  # (B, N, w, M·w)


def largest_window(model: nn.Module) -> int:
    """The largest window of a model's sparse attention; 0 if it has none."""
    return max((module.window for module in model.modules() if isinstance(module, SparseAttention)), default=0)


def random_numbers(counts: Tensor) -> Tensor:
    """Random numbers from 0 to below 2³²: the upper halves of those of SplitMix64 with seed 0.

    They are those of `nmt.data.counter_rng`, computed on the device of `counts`, which are numbers from 1 on.
    """

    def shift(numbers: Tensor, bits: int) -> Tensor:
        return (numbers >> bits) & ((1 << (64 - bits)) - 1)  # torch's own shift repeats the sign

    numbers = counts * GOLDEN_GAMMA  # modulo 2⁶⁴, as the products below
    numbers = (numbers ^ shift(numbers, 30)) * FIRST_MULTIPLIER
    numbers = (numbers ^ shift(numbers, 27)) * SECOND_MULTIPLIER
    return shift(numbers ^ shift(numbers, 31), 32)
