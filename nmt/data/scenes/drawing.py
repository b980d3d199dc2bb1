"""Draws pictures: from symbols to pixels.

A picture has GRID × GRID cells of PATCH_SIZE × PATCH_SIZE pixels, so a patch that a model reads is a cell. A small
object fills its cell. A large one also covers half of each cell around it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmt.data.scenes.world import EMPTY, GRID, LOOKS, Look

PATCH_SIZE = 8
"""Side of a cell, in pixels."""

PICTURE_SIZE = GRID * PATCH_SIZE
"""Side of a picture, in pixels."""

RADIUS = {"small": 3.5, "large": 7.0}
"""Half the width of an object, in pixels."""

PAPER: tuple[float, float, float] = (1.0, 1.0, 1.0)
"""The colour of the background."""

RGB: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.10, 0.10),
    "green": (0.10, 0.65, 0.20),
    "blue": (0.15, 0.30, 0.90),
    "yellow": (0.98, 0.80, 0.05),
    "brown": (0.55, 0.33, 0.12),
    "black": (0.10, 0.10, 0.10),
}

Pixels = NDArray[np.float32]
"""(height, width, 3), red, green and blue between 0 and 1."""


def draw(symbols: Sequence[str]) -> Pixels:
    """Draws a picture (PICTURE_SIZE, PICTURE_SIZE, 3) from the symbols of its GRID · GRID cells, row by row."""
    assert len(symbols) == GRID * GRID
    picture = np.full((PICTURE_SIZE, PICTURE_SIZE, 3), PAPER, dtype=np.float32)
    looks = {look.symbol: look for look in LOOKS}
    for index, symbol in enumerate(symbols):
        if symbol != EMPTY:
            row, column = divmod(index, GRID)
            draw_object(picture, looks[symbol], ((row + 0.5) * PATCH_SIZE, (column + 0.5) * PATCH_SIZE))
    return picture


def draw_object(picture: Pixels, look: Look, center: tuple[float, float]) -> None:
    """Draws one object into a picture, around a centre in pixels from the upper left corner."""
    height, width, _ = picture.shape
    y, x = np.mgrid[:height, :width] + 0.5  # (height, width) each, the centres of the pixels
    dy, dx = y - center[0], x - center[1]
    picture[_covers(look.shape, dy, dx, RADIUS[look.size])] = RGB[look.color]


def draw_sprites() -> NDArray[np.float32]:
    """What each symbol adds to a picture: (symbols, 3, 3 · PATCH_SIZE, 3 · PATCH_SIZE), the first one is empty.

    An object is drawn in the middle of 3 × 3 cells, and the background is subtracted. So a picture is the background
    plus the sprites of its symbols, since objects do not overlap.
    """
    side = 3 * PATCH_SIZE
    sprites = np.zeros((1 + len(LOOKS), side, side, 3), dtype=np.float32)
    for sprite, look in zip(sprites[1:], LOOKS, strict=True):
        sprite += PAPER
        draw_object(sprite, look, (side / 2, side / 2))
        sprite -= PAPER
    return sprites.transpose(0, 3, 1, 2)


def _covers(shape: str, dy: NDArray[np.float64], dx: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Which pixels a shape covers, by their distance from its centre down and to the right, in pixels."""
    distance, box = np.hypot(dy, dx), np.maximum(abs(dy), abs(dx))
    match shape:
        case "circle":
            return distance <= radius
        case "ring":
            return (distance <= radius) & (distance >= 0.6 * radius)
        case "square":
            return box <= 0.9 * radius
        case "triangle":  # one corner at the top
            return (abs(dx) <= (dy + radius) / 2) & (dy <= radius)
        case "diamond":
            return abs(dy) + abs(dx) <= radius
        case _:
            assert shape == "cross"
            return (box <= radius) & (np.minimum(abs(dy), abs(dx)) <= 0.3 * radius)
