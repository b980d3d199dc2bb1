"""Combines the word links of two directions into one alignment.

Forward links give each target word its source words; backward links give each source word its target words. Links that
both directions find are reliable, and the others fill gaps (Och and Ney, 2003, Section 4; Koehn et al., 2003,
"Statistical Phrase-Based Translation", Section 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Literal

from nmt.data.pharaoh import Link

Symmetrization = Literal["intersection", "union", "grow-diag-final-and"]
"""The ways to combine two directions, by the names that users type."""

NEIGHBOURS = ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))
"""The eight cells around a link in the matrix of source and target words: beside it first, then across."""


def intersect(forward: Set[Link], backward: Set[Link]) -> set[Link]:
    """The links that both directions have: few, and most of them right."""
    return set(forward & backward)


def unite(forward: Set[Link], backward: Set[Link]) -> set[Link]:
    """The links that either direction has: many, and most of the right ones are among them."""
    return set(forward | backward)


def grow_diag_final_and(forward: Set[Link], backward: Set[Link]) -> set[Link]:
    """The intersection, grown by links of the union (Koehn et al., 2005, "Edinburgh System Description", IWSLT).

    1. grow-diag: a link of the union joins if it is next to a link that is there already, also diagonally, and one of
       its two words has no link yet. Repeated until nothing joins.
    2. final-and: a link of the union joins if neither of its words has a link yet; first those of `forward`, then
       those of `backward`.

    Args:
        forward: links of each target word to source words, as (source, target).
        backward: links of each source word to target words, also as (source, target).
    """
    links = intersect(forward, backward)
    union = unite(forward, backward)
    candidates = sorted(union, key=_by_target)
    sources, targets = {source for source, _ in links}, {target for _, target in links}

    def add(link: Link) -> None:
        links.add(link)
        sources.add(link[0])
        targets.add(link[1])

    # 1. grow-diag. Links are visited by target word, as in the paper, because the order can matter; those that join in
    #    a pass are visited in the same pass if they come later.
    size_before = -1
    while size_before < len(links):
        size_before = len(links)
        for source, target in candidates:
            if (source, target) not in links:
                continue
            for source_step, target_step in NEIGHBOURS:
                link = (source + source_step, target + target_step)
                if link in union and (link[0] not in sources or link[1] not in targets):
                    add(link)

    # 2. final-and
    for direction in (forward, backward):
        for link in sorted(direction, key=_by_target):
            if link[0] not in sources and link[1] not in targets:
                add(link)
    return links


def _by_target(link: Link) -> Link:
    """Sorts links by target word, then by source word."""
    return link[1], link[0]


SYMMETRIZATIONS: dict[Symmetrization, Callable[[Set[Link], Set[Link]], set[Link]]] = {
    "grow-diag-final-and": grow_diag_final_and,
    "intersection": intersect,
    "union": unite,
}
