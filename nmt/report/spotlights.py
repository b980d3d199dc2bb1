"""Attention to a picture: for each word, the picture with light on the patches that the word attends to.

A model of `nmt.models.transformer.pictures` attends to the patches of a picture and to words. Figures of such attention
split the two: the patches are shown on the drawing, and the words as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from nmt.data.scenes.drawing import PATCH_SIZE, Pixels, draw
from nmt.data.scenes.world import GRID, SYMBOLS
from nmt.data.words import is_special
from nmt.report.figure import Figure, Panel
from nmt.report.heat_map import check_weights
from nmt.report.labels import piece_labels, shorten

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPOT_INCHES, GAP_INCHES, TEXT_INCHES = 1.3, 0.1, 0.45
"""Side of a drawing with the gap beside it, that gap, and the height of the text above and below it, in inches."""

SPOTS_PER_LINE = 7
"""Maximum number of drawings side by side."""

TITLE_INCHES = 0.3
"""Height of a title, in inches."""

DARKNESS = 0.22
"""How bright a patch without attention is, compared with the one that gets the most."""

MIN_NAMED_WEIGHT = 0.1
"""Minimum weight of a source word that is named below a drawing."""

DOTS_PER_INCH = 110
QUIET_COLOR, FRAME_COLOR = "#5b6670", "#b8c2cc"

CAPTION = (
    "The brighter a patch, the more the target word attends to it; the brightest one of all has the largest weight. "
    "Below: the weight on all patches together, and the source word with the largest weight."
)


@dataclass(frozen=True)
class Spot:
    """One drawing, with the text above and below it."""

    pixels: Pixels
    title: str
    note: str


def shows_picture(panel: Panel) -> bool:
    """Whether the columns of a matrix contain a complete picture, and its rows do not."""
    return len(_find_patches(panel)) == GRID * GRID and not any(row in SYMBOLS for row in panel.rows)


def save_spotlights(file: BinaryIO, figure: Figure, *, file_format: str) -> None:
    """Draws a figure, all of whose matrices show pictures, into a file of the format "png", "svg" or "pdf"."""
    import matplotlib  # only here: it is slow to import, and pages and data do without it
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    # 1. Find out how much room everything takes: each matrix has a title, and below it its drawings in lines.
    blocks = [(panel.title, _list_spots(panel)) for panel in figure.panels]
    width = SPOT_INCHES * min(SPOTS_PER_LINE, max(len(spots) for _, spots in blocks))
    num_lines = sum(-(-len(spots) // SPOTS_PER_LINE) for _, spots in blocks)
    num_titles = sum(bool(title) for title in (figure.title, *(title for title, _ in blocks)))
    height = num_lines * (SPOT_INCHES + TEXT_INCHES) + num_titles * TITLE_INCHES

    # 2. Draw from the top.
    settings: Any = {"svg.fonttype": "none", "svg.hashsalt": "nmt"}  # the same input gives the same file
    metadata: Any = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[file_format]
    side = SPOT_INCHES - GAP_INCHES
    with matplotlib.rc_context(settings):
        canvas = Canvas(figsize=(width, height))
        FigureCanvasAgg(canvas)
        top = 0.0  # in inches

        def write_title(text: str, size: float) -> None:
            nonlocal top
            if text:
                canvas.text(0, 1 - top / height, text, fontsize=size, va="top", parse_math=False)
                top += TITLE_INCHES

        write_title(figure.title, 11)
        for title, spots in blocks:
            write_title(title, 9)
            for start in range(0, len(spots), SPOTS_PER_LINE):
                bottom = top + TEXT_INCHES / 2 + side
                for column, spot in enumerate(spots[start : start + SPOTS_PER_LINE]):
                    place = (column * SPOT_INCHES / width, 1 - bottom / height, side / width, side / height)
                    _draw_spot(canvas.add_axes(place), spot)
                top += SPOT_INCHES + TEXT_INCHES
        canvas.text(0, 0, fill(CAPTION, int(width * 16)), fontsize=7, color=QUIET_COLOR, va="top")
        canvas.savefig(
            file, format=file_format, dpi=DOTS_PER_INCH, bbox_inches="tight", facecolor="white", metadata=metadata
        )


def _find_patches(panel: Panel) -> list[int]:
    """The indices of the columns that are patches."""
    return [index for index, column in enumerate(panel.columns) if column in SYMBOLS]


def _list_spots(panel: Panel) -> list[Spot]:
    """The drawings of a matrix: the plain picture, then one for each row."""
    patches = _find_patches(panel)
    picture = draw([panel.columns[index] for index in patches])
    weights = check_weights(panel.columns, panel.rows, panel.matrix)  # (R, C)
    rows = [index for index, row in enumerate(panel.rows) if not is_special(row)]
    on_patches, on_words = weights[rows][:, patches], weights[rows, patches[-1] + 1 :]  # (rows, P), (rows, words)
    titles, words = (
        list(map(shorten, piece_labels(labels)))
        for labels in ([panel.rows[row] for row in rows], panel.columns[patches[-1] + 1 :])
    )
    spots = [Spot(picture, "", "the picture")]
    for title, own_patches, own_words in zip(titles, on_patches, on_words, strict=True):
        note = f"{own_patches.sum():.2f} on the picture"
        if len(words) and own_words.max() >= MIN_NAMED_WEIGHT:
            note += f"\n{own_words.max():.2f} on {words[own_words.argmax()]}"
        spots.append(Spot(light(picture, own_patches / max(on_patches.max(), 1e-9)), title, note))
    return spots


def light(picture: Pixels, weights: NDArray[np.float64]) -> Pixels:
    """The picture with light on its patches; `weights` (P,) are relative to the largest one of the figure's matrix.

    The brightness grows with the square root of the weight, so that weights of a tenth can be seen.
    """
    brightness = DARKNESS + (1 - DARKNESS) * np.sqrt(weights)  # (P,)
    pixels = brightness.reshape(GRID, GRID).repeat(PATCH_SIZE, 0).repeat(PATCH_SIZE, 1)  # (height, width)
    return (picture * pixels[:, :, None]).astype(np.float32)


def _draw_spot(axes: Axes, spot: Spot) -> None:
    axes.imshow(spot.pixels, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color(FRAME_COLOR)
    axes.set_title(spot.title, fontsize=10, pad=3, parse_math=False)
    axes.set_xlabel(spot.note, fontsize=7, color=QUIET_COLOR, labelpad=2, parse_math=False)
