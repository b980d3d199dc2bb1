"""Which tokens may come next: the length limit, the minimum length, and no repeated n-grams.

Each function changes the log-probabilities of the next token in place. A forbidden token gets -inf; the others keep
their log-probabilities, so that a hypothesis has the same score whatever the search forbade along the way.

Shapes: N hypotheses of all sentences (A·K in the search), V target vocabulary, t tokens so far.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def ban_repeated_ngrams(log_probabilities: Tensor, prefixes: Tensor, size: int) -> None:
    """Forbids the tokens that would repeat an n-gram of their own hypothesis.

    With size 3, the hypothesis "a b c a b" must not continue with c, since c has followed its last two tokens before.
    Source: Paulus et al. (2018), §2.5; https://arxiv.org/abs/1705.04304

    Args:
        log_probabilities: (N, V) of the next token; overwritten.
        prefixes: (N, t), the tokens of each hypothesis so far, without `bos`.
        size: n, at least 1.
    """
    num_tokens = prefixes.size(1)
    if num_tokens < size:
        return  # there is no n-gram yet
    ngrams = prefixes.unfold(1, size, 1)  # (N, t - n + 1, n)
    last_tokens = prefixes[:, num_tokens - size + 1 :].unsqueeze(1)  # (N, 1, n - 1)
    starts_alike = (ngrams[..., :-1] == last_tokens).all(-1)  # (N, t - n + 1)
    # Add -inf to the last token of each n-gram that starts alike, and 0 to those of the others.
    penalties = torch.zeros_like(starts_alike, dtype=log_probabilities.dtype).masked_fill(starts_alike, -math.inf)
    log_probabilities.scatter_add_(1, ngrams[..., -1], penalties)


def ban_early_end(log_probabilities: Tensor, eos_id: int) -> None:
    """Forbids `eos`, except where nothing else is possible.

    Args:
        log_probabilities: (N, V) of the next token; overwritten.
        eos_id: id of `eos`.
    """
    eos_log_probability = log_probabilities[:, eos_id].clone()  # (N,)
    log_probabilities[:, eos_id] = -math.inf
    must_end = log_probabilities.amax(1) == -math.inf  # (N,)
    log_probabilities[:, eos_id] = eos_log_probability.masked_fill(~must_end, -math.inf)


def force_end(log_probabilities: Tensor, at_limit: Tensor, eos_id: int) -> Tensor:
    """Leaves `eos` as the only possible next token of hypotheses at their length limit.

    The log-probability of `eos` itself is kept: a forced end costs as much as a chosen one.

    Args:
        log_probabilities: (N, V) of the next token; overwritten.
        at_limit: (N,), True = this hypothesis must end now.
        eos_id: id of `eos`.

    Returns:
        (N,), True = this hypothesis is cut: another token than `eos` would have been the most probable one.
    """
    eos_log_probability = log_probabilities[:, eos_id].clone()  # (N,)
    is_cut = at_limit & (log_probabilities.amax(1) > eos_log_probability)  # (N,)
    log_probabilities.masked_fill_(at_limit.unsqueeze(1), -math.inf)  # (N, 1) broadcast over V
    log_probabilities[:, eos_id] = eos_log_probability
    return is_cut
