"""The Pharaoh format."""

import pytest

from nmt.data.pharaoh import GoldLinks, check_links, format_links, parse_links, reverse_links
from nmt.data.words import spaced_words
from nmt.errors import UserError


def test_sure_and_possible_links() -> None:
    links = parse_links(" 0-0  1p2\t10-3 ", location="x")
    assert links == GoldLinks(frozenset({(0, 0), (10, 3)}), frozenset({(0, 0), (1, 2), (10, 3)}))
    assert format_links(links.sure, links.possible) == "0-0 1p2 10-3"
    assert links.reversed() == parse_links("0-0 2p1 3-10", location="x")
    assert format_links({(2, 1), (0, 0), (1, 10), (1, 2)}) == "0-0 1-2 1-10 2-1"
    assert reverse_links({(1, 2)}) == {(2, 1)}


def test_an_empty_line_has_no_links() -> None:
    assert parse_links("", location="x") == GoldLinks(frozenset(), frozenset())
    assert format_links([]) == ""


@pytest.mark.parametrize("item", ["3", "1-", "-1-2", "1:2", "1-2-3", "a-b", "1–2", "٣-٤", "1-99999999999", "x" * 99])
def test_what_is_not_a_link_is_refused(item: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_links(f"0-0 {item}", location="gold.align line 7")
    assert str(caught.value) == (
        f"gold.align line 7: {item[:30]} is not a link: write the indices of two words, from 0, as in 3-5, or 3p5 for "
        "a link that is only possible"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0-0 3-1", "3-1 needs word 3 on the left, but the line there has 3 words"),
        ("0p2", "0-2 needs word 2 on the right, but the line there has 2 words"),
    ],
)
def test_an_index_beyond_the_sentence_is_refused(text: str, problem: str) -> None:
    links = parse_links(text, location="x")
    check_links(links, ("a b c d", "x y z"), split=spaced_words, location="x")
    with pytest.raises(UserError, match=f"^gold line 2: the link {problem}"):
        check_links(links, ("a b c", "x y"), split=spaced_words, location="gold line 2")


def test_the_characters_of_a_script_without_spaces_are_counted() -> None:
    check_links(parse_links("2-3", location="x"), ("a b c", "狗在跑。"), split=spaced_words, location="x")
