"""A command's configuration: composed by Hydra from `conf/`, checked word by word, resolved, and handed over.

Hydra only composes here (its `compose` API). It starts no job: it makes no folder, changes no directory and configures
no logging. What leaves this room is complete and has no references left in it.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

import nmt
from nmt.cli.shell.errors import one_line
from nmt.errors import UserError

PACKAGE = Path(nmt.__file__).parent


@dataclass(frozen=True)
class Composition:
    """What Hydra composed.

    Args:
        name: the command's.
        folder: where the YAML files are.
        config: the configuration, references and all, without Hydra's own node.
        choices: the group → the choice that is in force; None for none.
        whole: the configuration with Hydra's node, for `${hydra:runtime.choices.GROUP}`.
    """

    name: str
    folder: Path
    config: DictConfig
    choices: dict[str, str | None]
    whole: DictConfig

    def options(self, group: str) -> list[str]:
        """The choices that there are in a group."""
        return sorted(path.stem for path in (self.folder / group.partition("@")[0]).glob("*.yaml"))

    def names(self) -> list[str]:
        """Every group, then every key with its dots, nodes before their leaves, in the files' order."""
        return [*self.choices, *_paths(self.config)]

    def value(self, key: str) -> Any:
        """The value at `key`, or None where there is none, it is still missing, or it refers to such a one."""
        try:
            return OmegaConf.select(self.config, key)
        except OmegaConfBaseException:
            return None

    def files(self) -> list[tuple[str, str | None, Path]]:
        """(key at which it stands, group, path) of every file in force; the command's own first: ("", None, …), then
        the one of the command whose keys it takes over, if it does."""
        order = {key: place for place, key in enumerate(self.config)}
        groups = sorted(self.choices, key=lambda group: (order.get(group.split("/")[0], len(order)), group))
        own = self.folder / f"{self.name}.yaml"
        listed = (yaml.safe_load(own.read_text(encoding="utf-8")) or {}).get("defaults", [])
        others = [name for name in listed if isinstance(name, str) and name != "_self_"]
        found: list[tuple[str, str | None, Path]] = [("", None, own)]
        found += [("", None, self.folder / f"{name}.yaml") for name in others]
        for group in groups:
            folder, _, package = group.partition("@")
            path = self.folder / folder / f"{self.choices[group]}.yaml"
            if self.choices[group] is not None and path.is_file():
                found.append((package or folder.replace("/", "."), group, path))
        return found


def conf_folder(package: Path = PACKAGE) -> Path:
    """The folder of the YAML files: inside an installed package, beside it in a checkout."""
    for folder in (package / "conf", package.parent / "conf"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{package / 'conf'} is missing: install nmt again")


@contextmanager
def opened() -> Iterator[Path]:
    """Lets Hydra compose from the configuration folder inside the block, and leaves nothing of it behind."""
    folder = conf_folder().resolve()
    with hydra.initialize_config_dir(str(folder), job_name="nmt", version_base="1.3"):
        yield folder


def compose(name: str, folder: Path, overrides: Sequence[str]) -> Composition:
    """`conf/NAME.yaml` under `overrides`, unchecked.

    Raises:
        UserError: an override or a file does not compose.
    """
    try:
        whole = hydra.compose(name, list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(one_line(str(error))) from error
    choices = {group: choice for group, choice in whole.hydra.runtime.choices.items() if not group.startswith("hydra/")}
    config = copy.deepcopy(whole)
    with open_dict(config):
        del config["hydra"]
    return Composition(name=name, folder=folder, config=config, choices=choices, whole=whole)


def complete(composition: Composition) -> DictConfig:
    """The configuration as a command receives it: every value there, every reference filled in.

    Raises:
        UserError: a mandatory value (`???`) was not given, or a reference leads nowhere.
    """
    for key in composition.names():
        parent, _, name = key.rpartition(".")
        if OmegaConf.is_missing(composition.value(parent) if parent else composition.config, name):
            hint = comment(composition, key)
            raise UserError(f"{key}=… is required" + (f": {hint}" if hint else ""))
    config = OmegaConf.create(_literal(resolved(composition)))
    assert isinstance(config, DictConfig)
    OmegaConf.set_struct(config, True)
    return config


def resolved(composition: Composition) -> dict[str, Any]:
    """The configuration as plain values, references filled in.

    Raises:
        UserError: a reference leads nowhere.
    """
    HydraConfig.instance().set_config(composition.whole)
    try:
        plain = OmegaConf.to_container(composition.config, resolve=True)
    except OmegaConfBaseException as error:
        where = f"{error.full_key!s}: " if error.full_key else ""
        raise UserError(f"{where}{str(error).splitlines()[0]}") from error
    finally:
        HydraConfig.instance().cfg = None
    assert isinstance(plain, dict)
    return plain  # type: ignore[return-value]  # a command's keys are text


def comment(composition: Composition, key: str) -> str:
    """What the YAML file says about a mandatory key (`key: ???`): the comment behind it, or else the lines above it."""
    mandatory = re.compile(rf"\s*{re.escape(key.rpartition('.')[2])}:\s*\?\?\?\s*(?:#\s*(.*))?")
    for prefix, _, path in reversed(composition.files()):
        lines = path.read_text(encoding="utf-8").splitlines() if not prefix or key.startswith(f"{prefix}.") else []
        for place, text in enumerate(lines):
            found = mandatory.fullmatch(text)
            if found is None:
                continue
            above = list(takewhile(lambda text: text.lstrip().startswith("#"), reversed(lines[:place])))
            return found[1] or one_line("\n".join(text.lstrip(" #") for text in reversed(above)))
    return ""


def escaped(text: str) -> str:
    """`text` such that OmegaConf, reading it, arrives at `text`: no reference in it, and `???` is no missing value."""
    if text == "???":
        return "??${oc.decode:'?'}"
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _literal(value: Any) -> Any:
    """`value` with every text in it escaped."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return escaped(value) if isinstance(value, str) else value


def _paths(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in node:
        path = f"{prefix}{key!s}"
        yield path
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not (child._is_none() or child._is_missing() or child._is_interpolation()):
            yield from _paths(child, f"{path}.")
