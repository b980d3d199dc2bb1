import itertools
import json

import pytest

from nmt.report.chart import line_chart, thinned, ticks
from nmt.report.curves import History, learning_curves, read_history


def train(step: int, **changes) -> dict:
    return {"kind": "train", "step": step, "seconds": step / 2, "loss": 1.0, "tokens_per_second": 100.0, **changes}


def validation(step: int, **changes) -> dict:
    return {"kind": "validation", "step": step, "seconds": step / 2, "loss": 2.0, "bleu": 10.0, **changes}


def written(path, records, end="\n"):
    path.write_text("\n".join(json.dumps(record) for record in records) + end, encoding="utf-8")
    return path


def test_history_is_summed_up(tmp_path):
    speeds = [5.0, 100.0, 110.0, 120.0, 130.0]
    records = [train(10 * i, tokens_per_second=speed) for i, speed in enumerate(speeds, start=1)]
    records += [validation(step, bleu=bleu) for step, bleu in ((20, 3.0), (30, 9.0), (40, 9.0), (50, None))]
    history = read_history(written(tmp_path / "history.jsonl", records))
    assert (history.steps, history.seconds, history.tokens_per_second) == (50, 25.0, 110.0)
    assert history.best_validation["step"] == 30


def test_what_a_resumed_run_repeats_replaces_what_it_wrote_before(tmp_path):
    records = [train(10), train(20, loss=7.0), train(30, loss=7.0), validation(30, bleu=99.0), train(20), train(30)]
    records += [validation(30), train(40)]
    history = read_history(written(tmp_path / "history.jsonl", records))
    assert [(r["step"], r["loss"]) for r in history.train] == [(10, 1.0), (20, 1.0), (30, 1.0), (40, 1.0)]
    assert [r["bleu"] for r in history.validation] == [10.0]


def test_the_mean_of_checkpoints_may_be_the_best_but_is_no_point_of_a_curve(tmp_path):
    """It is validated at the step of the last checkpoint, whose own validation it does not replace."""
    records = [train(10), validation(10, bleu=5.0), train(20), validation(20, bleu=9.0)]
    better = read_history(written(tmp_path / "a.jsonl", [*records, validation(20, bleu=9.5, averaged=2)]))
    worse = read_history(written(tmp_path / "b.jsonl", [*records, validation(20, bleu=8.0, averaged=2)]))
    assert [r["bleu"] for r in better.validation] == [r["bleu"] for r in worse.validation] == [5.0, 9.0]
    assert (better.best_validation["bleu"], worse.best_validation["bleu"]) == (9.5, 9.0)


def test_half_a_last_line_is_passed_over(tmp_path):
    history = read_history(written(tmp_path / "history.jsonl", [train(10)], end='\n{"kind": "tra'))
    assert history.steps == 10


def test_damage_is_named(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text(json.dumps(train(10)) + '\n{"kind": "train"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"history\.jsonl, line 2, is damaged"):
        read_history(path)
    path.unlink()
    with pytest.raises(ValueError, match=r"history\.jsonl is missing"):
        read_history(path)


def test_curves_over_steps_and_over_minutes():
    long = History(
        train=[train(i) for i in range(1, 1001)], validation=[validation(500), validation(1000, bleu=40.0)], averaged=[]
    )
    without_bleu = History(train=[train(5)], validation=[validation(5, bleu=None)], averaged=[])
    charts = learning_curves({"long": long, "short": without_bleu})
    titles = ["Training loss", "Validation loss", "Validation BLEU"]
    assert [(c.title, c.x_label) for c in charts] == [
        (title, axis) for axis in ("training steps", "minutes of training") for title in titles
    ]
    assert [line.name for line in charts[0].lines] == ["long", "short"]
    assert [line.name for line in charts[2].lines] == ["long"]
    assert len(charts[0].lines[0].points) <= 200
    assert charts[0].x_ticks[-1][1] == "1,000"
    assert charts[3].x_ticks[-1][1] == "10"  # 1,000 steps of half a second: 8.3 minutes
    bleu = charts[2]
    assert bleu.y_ticks[0][1] == "0"
    (x, y, text) = bleu.lines[0].points[-1]
    assert (x, y) == (bleu.right, bleu.top)  # the highest BLEU at the last step
    assert text == "long: 40 at 1,000"
    assert bleu.lines[0].system == 0


def test_runs_that_validated_without_bleu_have_no_bleu_chart():
    history = History(train=[train(5)], validation=[validation(5, bleu=None)], averaged=[])
    assert {chart.title for chart in learning_curves({"a": history})} == {"Training loss", "Validation loss"}


@pytest.mark.parametrize("low", [0, 1.9, -3, 41])
@pytest.mark.parametrize("span", [0, 0.013, 1, 7, 99, 12345])
def test_ticks_are_round_and_enclose_the_values(low, span):
    values = ticks(low, low + span)
    assert values[0] <= low + 1e-9
    assert values[-1] >= low + span - 1e-9
    assert 2 <= len(values) <= 8
    steps = {round(b - a, 9) for a, b in itertools.pairwise(values)}
    assert len(steps) == 1
    assert f"{steps.pop():e}"[0] in "125"


def test_thinning_keeps_the_course():
    points = [(float(x), 3.0 * x) for x in range(1000)]
    thin = thinned(points, most=200)
    assert len(thin) == 200
    assert all(y == pytest.approx(3 * x) for x, y in thin)
    assert thinned(points[:7], most=200) == points[:7]
    assert thinned([], most=200) == []


def test_categories_stand_apart_from_the_edges():
    chart = line_chart(
        title="t",
        x_label="x",
        names=["a"],
        lines=[[(0, 1.0), (2, 3.0)]],
        from_zero=True,
        x_names=["1–10", "11+", "21+"],
    )
    assert [name for _, name in chart.x_ticks] == ["1–10", "11+", "21+"]
    assert chart.left < chart.x_ticks[0][0] < chart.x_ticks[1][0] < chart.x_ticks[2][0] < chart.right
    assert [x for x, _, _ in chart.lines[0].points] == [chart.x_ticks[0][0], chart.x_ticks[2][0]]
