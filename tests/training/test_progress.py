"""The progress bar, the log and durations in words."""

import re
from pathlib import Path

import pytest

from nmt.training.progress import ProgressBar, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (42.4, "42 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (65, "1 min 05 s"),
        (200, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (3900, "1 h 05 min"),
        (90_000, "25 h 00 min"),
    ],
)
def test_duration_in_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_lines_go_to_standard_error_and_to_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["step 3: [bold] is no markup, and this line is longer than any terminal is wide " + "x" * 200, "two"]
    with ProgressBar("title", log=tmp_path / "log.txt") as bar:
        for line in lines:
            bar.print(line)
            bar.update(fraction=0.5, loss=1.0, tokens_per_second=1000.0, seconds_left=3.0)
    assert capsys.readouterr() == ("", "".join(line + "\n" for line in lines))
    logged = (tmp_path / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ", "", line) for line in logged] == lines
    assert logged != lines


def test_the_bar_shows_loss_speed_and_time_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    bar = ProgressBar("title", log=tmp_path / "log.txt")
    bar.update(fraction=0.25, loss=1.234, tokens_per_second=12345.6, seconds_left=61.0)
    with bar.console.capture() as captured:
        bar.console.print(bar._bar.get_renderable())
    shown = re.sub(r"\x1b\[[0-9;]*m", "", captured.get())
    assert "title" in shown
    assert "25% loss 1.23  12,346 tok/s  1 min 01 s left" in shown
