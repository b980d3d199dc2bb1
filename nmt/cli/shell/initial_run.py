"""The settings that a training command takes over from the run with which it starts, `init=RUN`: model and tokenizer.

The weights of RUN fit its own model only, and its vocabulary is part of them. So these settings replace those that the
YAML files select, before the values on the command line are checked: `model.dropout=0.1` changes the dropout of RUN's
model. A resumed run takes them from its own folder.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf, open_dict, read_write

from nmt.cli.shell.configuration import ComposedConfig, escape_all
from nmt.cli.shell.errors import shorten
from nmt.cli.shell.settings import expand_home
from nmt.errors import UserError
from nmt.files import reading

if TYPE_CHECKING:  # most command lines need no run folder
    from nmt.run import RunFolder
    from nmt.run.registry import Description

INHERITED_GROUPS = ("model", "tokenizer")
"""The groups of settings that are taken over."""

VOCABULARY_ARGUMENTS = ("source_vocab_size", "target_vocab_size", "shared_vocab")
"""Arguments of every model that the tokenizer determines."""


def is_inherited(key: str) -> bool:
    """Whether a key belongs to the settings that are taken over."""
    return key.lstrip("+~").replace("/", ".").partition(".")[0] in INHERITED_GROUPS


def may_inherit(composed: ComposedConfig, typed: Iterable[str]) -> bool:
    """Whether a command could take settings over, judged by the keys that were typed and those of an experiment."""
    return "init" in composed.config and (not {"init", "resume"}.isdisjoint(typed) or not composed.is_null("init"))


def inherit(composed: ComposedConfig, typed: Iterable[str]) -> ComposedConfig | None:
    """The configuration with the model and the tokenizer of the run from which training starts; None without one.

    Args:
        composed: with all values except those of the model and the tokenizer.
        typed: the keys of these two that were typed.

    Raises:
        UserError: the other run does not exist or is damaged, or a key must not be typed together with init.
    """
    init = composed.resolve()["init"]
    if init is not None:
        # The default name of the run folder names the model.
        hydra_config = copy.deepcopy(composed.config_with_hydra)
        choices = hydra_config.hydra.runtime.choices
        with read_write(choices), open_dict(choices):
            choices["model"] = f"init-{expand_home(str(init)).resolve().name}"
        composed = replace(composed, config_with_hydra=hydra_config)
    origin, recorded = _find_origin(composed, init)
    if origin is None:
        return None
    for key in typed:
        if key.startswith(("tokenizer", "model/", "+", "~")) or key in INHERITED_GROUPS:
            group = key.lstrip("+~").replace("/", ".").partition(".")[0]
            remedy = "single settings such as model.dropout may change" if group == "model" else "its pieces are fixed"
            raise UserError(
                f"{shorten(key)}: init={recorded['init']} brings its own {group}, so leave this out; {remedy}"
            )
    from nmt.cli.shell.run_config import read_config

    tokenizer = read_config(origin.path / "config.yaml").get("tokenizer")
    if not isinstance(tokenizer, dict):
        raise UserError(f"{origin.path / 'config.yaml'} is damaged: it has no settings of the tokenizer")
    with open_dict(composed.config):
        composed.config["model"] = OmegaConf.create(escape_all(_to_component(_without_vocabulary(origin))))
        composed.config["tokenizer"] = OmegaConf.create(escape_all(tokenizer))
        composed.config.update(escape_all(recorded))
    return composed


def _find_origin(composed: ComposedConfig, init: Any) -> tuple[RunFolder | None, dict[str, str]]:
    """The folder from which the settings come, and init and init_parts; None if no settings are taken over.

    A resumed run keeps both keys; they need not be typed again.

    Raises:
        UserError: a folder is missing or damaged, or the run that is resumed was started with another one.
    """
    from nmt.cli.shell.run_config import read_config
    from nmt.run import RunFolder

    values = composed.resolve()
    if str(values["resume"]).lower() in ("true", "auto"):
        resumed = RunFolder(expand_home(str(values["run"])))
        with reading(f"run={resumed.path}"):
            if (resumed.path / "model.json").is_file() and (resumed.path / "config.yaml").is_file():
                config = read_config(resumed.path / "config.yaml")
                recorded, parts = config.get("init"), config.get("init_parts")
                if recorded is None:
                    return None, {}
                _check_same_origin(resumed, str(recorded), init)
                return resumed, {"init": str(recorded), "init_parts": str(parts)}
    if init is None:
        return None, {}
    return RunFolder.open(expand_home(str(init)), key="init"), {"init": str(init)}


def _check_same_origin(resumed: RunFolder, recorded: str, init: Any) -> None:
    """Raises UserError if `init` names another run than the one with which the resumed run was started."""
    if init is not None and expand_home(str(init)).absolute() != expand_home(recorded).absolute():
        raise UserError(
            f"run={resumed.path} was started with init={recorded}, not {init}: a resumed run needs no init, so leave "
            "it out, or name another folder with run=… to train a new one"
        )


def _without_vocabulary(run: RunFolder) -> Description:
    """The description of a run's model without the arguments that its tokenizer determines."""
    model = run.description("model")
    arguments = {name: value for name, value in model["arguments"].items() if name not in VOCABULARY_ARGUMENTS}
    return {**model, "arguments": arguments}


def _to_component(value: Any) -> Any:
    """A description as the YAML files write it: the class as `_target_`, beside its arguments.

    A run folder may come from anyone, so it must not bring a `_target_` of its own.

    Raises:
        UserError: a class has no plain name, or an argument is neither a value nor a description. Whether `nmt.models`
            has the class is checked before it is built.
    """
    if isinstance(value, list):
        return list(map(_to_component, value))
    if not isinstance(value, dict):
        return value
    name, arguments = value.get("class"), value.get("arguments")
    if not isinstance(name, str) or not name.isidentifier() or not isinstance(arguments, dict):
        raise UserError(f"model.json of init names a class {shorten(str(name))!r}, which is not a plain name")
    if "_target_" in arguments:
        raise UserError("model.json of init is damaged: it has an argument _target_")
    return {"_target_": f"nmt.models.{name}", **{key: _to_component(inner) for key, inner in arguments.items()}}
