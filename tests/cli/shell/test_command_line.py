"""The options that every command has, and several runs from one command line."""

from collections.abc import Callable

import pytest
import yaml
from omegaconf import DictConfig

from nmt.cli import main
from nmt.errors import UserError

Replace = Callable[[Callable[[DictConfig], None]], None]


def test_cfg_job_prints_yaml_and_runs_nothing(calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "--cfg", "job", "seed=2"]) == 0  # `run` may still be missing
    shown = yaml.safe_load(capsys.readouterr().out)
    assert (shown["seed"], shown["run"], shown["title"], shown["voice"]["volume"]) == (2, "???", "${source}", 0.5)
    assert main(["greet", "source=${x}", "--cfg", "job", "run=x", "--resolve"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["folder"] == "runs/plain/calm-seed1"
    assert shown["title"] == shown["source"]
    assert calls == []


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--halp"], "--halp: no such option; did you mean --help?"),
        (
            ["-resume"],
            "-resume: no such option; the options are --help, --cfg job, --multirun, --lines; "
            "a setting is written KEY=VALUE",
        ),
        (["--run=x"], "--run=x: no such option; write run=x"),
        (["--cfg"], "--cfg must be followed by job: --cfg job"),
        (["--cfg", "hydra"], "--cfg must be followed by job: --cfg job"),
        (["--resolve"], "--resolve needs --cfg job"),
        (["--cfg", "job", "-m"], "--cfg job prints the configuration of one run: remove -m"),
        (["--help", "voic=loud"], "voic: no such key; did you mean voice?"),
    ],
)
def test_a_wrong_option_is_named(words: list[str], text: str, error_line: Callable[..., str]) -> None:
    assert error_line("greet", *words) == text


def test_multirun_runs_every_combination(calls: list[DictConfig], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "run=x", "-m", "seed=range(1,3)", "voice=loud,calm", "source=a,b"]) == 0
    assert [(c.seed, c.voice.volume) for c in calls] == [(1, 1.0), (1, 0.5), (2, 1.0), (2, 0.5)]
    assert {config.source for config in calls} == {"a,b"}  # a verbatim value is never several values
    output, error = capsys.readouterr()
    assert output == ""
    assert "nmt greet (2 of 4: run=x seed=1 voice=calm source=a,b): starts\n" in error


def test_multirun_starts_no_run_if_one_configuration_is_wrong(error_line: Callable[..., str]) -> None:
    assert error_line("greet", "-m", "run=x", "seed=1,x") == "seed: must be a whole number (the default is 1), not x"
    assert error_line("greet", "-m", "run=x", "seed=interval(1,2)").startswith("seed=interval(1,2): ")


def test_multirun_reports_which_run_failed_and_continues(
    replace_greet: Replace, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds: list[int] = []

    def run(config: DictConfig) -> None:
        seeds.append(config.seed)
        if config.seed == 2:
            raise UserError("two is too many")

    replace_greet(run)
    assert main(["greet", "-m", "run=x", "seed=1,2,3"]) == 2
    assert seeds == [1, 2, 3]
    error = capsys.readouterr().err
    assert "nmt greet (2 of 3: run=x seed=2): two is too many\n" in error
    assert error.endswith("nmt greet: 1 of 3 runs failed\n")


def test_multirun_stops_when_interrupted(replace_greet: Replace, capsys: pytest.CaptureFixture[str]) -> None:
    seeds: list[int] = []

    def run(config: DictConfig) -> None:
        seeds.append(config.seed)
        raise KeyboardInterrupt

    replace_greet(run)
    assert main(["greet", "-m", "run=x", "seed=1,2"]) == 130
    assert seeds == [1]


def test_an_argument_that_is_not_utf8_is_refused(error_line: Callable[..., str]) -> None:
    assert error_line("greet", "run=\udcff") == (
        "run=\\udcff is not UTF-8, so it cannot be stored in a run folder: rename it"
    )
