"""BLEU, chrF and TER: by hand, equal to sacreBLEU's, and by source length."""

import math
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
import sacrebleu

from nmt.errors import UserError
from nmt.evaluation import metrics

REFERENCES = ["Ein Mann fährt Rad .", "Der Hund schläft auf dem T-Shirt.", "Zwei Kinder spielen im Park, es regnet."]
HYPOTHESES = ["Ein Mann fährt ein Rad.", "der hund schläft auf dem T-Shirt.", "Kinder spielen in einem Park."]


def test_bleu_by_hand() -> None:
    # 1-grams: 5 of 5; 2-grams: 4 of 4; 3-grams: 3 of 3; 4-grams: 2 of 2. Only the length is wrong: 5 words for 6.
    assert metrics.bleu(["a b c d e"], ["a b c d e f"]) == pytest.approx(100 * math.exp(1 - 6 / 5))
    # 1-grams: 5 of 6; 2-grams: 3 of 5; 3-grams: 2 of 4; 4-grams: 1 of 3. The length is right.
    expected = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4)
    assert metrics.bleu(["a b c d x f"], ["a b c d e f"]) == pytest.approx(expected)


def test_scores_equal_those_of_sacrebleu() -> None:
    scores = metrics.score(HYPOTHESES, REFERENCES)
    expected = {
        "bleu": sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]),
        "chrf": sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]),
        "ter": sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]),
        "bleu_lowercase_tokenized": sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], lowercase=True),
    }
    assert {key: metric.score for key, metric in scores.items()} == {key: s.score for key, s in expected.items()}


def test_signatures_state_how_a_score_was_computed() -> None:
    scores = metrics.score(HYPOTHESES, REFERENCES)
    version = f"version:{sacrebleu.__version__}"
    assert scores["bleu"].signature == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}"
    assert scores["chrf"].signature == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}"
    assert scores["ter"].signature == f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|{version}"
    assert scores["bleu_lowercase_tokenized"].signature == f"nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|{version}"
    assert [scores[key].name for key in scores] == ["BLEU", "chrF", "TER", "BLEU (lower-cased, tokenised)"]


def test_only_ter_and_the_older_bleu_ignore_case() -> None:
    shouted = [line.upper() for line in REFERENCES]
    scores = metrics.score(shouted, REFERENCES)
    assert scores["bleu_lowercase_tokenized"].score == pytest.approx(100)
    assert scores["ter"].score == 0
    assert scores["bleu"].score < 20


def test_bleu_alone_is_the_same_figure() -> None:
    assert metrics.bleu(HYPOTHESES, REFERENCES) == metrics.score(HYPOTHESES, REFERENCES)["bleu"].score


@pytest.mark.parametrize("function", [metrics.score, metrics.bleu])
def test_line_counts_must_agree(function: Callable[[Sequence[str], Sequence[str]], object]) -> None:
    with pytest.raises(UserError, match="3 hypotheses but 2 references"):
        function(HYPOTHESES, REFERENCES[:2])
    with pytest.raises(UserError, match="nothing to score"):
        function([], [])


def test_each_bucket_has_the_sentences_of_its_length() -> None:
    lengths = [0, 1, 10, 11, 15, 20, 31, 50]
    sources = [" ".join(["w"] * n) for n in lengths]
    references = [f"a sentence of {n} source words" for n in lengths]
    # Only the two sentences of 11 to 15 words are translated wrongly.
    hypotheses = list(references)
    hypotheses[3] = hypotheses[4] = "quite another thing here"
    buckets = metrics.bleu_by_length(sources, hypotheses, references)
    assert [(b["from"], b["to"], b["sentences"]) for b in buckets] == [
        (1, 10, 3),
        (11, 15, 2),
        (16, 20, 1),
        (31, None, 2),
    ]
    assert [b["bleu"] for b in buckets] == pytest.approx([100, 0, 100, 100])


def test_buckets_need_a_source_for_each_reference() -> None:
    with pytest.raises(UserError, match="2 source lines but 3 references"):
        metrics.bleu_by_length(["a", "b"], HYPOTHESES, REFERENCES)


def test_importing_the_metrics_imports_neither_torch_nor_the_report() -> None:
    code = (
        "import sys, nmt.evaluation.metrics; print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
