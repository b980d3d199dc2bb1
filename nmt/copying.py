"""Text of the source that a translation must not lose: numbers, URLs, placeholders and the like, and unknown words.

`find_fragments` finds them in a line, `find_missing` those that a translation lacks. `copy_missing` adds them to the
translation, after the unknown-word replacement of Luong et al. (2015, "Addressing the Rare Word Problem in Neural
Machine Translation"): attention tells where. Their model writes a special token for each unknown word, which is then
replaced; a model of subword pieces writes something else, or nothing. Therefore:

1. If the translation has another fragment of the same kind that the source lacks, such as a wrong number or a damaged
   URL, the missing one takes its place.
2. Otherwise the missing one is put behind the translation of the word before it, as far as attention shows. A fragment
   at the start or end of the source goes to the start or end of the translation.

Numbers of one or two digits are an exception from 2, because "zwei Hunde" is a translation of "2 dogs".
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nmt.data.tokenizer import Tokenizer

EMOJI = r"[\U0001F000-\U0001FBFF\u2600-\u27BF\u2B05-\u2B55\u231A\u231B\u23E9-\u23FA]"
MODIFIER = r"[\uFE0F\U0001F3FB-\U0001F3FF\U000E0020-\U000E007F]"
KINDS = {
    "URL": r"(?:https?|ftp)://[^\s<>\"“”]*[^\s<>\"“”.,;:!?)\]}'’»…。，]|www\.[^\s<>\"“”]*[^\s<>\"“”.,;:!?)\]}'’»…。，]",
    "e-mail address": r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+",
    "tag": r"</?[A-Za-z][^<>]*>|<!--.{0,1000}?-->|&(?:[A-Za-z]+|\#\d+|\#x[0-9A-Fa-f]+);",
    "placeholder": (
        r"(?<!\d)%(?:\(\w+\)|\d+\$)?[-+0\#]*(?:\d+|\*)?(?:\.\d+)?(?:hh?|ll?|[zjtL])?[sdifuxXoeEgGcr@](?![^\W_])"
        r"|\{\{[^{}]*\}\}|[$\#%]?\{[^{}\s]*\}|\$[A-Za-z_]\w*|%[A-Z_]{2,}%|__\w{1,50}?__"
    ),
    "emoji": (rf"[0-9\#*]\uFE0F?\u20E3|[\U0001F1E6-\U0001F1FF]{{2}}|{EMOJI}{MODIFIER}*(?:\u200D{EMOJI}{MODIFIER}*)*"),
    "number": r"\d+(?:[.,:'’\u00a0\u202f]\d+)*",
}
"""Kind of a fragment → regular expression. Of two kinds that start at the same character, the first one counts."""

PATTERN = re.compile("|".join(f"({pattern})" for pattern in KINDS.values()))
UNKNOWN = "unknown word"
"""The kind of a word with characters that the vocabulary lacks."""

MAX_SEARCHED_CHARACTERS = 5_000
"""Only so much of a line is searched for fragments. A thousand pieces, about what a model reads, are not longer."""

NO_TEXT = " \t\u00a0\u200b\ufffd"
"""Characters that are not worth copying alone; U+FFFD stands for damaged ones."""

MIN_COPIED_DIGITS = 3
"""A missing number with fewer digits is not added to a translation, which may spell it."""

CLOSING = " .,;:!?…。！？"
"""What may follow the last fragment of a line."""


@dataclass(frozen=True)
class Fragment:
    """A part of a line that a translation should contain unchanged.

    Attributes:
        kind: a key of `KINDS`, or `UNKNOWN`.
        text: its characters.
        start, end: their range in the line.
    """

    kind: str
    text: str
    start: int
    end: int

    @property
    def key(self) -> str:
        """What must be equal in source and translation. Of a number, only the digits: languages separate them in
        different ways."""
        return "".join(self.digits) if self.kind == "number" else unicodedata.normalize("NFC", self.text)

    @property
    def digits(self) -> list[str]:
        """The groups of digits of a number, such as ["1", "000"] of "1,000"; none of another fragment."""
        groups = re.findall(r"\d+", self.text) if self.kind == "number" else []
        return ["".join(str(unicodedata.decimal(digit)) for digit in group) for group in groups]


def find_fragments(line: str, unknown: Sequence[tuple[int, int]] = ()) -> list[Fragment]:
    """The fragments of a line, in order.

    Args:
        unknown: ranges of characters that the vocabulary lacks. The word around each of them is a fragment, or they
            alone in a script whose letters have no case, since many of these do not separate words.
    """
    kinds, line = list(KINDS), line[:MAX_SEARCHED_CHARACTERS]
    fragments = [
        Fragment(kinds[match.lastindex - 1], match[0], match.start(), match.end())
        for match in PATTERN.finditer(line)
        if match.lastindex
    ]
    is_covered = bytearray(len(line))  # by a fragment
    for one in fragments:
        is_covered[one.start : one.end] = b"1" * (one.end - one.start)
    for start, end in unknown:
        if end > len(line) or any(is_covered[start:end]) or not line[start:end].strip(NO_TEXT):
            continue
        start, end = _widen(line, start, end)
        if not any(is_covered[start:end]):
            fragments.append(Fragment(UNKNOWN, line[start:end], start, end))
            is_covered[start:end] = b"1" * (end - start)
    return sorted(fragments, key=lambda one: one.start)


def find_missing(fragments: Sequence[Fragment], translation: str) -> list[Fragment]:
    """Those of the source's fragments that the translation lacks, or has less often than the source."""
    composed = unicodedata.normalize("NFC", translation)
    numbers = [one for one in find_fragments(translation) if one.kind == "number"]
    groups = {group for one in numbers for group in one.digits}
    keys = groups | {one.key for one in numbers}
    found: Counter[str] = Counter()
    missing = []
    for fragment in fragments:
        if fragment.kind == "number":
            # A date, for example, may have the same groups of digits in another order.
            is_missing = fragment.key not in keys and not groups.issuperset(fragment.digits)
        else:
            found[fragment.key] += 1
            is_missing = found[fragment.key] > composed.count(fragment.key)
        if is_missing:
            missing.append(fragment)
    return missing


def complete(
    translation: str,
    pieces: Sequence[str],
    alignment: NDArray[np.float32] | None,
    *,
    line: str,
    fragments: Sequence[Fragment],
    tokenizer: Tokenizer,
) -> str:
    """Adds the fragments that a translation lacks; see the top of this file.

    Args:
        translation: the text of the T target pieces.
        alignment: (T, S) how much each target piece attends to each source piece; None for a model without attention.
        line: what was translated, with its `fragments`.
    """
    missing = find_missing(fragments, translation)
    if not missing:
        return translation
    source_ends = [end for _, end in tokenizer.source_spans(line)]
    target_ids = tokenizer.target_ids(pieces)

    def find_place(start: int) -> int:
        """The index behind the translation of the source that ends at `start`; the end if there is no attention."""
        if alignment is None:
            return len(translation.rstrip())
        piece = max((index for index, end in enumerate(source_ends) if end <= start), default=0)
        piece = min(piece, alignment.shape[1] - 1)  # a source that was cut off has fewer pieces
        return len(tokenizer.decode_target(target_ids[: int(alignment[:, piece].argmax()) + 1]))

    return copy_missing(translation, missing, source=line, fragments=fragments, find_place=find_place)


def copy_missing(
    translation: str,
    missing: Sequence[Fragment],
    *,
    source: str,
    fragments: Sequence[Fragment],
    find_place: Callable[[int], int],
) -> str:
    """Adds missing fragments to a translation.

    Args:
        source: the line that was translated, with all of its `fragments`.
        find_place: from an index in the source to the index in the translation behind what translates the text up to
            there.
    """
    known = {fragment.key for fragment in fragments} | {digits for fragment in fragments for digits in fragment.digits}
    present, bounds = find_fragments(translation), {bound for one in missing for bound in (-one.start, one.end)}
    wrong = [one for one in present if known.isdisjoint([one.key, *one.digits])]
    changes: list[tuple[int, int, str]] = []  # (start, end, new text) in the translation
    for fragment in missing:
        replaced = next((one for one in wrong if one.kind == fragment.kind), None)
        if replaced is not None:
            wrong.remove(replaced)
            changes.append((replaced.start, replaced.end, fragment.text))
        elif fragment.kind != "number" or len(fragment.key) >= MIN_COPIED_DIGITS:
            index = _find_index(translation, fragment, source, find_place)
            index = next((one.end for one in present if one.start < index < one.end), index)  # not inside another one
            changes.append((index, index, _spaced(translation, index, fragment, source, bounds)))
    # From the last to the first, so that the indices of the others stay valid; sorting keeps equal ones in order.
    for start, end, text in sorted(changes, key=lambda change: change[:2])[::-1]:
        translation = translation[:start] + text + translation[end:]
    return translation


def _find_index(translation: str, fragment: Fragment, source: str, find_place: Callable[[int], int]) -> int:
    """The index in the translation at which a fragment of the source is inserted."""
    before, after = source[: fragment.start].rstrip(), source[fragment.end :]
    if not before:
        return 0
    if not after.strip(CLOSING):
        return len(translation.rstrip(CLOSING if after.strip() else " "))
    index = min(find_place(len(before)), len(translation))
    while 0 < index < len(translation) and _joins(translation[index - 1]) and _joins(translation[index]):
        index += 1  # to the end of the word
    return index


def _spaced(translation: str, index: int, fragment: Fragment, source: str, bounds: Set[int]) -> str:
    """The fragment with spaces around it, but none where it touches a word or another missing one in the source.

    Args:
        bounds: where missing fragments end in the source, and, negative, where they start.
    """
    before, after = translation[:index], translation[index:]
    text = fragment.text
    touches = source[: fragment.start][-1:].isalnum() or fragment.start in bounds
    if before and not before[-1].isspace() and not touches:
        text = " " + text
    touches = source[fragment.end :][:1].isalnum() or -fragment.end in bounds
    if after and after[0].isalnum() and not touches:
        text += " "
    return text


def _widen(line: str, start: int, end: int) -> tuple[int, int]:
    """The range of the word around the range of some of its characters."""
    if any(unicodedata.category(character) == "Lo" for character in line[start:end]):
        return start, end
    while start > 0 and _joins(line[start - 1]):
        start -= 1
    while end < len(line) and _joins(line[end]):
        end += 1
    return start, end


def _joins(character: str) -> bool:
    """Whether a character belongs to the same word as the one next to it; not if it is of a script without case."""
    return character.isalnum() and unicodedata.category(character) != "Lo"
