"""Draws the alignment matrix of one sentence as a picture or a page, or writes it as data.

The weights are those of the translation itself; nothing is computed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.files import atomic_write, make_folder
from nmt.report.fonts import describe_missing
from nmt.report.heat_map import check_weights, layout_heat_map
from nmt.report.picture import save_picture
from nmt.report.rendering import render

SUFFIXES = (".png", ".svg", ".pdf", ".html", ".json")


def write_alignment(
    out: Path,
    *,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    weights: npt.ArrayLike,
    title: str,
    warn: Callable[[str], None],
) -> None:
    """Writes the alignment matrix as a picture (.png .svg .pdf), a page of its own (.html) or data (.json).

    Args:
        out: the file; its suffix selects the format. An interrupted write leaves no file.
        source_tokens: the S source pieces, as the tokenizer shows them ("▁A", "▁dog", …, "</s>").
        target_tokens: the T target pieces.
        weights: (T, S) attention weights between 0 and 1: an array or rows of numbers.
        title: written above the matrix; may be empty.
        warn: called with a remark if a picture needs characters that no font on this machine has.

    Raises:
        UserError: the suffix is unknown, or the weights have another shape or are not between 0 and 1.
    """
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{out}: the suffix says what to draw, and must be one of {' '.join(SUFFIXES)}")
    matrix = check_weights(source_tokens, target_tokens, weights)  # (T, S)
    make_folder(out.parent)
    with atomic_write(out) as file:
        if suffix == ".json":
            _write_json(file, source_tokens, target_tokens, matrix)
        elif suffix == ".html":
            heat_map = layout_heat_map(source_tokens, target_tokens, matrix)
            file.write(render("alignment.html.j2", title=title, heat_map=heat_map).encode("utf-8"))
        else:
            missing = save_picture(
                file,
                file_format=suffix.removeprefix("."),
                source_tokens=source_tokens,
                target_tokens=target_tokens,
                matrix=matrix,
                title=title,
            )
            if missing:
                warn(describe_missing(missing))


def _write_json(
    file: BinaryIO, source_tokens: Sequence[str], target_tokens: Sequence[str], matrix: npt.NDArray[np.float64]
) -> None:
    """Writes a JSON object, with one row of the matrix per line: a large matrix as one text would fill the memory."""
    tokens = [json.dumps(list(side), ensure_ascii=False) for side in (source_tokens, target_tokens)]
    file.write(f'{{\n"source_tokens": {tokens[0]},\n"target_tokens": {tokens[1]},\n"attention": [\n'.encode())
    for index, row in enumerate(matrix):
        file.write(((",\n" if index else "") + json.dumps(row.tolist())).encode())
    file.write(b"\n]\n}\n")
