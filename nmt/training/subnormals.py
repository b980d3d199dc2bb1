"""Numbers too small for the processor's fast path."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def subnormals_as_zero() -> Iterator[None]:
    """Inside, or in the function that it decorates, what is nearer to zero than any normal number is zero.

    That is 1.2e-38 in 32 bits and 2.2e-308 in 64. A gradient that goes back through some hundred steps of an LSTM fades
    into such subnormal numbers, with which processors calculate several times slower; to whatever they are added, they
    do not count.

    It is a state of a thread and of those that it starts from then on. torch starts its threads with its first larger
    operation, so this belongs around all of a command, not around its steps alone. numpy and Python calculate likewise
    there. A processor that cannot do so (torch can on x86 with SSE3 and on ARM64) is left as it is.
    """
    before = sys.float_info.min / 2 == 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
