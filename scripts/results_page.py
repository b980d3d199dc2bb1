"""What the scripts have in common that generate a page of docs/results from run folders."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import yaml

from nmt.errors import UserError
from nmt.report.formatting import DASH, format_mean
from nmt.report.record import MeanScore
from nmt.report.seeds import IGNORED_SETTINGS, SEED_NUMBER
from nmt.run.environment import read_environments

SCRIPTS = Path(__file__).parent

Record = dict[str, Any]

IGNORED_KEYS = {"data.path"}
"""Settings in which the runs of a table may differ, beside IGNORED_SETTINGS: the text may have moved."""


def render(template: str, values: Mapping[str, Any], *filters: Callable[..., str]) -> str:
    """The text of a page.

    Args:
        template: a file beside this script.
        values: what the template shows.
        filters: functions that the template calls by their names.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SCRIPTS),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({function.__name__: function for function in filters})
    return environment.get_template(template).render(values)


def describe_training(run: Path) -> Record:
    """What the record of a run says of its training: a hash of its settings, the programs and the machines."""
    settings = json.dumps(read_settings(run), sort_keys=True)
    return {"settings": hashlib.sha256(settings.encode()).hexdigest()[:16], "programs": describe_programs([run])}


def read_settings(run: Path) -> dict[str, str]:
    """The settings of a run that change its result, by their full names such as "trainer.simcut".

    Of the run with which it started, only the name without the number of its seed counts.
    """

    def walk(value: object, name: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, child in value.items():
                yield from walk(child, f"{name}.{key}" if name else key)
        else:
            yield name, str(value)

    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    if config.get("init"):
        config["init"] = SEED_NUMBER.sub("seed", Path(config["init"]).name)
    settings = walk({key: value for key, value in config.items() if key not in IGNORED_SETTINGS}, "")
    return {key: value for key, value in settings if key not in IGNORED_KEYS}


def describe_programs(runs: Iterable[Path]) -> list[str]:
    """The programs and machines that trained some runs."""
    environments = [each for run in runs for each in read_environments(run)]
    return sorted({f"{each.program}, torch {each.torch}; {each.device}" for each in environments})


def join_runs(runs: Mapping[str, Record], path: Path) -> dict[str, Record]:
    """Adds the runs of the record at `path`, if it exists: several machines or days can share the seeds of a table.

    Raises:
        UserError: seeds of one system differ in their settings.
    """
    joined = dict(sorted((read_json(path).get("runs", {}) | runs).items()))
    for name, members in group_by_seed(joined).items():
        if len({member["settings"] for member in members}) > 1:
            raise UserError(
                f"seeds of {name} differ in their settings, in {path} or the run folders: remove the old ones"
            )
    return joined


def read_json(path: Path) -> Record:
    """The content of a JSON file; empty if there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def group_by_seed(runs: Mapping[str, Record]) -> dict[str, list[Record]]:
    """The seeds of each system: the records of CORPUS/SYSTEM-seed1, -seed2, … by CORPUS/SYSTEM."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for name, record in runs.items():
        groups[name.rsplit("-seed", 1)[0]].append(record)
    return dict(groups)


def list_programs(runs: Mapping[str, Record]) -> list[str]:
    """The programs and machines that trained the runs of a record."""
    return sorted({program for record in runs.values() for program in record["programs"]})


def format_points(score: MeanScore, decimals: int = 2) -> str:
    """A mean with its deviation, such as 41.02 ± 0.31."""
    return format_mean(score, lambda value: DASH if value is None else f"{value:.{decimals}f}")
