"""Between a configuration and the names that a run folder keeps: no path to code is ever written there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nmt import search
from nmt.errors import UserError
from nmt.run import RunFolder
from nmt.run.registry import Description, build
from nmt.translator import Translator

if TYPE_CHECKING:  # it brings in the library `datasets`, for which `nmt translate` must not wait
    from nmt.data.corpus import Corpus


def describe(config: DictConfig) -> Description:
    """{"class": the target's last name, "arguments": the rest}, for nested targets as well.

    Raises:
        ValueError: the configuration names no class, as data=run and search=run do, which are for trained runs.
    """
    if "_target_" not in config:
        raise UserError("the choice `run` stands for what a trained run used: choose another one for training")
    described: Description = _describe(OmegaConf.to_container(config, resolve=True))
    return described


def _describe(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    arguments = {key: _describe(inner) for key, inner in value.items() if key != "_target_"}
    if "_target_" not in value:
        return arguments
    return {"class": value["_target_"].rpartition(".")[2], "arguments": arguments}


def corpus_of(folder: RunFolder, config: DictConfig) -> Corpus:
    """The corpus that `config` names, or the run's own with the changes that it asks for."""
    if "_target_" in config:
        named: Corpus = instantiate(config)
        return named
    return folder.corpus(**{str(key): value for key, value in config.items() if value is not None})


def translator_of(
    folder: RunFolder, config: DictConfig, *, device: str, batch_tokens: int | None
) -> tuple[Translator, Description]:
    """A translator of the run with the search that `config` names, or the run's own with the changes asked for."""
    if "_target_" in config:
        description = describe(config)
    else:
        description = folder.description("search")
        changes = {str(key): value for key, value in config.items() if value is not None}
        if changes:
            # A run that was validated greedily knows no penalty; a beam asked of it begins with none.
            arguments = {"length_penalty": 0.0, **description["arguments"], **changes}
            description = {"class": "BeamSearch", "arguments": arguments}
    searcher = build(description, search)
    return Translator.load(folder.path, search=searcher, device=device, batch_tokens=batch_tokens), description
