"""Learning curves and line charts: their lines, ticks and points."""

import itertools
import re

import pytest
from jinja2 import Environment, PackageLoader

from nmt.report.chart import choose_ticks, layout_chart, thin_out
from nmt.report.curves import learning_curves
from nmt.run.history import HistoryRecord, RunHistory


def train(step: int) -> HistoryRecord:
    return HistoryRecord(kind="train", step=step, seconds=step / 2, loss=1.0, tokens_per_second=100.0)


def validation(step: int, *, bleu: float | None = 10.0) -> HistoryRecord:
    return HistoryRecord(kind="validation", step=step, seconds=step / 2, loss=2.0, bleu=bleu)


def test_curves_are_drawn_over_steps_and_over_minutes() -> None:
    long = RunHistory(
        train=[train(i) for i in range(1, 1001)],
        validation=[validation(500), validation(1000, bleu=40.0)],
        averaged=[],
        end=None,
    )
    without_bleu = RunHistory(train=[train(5)], validation=[validation(5, bleu=None)], averaged=[], end=None)
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
    assert bleu.lines[0].style == 0


def test_the_figures_of_the_attention_are_drawn_over_steps_only() -> None:
    first = HistoryRecord(kind="validation", step=5, seconds=1.0, attention_entropy=2.0, alignment_error=0.5)
    second = HistoryRecord(kind="validation", step=9, seconds=2.0, attention_entropy=1.0, alignment_error=0.25)
    charts = learning_curves({"a": RunHistory(train=[], validation=[first, second], averaged=[], end=None)})
    assert [(chart.title, chart.x_label) for chart in charts] == [
        ("Alignment error rate", "training steps"),
        ("Entropy of attention, in nats", "training steps"),
    ]
    assert charts[0].lines[0].points[-1][2] == "a: 0.25 at 9"


def test_runs_that_validated_without_bleu_have_no_bleu_chart() -> None:
    history = RunHistory(train=[train(5)], validation=[validation(5, bleu=None)], averaged=[], end=None)
    assert {chart.title for chart in learning_curves({"a": history})} == {"Training loss", "Validation loss"}


@pytest.mark.parametrize("low", [0, 1.9, -3, 41])
@pytest.mark.parametrize("span", [0, 0.013, 1, 7, 99, 12345])
def test_ticks_are_round_and_enclose_the_values(low: float, span: float) -> None:
    values = choose_ticks(low, low + span)
    assert values[0] <= low + 1e-9
    assert values[-1] >= low + span - 1e-9
    assert 2 <= len(values) <= 8
    steps = {round(b - a, 9) for a, b in itertools.pairwise(values)}
    assert len(steps) == 1
    assert f"{steps.pop():e}"[0] in "125"


def test_thinning_out_keeps_the_shape_of_a_line() -> None:
    points = [(float(x), 3.0 * x) for x in range(1000)]
    thin = thin_out(points, max_points=200)
    assert len(thin) == 200
    assert all(y == pytest.approx(3 * x) for x, y in thin)
    assert thin_out(points[:7], max_points=200) == points[:7]
    assert thin_out([], max_points=200) == []


def test_a_band_goes_along_its_upper_and_back_along_its_lower_ends() -> None:
    chart = layout_chart(
        title="t",
        x_label="x",
        names=["a", "b"],
        lines=[[(0, 1.0), (10, 3.0)], [(5, 2.0)]],
        bands=[[(0, 0.0, 2.0), (10, 2.0, 4.0)], []],
        styles=[3, 3],
        from_zero=True,
    )
    middle = (chart.top + chart.bottom) / 2
    right, left = chart.right, chart.left
    assert chart.lines[0].band == [(left, middle), (right, chart.top), (right, middle), (left, chart.bottom)]
    assert chart.lines[1].band == []
    assert [line.style for line in chart.lines] == [3, 3]


def test_numbers_are_written_in_full() -> None:
    chart = layout_chart(
        title="t", x_label="x", names=["a"], lines=[[(0.25, 1.0), (12345, 2.5), (1_500_000, 2.0)]], from_zero=True
    )
    assert [text for _, _, text in chart.lines[0].points] == ["a: 1 at 0.25", "a: 2.5 at 12,345", "a: 2 at 1,500,000"]
    assert [text for _, text in chart.x_ticks] == ["0", "500,000", "1,000,000", "1,500,000"]


def test_no_two_of_32_lines_look_alike() -> None:
    names = [f"system {number}" for number in range(32)]
    template = Environment(loader=PackageLoader("nmt.report")).from_string(
        '{% from "_chart.html.j2" import draw_legend %}{{ draw_legend(names, range(32)) }}'
    )
    looks = re.findall(r'class="line ([^"]*)"', template.render(names=names))
    assert len(set(looks)) == 32


def test_scores_up_to_a_hundred_get_ticks_at_every_twenty() -> None:
    assert choose_ticks(0, 100 + 1e-12) == [0, 20, 40, 60, 80, 100]
