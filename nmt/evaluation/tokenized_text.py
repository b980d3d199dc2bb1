"""Recognises text that was tokenised: scores on it cannot be compared with those of other systems."""

from __future__ import annotations

from collections.abc import Sequence

MIN_TOKENIZED_LINES = 100
"""From this number of lines on, separate full stops are no accident; sacreBLEU warns from the same number on."""


def describe_tokenized_text(hypotheses: Sequence[str], references: Sequence[str]) -> str | None:
    """What is wrong with tokenised translations or references, and what to do; None if they look like raw text.

    Text counts as tokenised if at least MIN_TOKENIZED_LINES lines, or half of the lines, end in a full stop with a
    space before it.
    """
    findings = []
    for name, lines in (("translations", hypotheses), ("references", references)):
        count = sum(line.endswith(" .") for line in lines)
        if count >= MIN_TOKENIZED_LINES or count > len(lines) / 2:
            findings.append(f"{count:,} of {len(lines):,} {name}")
    if not findings:
        return None
    return (
        f'{" and ".join(findings)} end in a separate full stop (" ."), as tokenised text does: the scores cannot be '
        "compared with those on raw text; train and evaluate on raw text, or restore it first, such as with "
        "Moses's detokenizer.perl"
    )
