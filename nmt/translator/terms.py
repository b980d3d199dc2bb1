"""Terminology: translations that contain given target terms, by any search and any architecture.

    translate the sentence
    while its translation lacks a term:
        for each position at which a word of the translation begins:
            translate again, with the words before the position and the term as a forced prefix
        take the translation with the most terms, and of these the one with the highest score

The prefix ends with the term, so a term stands in each of the new translations; what follows is the model's choice.
Every score is the model's own. A sentence whose translation has all terms costs nothing, any other as many translations
as it has words, times the number of terms that were missing.

Lexically constrained beam search (Hokamp and Liu, 2017, https://aclanthology.org/P17-1141) places the terms while it
searches, which takes a beam that grows with them, and rules of its own at every step. Here the search stays as it is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from nmt.data.tokenizer import Tokenizer
from nmt.data.words import UNSPACED_CHARACTERS, group_pieces
from nmt.errors import UserError
from nmt.models.seq2seq import TranslationModel
from nmt.search.protocol import Search
from nmt.translator.batch import Sentence, translate_batch
from nmt.translator.given_target import encode_prefix
from nmt.translator.n_best import FindTranslations, find_distinct, merge_segmentations
from nmt.translator.translation import Translation


class Terminology:
    """Source terms and their translations.

    Args:
        terms: the target term of each source term.

    Raises:
        UserError: a term is empty.
    """

    def __init__(self, terms: Mapping[str, str]) -> None:
        if not all(comparable(term) for pair in terms.items() for term in pair):
            raise UserError("a term is empty: give each source term a target term")
        self._targets = {comparable(source): target for source, target in terms.items()}
        longest_first = sorted(self._targets, key=len, reverse=True)  # "hot dog" before "dog"
        self._pattern = re.compile("|".join(map(as_words, longest_first))) if terms else None

    def wanted(self, line: str) -> list[str]:
        """The target terms that the translation of a line must contain: those whose source terms are words of it.

        They are compared as `comparable` text. Where terms overlap, the one that begins first counts, and of these the
        longest.
        """
        found = self._pattern.findall(comparable(line)) if self._pattern is not None else []
        return list(dict.fromkeys(self._targets[term] for term in found))


NO_TERMS = Terminology({})
"""No terms."""


def comparable(text: str) -> str:
    """Text in which case, white space and different codes of the same characters make no difference."""
    return " ".join(unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).split())


def as_words(term: str) -> str:
    """A regular expression for a term that is not a part of a longer word; scripts without spaces have no words."""
    before = "" if UNSPACED_CHARACTERS.match(term[0]) else r"(?<!\w)"
    after = "" if UNSPACED_CHARACTERS.match(term[-1]) else r"(?!\w)"
    return f"{before}{re.escape(term)}{after}"


def list_missing(translation: Translation, terms: Sequence[str]) -> tuple[str, ...]:
    """The terms that a translation lacks as whole words; both are compared as `comparable` text."""
    text = comparable(translation.text)
    return tuple(term for term in terms if not re.search(as_words(comparable(term)), text))


def check_search(search: Search) -> None:
    """Raises UserError if a search does not rank its translations by their scores, so that terms cannot be placed."""
    if not search.has_beam:
        raise UserError("terms need a search that compares scores: use search=beam or search=greedy")


def find_with_terms(
    model: TranslationModel, tokenizer: Tokenizer, sentences: Sequence[Sentence], search: Search, n_best: int
) -> list[list[Translation]]:
    """At least `n_best` distinct translations of each sentence, or as many as are found, those with all terms first.

    `missing_terms` of a translation says which terms it lacks nevertheless, because the model continued the last word
    of the term, or had no room left.

    Raises:
        UserError: as `find_distinct`; or there are terms, and the search has no beam, so it does not compare scores.
    """
    find: FindTranslations[Sentence] = partial(translate_batch, model, tokenizer)
    found = find_distinct(find, sentences, search, n_best)
    if not any(sentence.terms for sentence in sentences):
        return found
    check_search(search)
    max_pieces = None if model.max_length is None else model.max_length - 1
    found = [most_terms_first(each, sentence) for each, sentence in zip(found, sentences, strict=True)]
    for _ in range(max(len(sentence.terms) for sentence in sentences)):
        # 1. The prefixes to try: of each sentence that lacks a term.
        owners: list[int] = []
        tries: list[Sentence] = []
        for index, (sentence, translations) in enumerate(zip(sentences, found, strict=True)):
            if missing := translations[0].missing_terms:
                prefixes = place_term(tokenizer, translations[0], missing[0], min_length=len(sentence.prefix))
                possible = [prefix for prefix in prefixes if max_pieces is None or len(prefix) <= max_pieces]
                tries += [sentence._replace(prefix=prefix) for prefix in possible]
                owners += [index] * len(possible)
        if not tries:
            break
        # 2. The best translation with each of them, in batches that need no more memory than the sentences did.
        for start in range(0, len(tries), len(sentences)):
            part = tries[start : start + len(sentences)]
            for index, [translation] in zip(owners[start:], find(part, search, 1), strict=False):
                found[index].append(translation)
        # 3. The best of them, and of those before.
        found = [most_terms_first(each, sentence) for each, sentence in zip(found, sentences, strict=True)]
    return found


def place_term(tokenizer: Tokenizer, translation: Translation, term: str, *, min_length: int) -> list[list[int]]:
    """The prefixes of a translation that end where a word of it begins, each with the ids of a term behind it.

    Args:
        tokenizer: of the model.
        translation: found without the term.
        term: a target term.
        min_length: minimum number of pieces before the term.
    """
    pieces = translation.target_tokens
    starts = sorted({indices[0] for _, indices in group_pieces(pieces) if indices} | {len(pieces) - 1})  # also the end
    ids, term_ids = tokenizer.target_ids(pieces), encode_prefix(tokenizer, term, max_pieces=len(pieces) + len(term) + 1)
    return [ids[:start] + term_ids for start in starts if start >= min_length]


def most_terms_first(translations: Sequence[Translation], sentence: Sentence) -> list[Translation]:
    """The translations by the number of terms that they lack, then by their scores; with each text once."""
    checked = [replace(each, missing_terms=list_missing(each, sentence.terms)) for each in translations]
    return merge_segmentations(sorted(checked, key=lambda each: (len(each.missing_terms), -each.score)))
