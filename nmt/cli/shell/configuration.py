"""Composes a command's configuration from the YAML files in `conf/` and resolves its references.

Hydra is only used to compose (`hydra.compose`). It starts no job: it creates no folder, changes no working directory
and configures no logging.
"""

from __future__ import annotations

import copy
import re
import warnings
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
from omegaconf import DictConfig, Node, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

import nmt
from nmt.cli.shell.errors import one_line
from nmt.errors import UserError

PACKAGE = Path(nmt.__file__).parent

RUN_GROUPS = ("data", "search")
"""The groups whose choice `run` is what the run of a command used. For the tokenizer, it is that of any other run."""

TRAINING_COMMANDS = ("train", "doctor")
"""The commands that can mix several corpora: the others read one."""

TEXT_MARK = "\ufdd0"
"""Follows a text `???`, which OmegaConf would take for a missing value. Unicode reserves this character for internal
use, so no other text contains it."""


@dataclass(frozen=True)
class SourceFile:
    """A YAML file that takes part in a configuration.

    Attributes:
        key: where its content is placed, with dots; "" is the top level.
        group: the group of which it is a choice; None for the file of a command.
        path: the file.
    """

    key: str
    group: str | None
    path: Path


@dataclass(frozen=True)
class ComposedConfig:
    """A configuration as Hydra composed it, before its references (`${…}`) are resolved.

    Attributes:
        command: the name of the command.
        folder: the folder of the YAML files.
        config: the configuration without Hydra's own node.
        choices: group → selected choice; None if nothing is selected.
        config_with_hydra: the configuration with Hydra's own node, which `${hydra:runtime.choices.GROUP}` refers to.
    """

    command: str
    folder: Path
    config: DictConfig
    choices: dict[str, str | None]
    config_with_hydra: DictConfig

    def available_choices(self, group: str) -> list[str]:
        """The choices of a group, sorted.

        `run`, what the run of a command used, is one only if it is the default; `data=mix` only for training.
        """
        names = {path.stem for path in (self.folder / group.partition("@")[0]).glob("*.yaml")}
        if group == "data" and self.command not in TRAINING_COMMANDS:
            names -= {"mix"}
        own_text = (self.folder / f"{self.command}.yaml").read_text(encoding="utf-8")
        if group in RUN_GROUPS and f"- {group}: run\n" not in own_text:
            names -= {"run"}
        return sorted(names)

    def has_subgroup(self, group: str, choice: str, subgroup: str) -> bool:
        """Whether a choice, or one on which it builds, has a group of its own: model=lstm has model/cell."""
        content = yaml.safe_load((self.folder / group / f"{choice}.yaml").read_text(encoding="utf-8")) or {}
        return any(
            subgroup in {f"{group}/{name}" for name in entry}
            if isinstance(entry, dict)
            else entry != "_self_" and self.has_subgroup(group, entry, subgroup)
            for entry in content.get("defaults", [])
        )

    def groups(self) -> list[str]:
        """All groups, in the order of their keys; those that place their keys elsewhere come last."""
        order = {key: position for position, key in enumerate(self.config)}
        return sorted(self.choices, key=lambda group: (order.get(group.split("/")[0], len(order)), group))

    def names(self) -> list[str]:
        """All groups, then all keys with dots; a key precedes the keys inside it."""
        return [*self.groups(), *_dotted_keys(self.config)]

    def value(self, key: str) -> Any:
        """The value of `key`. None if there is none, it is missing (`???`), or its reference cannot be resolved."""
        try:
            return OmegaConf.select(self.config, key)
        except OmegaConfBaseException:
            return None

    def is_null(self, key: str) -> bool:
        """Whether the value of `key` is null; a missing value (`???`) is not."""
        parent, _, name = key.rpartition(".")
        node = self.value(parent) if parent else self.config
        value = node._get_node(name) if isinstance(node, DictConfig) else None  # does not resolve references
        return isinstance(value, Node) and value._is_none()

    def source_files(self) -> list[SourceFile]:
        """All files that take part.

        The command's own file comes first, then the file of another command whose keys it takes over, if any, then the
        selected choices in the order of their keys.
        """
        own_path = self.folder / f"{self.command}.yaml"
        defaults = (yaml.safe_load(own_path.read_text(encoding="utf-8")) or {}).get("defaults", [])
        inherited = [name for name in defaults if isinstance(name, str) and name != "_self_"]
        files = [SourceFile("", None, self.folder / f"{name}.yaml") for name in (self.command, *inherited)]

        for group in self.groups():
            folder, _, package = group.partition("@")
            path = self.folder / folder / f"{self.choices[group]}.yaml"
            if self.choices[group] is not None and path.is_file():
                files.append(SourceFile(package or folder.replace("/", "."), group, path))
        return files

    def resolve(self) -> dict[str, Any]:
        """Returns the configuration as plain Python values, with its references resolved.

        Raises:
            UserError: a reference cannot be resolved.
        """
        HydraConfig.instance().set_config(self.config_with_hydra)
        try:
            return plain_values(self.config)
        except OmegaConfBaseException as error:
            key = f"{error.full_key!s}: " if error.full_key else ""
            raise UserError(f"{key}{str(error).splitlines()[0]}") from error
        finally:
            HydraConfig.instance().cfg = None


def conf_folder(package: Path = PACKAGE) -> Path:
    """Finds the folder of the YAML files: inside an installed package, beside the package in a checkout."""
    for folder in (package / "conf", package.parent / "conf"):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"{package / 'conf'} is missing: install nmt again")


@contextmanager
def hydra_initialized() -> Iterator[Path]:
    """Inside this context Hydra composes from the folder of the YAML files, which is returned."""
    folder = conf_folder().resolve()
    with warnings.catch_warnings():
        # Hydra 1.3 needs the version whose rules apply, and Hydra 1.4, which has only these rules, deprecates it.
        warnings.simplefilter("ignore", UserWarning)
        initialized = hydra.initialize_config_dir(str(folder), job_name="nmt", version_base="1.3")
    with initialized:
        yield folder


def compose(command: str, folder: Path, overrides: Sequence[str]) -> ComposedConfig:
    """Composes `conf/COMMAND.yaml` with `overrides`, which are not checked here.

    Raises:
        UserError: Hydra refuses an override or a file.
    """
    try:
        composed = hydra.compose(command, list(overrides), return_hydra_config=True)
    # hydra refuses some choices by a plain ValueError, such as null for a group that a file overrides.
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise UserError(one_line(str(error))) from error
    all_choices = composed.hydra.runtime.choices
    choices = {group: choice for group, choice in all_choices.items() if not group.startswith("hydra/")}
    config = copy.deepcopy(composed)
    with open_dict(config):
        del config["hydra"]
        if any(re.match(r"data=[^{\[]", override) for override in overrides) and choices["data"] is not None:
            _drop_keys_of_other_corpora(config, folder / "data" / f"{choices['data']}.yaml", overrides)
    return ComposedConfig(command, folder, config, choices, config_with_hydra=composed)


def _drop_keys_of_other_corpora(config: DictConfig, path: Path, overrides: Sequence[str]) -> None:
    """Removes the keys of `data` that an experiment sets for its own corpus, since the command line chose another one.

    Args:
        path: the file of the corpus that was chosen.
        overrides: keys that they set stay.
    """
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    for key in list(config.data):
        typed = re.compile(rf"\+*data\.{re.escape(str(key))}[.=]")  # data.KEY=… or data.KEY.INNER=…
        if key not in own and not any(map(typed.match, overrides)):
            del config.data[key]


def complete_config(composed: ComposedConfig) -> DictConfig:
    """Returns the configuration that a command receives: no value is missing, and no reference is left.

    Raises:
        UserError: a mandatory value (`???`) was not given, or a reference cannot be resolved.
    """
    for key in composed.names():
        parent, _, name = key.rpartition(".")
        if OmegaConf.is_missing(composed.value(parent) if parent else composed.config, name):
            comment = comment_on_mandatory_key(composed, key)
            raise UserError(f"{key}=… is required" + (f": {comment}" if comment else ""))
    config = OmegaConf.create(escape_all(composed.resolve()))
    assert isinstance(config, DictConfig)
    OmegaConf.set_struct(config, True)  # reading a key that does not exist is an error
    return config


def comment_on_mandatory_key(composed: ComposedConfig, key: str) -> str:
    """The comment of the YAML file on the line `key: ???`, or else the comment lines above it; may be empty."""
    mandatory_line = re.compile(rf"\s*{re.escape(key.rpartition('.')[2])}:\s*\?\?\?\s*(?:#\s*(.*))?")
    for file in reversed(composed.source_files()):
        if file.key and not key.startswith(f"{file.key}."):
            continue
        lines = file.path.read_text(encoding="utf-8").splitlines()
        for index, line in enumerate(lines):
            match = mandatory_line.fullmatch(line)
            if match is None:
                continue
            above = list(takewhile(lambda line: line.lstrip().startswith("#"), reversed(lines[:index])))
            return match[1] or one_line("\n".join(line.lstrip(" #") for line in reversed(above)))
    return ""


def plain_values(config: DictConfig) -> dict[str, Any]:
    """Returns a configuration as plain Python values, each text as the user meant it."""
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    return {str(key): _without_marks(value) for key, value in values.items()}


def escape(text: str) -> str:
    r"""Escapes `text` so that OmegaConf reads it as it is: `${` starts no reference, and `???` is no missing value.

    A reference is escaped by a backslash, and the backslashes before it are doubled: `\${x}` becomes `\\\${x}`.
    `plain_values` returns the text.
    """
    if text == "???":
        return text + TEXT_MARK
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def _without_marks(value: Any) -> Any:
    """Removes the marks of `escape` from every text inside a value."""
    if isinstance(value, dict):
        return {key: _without_marks(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_marks(item) for item in value]
    return value.replace(f"???{TEXT_MARK}", "???") if isinstance(value, str) else value


def escape_all(value: Any) -> Any:
    """Escapes every text inside a value."""
    if isinstance(value, dict):
        return {key: escape_all(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape_all(item) for item in value]
    return escape(value) if isinstance(value, str) else value


def _dotted_keys(node: DictConfig, prefix: str = "") -> Iterator[str]:
    for key in node:
        dotted = f"{prefix}{key!s}"
        yield dotted
        child = node._get_node(key)  # does not resolve references, as node[key] would
        if isinstance(child, DictConfig) and not (child._is_none() or child._is_missing() or child._is_interpolation()):
            yield from _dotted_keys(child, f"{dotted}.")
