"""What a translation lacks of its source: it is noted, and copied on request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from nmt.copying import Fragment, complete, find_missing
from nmt.data.tokenizer import Tokenizer
from nmt.translator.translation import Translation


def complete_translations(
    translations: Iterable[Translation],
    line: str,
    fragments: Sequence[Fragment],
    tokenizer: Tokenizer,
    *,
    copy: bool,
) -> list[Translation]:
    """The translations of a line with the fragments of the line that each one lacks; see `nmt.copying`.

    Args:
        copy: first copy missing fragments into the text, so that translations may be equal afterwards.
    """
    if not fragments:
        return list(translations)
    completed = []
    for translation in translations:
        text = translation.text
        if copy:
            pieces, alignment = translation.target_tokens, translation.alignment()
            text = complete(text, pieces, alignment, line=line, fragments=fragments, tokenizer=tokenizer)
        completed.append(replace(translation, text=text, missing=tuple(find_missing(fragments, text))))
    return completed
