"""What a caption must name, as a corpus describes it, and which of its colours the words of the source do not tell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptionExample:
    """The colours of a caption."""

    colors: tuple[str, ...]  # that the reference names, in order, without endings
    hidden: tuple[int, ...]  # indices of those that the words of the source do not name
    num_choices: int  # number of colours among which a guess chooses
