"""The result of a search."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation.

    Attributes:
        tokens: the T target piece ids; the last one is `eos`.
        log_probability: log p(tokens | source), in nats.
        score: the log-probability divided by the length penalty; the search ranks by it, and higher is better.
        truncated: the length limit has cut it off: `eos` was not the most probable token at its end.
        log_probabilities: of each token, T of them, after forced decoding; empty after a search, which keeps their sum.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    truncated: bool
    log_probabilities: tuple[float, ...] = ()
