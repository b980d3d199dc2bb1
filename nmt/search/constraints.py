"""Which tokens may come next: the length limit, the minimum length, no repeated n-grams, and a forced prefix.

Each function changes the log-probabilities of the next token in place. A forbidden token gets -inf; the others keep
their log-probabilities, so that a hypothesis has the same score whatever the search forbade along the way.

Shapes: B sentences in the batch, A of them active, K hypotheses of each; N hypotheses of all sentences (A·K in the
search), V target vocabulary, t tokens so far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nmt.data.batch import pad

ANY_TOKEN = -1
"""In place of the id of a forced token: any token may come."""


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


class ForcedPrefixes:
    """The tokens with which the translations of a batch must begin.

    Args:
        prefixes: the tokens of each of the B sentences, without `bos`; empty where a translation may begin with any.
        device: of the search.
    """

    def __init__(self, prefixes: Sequence[Sequence[int]], device: torch.device) -> None:
        self.longest = max(map(len, prefixes))
        table, _ = pad(prefixes, ANY_TOKEN)  # (B, longest)
        self._table = table.to(device)

    def tokens(self, position: int, sentences: list[int], width: int) -> Tensor | None:
        """The token (A·K,) that each hypothesis must have at a position, or ANY_TOKEN; None after the longest prefix.

        Args:
            position: in the target, from 0.
            sentences: A, the index of each active sentence in the batch.
            width: K, number of hypotheses of each.
        """
        if position >= self.longest:
            return None
        return self._table[sentences, position].repeat_interleave(width)  # (A,) -> (A·K,)


def force_tokens(log_probabilities: Tensor, tokens: Tensor, own_log_probabilities: Tensor) -> None:
    """Leaves a given token as the only possible next one of a hypothesis, even if it was forbidden before.

    Args:
        log_probabilities: (N, V) of the next token; overwritten.
        tokens: (N,), the token that must come next; ANY_TOKEN leaves a hypothesis as it is.
        own_log_probabilities: (N, 1), the log-probability that the model itself gives to that token.
    """
    is_forced = (tokens != ANY_TOKEN).unsqueeze(1)  # (N, 1)
    columns = tokens.clamp(min=0).unsqueeze(1)  # (N, 1), any column where nothing is forced
    values = torch.where(is_forced, own_log_probabilities, log_probabilities.gather(1, columns))  # (N, 1)
    log_probabilities.masked_fill_(is_forced, -math.inf)  # broadcast over V
    log_probabilities.scatter_(1, columns, values)
