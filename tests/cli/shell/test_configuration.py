"""What a command receives: complete, resolved, and composed without a trace on the disk or in the process."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError

from nmt.cli import main
from nmt.cli.shell.configuration import conf_folder


def test_the_folder_lies_inside_an_installed_package_or_beside_a_checkout(tmp_path: Path) -> None:
    package = tmp_path / "nmt"
    (tmp_path / "conf").mkdir()
    assert conf_folder(package) == tmp_path / "conf"
    (package / "conf").mkdir(parents=True)
    assert conf_folder(package) == package / "conf"  # a stranger's `conf` beside an installed package is not ours
    with pytest.raises(FileNotFoundError, match="install nmt again"):
        conf_folder(tmp_path / "elsewhere" / "nmt")


def test_references_are_filled_in(calls: list[DictConfig]) -> None:
    assert main(["greet", "run=x", "voice=loud", "seed=4"]) == 0
    assert OmegaConf.to_container(calls[0], resolve=False)["folder"] == "runs/plain/loud-seed4"  # type: ignore[index, call-overload]
    assert "hydra" not in calls[0]
    with pytest.raises(ConfigAttributeError):
        _ = calls[0].sede  # a key that the command misspells is a defect, not None


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "run=… is required: the folder of a run, e.g. runs/demo/lstm"),
        (["run=x", "voice=shrill"], "voice.pitch=… is required: how high, in hertz"),
        (["run=${nowhere}"], "run: Interpolation key 'nowhere' not found"),
        (["run=${oc.env:NMT_UNSET_X}"],
         "run: KeyError raised while resolving interpolation: \"Environment variable 'NMT_UNSET_X' not found\""),
    ],
)  # fmt: skip
def test_what_is_missing(words: list[str], text: str, mistake: Callable[..., str]) -> None:
    assert mistake("greet", *words) == text


def test_a_broken_file_is_named(conf: Path, mistake: Callable[..., str]) -> None:
    (conf / "voice" / "loud.yaml").write_text("volume: [1\n")
    text = mistake("greet", "run=x", "voice=loud")
    assert "loud.yaml" in text and "line 2" in text


@pytest.mark.parametrize("words", [["run=x"], ["run=x", "seed=1,2", "-m"]])
def test_no_trace_is_left(
    words: list[str], calls: list[DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    handlers, level = list(logging.root.handlers), logging.root.level
    assert main(["greet", *words]) == 0
    assert calls
    assert list(place.iterdir()) == [] and Path.cwd() == place
    assert (logging.root.handlers, logging.root.level) == (handlers, level)
    assert not GlobalHydra.instance().is_initialized()
