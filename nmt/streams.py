"""Standard streams that cannot be written any more."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO


def discard_output(stream: TextIO | None) -> None:
    """Sends everything that a standard stream still holds, or will be given, to the null device."""
    if stream is not None:
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
