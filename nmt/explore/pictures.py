"""Pictures in source lines, as images that a page can show."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

from nmt.data.scenes.drawing import draw
from nmt.data.scenes.world import GRID, SYMBOLS


@dataclass(frozen=True)
class Picture:
    """The picture at the beginning of a source line.

    Attributes:
        image: a data URL of a PNG file.
        rows: number of rows of its patches.
        columns: number of columns of its patches.
        first: the index of the first patch among the source pieces; the others follow row by row.
    """

    image: str
    rows: int
    columns: int
    first: int


def find_picture(pieces: Sequence[str]) -> Picture | None:
    """The picture that source pieces contain; None without a complete one whose patches follow each other."""
    patches = [index for index, piece in enumerate(pieces) if piece in SYMBOLS]
    if len(patches) != GRID * GRID or patches[-1] - patches[0] + 1 != len(patches):
        return None
    from matplotlib.image import imsave  # only here: it is slow to import, and systems without pictures do without it

    file = io.BytesIO()
    imsave(file, draw([pieces[index] for index in patches]), format="png")
    image = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
    return Picture(image, rows=GRID, columns=GRID, first=patches[0])
