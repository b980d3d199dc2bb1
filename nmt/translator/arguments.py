"""Checks and prepares what a caller passes to `Translator.translate`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch

from nmt.errors import UserError
from nmt.models.attention import KINDS, Kind
from nmt.search.protocol import Search, SearchArguments

LineWarning = Callable[[int, str], None]
"""Called with the index of a line, from 0, and a warning about this line."""

DEFAULT_MAX_PIECES = 1024
"""Maximum number of pieces per line for a model without a limit of its own. Without a limit,
a megabyte without line ends would delay all lines after it by minutes."""

DEFAULT_BATCH_TOKENS = {"cpu": 768, "cuda": 16384}
"""Maximum number of source positions per batch, by device type. On a CPU the batch should fit into the cache: a narrow
Transformer was fastest at 512, recurrent models from 768 on. The value for GPUs has not been measured."""


NUMBER_FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""The formats of weights and activations in which a model can translate. A search computes its scores in float32."""

Prefix = str | Sequence[str]
"""The beginning of a translation: text, or a list of pieces."""

Kinds = Kind | Literal["all"] | Iterable[Kind]
"""How a caller names kinds of attention."""


class TranslateOptions(SearchArguments, total=False):
    """The optional arguments of `Translator.translate`, which describes them."""

    attention: Kinds | None
    copy: bool
    prefix: Prefix | Sequence[Prefix] | None
    warn: LineWarning | None


def check_lines(lines: Iterable[str]) -> list[str]:
    """Returns the lines as a list. Raises TypeError unless all of them are strings."""
    if isinstance(lines, bytes | bytearray) or not isinstance(lines, Iterable):
        raise TypeError(f"translate takes a string or an iterable of strings, not {type(lines).__name__}")
    checked = list(lines)
    for index, line in enumerate(checked):
        if not isinstance(line, str):
            raise TypeError(f"translate takes strings, but item {index} is {type(line).__name__}: {line!r:.40}")
    return checked


def check_kinds(kinds: Kinds | Iterable[str], *, key: str = "attention") -> tuple[Kind, ...]:
    """Returns one kind of attention, several, or all, as a tuple in which each occurs once.

    Args:
        key: names them in messages.

    Raises:
        UserError: there is no such kind.
    """
    if kinds == "all":
        return KINDS
    named = dict.fromkeys([kinds] if isinstance(kinds, str) else kinds)
    for kind in named:
        if kind not in KINDS:
            raise UserError(f"{key}={kind} is unknown: it can be {', '.join(KINDS)}, a list of them, or all")
    return tuple(kind for kind in KINDS if kind in named)


def number_format(precision: str) -> torch.dtype:
    """The number format of torch that a setting names.

    Raises:
        UserError: there is no such format.
    """
    if precision not in NUMBER_FORMATS:
        raise UserError(f"precision={precision} is unknown: use {' or '.join(NUMBER_FORMATS)}")
    return NUMBER_FORMATS[precision]


def change_search(search: Search, changes: SearchArguments) -> Search:
    """The search with some arguments changed.

    Raises:
        TypeError: a search has no such argument.
        UserError: a value is out of range.
    """
    names = SearchArguments.__annotations__
    for name in changes:
        if name not in names:
            raise TypeError(f"translate has no argument {name!r}; those of the search are {', '.join(names)}")
    return search.changed(**changes) if changes else search


def sanitize(line: str) -> str:
    """Replaces surrogates, which UTF-8 lacks, by "?" and NUL by a space, and removes spaces at both ends."""
    return line.replace("\0", " ").encode("utf-8", errors="replace").decode("utf-8").strip(" ")


def shift(warn: LineWarning, offset: int) -> LineWarning:
    """A warning about a line that is counted from `offset`."""
    return lambda index, message: warn(offset + index, message)
