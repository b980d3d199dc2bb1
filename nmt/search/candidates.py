"""The best continuations of a sentence's hypotheses, without sorting the vocabulary for each of them.

Shapes: A sentences, K hypotheses of each, V target vocabulary, K' continuations wanted.
"""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

MIN_BLOCK_SIZE = 16
"""Smaller block sizes, in tokens, are not tried, even if only a smaller one divides the vocabulary."""


def masked_log_softmax(logits: Tensor, banned_ids: Tensor) -> Tensor:
    """Log-probabilities (N, V) of the logits (N, V), with -inf for `banned_ids`.

    Overwrites 32-bit logits on a CPU, where a second (N, V) table would take noticeable time to write.
    """
    log_probabilities = logits.float()  # the same tensor if it is 32-bit already
    if log_probabilities.device.type == "cpu":
        torch.log_softmax(log_probabilities, -1, out=log_probabilities)
    else:
        log_probabilities = log_probabilities.log_softmax(-1)
    return log_probabilities.index_fill_(1, banned_ids, -math.inf)


def best_continuations(totals: Tensor, log_probabilities: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `width` best of all K · V continuations of each sentence.

    The plain formula, which the tests compare with this function, is one top-k over all continuations:

        scores = totals.unsqueeze(2) + log_probabilities.view(A, K, V)   # (A, K, V)
        best, indices = scores.flatten(1).topk(width)                    # (A, K')
        parents, tokens = indices // V, indices % V                      # (A, K')

    It sorts K · V numbers per sentence and writes as many sums. Here the vocabulary is cut into blocks of about √V
    tokens. The top K' continuations lie within the K' blocks with the highest maxima: an element of any other block
    is beaten by these K' maxima already. So it is enough to sort the K √V maxima and then the elements of K' blocks,
    about 2 K √V numbers per sentence.

    Args:
        totals: (A, K), log-probability of each hypothesis; -inf for a slot without an unfinished hypothesis.
        log_probabilities: (A·K, V) of the next token.
        width: number of continuations, K'; fewer are returned if fewer exist.

    Returns:
        Three tensors (A, K'), best continuation first: its log-probability, the hypothesis that it continues
        (0 … K - 1) and the token that it adds.
    """
    vocab_size = log_probabilities.size(1)
    size = block_size(vocab_size)
    if num_missing := -vocab_size % size:  # pad the last block with tokens that are never chosen
        log_probabilities = F.pad(log_probabilities, (0, num_missing), value=-math.inf)  # (A·K, V + num_missing)
    blocks = log_probabilities.view(*totals.shape, -1, size)  # (A, K, V/size, size)
    num_blocks = blocks.size(2)  # of each hypothesis

    # 1. The blocks with the highest maxima, among the blocks of all hypotheses of a sentence.
    maxima = (blocks.amax(3) + totals.unsqueeze(2)).flatten(1)  # (A, K·V/size)
    best_blocks = maxima.topk(min(width, maxima.size(1))).indices  # (A, K')
    parents = best_blocks // num_blocks  # (A, K')

    # 2. All continuations in these blocks.
    first_indices = (best_blocks * size).unsqueeze(2)  # (A, K', 1), index into the K·V continuations
    indices = first_indices + torch.arange(size, device=totals.device)  # (A, K', size)
    candidates = blocks.flatten(1).gather(1, indices.flatten(1)).view_as(indices)  # (A, K', size)
    candidates = candidates + totals.gather(1, parents).unsqueeze(2)  # (A, K', size)

    # 3. The best of them.
    best, chosen = candidates.flatten(1).topk(min(width, candidates[0].numel()))  # (A, K') of K'·size
    parents = parents.gather(1, chosen // size)  # (A, K')
    tokens = indices.flatten(1).gather(1, chosen) - parents * (num_blocks * size)  # (A, K')
    # A continuation of -inf may lie in the padding of the last block. It is never used, but its token is embedded
    # together with the others, so it must exist.
    return best, parents, tokens.clamp_(max=vocab_size - 1)


@cache
def block_size(vocab_size: int) -> int:
    """The power of two closest to √V, or a smaller one if only that divides V, which saves copying to fill a block.

    Powers of two suit vector instructions.
    """
    size = 1 << round(math.log2(vocab_size) / 2)
    while size > MIN_BLOCK_SIZE and vocab_size % size:
        size //= 2
    return size
