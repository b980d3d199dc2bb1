"""The templates of the report, and how numbers and text are written in them."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, **values: Any) -> str:
    """The text of `templates/<template>`; what a `.html.j2` inserts is escaped.

    Raises:
        jinja2.UndefinedError: the template uses a name that `values` lacks.
    """
    return _environment().get_template(template).render(**values)


def printable(text: str) -> str:
    """`text` with each control character as its picture (a tab as ␉), which XML, HTML and fonts can show."""
    return "".join(_picture(character) for character in text)


def _picture(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "�" if unicodedata.category(character) in ("Cc", "Cs") else character


def points(value: float | None) -> str:
    """A score in points, to one decimal: finer differences mean nothing on a thousand sentences."""
    return "–" if value is None else f"{value:.1f}"


def signed(value: float) -> str:
    """A difference in points, with its sign: +1.2, −0.3, 0.0."""
    text = f"{abs(value):.1f}"
    if text == "0.0":
        return text
    return ("+" if value > 0 else "−") + text


def probability(value: float | None) -> str:
    """A p-value, to three decimals and never zero: a thousand resamples cannot tell less than 0.001."""
    if value is None:
        return "–"
    return "<\N{NO-BREAK SPACE}0.001" if value < 0.001 else f"{value:.3f}"


def count(value: float | None) -> str:
    """A number with as much of its fraction as is worth telling: 7.25, 82.1, 2,917."""
    if value is None:
        return "–"
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def millions(value: int | None) -> str:
    """A number of parameters: 5.12 M."""
    return "–" if value is None else f"{value / 1e6:.2f} M"


def duration(seconds: float | None) -> str:
    """A time as a person says it: 45 s, 12 min, 1 h 05 min."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def words(bucket: dict[str, Any]) -> str:
    """A length bucket's name: 1–10, 31+."""
    return f"{bucket['from']}+" if bucket["to"] is None else f"{bucket['from']}–{bucket['to']}"


def search(description: dict[str, Any]) -> str:
    """A search as its class and arguments: BeamSearch(beam_size=5, length_penalty=0.6)."""
    arguments = ", ".join(f"{key}={value}" for key, value in description["arguments"].items())
    return f"{description['class']}({arguments})"


def markdown(text: str) -> str:
    """`text` as plain text in Markdown, also in a table: what Markdown or HTML takes for a sign is escaped."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", printable(text))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nmt.report"),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for function in (printable, points, signed, probability, count, millions, duration, words, search, markdown):
        environment.filters[function.__name__] = function
    return environment
