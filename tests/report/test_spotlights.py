"""Attention to a picture, split into the picture and the words beside it."""

import io

import numpy as np
import pytest

from nmt.data.scenes.drawing import draw
from nmt.data.scenes.world import EMPTY, GRID
from nmt.report.figure import Figure, Panel
from nmt.report.spotlights import light, save_spotlights, shows_picture

PATCHES = ["<.small-red-circle>", *[EMPTY] * (GRID * GRID - 1)]


def panel(title: str = "") -> Panel:
    """Two words that attend to a picture and to three pieces of text."""
    matrix = np.zeros((2, 1 + len(PATCHES) + 3))
    matrix[0, [0, 1, 2, -3]] = 0.1, 0.5, 0.25, 0.15
    matrix[1, [-2, -1]] = 0.75, 0.25
    return Panel(title, ["▁", *PATCHES, "a", "circle", "</s>"], ["rote", "</s>"], matrix)


def test_a_picture_is_recognised_by_its_complete_set_of_patches() -> None:
    whole = panel()
    assert shows_picture(whole)
    columns = [*whole.columns[:1], *whole.columns[2:]]
    assert not shows_picture(Panel("", columns, whole.rows, np.delete(np.asarray(whole.matrix), 1, axis=1)))
    side = whole.columns
    assert not shows_picture(Panel("", side, side, np.eye(len(side))))  # self-attention, from patches to patches


def test_light_grows_with_the_root_of_the_weight() -> None:
    picture = draw(PATCHES)
    weights = np.zeros(GRID * GRID)
    weights[[0, 1]] = 1.0, 0.25
    lit = light(picture, weights)
    assert np.array_equal(lit[:8, :8], picture[:8, :8])
    assert lit[:8, 8:16] == pytest.approx(0.22 + 0.78 * 0.5)  # white paper, half as much brighter than the dark
    assert lit[8:, :] == pytest.approx(0.22)


def test_each_word_has_a_drawing_and_its_weights_as_text() -> None:
    file = io.BytesIO()
    save_spotlights(file, Figure("two heads", [[panel("head 0"), panel("head 1")]]), file_format="svg")
    text = file.getvalue().decode()
    assert text.count("<image ") == 2 * 2  # for each head the plain picture and one word; </s> has none
    for words in ("two heads", "head 0", "head 1", "rote", "0.75 on the picture", "0.15 on a"):
        assert f">{words}<" in text
