"""Reading two files line by line."""

import io

import pytest

from nmt.cli.shell.line_streams import read_pairs
from nmt.cli.shell.line_warnings import LineWarnings
from nmt.errors import UserError

WARNINGS = LineWarnings("nmt score"), LineWarnings("nmt score")


def pairs(first: bytes, second: bytes) -> list[tuple[str, str]]:
    return list(read_pairs(io.BytesIO(first), io.BytesIO(second), WARNINGS, names=("a", "b")))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (b"x\n\ny", b"u\nv\n\n", [("x", "u"), ("", "v"), ("y", "")]),
        (b"x\n\n \n", b"u\n", [("x", "u"), ("", ""), (" ", "")]),  # one line of output for each line
        (b"x\n", b"u\r\n\r\n", [("x", "u"), ("", "")]),
        (b"", b"\n", [("", "")]),
    ],
)
def test_blank_lines_that_only_one_file_has(first: bytes, second: bytes, expected: list[tuple[str, str]]) -> None:
    assert pairs(first, second) == expected


def test_further_lines_with_text_are_refused() -> None:
    with pytest.raises(UserError, match=r"^b has 5 lines, but a has 1: line i of one must belong"):
        pairs(b"x\n", b"u\n\n\nv\n\n")
