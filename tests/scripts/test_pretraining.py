"""scripts/pretraining.sh, which measures what pre-training brings, and its page."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from nmt.cli import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def table(load_script: Callable[[str], ModuleType]) -> ModuleType:
    """scripts/pretraining_table.py as a module."""
    return load_script("pretraining_table")


def test_the_script_pretrains_then_trains_on_pairs(
    start_script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """With a stand-in for Python that writes down what it is called with."""
    text = tmp_path / "my text"
    text.mkdir()
    for split in ("train", "val", "test_2016_flickr"):
        for language in ("en", "de"):
            lines = "A dog.\n" * (1200 if split == "train" else 3)
            (text / f"{split}.{language}.gz").write_bytes(gzip.compress(lines.encode()))  # as in Multi30k
    variables = {"DATA": "my text", "RUNS": "my runs", "OUT": "my page", "JOBS": "1"}
    done = start_script("pretraining.sh", "seed=3", **variables, SEEDS="1", STARTS="none masked", PAIRS="1000")
    assert done.returncode == 0, done.stderr
    runs = tmp_path / "my runs"
    assert done.stdout.splitlines() == [f"scripts/pretraining_table.py {runs} {tmp_path / 'my page'}"]
    train = "-m nmt train experiment=pretraining"
    common = f"data=text data.path={runs}/text seed=1 run={runs}"
    assert (runs / "masked-seed1.log").read_text().splitlines() == [
        f"{train} objective=masked {common}/masked-seed1 resume=auto threads=1 loader.batch_tokens=3200 seed=3"
    ]
    assert (runs / "none-seed1.log").read_text().splitlines() == [
        f"{train} objective=denoising {common}/none-seed1 resume=auto threads=1 seed=3 trainer.max_steps=1 "
        "schedule.learning_rate=1e-12"
    ]
    run = f"run={runs}/1000/masked-seed1"
    assert (runs / "1000" / "masked-seed1.log").read_text().splitlines() == [
        f"{train} data=files data.path={runs}/1000/text init={runs}/masked-seed1 seed=1 {run} resume=auto threads=1 "
        "loader.batch_tokens=800 trainer.max_steps=1000 trainer.validate_every=250 seed=3",
        f"-m nmt evaluate split=test_2016_flickr {run} threads=1",
    ]
    assert (runs / "1000" / "text" / "train.de").read_text().count("\n") == 1000
    assert (runs / "text" / "train.de").read_text().count("\n") == 1200


def test_help_and_a_wrong_folder_of_text(start_script: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = start_script("pretraining.sh", "--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: DATA=DIR scripts/pretraining.sh")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert start_script("pretraining.sh").returncode == 2
    done = start_script("pretraining.sh", DATA="nowhere")
    assert done.stderr == "DATA=nowhere is not a folder: name the one with train.en and train.de\n"


@pytest.mark.slow
def test_the_page_shows_the_means_of_the_runs(
    table: ModuleType,
    corpus_folder: Path,
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny = [*tiny_models["lstm"], *tiny_training, "validation_split=val", f"data.path={corpus_folder}"]
    pretraining = ["train", "objective=masked", "data=text", *tiny, f"run={tmp_path / 'masked-seed1'}"]
    assert main(pretraining) == 0
    for name in ("none-seed1", "none-seed2"):
        run = tmp_path / "1000" / name
        assert main(["train", "data=files", *tiny, f"run={run}"]) == 0
        assert main(["evaluate", f"run={run}", "split=val"]) == 0
        (run / "evaluation" / "val.json").rename(run / "evaluation" / "test_2016_flickr.json")
    monkeypatch.setattr(sys, "argv", ["pretraining_table.py", str(tmp_path), str(tmp_path / "page")])
    table.main()
    page = (tmp_path / "page" / "pretraining.md").read_text()
    runs = json.loads((tmp_path / "page" / "pretraining.json").read_text())["runs"]
    assert list(runs) == ["1000/none-seed1", "1000/none-seed2", "masked-seed1"] and runs["masked-seed1"]["loss"] > 0
    assert "| start | 1,000 pairs |\n| --- | ---: |\n| no pre-training | 0.0 ± 0.0 |\n\n" in page
    assert "Means over 2 seeds" in page
    monkeypatch.setattr(sys, "argv", ["pretraining_table.py", str(tmp_path / "nothing"), str(tmp_path / "page")])
    table.main()  # the figures of runs that are elsewhere stay
    assert (tmp_path / "page" / "pretraining.md").read_text() == page
    monkeypatch.setattr(sys, "argv", ["pretraining_table.py", str(tmp_path / "page"), str(tmp_path)])
    with pytest.raises(SystemExit, match=r"has no evaluated run: call scripts/pretraining.sh"):
        table.main()
