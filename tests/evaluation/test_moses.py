"""Moses's tokenisation by its published rules, and the BLEU of its tokens by hand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import sacrebleu
import sacremoses

from nmt.evaluation import Metrics
from nmt.evaluation.moses import moses_language, tokenize_by_moses


@pytest.mark.parametrize(
    ("language", "line", "expected"),
    [
        ("fr", "L'homme d’Italie n'est pas là.", "l' homme d' italie n' est pas là ."),
        ("fr", "Un tee-shirt « bleu », 1,5 km !", 'un tee-shirt " bleu " , 1,5 km !'),
        ("en", "The man's dog doesn't run, it walks...", "the man 's dog doesn 't run , it walks ..."),
        ("it", "Dell'albero", "dell' albero"),
        ("it", "", ""),
    ],
)
def test_tokens_are_those_of_the_moses_scripts(language: str, line: str, expected: str) -> None:
    assert tokenize_by_moses([line], language) == [expected]


@pytest.mark.parametrize(
    ("code", "expected"), [("fr", "fr"), ("fr-CA", "fr"), ("ENG", "en"), ("de", None), ("zh", None)]
)
def test_languages_with_rules_of_their_own(code: str, expected: str | None) -> None:
    assert moses_language(code) == expected


def test_bleu_counts_an_elided_article_as_a_word_of_its_own() -> None:
    hypotheses, references = ["L'arbre de l'homme est vert"], ["L'herbe de l'homme est vert"]
    metric = Metrics.for_language("fr").score(hypotheses, references)["bleu_lowercase_moses"]
    # l' arbre de l' homme est vert: of 7 words 6 are right, of 6 pairs 4, of 5 triples 3, of 4 quadruples 2.
    assert metric.score == pytest.approx(100 * (6 / 7 * 4 / 6 * 3 / 5 * 2 / 4) ** (1 / 4))
    assert metric.name == "BLEU (lower-cased, Moses)"
    assert metric.signature == (
        f"nrefs:1|case:lc|eff:no|tok:moses-fr|norm:moses-fr|smooth:exp|version:{sacrebleu.__version__}"
        f"|sacremoses:{sacremoses.__version__}"
    )


def test_only_languages_with_such_apostrophes_have_the_figure() -> None:
    keys = {code: Metrics.for_language(code).score(["a"], ["a"]).keys() for code in ("de", "fr", "ja")}
    assert keys["fr"] - keys["de"] == {"bleu_lowercase_moses"}
    assert keys["de"] == keys["ja"]


@pytest.mark.multi30k
@pytest.mark.skipif("NMT_MULTI30K" not in os.environ, reason="NMT_MULTI30K names no folder with Multi30k")
def test_the_french_references_have_as_many_tokens_as_in_the_papers() -> None:
    path = Path(os.environ["NMT_MULTI30K"]) / "test_2016_flickr.fr"
    lines = tokenize_by_moses(path.read_text(encoding="utf-8").splitlines(), "fr")
    assert sum(len(line.split()) for line in lines) == 13_988  # 13a has 13,505
