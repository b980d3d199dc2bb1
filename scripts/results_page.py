"""What the scripts have in common that generate a page of docs/results from run folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from nmt.report.formatting import DASH, format_mean
from nmt.report.record import MeanScore
from nmt.run.environment import read_environments

SCRIPTS = Path(__file__).parent


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


def describe_programs(runs: Iterable[Path]) -> list[str]:
    """The programs and machines that trained some runs."""
    environments = [each for run in runs for each in read_environments(run)]
    return sorted({f"{each.program}, torch {each.torch}; {each.device}" for each in environments})


def format_points(score: MeanScore, decimals: int = 2) -> str:
    """A mean with its deviation, such as 41.02 ± 0.31."""
    return format_mean(score, lambda value: DASH if value is None else f"{value:.{decimals}f}")
