import random

import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from nmt.evaluation.significance import paired_bootstrap

random_ = random.Random(7)
WORDS = ["der", "die", "ein", "eine", "Hund", "Katze", "Mann", "Frau", "läuft", "schläft", "sieht", "im", "Park", "rot"]
REFERENCES = [" ".join(random_.choices(WORDS, k=random_.randint(6, 14))) + "." for _ in range(120)]


def damaged(share: float, seed: int) -> list[str]:
    own = random.Random(seed)
    return [" ".join("x" if own.random() < share else word for word in line.split()) for line in REFERENCES]


BASELINE = damaged(0.3, seed=1)
EQUALLY_GOOD = damaged(0.3, seed=2)
BETTER = damaged(0.1, seed=3)
ALL_BUT_ONE = [REFERENCES[0], *BASELINE[1:]]

SYSTEMS = {"a": BASELINE, "same": list(BASELINE), "one": ALL_BUT_ONE, "equal": EQUALLY_GOOD, "better": BETTER}


@pytest.fixture(scope="module")
def results():
    return paired_bootstrap(SYSTEMS, REFERENCES, baseline="a")


def test_a_system_does_not_differ_from_itself(results):
    assert results["same"].difference == 0
    assert results["same"].difference_interval == (0, 0)
    assert results["same"].p_value == 1


def test_a_clear_difference_is_significant(results):
    better = results["better"]
    assert better.p_value < 0.002
    low, high = better.difference_interval
    assert 0 < low < better.difference < high
    worse = paired_bootstrap(SYSTEMS, REFERENCES, baseline="better")["a"]
    assert worse.difference == pytest.approx(-better.difference)
    assert worse.p_value == better.p_value


@pytest.mark.parametrize("system", ["one", "equal"])
def test_luck_is_not_significant(results, system):
    """Another seed's damage of the same strength; and one sentence more that is right."""
    assert results[system].p_value > 0.2
    low, high = results[system].difference_interval
    assert low <= 0 <= high


def test_the_baseline_has_no_p_value(results):
    assert results["a"].p_value is None
    assert results["a"].difference == 0


def test_scores_and_intervals_are_sacrebleus(results, monkeypatch):
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    _, scores = PairedTest(list(SYSTEMS.items()), {"BLEU": BLEU()}, [REFERENCES], test_type="bs", n_samples=1000)()
    for name, theirs in zip(scores["System"], scores["BLEU"], strict=True):
        ours = results[name]
        assert (ours.bleu, ours.mean, ours.margin) == pytest.approx((theirs.score, theirs.mean, theirs.ci), abs=1e-3)


def test_approximate_randomisation_agrees(results, monkeypatch):
    """Another test of the same hypothesis; sacreBLEU's, away from the ties that it miscounts."""
    monkeypatch.setenv("SACREBLEU_SEED", "12345")
    two = [("a", BASELINE), ("equal", EQUALLY_GOOD)]
    _, scores = PairedTest(two, {"BLEU": BLEU()}, [REFERENCES], test_type="ar", n_samples=2000)()
    assert results["equal"].p_value == pytest.approx(scores["BLEU"][1].p_value, abs=0.08)


def test_deterministic(results):
    assert paired_bootstrap(SYSTEMS, REFERENCES, baseline="a") == results


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="'c' is none of the systems: a"):
        paired_bootstrap({"a": BASELINE}, REFERENCES, baseline="c")
    with pytest.raises(ValueError, match="b has 3 hypotheses for 120 references"):
        paired_bootstrap({"a": BASELINE, "b": BASELINE[:3]}, REFERENCES, baseline="a")
