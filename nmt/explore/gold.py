"""The word links that the built-in grammar knows to be right, for translations that it knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nmt.data.pharaoh import GoldLinks
from nmt.run import RunFolder
from nmt.run.registry import main_corpus
from nmt.translator import sanitize

if TYPE_CHECKING:  # imports the library `datasets`, which only the grammar needs
    from nmt.data.grammar import GrammarCorpus


def find_grammar(folders: Sequence[RunFolder]) -> GrammarCorpus | None:
    """The built-in corpus of the first run that was trained on it; None if there is none."""
    for folder in folders:
        if main_corpus(folder.description("corpus")).get("class") == "GrammarCorpus":
            corpus: Any = folder.corpus().main
            return corpus
    return None


def find_gold_links(grammar: GrammarCorpus | None, source: str, target: str) -> GoldLinks | None:
    """The links between the words (`separate_words`) of a pair; None unless the grammar has generated that pair."""
    pair = None if grammar is None else grammar.find_pair(sanitize(source))
    if pair is None or pair.target != sanitize(target):
        return None
    return GoldLinks(sure=frozenset(pair.alignment), possible=frozenset(pair.alignment))
