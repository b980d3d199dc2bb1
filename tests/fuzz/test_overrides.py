"""Whatever overrides a command is given, it ends with exit code 0 or 2, and in the second case says why in one line.

The commands run by their real entry point, on a trained run and a tiny corpus. Only what follows the preparation of a
training run is left out, because some of these settings would train for a long time.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nmt.cli.benchmark
import nmt.cli.doctor
import nmt.cli.train
from nmt.cli import main
from nmt.cli.shell.settings import to_settings
from nmt.errors import UserError

Outcome = Callable[[Callable[[], object], str], None]

KEYS = [
    *("run", "runs", "out", "name", "split", "data.path", "data.source", "train_split", "validation_split", "device"),
    *("seed", "resume", "tracker", "batch_tokens", "layer", "n_best", "format", "data", "model", "search"),
    *("trainer", "tokenizer", "optimizer", "schedule", "cleaning", "experiment", "model/score", "data@x", "hydra.x"),
    *("trainer.max_steps", "trainer.patience", "trainer.max_minutes", "trainer.x", "trainer.precision"),
    *("loader.batch_tokens", "loader.max_length", "loader.num_workers", "loader.subword_alpha", "model.dropout"),
    *("tokenizer.vocab_size", "tokenizer.model_type", "tokenizer.shared", "optimizer.betas", "optimizer.eps"),
    *("schedule.learning_rate", "schedule.warmup_steps", "search.beam_size", "search.length_penalty"),
    *("search.max_length_factor", "search.max_length_margin", "cleaning.max_ratio", "model._target_", "x", "a.b.c.d"),
    *("", "ключ", "x y", "_target_", "name.x", "data.path.x"),
]
VALUES = [
    *("", "null", "true", "two", "0", "1", "-1", "2.5", "1e400", "nan", "-inf", "9" * 30, "9" * 5000, "1e-320"),
    *("[a,b]", "[1,", "]", "{a:1}", "{", "[[[[", "[" * 3000, "()", "a(b", "${seed}", "${nowhere}", "${", "${oc.env:X}"),
    *(
        "'",
        '"x',
        "'x'",
        "\\",
        "\\'",
        "#",
        "a b",
        "a,b",
        "a=b",
        "???",
        "prüfung",
        "тест",
        "~/korpus",
        "😀",
        "\n",
        "\t",
        "%",
    ),
    *("choice(1,2)", "range(1,3)", "glob(*)", "interval(0,1)", "lstm", "run", "nmt.models.DotScore", "os.system"),
    *("\x00", "../..", "x" * 300, "\udcff", "!!python/object:os.system"),
]
PREFIXES = ["", "", "", "", "+", "++", "~", "-", "--"]

fuzz = hypothesis.settings.get_profile("fuzz")
slow_fuzz = hypothesis.settings(fuzz, max_examples=max(1, fuzz.max_examples // 6))
"""A command takes a tenth of a second."""

characters = st.text(alphabet="=.,[]{}()'\"\\$~+@:#% \n\té0aτ/-", max_size=6)
overrides = st.builds(
    lambda prefix, key, equals, value: f"{prefix}{key}{equals}{value}",
    st.sampled_from(PREFIXES),
    st.one_of(st.sampled_from(KEYS), characters),
    st.sampled_from(["=", "=", "=", "=", "=", "=", ""]),
    st.one_of(st.sampled_from(VALUES), characters),
)


@pytest.fixture
def command_lines(
    trained_run: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> dict[str, list[str]]:
    """Command lines by which each command works; training ends when everything is built."""
    monkeypatch.chdir(tmp_path)

    def stop(*args: object, **kwargs: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(nmt.cli.train, "open_folder", stop)
    monkeypatch.setattr(nmt.cli.doctor, "try_training", stop)
    settings = nmt.cli.benchmark.BenchmarkSettings
    monkeypatch.setattr(nmt.cli.benchmark, "run", lambda config: to_settings(config, settings))
    (tmp_path / "input.txt").write_text("one two\n")
    training = ["data=files", f"data.path={corpus_folder}", *tiny_models["lstm"], *tiny_training, "run=new"]
    return {
        "train": training,
        "doctor": training,
        "benchmark": ["data=grammar"],
        "translate": [f"run={trained_run}", "input=input.txt", "output=output.txt", "device=cpu"],
        "evaluate": ["run=missing", "split=test", "device=cpu"],
        "compare": ["runs=[missing]", "split=test"],
        "plot": [f"run={trained_run}", "source=one two", "out=plot.json", "device=cpu"],
        "demo": ["--cfg", "job"],
    }


@pytest.mark.parametrize(
    "command", ["train", "doctor", "benchmark", "translate", "evaluate", "compare", "plot", "demo"]
)
def test_overrides_of(
    command: str, command_lines: dict[str, list[str]], outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(words: list[str]) -> None:
        capsys.readouterr()
        code = main([command, *command_lines[command], *words])
        error = capsys.readouterr().err
        assert "Traceback" not in error, (words, error)
        assert code in (0, 2, 130), (words, code, error)  # 130: everything is built
        if code == 2:
            assert error.startswith(f"nmt {command}: ") and error.count("\n") == 1, (words, error)
            raise UserError(error)

    @slow_fuzz
    @given(st.lists(overrides, min_size=1, max_size=2))
    def check(words: list[str]) -> None:
        outcome(lambda: run(words), "")

    check()
