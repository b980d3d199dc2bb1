"""How the report writes numbers and text, in HTML and in Markdown. A missing value is written as a dash."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

from nmt.report.record import LengthRange, MeanScore

DASH = "–"

FIRST_STRONG_ISOLATE, POP_DIRECTIONAL_ISOLATE = "\u2068", "\u2069"
"""Unicode's pair around text whose first letter decides in which direction it runs, whatever stands beside it."""

BIDI_CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Characters that change the direction of all text behind them."""

FILLERS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff]")
"""Characters without ink that are neither spaces nor format characters, such as variation selectors."""


def format_score(value: float | None) -> str:
    """A score in points, to one decimal: on a thousand sentences, finer differences mean nothing."""
    return DASH if value is None else f"{value:.1f}"


def format_mean(score: MeanScore | None, format_value: Callable[[float | None], str] = format_score) -> str:
    """A mean over seeds with its standard deviation; a single seed has no deviation."""
    if score is None:
        return DASH
    return format_value(score.mean) + ("" if score.deviation is None else f" ± {format_value(score.deviation)}")


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
    if isinstance(value, int) or round(value, 1) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if round(value, 2) >= 10 else f"{value:.2f}"


def format_parameters(value: int | None) -> str:
    """A number of parameters, in millions: 5.12 M."""
    return DASH if value is None else f"{value / 1e6:.2f} M"


def format_duration(seconds: float | None) -> str:
    """A duration in the largest suitable unit: 45 s, 12 min, 1 h 05 min."""
    if seconds is None:
        return DASH
    if round(seconds) < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def format_length_range(lengths: LengthRange) -> str:
    """The lengths in a range: 6–10."""
    return f"{lengths.first}–{lengths.last}" if lengths.first < lengths.last else str(lengths.first)


def format_call(class_name: str, arguments: dict[str, Any]) -> str:
    """A class with its arguments: BeamSearch(beam_size=5, length_penalty=0.6)."""
    shown = {
        key: format_call(value["class"], value["arguments"]) if isinstance(value, dict) and "class" in value else value
        for key, value in arguments.items()
    }
    return f"{class_name}({', '.join(f'{key}={value}' for key, value in shown.items())})"


def show_control_characters(text: str) -> str:
    """`text` with each control character replaced by a picture (a tab by ␉) that XML, HTML and fonts can show."""
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's control pictures
    category = unicodedata.category(character)
    if category in ("Zl", "Zp"):  # the separators of lines and paragraphs
        return "␤"
    return "�" if category in ("Cc", "Cs") or code & 0xFFFE == 0xFFFE else character  # XML has no U+FFFE and U+FFFF


def is_ignorable(character: str) -> bool:
    """Tells whether a character leaves no ink: a space, a control or format character, or a filler."""
    return unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp") or bool(FILLERS.match(character))


def is_right_to_left(text: str) -> bool:
    """Tells whether most letters of `text` belong to a script that runs from right to left, such as Arabic."""
    directions = [unicodedata.bidirectional(character) for character in text]
    return directions.count("R") + directions.count("AL") > directions.count("L")


def isolate(text: str) -> str:
    """`text` for the middle of a line from left to right, so that what stands beside it stays in its place.

    Without isolation, right-to-left text moves the full stops and numbers beside it to its other end. Text without
    such letters is unchanged. HTML elements use `<bdi>`; this is for places without markup: Markdown, and titles.
    """
    isolated = BIDI_CONTROLS.sub("", text)
    if isolated == text and not any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
        return text
    return FIRST_STRONG_ISOLATE + isolated + POP_DIRECTIONAL_ISOLATE


def escape_markdown(text: str) -> str:
    """`text` with everything escaped that Markdown or HTML would interpret, also inside a table."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", show_control_characters(text))
