"""The benchmark's tables: units of the figures, and the spread of the ratios."""

import pytest

from nmt.benchmark.table import format_value, make_table


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("flops per target token", 12.0, "12.0"),
        ("flops per target token", 3.25e6, "3.2 M"),
        ("flops per target token", 3.7e8, "370.0 M"),
        ("matrix peak flops per second", 7.9e14, "790.0 T"),
        ("step seconds p50", 0.0405, "40.5 ms"),
        ("waiting share", 0.0012, "0.1%"),
        ("peak memory bytes", 2**30, "1,024 MiB"),
        ("target tokens per second", 12345.6, "12,346"),
        ("sentences per second", 9.87, "9.87"),
    ],
)
def test_a_value_has_the_unit_that_its_name_states(name: str, value: float, text: str) -> None:
    assert format_value(name, value) == text


@pytest.mark.parametrize(("rounds", "text"), [([2.0], "1 round"), ([1.0, 3.0], "1.00 to 3.00 of 2 rounds")])
def test_the_range_over_the_rounds_stands_beside_a_ratio(rounds: list[float], text: str) -> None:
    ratio = {"median": 2.0, "lowest": min(rounds), "highest": max(rounds), "rounds": rounds}
    table = make_table("training", {"model": {}, "plain": {}, "ratio": ratio})
    assert [cell for column in table.columns for cell in column.cells] == ["ratio, times as fast", "2.00", text]
