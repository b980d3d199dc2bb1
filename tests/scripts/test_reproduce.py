"""scripts/reproduce.sh and multi30k_table.py: training, evaluation and the page, with small models on a tiny corpus.

The script runs as a user starts it, but with a stand-in for Python, which sends each command to this process: a new
process would need seconds to load torch.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from types import ModuleType

import pytest

from nmt.cli import main

ROOT = Path(__file__).parents[2]
SPLITS = ["val", "test_2016_flickr", "test_2017_flickr"]
EVALUATIONS = [f"evaluate split={split}" for split in SPLITS]

STAND_IN = """\
#!{python} -S
import json, socket, sys
connection = socket.create_connection(("127.0.0.1", {port}))
connection.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
sys.exit(int(connection.recv(16)))
"""


@pytest.fixture
def table(load_script: Callable[[str], ModuleType]) -> ModuleType:
    """scripts/multi30k_table.py as a module."""
    return load_script("multi30k_table")


class Reproduction:
    """Starts the script, and runs the commands that it calls.

    Attributes:
        commands: the first words of the commands of the last start: "train seed=1", "evaluate split=val", "table".
    """

    def __init__(self, folder: Path, corpus: Path, table: ModuleType, settings: list[str]) -> None:
        self.folder = folder
        self.table = table
        self.settings = settings
        self.commands: list[str] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self.server.settimeout(0.05)
        stand_in = folder / "python"
        stand_in.write_text(STAND_IN.format(python=sys.executable, port=self.server.getsockname()[1]))
        stand_in.chmod(0o755)
        parameters = {"DATA": str(corpus), "RUNS": "runs", "OUT": "page", "SYSTEMS": "transformer", "SEEDS": "1 2"}
        self.environment = {**os.environ, **parameters, "JOBS": "1", "PYTHON": str(stand_in)}

    def start(self, *, kill_at: int | None = None) -> int:
        """Starts the script, and returns its exit code. It is killed when it calls the command number `kill_at`."""
        self.commands.clear()
        script = subprocess.Popen(
            [ROOT / "scripts" / "reproduce.sh", *self.settings],
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
        )
        while script.poll() is None:
            try:
                connection, _ = self.server.accept()
            except TimeoutError:
                continue
            with connection:
                words = json.loads(connection.makefile().readline())
                if len(self.commands) == kill_at:
                    os.killpg(script.pid, signal.SIGKILL)
                    return script.wait()
                connection.sendall(str(self.run(words)).encode())
        return script.wait()

    def run(self, words: list[str]) -> int:
        """Runs what Python was called with; a command has the current folder of the script, which is the project's."""
        if words[:2] == ["-m", "nmt"]:
            self.commands.append(f"{words[2]} {words[4 if words[2] == 'train' else 3]}")
            return main(words[2:])
        self.commands.append("table")
        sys.argv = words
        self.table.main()
        return 0


def read_times(folder: Path) -> dict[Path, int]:
    """When each file of the run folders was last changed."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_page_is_made_from_runs_that_continue_after_a_kill(
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    table: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # 1. A corpus with the names of Multi30k's splits, and recipes that are small.
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for split, source in {"train": "train", **dict(zip(SPLITS, ["val", "test", "val"], strict=True))}.items():
        for language in ("en", "de"):
            (corpus / f"{split}.{language}").write_bytes((corpus_folder / f"{source}.{language}").read_bytes())
    dropped = ("search=greedy", "trainer.max_steps=1", "model=transformer")
    small = [word for word in tiny_models["transformer"] + tiny_training if word not in dropped]
    settings = [*small, "trainer.max_epochs=1", "schedule.warmup_steps=1"]
    monkeypatch.setattr(sys, "argv", [])
    reproduction = Reproduction(tmp_path, corpus, table, settings)

    # 2. Killed while it evaluates the first seed, it makes no page. The same command continues.
    assert reproduction.start(kill_at=2) == -signal.SIGKILL
    assert reproduction.commands == ["train seed=1", "evaluate split=val"]
    assert not (tmp_path / "page").exists()
    finished = read_times(tmp_path / "runs" / "transformer-seed1" / "checkpoints")
    finished |= read_times(tmp_path / "runs" / "transformer-seed1" / "evaluation")
    assert len(finished) >= 6
    assert reproduction.start() == 0
    seeds_and_ensemble = ["train seed=1", *EVALUATIONS, "train seed=2", *EVALUATIONS, *EVALUATIONS]
    assert reproduction.commands == [*seeds_and_ensemble, "table"]
    assert finished.items() <= read_times(tmp_path / "runs").items()

    # 3. The figures are the means over both seeds.
    record = json.loads((tmp_path / "page" / "multi30k.json").read_text())
    page = (tmp_path / "page" / "multi30k.md").read_text()
    (system,) = record["systems"]
    assert [system[key] for key in ("system", "recipe")] == ["transformer", "multi30k_transformer"]
    assert [run["seed"] for run in system["runs"]] == [1, 2]
    assert [run["epochs"] for run in system["runs"]] == [1, 1]
    for split in SPLITS:
        files = [tmp_path / "runs" / f"transformer-seed{seed}" / "evaluation" / f"{split}.json" for seed in (1, 2)]
        a, b = (json.loads(file.read_text())["metrics"]["chrf"]["score"] for file in files)
        assert a != b
        assert f" {(a + b) / 2:.2f} ± {abs(a - b) / sqrt(2):.2f} |" in page  # n - 1 is 1
    (ensemble,) = record["ensembles"]
    assert ensemble["ensemble"] == "transformer-seed1+transformer-seed2"
    assert page.count("| `transformer-seed1`, `transformer-seed2` |") == 1
    (environment,) = system["runs"][0]["environments"]
    assert page.count(f"; {environment['device']}, threads: 1, fp32\n") == 2

    # 4. The same runs give the same bytes.
    capfd.readouterr()
    monkeypatch.setattr(sys, "argv", ["multi30k_table.py", str(tmp_path / "runs"), str(tmp_path / "again"), *SPLITS])
    table.main()
    for name in ("multi30k.json", "multi30k.md"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "page" / name).read_bytes()
    assert capfd.readouterr().out == table.render_readme_table(record)

    # 5. Figures of older weights or of different searches are refused, and so are seeds with different settings.
    weights = [tmp_path / "runs" / f"transformer-seed{seed}" / "checkpoints" / "best.safetensors" for seed in (1, 2)]
    original = weights[0].read_bytes()
    weights[0].write_bytes(weights[1].read_bytes())
    with pytest.raises(SystemExit, match="transformer-seed1 has changed since its evaluations"):
        table.main()
    weights[0].write_bytes(original)
    run = f"run={tmp_path / 'runs' / 'transformer-seed1'}"
    assert main(["evaluate", run, "split=test_2016_flickr", "search.beam_size=1"]) == 0
    with pytest.raises(SystemExit, match="transformer-seed1 has changed between its evaluations"):
        table.main()
    config = tmp_path / "runs" / "transformer-seed2" / "config.yaml"
    config.write_text(config.read_text().replace("label_smoothing: 0.1", "label_smoothing: 0.2"))
    with pytest.raises(SystemExit, match="transformer-seed2 has other settings than the other seeds of transformer"):
        table.main()


def test_without_text_the_script_explains_what_it_needs(
    start_script: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = start_script("reproduce.sh")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: DATA=DIR scripts/reproduce.sh")
    assert max(map(len, done.stderr.splitlines())) <= 80
    assert start_script("reproduce.sh", "--help").stdout == done.stderr
    done = start_script("reproduce.sh", DATA="nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "DATA=nowhere is not a folder: name the one with train.en and train.de\n"


def test_a_run_that_fails_does_not_stop_the_others(
    start_script: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """All paths are relative and contain a space."""
    (tmp_path / "my text").mkdir()
    python = tmp_path / "my python"
    python.write_text('#!/bin/sh\ncase "$*" in *lstm*) echo "nmt train: no room"; exit 2;; esac\necho "$@"\n')
    python.chmod(0o755)
    variables = {"DATA": "my text", "RUNS": "my runs", "OUT": "my page", "PYTHON": "./my python", "SEEDS": "1"}
    done = start_script("reproduce.sh", "device=cpu", **variables, SYSTEMS="lstm luong", JOBS="1")
    assert (done.returncode, done.stdout) == (1, "")  # no page
    assert "\nlstm-seed1 failed: nmt train: no room\n" in done.stderr
    assert done.stderr.endswith("The same command continues.\n")
    calls = (tmp_path / "my runs" / "luong-seed1.log").read_text().splitlines()
    assert len(calls) == 4
    assert calls[0].endswith(f"run={tmp_path}/my runs/luong-seed1 resume=auto data.path={tmp_path}/my text device=cpu")
    done = start_script("reproduce.sh", **{**variables, "SEEDS": "1 2"}, SYSTEMS="luong")
    members = f"run=['{tmp_path}/my runs/luong-seed1','{tmp_path}/my runs/luong-seed2']"
    assert (tmp_path / "my runs" / "luong-ensemble.log").read_text().splitlines() == [
        f"-m nmt evaluate split={split} {members} data.path={tmp_path}/my text" for split in SPLITS
    ]
    assert (done.returncode, done.stdout.split(" val ")[0]) == (
        0,
        f"scripts/multi30k_table.py {tmp_path}/my runs {tmp_path}/my page",
    )


def test_the_page_and_the_readme_show_the_figures_of_multi30k_json(table: ModuleType) -> None:
    results = ROOT / "docs" / "results"
    record = json.loads((results / "multi30k.json").read_text(encoding="utf-8"))
    page = (results / "multi30k.md").read_text(encoding="utf-8")
    assert page == table.render_page(record)
    tables = [block.splitlines() for block in page.split("\n\n") if block.startswith("|")]
    assert len(tables) >= 6
    assert all(len({line.count("|") for line in lines}) == 1 for lines in tables)  # every row has all columns
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert table.render_readme_table(record) in readme
    assert record["signatures"]["bleu"]["signature"] in readme
