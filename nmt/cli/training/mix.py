"""The parts of `data=mix`: every item of `data.parts` becomes one or several corpora with their arguments."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import yaml

from nmt.cli.shell.configuration import conf_folder
from nmt.cli.shell.errors import nearest, shorten
from nmt.cli.shell.settings import Component, yaml_text
from nmt.cli.training.settings import TrainSettings
from nmt.data import MixedCorpus
from nmt.errors import UserError

MIX = f"{MixedCorpus.__module__}.{MixedCorpus.__name__}"

NO_PARTS = {
    "mix": "list its parts here",
    "run": "name the corpus of that run",
    "text": "it has no translations; pre-train on it with objective=… and start from that run with init=RUN",
}
"""The choices of `data` that cannot be a part, and what to do instead."""


def expand_mix(settings: TrainSettings) -> TrainSettings:
    """The settings with the parts of `data=mix` as corpora; other settings are returned as they are.

    An item is the path of a folder, or a group of keys: `data` names a choice of that group, whose YAML file has the
    defaults of the others. `languages` makes a part of every direction between them.

    Raises:
        UserError: an item is no corpus, or one of its keys is wrong; the message names it as `data.parts[0]`.
    """
    if settings.data.target != MIX:
        return settings
    given = settings.data.arguments
    items = [given["parts"]] if isinstance(given["parts"], str | int | float | dict) else given["parts"]
    if not isinstance(items, list) or not items:
        raise UserError("data.parts must be a list of corpora, such as [my-text,synthetic]")
    parts: list[dict[str, Any]] = []
    weights: list[Any] = []
    tags: list[Any] = []
    for index, item in enumerate(items):
        key = f"data.parts[{index}]"
        keys = dict(item) if isinstance(item, dict) else {"path": yaml_text(item)}
        weight, tag = keys.pop("weight", 1), keys.pop("tag", msgspec.UNSET)
        corpora = _list_corpora(key, keys, {name: given[name] for name in ("path", "source", "target")})
        if len(corpora) > 1 and tag is not msgspec.UNSET:
            raise UserError(f"{key}.tag={tag}: languages gives each direction a tag of its own, so leave tag out")
        if not isinstance(weight, int | float) or isinstance(weight, bool):
            raise UserError(f"{key}.weight={shorten(str(weight))} must be a number")
        parts += corpora
        weights += [weight] * len(corpora)
        tags += [tag] * len(corpora)
    default_tags = _default_tags(given["tags"], [str(part["target"]) for part in parts])
    arguments = {
        "parts": parts,
        "tags": [
            default if tag is msgspec.UNSET else None if tag is None else yaml_text(tag)
            for tag, default in zip(tags, default_tags, strict=True)
        ],
        "weights": weights,
        "temperature": given["temperature"],
        "train_split": settings.train_split,
    }
    return msgspec.structs.replace(settings, data=Component("data", MIX, arguments))


def _list_corpora(key: str, keys: dict[str, Any], common: dict[str, Any]) -> list[dict[str, Any]]:
    """The corpora of an item, each as `_target_` with its arguments.

    Args:
        key: of the item, for messages.
        keys: of the item, without those that belong to the mix.
        common: `path`, `source` and `target` of the mix, for items that have none.
    """
    choice, languages = yaml_text(keys.pop("data", "files")), keys.pop("languages", None)
    folder = conf_folder() / "data"
    choices = sorted(path.stem for path in folder.glob("*.yaml") if path.stem not in NO_PARTS)
    if choice in NO_PARTS:
        raise UserError(f"{key}: data={choice} cannot be a part: {NO_PARTS[choice]}")
    if choice not in choices:
        raise UserError(f"{key}: data={shorten(choice)}: no such choice; the choices are {', '.join(choices)}")
    defaults = yaml.safe_load((folder / f"{choice}.yaml").read_text(encoding="utf-8"))
    for name in keys:
        if name not in defaults or name == "_target_":
            known = [*(name for name in defaults if name != "_target_"), "data", "weight", "tag", "languages"]
            similar = nearest(str(name), known)
            remedy = f"did you mean {similar[0]}?" if similar else f"the keys are {', '.join(known)}"
            raise UserError(f"{key}.{shorten(str(name))}: no such key with data={choice}; {remedy}")
    inherited = {name: value for name, value in common.items() if name in defaults and value is not None}
    arguments = defaults | inherited | keys
    for name, value in arguments.items():
        if value == "???":
            raise UserError(f"{key}.{name}=… is required")
    if languages is None:
        return [arguments]
    if not isinstance(languages, list) or len(set(map(str, languages))) < max(2, len(languages)):
        raise UserError(f"{key}.languages={languages} must name two or more different languages, such as [en,de,fr]")
    if "source" in keys or "target" in keys:
        raise UserError(f"{key}: languages stands for all directions between them, so leave source and target out")
    directions = permutations(map(yaml_text, languages), 2)
    return [arguments | {"source": source, "target": target} for source, target in directions]


def _default_tags(setting: object, targets: list[str]) -> list[str | None]:
    """The tag of each part that names none, from `data.tags`, and from the target language of each part."""
    if (text := yaml_text(setting)) not in ("true", "false", "auto"):
        raise UserError(f"data.tags={text} must be true, false or auto")
    has_tags = len(set(targets)) > 1 if text == "auto" else text == "true"
    return [f"2{target}" if has_tags else None for target in targets]
