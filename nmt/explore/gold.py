"""The word links that the built-in grammar knows to be right, for translations that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from nmt.data.pharaoh import GoldLinks
from nmt.run import RunFolder
from nmt.run.registry import language_pair, main_corpus
from nmt.translator import sanitize

if TYPE_CHECKING:  # imports the library `datasets`, which only the grammar needs
    from nmt.data.grammar import GrammarCorpus


def find_grammars(folders: Sequence[RunFolder]) -> list[GrammarCorpus | None]:
    """The built-in corpus of each run: its own, or else that of the first run with the same languages that has it."""
    descriptions = [main_corpus(folder.description("corpus")) for folder in folders]
    keys = [msgspec.json.encode(description) for description in descriptions]
    own: dict[bytes, Any] = {}  # runs with the same corpus share one, since it generates its sentences only once
    of_languages: dict[tuple[str, str], Any] = {}
    for folder, description, key in zip(folders, descriptions, keys, strict=True):
        if description.get("class") == "GrammarCorpus" and key not in own:
            own[key] = folder.corpus().main
            of_languages.setdefault(language_pair(description), own[key])
    return [
        own.get(key, of_languages.get(language_pair(description)))
        for description, key in zip(descriptions, keys, strict=True)
    ]


def find_gold_links(grammar: GrammarCorpus | None, source: str, target: str) -> GoldLinks | None:
    """The links between the words (`separate_words`) of a pair; None unless the grammar has generated that pair."""
    pair = None if grammar is None else grammar.find_pair(sanitize(source))
    if pair is None or pair.target != sanitize(target):
        return None
    return GoldLinks(sure=frozenset(pair.alignment), possible=frozenset(pair.alignment))
