"""Text as the papers on Multi30k scored it: lower-cased, its punctuation normalised, tokenised by Moses.

The corpus's own script runs these three programs of Moses (https://github.com/multi30k/dataset, scripts/
task1-tokenize.sh), and multi-bleu.perl counts the result:

    lowercase.perl | normalize-punctuation.perl -l LANGUAGE | tokenizer.perl -l LANGUAGE

The library sacremoses does the same in Python. Its version is part of the signature.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version

from nmt.evaluation.languages import parse_language

MOSES_LANGUAGES = {"en": "en", "eng": "en", "fr": "fr", "fra": "fr", "fre": "fr", "it": "it", "ita": "it"}
"""Languages, by ISO 639, whose apostrophes Moses splits by rules of their own: l' arbre, dell' albero, man 's.

sacreBLEU's 13a leaves such words whole. In other languages written with spaces, the two differ in rare cases only."""


def moses_language(code: str) -> str | None:
    """The language whose rules Moses applies to a language code such as fr-CA; None if 13a serves as well."""
    return MOSES_LANGUAGES.get(parse_language(code)[0])


def tokenize_by_moses(lines: Iterable[str], language: str) -> list[str]:
    """Lower-cases, normalises and tokenises lines: tokens with spaces between them. `language` is en, fr or it."""
    import sacremoses  # only now: importing it takes half a second

    normalizer = sacremoses.MosesPunctNormalizer(lang=language, perl_parity=True)
    tokenizer = sacremoses.MosesTokenizer(lang=language)
    return [
        tokenizer.tokenize(normalizer.normalize(line.lower()), escape=False, return_str=True)  # without -a
        for line in lines
    ]


def moses_signature(signature: str, language: str) -> str:
    """sacreBLEU's signature of text that it did not tokenise itself, with what was done to the text."""
    return signature.replace("|tok:none|", f"|tok:moses-{language}|norm:moses-{language}|") + (
        f"|sacremoses:{version('sacremoses')}"
    )
