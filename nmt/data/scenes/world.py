"""Scenes: one or two groups of equal objects, in the cells of a grid.

A picture is written as text, one symbol for each cell, row by row: `<.>` is an empty cell, and the name of an object,
such as `<.small-red-circle>`, stands in the cell of its centre. So a picture is a sentence, which a corpus stores, a
tokenizer encodes and a user types like any other; the symbols are pieces of their own. `nmt.data.scenes.drawing` draws
it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product
from random import Random
from typing import Literal, get_args

SHAPES = ("circle", "ring", "square", "triangle", "diamond", "cross")
COLORS = ("red", "green", "blue", "yellow", "brown", "black")
SIZES = ("small", "large")

GRID = 7
"""Number of rows, and of columns, of a picture's cells."""

MIN_DISTANCE = 2
"""Minimum `distance` of two objects: a large object covers half of each cell around its own."""

MAX_COUNT = 3
"""Maximum number of objects in a group."""

SINGLE_GROUP_SHARE = 0.125
"""Share of the scenes that have one group."""

EMPTY = "<.>"
"""The symbol of a cell in which no object has its centre."""

Cell = tuple[int, int]
"""Row and column of a cell, from the upper left corner, from 0."""

Cells = tuple[Cell, ...]

Relation = Literal["above", "below", "left of", "right of"]


@dataclass(frozen=True, slots=True)
class Look:
    """What an object looks like."""

    size: str
    color: str
    shape: str

    @property
    def symbol(self) -> str:
        """The symbol of the cell of its centre."""
        return f"<.{self.size}-{self.color}-{self.shape}>"


LOOKS = tuple(Look(*each) for each in product(SIZES, COLORS, SHAPES))
SYMBOLS = (EMPTY, *(look.symbol for look in LOOKS))
"""All symbols of pictures. Tokenizers and models number them in this order."""

PICTURE = re.compile("|".join(map(re.escape, SYMBOLS)))
"""Matches one symbol of a picture."""


@dataclass(frozen=True, slots=True)
class Group:
    """One to MAX_COUNT equal objects, by the cells of their centres."""

    look: Look
    cells: Cells

    @property
    def count(self) -> int:
        return len(self.cells)


@dataclass(frozen=True, slots=True)
class Scene:
    """One group, or two groups in the order in which they are described."""

    groups: tuple[Group, ...]

    @property
    def picture(self) -> str:
        """The symbols of all cells, row by row."""
        looks = {cell: group.look for group in self.groups for cell in group.cells}
        cells = product(range(GRID), repeat=2)
        return "".join(looks[cell].symbol if cell in looks else EMPTY for cell in cells)

    @property
    def relation(self) -> Relation:
        """Where the first of two groups is, seen from the second."""
        first, second = self.groups
        [relation] = find_relations(first.cells, second.cells)
        return relation


def find_relations(first: Cells, second: Cells) -> list[Relation]:
    """The relations that hold between all objects of one group and all objects of another."""
    rows, columns = ([[cell[axis] for cell in cells] for cells in (first, second)] for axis in (0, 1))
    holds: dict[Relation, bool] = {
        "above": max(rows[0]) < min(rows[1]),
        "below": min(rows[0]) > max(rows[1]),
        "left of": max(columns[0]) < min(columns[1]),
        "right of": min(columns[0]) > max(columns[1]),
    }
    return [relation for relation, is_true in holds.items() if is_true]


def generate_scenes(random: Random) -> Iterator[Scene]:
    """Yields scenes forever.

    The picture determines the description. Exactly one relation holds between two groups, and the one with fewer
    objects is described first; of two equally large ones, the upper or left one. The groups differ in size or shape.
    Colours are independent of everything else, so no other word of a description tells which colour a word names.
    """
    kinds = list(product(SIZES, SHAPES))
    while True:
        num_groups = 1 if random.random() < SINGLE_GROUP_SHARE else 2
        looks = [Look(size, random.choice(COLORS), shape) for size, shape in random.sample(kinds, num_groups)]
        counts = tuple(sorted(random.randint(1, MAX_COUNT) for _ in looks))
        yield Scene(tuple(map(Group, looks, random.choice(find_arrangements(counts)))))


@cache
def find_arrangements(counts: tuple[int, ...]) -> list[tuple[Cells, ...]]:
    """All ways to place one or two groups of objects; `generate_scenes` says which.

    The outermost cells stay empty: they would cut large objects off.
    """
    inner = [(row, column) for row in range(1, GRID - 1) for column in range(1, GRID - 1)]
    placed: list[Cells] = [()]  # cells of all objects, in the order of the grid
    for _ in range(sum(counts)):
        placed = [
            (*cells, cell)
            for cells in placed
            for cell in inner
            if all(cell > other and distance(cell, other) >= MIN_DISTANCE for other in cells)
        ]
    if len(counts) == 1:
        return [(cells,) for cells in placed]
    first_relations = [["above"], ["left of"]] if counts[0] == counts[1] else [[each] for each in get_args(Relation)]
    divided = (
        (first, tuple(cell for cell in cells if cell not in first))
        for cells in placed
        for first in combinations(cells, counts[0])
    )
    return [groups for groups in divided if find_relations(*groups) in first_relations]


def distance(first: Cell, second: Cell) -> int:
    """The distance of two cells in rows or in columns, whichever is larger."""
    return max(abs(first[0] - second[0]), abs(first[1] - second[1]))
