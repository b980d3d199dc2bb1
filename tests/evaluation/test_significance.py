"""Paired bootstrap resampling, compared with sacreBLEU and with approximate randomisation."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest, Result

from nmt.errors import UserError
from nmt.evaluation import Metrics
from nmt.evaluation.bleu import bleu_of_draws, corpus_bleu
from nmt.evaluation.significance import Significance, paired_bootstrap

METRICS = Metrics(language="de", bleu_tokenizer="13a")
Results = dict[str, Significance]

draw = random.Random(7)
WORDS = ["der", "die", "ein", "eine", "Hund", "Katze", "Mann", "Frau", "läuft", "schläft", "sieht", "im", "Park", "rot"]
REFERENCES = [" ".join(draw.choices(WORDS, k=draw.randint(6, 14))) + "." for _ in range(120)]


def damage(fraction: float, seed: int) -> list[str]:
    """The references with a fraction of their words replaced."""
    generator = random.Random(seed)
    return [" ".join("x" if generator.random() < fraction else word for word in line.split()) for line in REFERENCES]


BASELINE = damage(0.3, seed=1)
EQUALLY_GOOD = damage(0.3, seed=2)
BETTER = damage(0.1, seed=3)
ALL_BUT_ONE = [REFERENCES[0], *BASELINE[1:]]

SYSTEMS = {"a": BASELINE, "same": list(BASELINE), "one": ALL_BUT_ONE, "equal": EQUALLY_GOOD, "better": BETTER}


@pytest.fixture(scope="module")
def results() -> Results:
    return paired_bootstrap(SYSTEMS, REFERENCES, baseline="a", metrics=METRICS)


def test_a_system_does_not_differ_from_itself(results: Results) -> None:
    assert results["same"].difference == 0
    assert results["same"].difference_interval == (0, 0)
    assert results["same"].p_value == 1


def test_a_clear_difference_is_significant(results: Results) -> None:
    better = results["better"]
    assert better.p_value is not None and better.p_value < 0.002
    low, high = better.difference_interval
    assert 0 < low < better.difference < high
    worse = paired_bootstrap(SYSTEMS, REFERENCES, baseline="better", metrics=METRICS)["a"]
    assert worse.difference == pytest.approx(-better.difference)
    assert worse.p_value == better.p_value


@pytest.mark.parametrize("system", ["one", "equal"])
def test_luck_is_not_significant(results: Results, system: str) -> None:
    """As many wrong words with another seed; and one more sentence that is right."""
    p_value = results[system].p_value
    assert p_value is not None and p_value > 0.2
    low, high = results[system].difference_interval
    assert low <= 0 <= high


def test_the_baseline_has_no_p_value(results: Results) -> None:
    assert results["a"].p_value is None
    assert results["a"].difference == 0


def sacrebleus_test(systems: dict[str, list[str]], kind: str, num_samples: int) -> dict[str, Result]:
    """sacreBLEU's own paired test of BLEU: "bs" is bootstrap resampling, "ar" approximate randomisation."""
    named: list[tuple[str, Sequence[str]]] = list(systems.items())
    test = PairedTest(named, {"BLEU": BLEU()}, [REFERENCES], test_type=kind, n_samples=num_samples)
    _, scores = test()
    return {name: result for name, result in zip(systems, scores["BLEU"], strict=True) if isinstance(result, Result)}


def test_scores_and_intervals_equal_those_of_sacrebleu(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    theirs = sacrebleus_test(SYSTEMS, "bs", 1000)
    assert theirs.keys() == results.keys()
    for name, ours in results.items():
        expected = (theirs[name].score, theirs[name].mean, theirs[name].ci)
        assert (ours.bleu, ours.mean, ours.margin) == pytest.approx(expected, abs=1e-3)


def test_approximate_randomisation_agrees(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another test of the same hypothesis, sacreBLEU's; this pair has none of the ties that it miscounts."""
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    theirs = sacrebleus_test({"a": BASELINE, "equal": EQUALLY_GOOD}, "ar", 2000)
    assert results["equal"].p_value == pytest.approx(theirs["equal"].p_value, abs=0.08)


def test_the_same_input_gives_the_same_figures(results: Results) -> None:
    assert paired_bootstrap(SYSTEMS, REFERENCES, baseline="a", metrics=METRICS) == results


def test_mistakes_are_user_errors() -> None:
    with pytest.raises(UserError, match="'c' is none of the systems: a"):
        paired_bootstrap({"a": BASELINE}, REFERENCES, baseline="c", metrics=METRICS)
    with pytest.raises(UserError, match="b has 3 hypotheses for 120 references"):
        paired_bootstrap({"a": BASELINE, "b": BASELINE[:3]}, REFERENCES, baseline="a", metrics=METRICS)


def test_a_perfect_system_of_short_lines_has_full_marks_on_every_resample() -> None:
    references = ["Ja.", "Nein.", "Gut so", "", "Danke"]
    perfect = paired_bootstrap({"a": references}, references, baseline="a", metrics=METRICS)["a"]
    assert (perfect.bleu, perfect.mean, perfect.margin) == pytest.approx((100, 100, 0))


def test_chinese_systems_differ_by_their_characters() -> None:
    """With the tokenizer of European languages, a line is one word, and both systems would get nothing."""
    generator = random.Random(1)
    references = ["".join(generator.choices("一二三四五六七八九十", k=12)) + "。" for _ in range(60)]
    worse = [line[:6] + "零" * 6 + line[12:] for line in references]
    better = [line[:11] + "零" + line[12:] for line in references]
    systems = {"worse": worse, "better": better}
    chinese = Metrics.for_language("zh")
    result = paired_bootstrap(systems, references, baseline="worse", metrics=chinese)["better"]
    # Of 13 tokens, "better" has 11 + 1 right ones, and 10, 9 and 8 sequences of two to four characters.
    assert result.bleu == pytest.approx(100 * (12 / 13 * 10 / 12 * 9 / 11 * 8 / 10) ** (1 / 4))
    assert result.p_value is not None and result.p_value < 0.002
    assert paired_bootstrap(systems, references, baseline="worse", metrics=METRICS)["better"].difference == 0


@pytest.mark.parametrize(("shortest", "longest"), [(0, 0), (0, 3), (0, 5), (5, 12)])
def test_the_bleu_of_many_draws_is_that_of_each(shortest: int, longest: int) -> None:
    """Also where n-grams do not match or do not exist, where the effective order counts, and of empty lines."""
    generator = random.Random(shortest + 10 * longest)
    for _ in range(20):
        sides = [
            [" ".join(generator.choices("abcde", k=generator.randint(shortest, longest))) for _ in range(4)]
            for _ in ("hypotheses", "references")
        ]
        counts = METRICS.count_sentences(*sides)
        drawn = [generator.choices(range(4), k=4) for _ in range(10)]
        draws = np.array([np.bincount(indices, minlength=4) for indices in drawn])  # (10, 4)
        assert bleu_of_draws(counts, draws) == pytest.approx([corpus_bleu(counts[indices]) for indices in drawn])
