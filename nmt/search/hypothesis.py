"""What a search finds."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation.

    Attributes:
        tokens: target piece ids, closed by `eos`.
        log_probability: log p(tokens | source), in nats.
        score: what the search ranked by, the log-probability over the length penalty; more is better.
        attention: what each token looked at, on the CPU: (T, S) of a recurrent decoder, (T, layers, H, S) of the
            Transformer; padding behind S cut off. None without attention, or where nobody asked.
    """

    tokens: tuple[int, ...]
    log_probability: float
    score: float
    attention: Tensor | None
