"""The configuration that a command receives: complete, resolved, and composed without side effects."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError

from nmt.cli import main
from nmt.cli.shell.configuration import conf_folder


def test_the_folder_is_inside_an_installed_package_or_beside_it_in_a_checkout(tmp_path: Path) -> None:
    package = tmp_path / "nmt"
    (tmp_path / "conf").mkdir()
    assert conf_folder(package) == tmp_path / "conf"
    (package / "conf").mkdir(parents=True)
    assert conf_folder(package) == package / "conf"  # another project's `conf` may lie beside an installed package
    with pytest.raises(FileNotFoundError, match="install nmt again"):
        conf_folder(tmp_path / "elsewhere" / "nmt")


def test_references_are_resolved(calls: list[DictConfig]) -> None:
    assert main(["greet", "run=x", "voice=loud", "seed=4"]) == 0
    assert OmegaConf.to_container(calls[0], resolve=False)["folder"] == "runs/plain/loud-seed4"  # type: ignore[index, call-overload]
    assert "hydra" not in calls[0]
    with pytest.raises(ConfigAttributeError):
        _ = calls[0].sede  # a key that the command misspells is an error, not None


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
def test_a_missing_value_or_reference_is_named(words: list[str], text: str, error_line: Callable[..., str]) -> None:
    assert error_line("greet", *words) == text


def test_a_broken_file_is_named(conf: Path, error_line: Callable[..., str]) -> None:
    (conf / "voice" / "loud.yaml").write_text("volume: [1\n")
    text = error_line("greet", "run=x", "voice=loud")
    assert "loud.yaml" in text and "line 2" in text


@pytest.mark.parametrize("words", [["run=x"], ["run=x", "seed=1,2", "-m"]])
def test_running_a_command_has_no_side_effects(
    words: list[str], calls: list[DictConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    handlers, level = list(logging.root.handlers), logging.root.level
    assert main(["greet", *words]) == 0
    assert calls
    assert list(folder.iterdir()) == [] and Path.cwd() == folder
    assert (logging.root.handlers, logging.root.level) == (handlers, level)
    assert not GlobalHydra.instance().is_initialized()
