"""The best continuations of a sentence's hypotheses, without sorting the vocabulary, or copying it, for each of them.

Shapes: A sentences, K hypotheses of each, V target vocabulary.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F


def normalise(logits: Tensor, banned_ids: Tensor) -> Tensor:
    """Log-probabilities (N, V) of logits (N, V), in their place where they are 32-bit numbers; -inf of `banned_ids`."""
    log_probabilities = logits.float()
    if log_probabilities.device.type == "cpu":  # where that many numbers are slow to write anew
        torch.log_softmax(log_probabilities, -1, out=log_probabilities)
    else:
        log_probabilities = log_probabilities.log_softmax(-1)
    return log_probabilities.index_fill_(1, banned_ids, -math.inf)


def best_continuations(totals: Tensor, log_probabilities: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The best of all K · V continuations of each sentence.

    The vocabulary is cut into blocks, and only each block's best is computed for all of them. The best continuations
    lie in as many best blocks: for each block whose best is worse than theirs there are enough better ones. So only
    these are sorted, which is about 2 K √V numbers a sentence instead of K · V.

    Args:
        totals: (A, K), log-probability of each hypothesis, -inf of those that do not go on.
        log_probabilities: (A·K, V) of the next token.
        width: so many, K'; fewer where there are not as many.

    Returns:
        three times (A, K'), best first: the log-probability, the hypothesis (0 … K-1) and the token that continues it.
    """
    num_tokens = log_probabilities.size(1)
    size = block_size(num_tokens)
    if lacking := -num_tokens % size:
        log_probabilities = F.pad(log_probabilities, (0, lacking), value=-math.inf)
    table = log_probabilities.view(*totals.shape, -1, size)  # (A, K, blocks, size)
    num_blocks = table.size(2)
    bests = (table.amax(3) + totals.unsqueeze(2)).flatten(1)  # (A, K·blocks)
    chosen = bests.topk(min(width, bests.size(1))).indices  # (A, K'), blocks of the table
    parents = chosen // num_blocks  # (A, K')
    places = (chosen * size).unsqueeze(2) + torch.arange(size, device=chosen.device)  # (A, K', size), in the table
    candidates = table.flatten(1).gather(1, places.flatten(1)).view_as(places)  # (A, K', size)
    candidates = candidates + totals.gather(1, parents).unsqueeze(2)
    best, among = candidates.flatten(1).topk(min(width, candidates[0].numel()))  # (A, K') of K'·size
    parents = parents.gather(1, among // size)
    tokens = places.flatten(1).gather(1, among) - parents * (num_blocks * size)
    return best, parents, tokens.clamp_(max=num_tokens - 1)  # one of -inf may lie in what was filled up


@cache
def block_size(num_tokens: int) -> int:
    """The power of two next to √V, which vector instructions like; or a smaller one, if it divides V."""
    size = 1 << round(math.log2(num_tokens) / 2)
    while size > 16 and num_tokens % size:
        size //= 2
    return size
