"""BLEU, chrF and TER: by hand, equal to sacreBLEU's, and by source length."""

import importlib
import math
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
import sacrebleu

from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.evaluation.languages import Unit

METRICS = Metrics(language="de", bleu_tokenizer="13a")
REFERENCES = ["Ein Mann fährt Rad .", "Der Hund schläft auf dem T-Shirt.", "Zwei Kinder spielen im Park, es regnet."]
HYPOTHESES = ["Ein Mann fährt ein Rad.", "der hund schläft auf dem T-Shirt.", "Kinder spielen in einem Park."]


def test_bleu_by_hand() -> None:
    # 1-grams: 5 of 5; 2-grams: 4 of 4; 3-grams: 3 of 3; 4-grams: 2 of 2. Only the length is wrong: 5 words for 6.
    assert METRICS.bleu(["a b c d e"], ["a b c d e f"]) == pytest.approx(100 * math.exp(1 - 6 / 5))
    # 1-grams: 5 of 6; 2-grams: 3 of 5; 3-grams: 2 of 4; 4-grams: 1 of 3. The length is right.
    expected = 100 * (5 / 6 * 3 / 5 * 2 / 4 * 1 / 3) ** (1 / 4)
    assert METRICS.bleu(["a b c d x f"], ["a b c d e f"]) == pytest.approx(expected)


def test_scores_equal_those_of_sacrebleu() -> None:
    scores = METRICS.score(HYPOTHESES, REFERENCES)
    expected = {
        "bleu": sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]),
        "chrf": sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]),
        "ter": sacrebleu.corpus_ter(HYPOTHESES, [REFERENCES]),
        "bleu_lowercase_tokenized": sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES], lowercase=True),
    }
    assert {key: metric.score for key, metric in scores.items()} == {key: s.score for key, s in expected.items()}


def test_several_references_score_as_sacrebleu_scores_them() -> None:
    others = [" ".join(reversed(line.split())) for line in REFERENCES]
    scores = METRICS.score(HYPOTHESES, REFERENCES, others)
    both = [REFERENCES, others]
    expected = {
        "bleu": sacrebleu.corpus_bleu(HYPOTHESES, both),
        "chrf": sacrebleu.corpus_chrf(HYPOTHESES, both),
        "ter": sacrebleu.corpus_ter(HYPOTHESES, both),
        "bleu_lowercase_tokenized": sacrebleu.corpus_bleu(HYPOTHESES, both, lowercase=True),
    }
    assert {key: metric.score for key, metric in scores.items()} == {key: s.score for key, s in expected.items()}
    assert all(metric.signature.startswith("nrefs:2|") for metric in scores.values())
    assert METRICS.sentence_chrf(others, REFERENCES, others) == [100.0] * len(others)
    french = Metrics(language="fr", bleu_tokenizer="13a").score(others, REFERENCES, others)["bleu_lowercase_moses"]
    assert french.score == pytest.approx(100)
    assert french.signature.startswith("nrefs:2|")


def test_signatures_state_how_a_score_was_computed() -> None:
    scores = METRICS.score(HYPOTHESES, REFERENCES)
    version = f"version:{sacrebleu.__version__}"
    assert scores["bleu"].signature == f"nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|{version}"
    assert scores["chrf"].signature == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|{version}"
    assert scores["ter"].signature == f"nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|{version}"
    assert scores["bleu_lowercase_tokenized"].signature == f"nrefs:1|case:lc|eff:no|tok:13a|smooth:exp|{version}"
    assert [scores[key].name for key in scores] == ["BLEU", "chrF", "TER", "BLEU (lower-cased, tokenised)"]


def test_only_ter_and_the_older_bleu_ignore_case() -> None:
    shouted = [line.upper() for line in REFERENCES]
    scores = METRICS.score(shouted, REFERENCES)
    assert scores["bleu_lowercase_tokenized"].score == pytest.approx(100)
    assert scores["ter"].score == 0
    assert scores["bleu"].score < 20


def test_bleu_and_chrf_alone_are_the_same_figures() -> None:
    scores = METRICS.score(HYPOTHESES, REFERENCES)
    assert METRICS.bleu(HYPOTHESES, REFERENCES) == scores["bleu"].score
    assert METRICS.chrf(HYPOTHESES, REFERENCES) == scores["chrf"].score


@pytest.mark.parametrize("function", [METRICS.score, METRICS.bleu, METRICS.chrf])
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
    buckets = METRICS.bleu_by_length(sources, hypotheses, references, unit="words")
    assert [(b["from"], b["to"], b["sentences"]) for b in buckets] == [
        (1, 10, 3),
        (11, 15, 2),
        (16, 20, 1),
        (31, None, 2),
    ]
    assert [b["bleu"] for b in buckets] == pytest.approx([100, 0, 100, 100])


def test_buckets_need_a_source_for_each_reference() -> None:
    with pytest.raises(UserError, match="2 source lines but 3 references"):
        METRICS.bleu_by_length(["a", "b"], HYPOTHESES, REFERENCES, unit="words")


def test_importing_the_metrics_imports_neither_torch_nor_the_report() -> None:
    code = (
        "import sys, nmt.evaluation.metrics; print([m for m in ('matplotlib', 'jinja2', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


UNITS: list[Unit] = ["words", "characters"]
PERFECT = {
    "zh": ["你好，世界。", "我喜欢吃苹果。", "是"],
    "zh-Hant": ["你好，世界。", "龍𠮷野家"],
    "yue": ["我哋去飲茶。", "係"],
    "ja": ["猫が好きです。", "はい"],
    "ko": ["나는 학교에 간다.", "네"],
    "th": ["ฉันชอบกินข้าว", "ใช่", "น้ำ"],
    "lo": ["ຂ້ອຍມັກກິນເຂົ້າ"],
    "km": ["ខ្ញុំចូលចិត្តញ៉ាំបាយ។"],
    "my": ["ကျွန်တော်ထမင်းစားတယ်။"],
    "bo": ["བཀྲ་ཤིས་བདེ་ལེགས།"],
    "ar": ["مرحبا بالعالم", "نعم"],
    "fa": ["می‌خواهم بروم"],
    "hi": ["मुझे चावल पसंद है।"],
    "he": ["שלום"],
    "ru": ["Да", "Нет."],
    "de": ["Ja.", "Nein", "gut so"],
    "vi": ["Xin chào"],
    "am": ["ሰላም፡ለዓለም።"],
    "en": ["", " ", "\u3000"],
}
"""Text in many scripts, with lines that are shorter than the four words of BLEU's longest sequences."""


@pytest.mark.parametrize("language", PERFECT)
def test_references_against_themselves_are_perfect(language: str) -> None:
    metrics = Metrics.for_language(language)
    for lines in (PERFECT[language], PERFECT[language][-1:], [*PERFECT[language] * 40, ""]):
        scores = {key: metric.score for key, metric in metrics.score(lines, lines).items()}
        assert scores.pop("bleu_lowercase_moses", 100) == pytest.approx(100)
        assert scores == pytest.approx({"bleu": 100, "chrf": 100, "ter": 0, "bleu_lowercase_tokenized": 100})
        assert metrics.bleu(lines, lines) == pytest.approx(100)
        for unit in UNITS:
            buckets = metrics.bleu_by_length(lines, lines, lines, unit=unit)
            assert [bucket["bleu"] for bucket in buckets] == pytest.approx([100] * len(buckets))


def test_short_references_are_scored_by_the_sequences_that_they_have() -> None:
    references = ["guten Morgen", "ja"]
    scores = METRICS.score(["guten Abend", "ja"], references)
    # Words: 2 of 3. Pairs: 0 of 1, which smoothing counts as half a match. No line has three words.
    assert scores["bleu"].score == pytest.approx(100 * (2 / 3 * 0.5 / 1) ** (1 / 2))
    assert "|eff:yes|" in scores["bleu"].signature
    assert "|eff:no|" in METRICS.score(["ja"], ["ja das ist gut"])["bleu"].signature


def test_empty_lines_score_nothing_against_text() -> None:
    assert METRICS.bleu(["", ""], ["ja", "nein"]) == METRICS.chrf(["", ""], ["ja", "nein"]) == 0
    assert METRICS.bleu(["ja", "nein"], ["", ""]) == METRICS.chrf(["ja", "nein"], ["", ""]) == 0


def test_chinese_and_thai_bleu_by_hand() -> None:
    # Of 7 characters 6 are right; of the 6, 5 and 4 sequences of two to four, those without the last.
    expected = 100 * (6 / 7 * 5 / 6 * 4 / 5 * 3 / 4) ** (1 / 4)
    assert Metrics.for_language("zh").bleu(["我喜欢吃苹梨"], ["我喜欢吃苹果"]) == pytest.approx(
        100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** (1 / 4)
    )
    assert Metrics.for_language("th").bleu(["กขคงจฉx"], ["กขคงจฉช"]) == pytest.approx(expected)


def test_signatures_state_the_tokenizer_of_the_language() -> None:
    scores = Metrics.for_language("zh_CN").score(["你好"], ["你好"])
    assert "|tok:zh|" in scores["bleu"].signature and "|tok:zh|" in scores["bleu_lowercase_tokenized"].signature
    assert "|norm:yes|punct:yes|asian:yes|" in scores["ter"].signature


def test_ter_counts_chinese_characters() -> None:
    scores = Metrics.for_language("zh").score(["我喜欢吃苹梨"], ["我喜欢吃苹果"])
    assert scores["ter"].score == pytest.approx(100 / 6)


def test_long_sentences_of_a_language_without_spaces_have_buckets() -> None:
    sources = ["字" * length for length in (5, 25, 35, 70)]
    buckets = METRICS.bleu_by_length(sources, ["a b c d"] * 4, ["a b c d"] * 4, unit="characters")
    assert [(b["from"], b["to"]) for b in buckets] == [(1, 20), (21, 30), (31, 40), (61, None)]


@pytest.mark.parametrize(("extra", "language"), [("ja", "ja"), ("ko", "ko_KR")])
def test_a_tokenizer_that_is_not_installed_is_replaced_by_characters_or_named(
    extra: str, language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(f"sacrebleu.tokenizers.tokenizer_{extra}_mecab")
    monkeypatch.setattr(module, "MeCab", None)
    assert Metrics.for_language(language).bleu_tokenizer == "char"
    with pytest.raises(UserError, match=rf"pip install 'nmt\[{extra}\]', or .* bleu_tokenizer=char"):
        Metrics(language=language, bleu_tokenizer=f"{extra}-mecab")


@pytest.mark.parametrize("extra", ["ja", "ko"])
def test_an_installed_tokenizer_is_used(extra: str) -> None:
    pytest.importorskip({"ja": "MeCab", "ko": "mecab_ko"}[extra])
    metrics = Metrics.for_language(extra)
    assert f"|tok:{extra}-mecab" in metrics.score(PERFECT[extra], PERFECT[extra])["bleu"].signature


def test_an_unknown_tokenizer_is_refused() -> None:
    with pytest.raises(UserError, match=r"bleu_tokenizer=13b is unknown: it can be .*zh.*; did you mean 13a"):
        Metrics(language="de", bleu_tokenizer="13b")
    with pytest.raises(UserError) as caught:
        Metrics(language="de", bleu_tokenizer="a\n" * 999)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
