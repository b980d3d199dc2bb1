"""scripts/finetuning.sh, which measures what a general system brings to a translation from few pairs."""

import subprocess
from collections.abc import Callable
from pathlib import Path


def test_the_script_divides_the_text_and_trains(
    start_script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """With a stand-in for Python that writes down what it is called with."""
    text = tmp_path / "text"
    text.mkdir()
    for language in ("en", "de", "fr"):
        (text / f"train.{language}").write_text("".join(f"{language} {number}\n" for number in range(1, 29_001)))
        (text / f"val.{language}").write_text(f"{language}\n")
    done = start_script("finetuning.sh", "seed=3", DATA="text", RUNS="runs")
    assert done.returncode == 0, done.stderr
    runs = tmp_path / "runs"
    lines = {path.relative_to(runs).as_posix(): path.read_text().splitlines() for path in runs.glob("*/train.*")}
    assert {name: (each[0], each[-1]) for name, each in lines.items()} == {
        "pairs/train.en": ("en 1", "en 1000"), "pairs/train.de": ("de 1", "de 1000"),
        "en-fr/train.en": ("en 1001", "en 15000"), "en-fr/train.fr": ("fr 1001", "fr 15000"),
        "fr-de/train.fr": ("fr 15001", "fr 29000"), "fr-de/train.de": ("de 15001", "de 29000"),
    }  # fmt: skip
    assert {path.relative_to(runs).as_posix() for path in runs.glob("*/val.*")} == {
        name.replace("train", "val") for name in lines
    }
    log = (runs / "fine-tuned.log").read_text().splitlines()
    assert f"init={runs}/general" in log[0] and "seed=3" in log[0]
    assert log[1] == f"-m nmt evaluate split=val run={runs}/fine-tuned threads=1"
