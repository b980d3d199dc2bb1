"""How the report writes numbers and text, in HTML and in Markdown. A missing value is written as a dash."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from nmt.evaluation.metrics import LengthBucket

DASH = "–"


def format_score(value: float | None) -> str:
    """A score in points, to one decimal: on a thousand sentences, finer differences mean nothing."""
    return DASH if value is None else f"{value:.1f}"


def format_difference(value: float) -> str:
    """A difference in points, with its sign: +1.2, −0.3, 0.0."""
    text = f"{abs(value):.1f}"
    if text == "0.0":
        return text
    return ("+" if value > 0 else "−") + text


def format_p_value(value: float | None) -> str:
    """A p-value, to three decimals and never zero: a thousand resamples cannot resolve less than 0.001."""
    if value is None:
        return DASH
    return "<\N{NO-BREAK SPACE}0.001" if value < 0.001 else f"{value:.3f}"


def format_measure(value: str | None) -> str:
    """The figure that selected the best weights: BLEU, chrF, loss."""
    return DASH if value is None else {"bleu": "BLEU", "chrf": "chrF"}.get(value, value)


def format_number(value: float | None) -> str:
    """A number to about three significant digits, integers in full: 7.25, 82.1, 2,917."""
    if value is None:
        return DASH
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def format_parameters(value: int | None) -> str:
    """A number of parameters, in millions: 5.12 M."""
    return DASH if value is None else f"{value / 1e6:.2f} M"


def format_duration(seconds: float | None) -> str:
    """A duration in the largest suitable unit: 45 s, 12 min, 1 h 05 min."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_length_range(bucket: LengthBucket) -> str:
    """The lengths in a bucket: 1–10, 31+."""
    return f"{bucket['from']}+" if bucket["to"] is None else f"{bucket['from']}–{bucket['to']}"


def format_call(class_name: str, arguments: dict[str, Any]) -> str:
    """A class with its arguments: BeamSearch(beam_size=5, length_penalty=0.6)."""
    return f"{class_name}({', '.join(f'{key}={value}' for key, value in arguments.items())})"


def show_control_characters(text: str) -> str:
    """`text` with each control character replaced by a picture (a tab by ␉) that XML, HTML and fonts can show."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's control pictures
    return "�" if unicodedata.category(character) in ("Cc", "Cs") else character


def escape_markdown(text: str) -> str:
    """`text` with everything escaped that Markdown or HTML would interpret, also inside a table."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", show_control_characters(text))
