"""Fills in the templates of the report."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nmt.report import formatting

FILTERS = [
    formatting.format_score,
    formatting.format_number,
    formatting.format_call,
    formatting.show_control_characters,
    formatting.isolate,
    formatting.escape_markdown,
]
"""The functions that templates call by their names."""


def render(template: str, **values: Any) -> str:
    """Returns the text of `templates/<template>`. Values in a `.html.j2` template are escaped.

    Raises:
        jinja2.UndefinedError: the template uses a name that `values` lacks.
    """
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    """The templates, which are compiled once."""
    environment = Environment(
        loader=PackageLoader("nmt.report"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({function.__name__: function for function in FILTERS})
    return environment
