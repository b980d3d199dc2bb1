"""Combining two directions, by examples worked out by hand."""

from nmt.alignment.symmetrization import SYMMETRIZATIONS, grow_diag_final_and, intersect, unite

FORWARD = {(0, 0), (1, 1), (3, 2), (2, 3)}
BACKWARD = {(0, 0), (1, 1), (1, 2), (2, 3), (4, 4)}


def test_intersection_and_union() -> None:
    assert intersect(FORWARD, BACKWARD) == {(0, 0), (1, 1), (2, 3)}
    assert unite(FORWARD, BACKWARD) == {(0, 0), (1, 1), (3, 2), (1, 2), (2, 3), (4, 4)}


def test_grow_diag_final_and_step_by_step() -> None:
    """From {0-0, 1-1, 2-3}: 1-2 is below 1-1 and target word 2 is free, so it joins; 3-2 is across from 2-3 and source
    word 3 is free, so it joins; 4-4 touches neither 2-3 nor 3-2, but both of its words are free in the end."""
    assert grow_diag_final_and(FORWARD, BACKWARD) == {(0, 0), (1, 1), (1, 2), (2, 3), (3, 2), (4, 4)}


def test_a_link_between_two_linked_words_does_not_join() -> None:
    """0-1 and 1-0 are next to links, but all of their words have one."""
    assert grow_diag_final_and({(0, 0), (1, 1), (1, 0)}, {(0, 0), (1, 1), (0, 1)}) == {(0, 0), (1, 1)}


def test_a_link_joins_in_the_end_only_if_both_words_are_free() -> None:
    """2-2 and 2-4 are not next to 0-0. 2-2 comes first; then source word 2 is no longer free for 2-4."""
    assert grow_diag_final_and({(0, 0), (2, 2), (2, 4)}, {(0, 0)}) == {(0, 0), (2, 2)}


def test_links_grow_one_from_another() -> None:
    """0-0 lets 1-1 join, and 1-1 lets 2-2 join; the backward link 4-4 waits for the last step."""
    assert grow_diag_final_and({(0, 0), (1, 1)}, {(0, 0), (2, 2), (4, 4)}) == {(0, 0), (1, 1), (2, 2), (4, 4)}


def test_nothing_gives_nothing() -> None:
    assert all(combine(set(), set()) == set() for combine in SYMMETRIZATIONS.values())


def test_with_an_empty_intersection_the_forward_links_come_first() -> None:
    assert grow_diag_final_and({(0, 1)}, {(0, 0), (1, 2)}) == {(0, 1), (1, 2)}
