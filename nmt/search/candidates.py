"""The best continuations of a sentence's hypotheses, without sorting the vocabulary, or copying it, for each of them.

Shapes: A sentences, K hypotheses of each, V target vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def normalise(logits: Tensor, banned_ids: Sequence[int]) -> Tensor:
    """Log-probabilities (N, V) of logits (N, V), in their place where they are 32-bit numbers; -inf of `banned_ids`."""
    log_probabilities = logits.float()
    if log_probabilities.device.type == "cpu":  # where that many numbers are slow to write anew
        torch.log_softmax(log_probabilities, -1, out=log_probabilities)
    else:
        log_probabilities = log_probabilities.log_softmax(-1)
    for banned in banned_ids:
        log_probabilities[:, banned] = -math.inf
    return log_probabilities


def best_continuations(totals: Tensor, log_probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The K best of all K · V continuations of each sentence.

    The vocabulary is cut into blocks, and only each block's best is computed for all of them. The K best continuations
    lie in the K best blocks: for each block whose best is worse than theirs there are K better continuations. So only
    these are sorted. With blocks of the power of two next to √V (which vector instructions like), that is
    about 2 K √V numbers a sentence instead of K · V.

    Args:
        totals: (A, K), log-probability of each hypothesis, -inf of those that do not go on.
        log_probabilities: (A·K, V) of the next token; or (A, V), if the hypotheses of a sentence still agree.

    Returns:
        three times (A, K), best first: the log-probability, the hypothesis (0 … K-1) and the token that continues it.
    """
    sentences, width = totals.shape
    rows, num_tokens = log_probabilities.shape
    size = 1 << round(math.log2(num_tokens) / 2)
    num_blocks = num_tokens // size
    whole = log_probabilities[:, : num_blocks * size].view(rows, num_blocks, size)
    blocks = whole.amax(2)  # (N, blocks)
    if num_blocks * size < num_tokens:
        rest = log_probabilities[:, num_blocks * size :].amax(1, keepdim=True)  # (N, 1)
        blocks = torch.cat([blocks, rest], dim=1)
        num_blocks += 1
    bests = totals.unsqueeze(2) + blocks.view(sentences, -1, num_blocks)  # (A, K, blocks)
    _, chosen = bests.flatten(1).topk(width)  # (A, K) of K · blocks
    parents, block = chosen // num_blocks, chosen % num_blocks
    tokens = block.unsqueeze(2) * size + torch.arange(size, device=block.device)  # (A, K, size)
    inside = tokens < num_tokens  # the last block may be shorter
    tokens = tokens.clamp(max=num_tokens - 1)
    row = rows_of(parents, rows // sentences)
    candidates = totals.gather(1, parents).unsqueeze(2) + log_probabilities[row.unsqueeze(2), tokens]  # (A, K, size)
    best, place = candidates.masked_fill_(~inside, -math.inf).flatten(1).topk(width)  # (A, K) of K · size
    return best, parents.gather(1, place // size), tokens.flatten(1).gather(1, place)


def rows_of(parents: Tensor, width: int) -> Tensor:
    """The rows of parents (A, K) among rows of `width` hypotheses a sentence; all are row 0 where there is only one."""
    first = torch.arange(0, parents.size(0) * width, width, device=parents.device)
    return first.unsqueeze(1) + parents.clamp(max=width - 1)
