"""The benchmark's result as tables on a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

UNIT_PREFIXES = {12: "T", 9: "G", 6: "M", 0: ""}
"""SI prefixes by power of ten, the largest first."""


def print_tables(result: dict[str, Any], console: Console) -> None:
    """Prints the result of `nmt benchmark`: one table for training, one for decoding."""
    for section in ("training", "decoding"):
        if section in result:
            console.print(make_table(section, result[section]))


def make_table(title: str, section: dict[str, Any]) -> Table:
    """A table of the model's figures, the plain model's figures beside them, and the ratios below."""
    table = Table("", "model", "plain", title=title, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    plain = flatten(section["plain"])
    for name, value in flatten(section["model"]).items():
        plain_cell = format_value(name, plain[name]) if name in plain else ""
        table.add_row(to_words(name), format_value(name, value), plain_cell)
    for name, ratio in section.items():
        if name not in ("model", "plain"):
            rounds = len(ratio["rounds"])
            spread = f"{ratio['lowest']:.2f} to {ratio['highest']:.2f} of {rounds} rounds" if rounds > 1 else "1 round"
            table.add_row(f"{to_words(name)}, times as fast", f"{ratio['median']:.2f}", spread)
    return table


def flatten(values: dict[str, Any]) -> dict[str, float]:
    """Flattens one level of nesting: {"a": {"b": 1}} becomes {"a b": 1}."""
    return {
        f"{name} {inner_name}" if inner_name else name: number
        for name, value in values.items()
        for inner_name, number in (value.items() if isinstance(value, dict) else [("", value)])
    }


def to_words(name: str) -> str:
    """A key of the JSON result as words."""
    return name.replace("_", " ")


def format_value(name: str, value: float) -> str:
    """A number with the unit that its name states."""
    if "seconds" in to_words(name).split():
        return f"{value * 1000:,.1f} ms"
    if "share" in name:
        return f"{value:.1%}"
    if name.endswith("bytes"):
        return f"{value / 2**20:,.0f} MiB"
    if "flops" in name:
        power = next(power for power in UNIT_PREFIXES if value >= 10**power or power == 0)
        return f"{value / 10**power:,.1f} {UNIT_PREFIXES[power]}".rstrip()
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
