"""Alignment matrices: which source pieces the model looked at while it wrote each target piece.

One row a target piece, one column a source piece; a row's weights sum to one. The picture is drawn from the weights
that the hypothesis carries; nothing is computed again.
"""

from __future__ import annotations

import json
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.files import atomic_write, make_folder
from nmt.report.page import printable, render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf", ".html", ".json")

WORD_START = "▁"  # SentencePiece's mark on a piece that opens a word
CONTINUES = "·"  # ours, on a piece that continues one
_LONGEST_LABEL = 24  # characters

# What DejaVu (which comes with matplotlib) lacks is looked for here, in vector fonts that a machine may have.
_FALLBACK_FONTS = ("Noto Sans", "Noto Emoji", "Segoe UI Emoji", "Symbola", "Noto Sans CJK SC", "Arial Unicode MS")


def write_alignment(
    out: Path, *, source_tokens: Sequence[str], target_tokens: Sequence[str], weights: Any, title: str
) -> None:
    """Writes the alignment matrix as a picture (.png .svg .pdf), a page of its own (.html) or data (.json).

    Args:
        out: the file; its suffix chooses the kind. Written whole or not at all.
        source_tokens: the S source pieces, as the tokenizer shows them ("▁A", "▁dog", …, "</s>").
        target_tokens: the T target pieces.
        weights: (T, S) attention weights between 0 and 1: an array or rows of numbers.
        title: written above the matrix; may be empty.

    Raises:
        ValueError: another suffix, weights of another shape, or outside 0 to 1.
    """
    suffix = out.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{out}: the suffix says what to draw, and must be one of {' '.join(SUFFIXES)}")
    matrix = checked_weights(source_tokens, target_tokens, weights)
    make_folder(out.parent)
    if suffix in (".html", ".json"):
        text = (
            render("alignment.html.j2", title=title, matrix=heat_map(source_tokens, target_tokens, matrix))
            if suffix == ".html"
            else _json(source_tokens, target_tokens, matrix)
        )
        with atomic_write(out) as file:
            file.write(text.encode("utf-8"))
    else:
        with atomic_write(out) as file:
            _save_picture(file, suffix.removeprefix("."), source_tokens, target_tokens, matrix, title)


def checked_weights(
    source_tokens: Sequence[str], target_tokens: Sequence[str], weights: Any
) -> npt.NDArray[np.float64]:
    """`weights` as an array (T, S).

    Raises:
        ValueError: they are not one row for each target piece and one column for each source piece, or not in 0 to 1.
    """
    shape = (len(target_tokens), len(source_tokens))
    if 0 in shape:
        raise UserError("there is no alignment to draw: the source or the target has no pieces")
    try:
        matrix = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError("the attention weights are not rows of equally many numbers") from None
    if matrix.shape != shape:
        raise UserError(
            f"the attention weights are {' × '.join(map(str, matrix.shape))}, "
            f"but there are {shape[0]} target pieces × {shape[1]} source pieces"
        )
    if not ((matrix > -1e-3) & (matrix < 1 + 1e-3)).all():  # which NaN is not, either
        raise UserError("the attention weights must lie between 0 and 1")
    return matrix


def piece_labels(pieces: Sequence[str]) -> list[str]:
    """Pieces as people read them: a word's first piece plain ("dog"), the pieces that continue it with a dot ("·gie").

    Punctuation and special pieces ("</s>") stay bare, a lone "▁" becomes "␣", and where no piece has a "▁", all are
    words already.
    """
    marked = any(piece.startswith(WORD_START) for piece in pieces)
    labels = []
    for piece in pieces:
        text = printable(piece.removeprefix(WORD_START))
        continues = marked and not piece.startswith(WORD_START) and any(c.isalnum() for c in text)
        if continues and not _is_special(piece):
            text = CONTINUES + text
        labels.append(text or "␣")
    return labels


def _is_special(piece: str) -> bool:
    return len(piece) > 2 and piece.startswith("<") and piece.endswith(">")


def shortened(label: str) -> str:
    """A label that fits beside a matrix."""
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"


def _json(source_tokens: Sequence[str], target_tokens: Sequence[str], matrix: npt.NDArray[np.float64]) -> str:
    value = {"source_tokens": list(source_tokens), "target_tokens": list(target_tokens), "attention": matrix.tolist()}
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


# --- the matrix inside a page ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeatMap:
    """An alignment matrix laid out for `_matrix.html.j2`, in CSS pixels."""

    cell: int
    left: float
    """Where the columns begin; the row labels end just before."""
    top: float
    width: float
    height: float
    columns: list[tuple[str, str]]
    """Each source piece's label, as drawn and in full."""
    rows: list[tuple[str, str]]
    cells: list[tuple[int, int, float]]
    """(row, column, weight) of each cell dark enough to be seen."""


def heat_map(source_tokens: Sequence[str], target_tokens: Sequence[str], weights: Any) -> HeatMap:
    """Lays out the matrix for a page. Raises what `checked_weights` raises."""
    matrix = checked_weights(source_tokens, target_tokens, weights)
    columns = [(shortened(label), label) for label in piece_labels(source_tokens)]
    rows = [(shortened(label), label) for label in piece_labels(target_tokens)]
    cell = 18
    longest_column = max(_text_width(label) for label, _ in columns)
    left = max(_text_width(label) for label, _ in rows) + 12
    top = longest_column * 0.87 + 16  # the column labels rise at 60 degrees: sin 60 = 0.87, cos 60 = 0.5
    return HeatMap(
        cell=cell,
        left=left,
        top=top,
        width=left + cell * len(columns) + max(8, longest_column * 0.5),
        height=top + cell * len(rows) + 4,
        columns=columns,
        rows=rows,
        cells=[
            (row, column, float(weight)) for (row, column), weight in np.ndenumerate(matrix) if round(weight, 3) > 0
        ],
    )


def _text_width(text: str) -> float:
    """Roughly, in pixels at 12 px, for whatever sans-serif font the reader has."""
    return sum(13.0 if unicodedata.east_asian_width(c) in "WF" else 7.0 for c in text)


# --- the matrix as a picture ----------------------------------------------------------------------------------


def _save_picture(
    file: Any,
    kind: str,
    source_tokens: Sequence[str],
    target_tokens: Sequence[str],
    matrix: npt.NDArray[np.float64],
    title: str,
) -> None:
    import matplotlib  # here, so that data, pages and whoever only imports this file need not wait for it
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    settings: Any = {
        "font.family": ["DejaVu Sans", *(name for name in _FALLBACK_FONTS if name in installed)],
        "svg.fonttype": "none",  # text stays text: to be searched, and to use the reader's emoji font
        "svg.hashsalt": "nmt",  # the same input gives the same file
        "pdf.fonttype": 42,
    }
    undated: Any = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # drawn as a box, which says as much
        figure = _figure(source_tokens, target_tokens, matrix, title)
        figure.savefig(file, format=kind, dpi=150, bbox_inches="tight", facecolor="white", metadata=undated)


def _figure(
    source_tokens: Sequence[str], target_tokens: Sequence[str], matrix: npt.NDArray[np.float64], title: str
) -> Figure:
    from matplotlib.figure import Figure

    num_rows, num_columns = matrix.shape
    inches = 0.27  # a cell's side
    width, height = num_columns * inches, num_rows * inches
    figure = Figure(figsize=(width + 1, height + 1))
    axes = figure.add_axes((0, 0, width / (width + 1), height / (height + 1)))
    mesh = axes.pcolormesh(matrix, cmap="Blues", vmin=0, vmax=1, edgecolors="#e9edf2", linewidth=0.4)
    axes.invert_yaxis()
    axes.xaxis.tick_top()
    plain: Any = {"parse_math": False, "fontsize": 9}  # a "$" is a piece, not mathematics
    sources = [shortened(label) for label in piece_labels(source_tokens)]
    targets = [shortened(label) for label in piece_labels(target_tokens)]
    axes.set_xticks(
        np.arange(num_columns) + 0.5, sources, rotation=60, ha="left", va="bottom", rotation_mode="anchor", **plain
    )
    axes.set_yticks(np.arange(num_rows) + 0.5, targets, **plain)
    axes.tick_params(length=0)
    axes.spines[:].set_color("#b8c2cc")
    # Beside the matrix, from its top down, and never shorter than can be read.
    bar_bottom = min(0.0, height - 1.2) / (height + 1)
    bar_axes = figure.add_axes(
        ((width + 0.25) / (width + 1), bar_bottom, 0.12 / (width + 1), height / (height + 1) - bar_bottom)
    )
    bar = figure.colorbar(mesh, cax=bar_axes, ticks=[0, 0.5, 1])
    bar.set_label("attention weight", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_edgecolor("#b8c2cc")
    legend = f"across: source pieces; down: target pieces; each row sums to 1; {CONTINUES} continues a word"
    figure.text(0, bar_bottom - 0.08 / (height + 1), legend, fontsize=7, color="#5b6670", va="top")
    if title:
        axes.set_title(printable(title), fontsize=10, loc="left", parse_math=False, pad=10)
    return figure
