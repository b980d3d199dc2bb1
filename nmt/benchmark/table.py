"""The figures for a person to read."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

PREFIXES = {0: "", 6: "M", 9: "G", 12: "T"}
"""By the power of ten."""


def show(result: dict[str, Any], console: Console) -> None:
    """Writes what `nmt benchmark` found, one table for training and one for decoding."""
    for what in ("training", "decoding"):
        if what in result:
            console.print(table(what, result[what]))


def table(title: str, part: dict[str, Any]) -> Table:
    """The model's figures, the plain one's beside them, and the ratios."""
    shown = Table("", "model", "plain", title=title, title_justify="left")
    for column in shown.columns[1:]:
        column.justify = "right"
    plain = flat(part["plain"])
    for name, value in flat(part["model"]).items():
        shown.add_row(label(name), figure(name, value), figure(name, plain[name]) if name in plain else "")
    for name, values in part.items():
        if name not in ("model", "plain"):
            rounds = len(values["rounds"])
            spread = (
                f"{values['lowest']:.2f} to {values['highest']:.2f} of {rounds} rounds" if rounds > 1 else "1 round"
            )
            shown.add_row(f"{label(name)}, times as fast", f"{values['median']:.2f}", spread)
    return shown


def flat(values: dict[str, Any]) -> dict[str, float]:
    """{"a": {"b": 1}} -> {"a b": 1}."""
    return {
        f"{name} {inner}" if inner else name: number
        for name, value in values.items()
        for inner, number in (value.items() if isinstance(value, dict) else [("", value)])
    }


def label(name: str) -> str:
    return name.replace("_", " ")


def figure(name: str, value: float) -> str:
    """A number with the unit that its name tells."""
    if "seconds" in label(name).split():
        return f"{value * 1000:,.1f} ms"
    if "share" in name:
        return f"{value:.1%}"
    if name.endswith("bytes"):
        return f"{value / 2**20:,.0f} MiB"
    if "flops" in name:
        power = next(power for power in (12, 9, 6, 0) if value >= 10**power or power == 0)
        return f"{value / 10**power:,.1f} {PREFIXES[power]}".rstrip()
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
