"""Text that a translation must not lose: found in a line, missed in a translation, and added to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.copying import MAX_SEARCHED_CHARACTERS, UNKNOWN, copy_missing, find_fragments, find_missing


def found(line: str) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in find_fragments(line)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("See https://example.org/a_b?x=1&y=2. Now", [("URL", "https://example.org/a_b?x=1&y=2")]),
        ("(http://a.de/b) ftp://c www.x.fr!", [("URL", "http://a.de/b"), ("URL", "ftp://c"), ("URL", "www.x.fr")]),
        ("an a.b+c@x-y.co.uk.", [("e-mail address", "a.b+c@x-y.co.uk")]),
        ("<b>x</b><br/> &nbsp;&#39;", [("tag", text) for text in ("<b>", "</b>", "<br/>", "&nbsp;", "&#39;")]),
        ("1 < 2 > 1", [("number", "1"), ("number", "2"), ("number", "1")]),
        ("%1$s %d %s: %(name)s %5.2f", [("placeholder", text) for text in ("%1$s", "%d", "%s", "%(name)s", "%5.2f")]),
        ("{0} {} {{user}} ${x} $HOME", [("placeholder", text) for text in ("{0}", "{}", "{{user}}", "${x}", "$HOME")]),
        ("50 % der", [("number", "50")]),  # not the placeholder "% d"
        ("5% discount", [("number", "5")]),
        (
            "😀 ❤\ufe0f 👩\u200d👧 1\ufe0f\u20e3",
            [("emoji", text) for text in ("😀", "❤\ufe0f", "👩\u200d👧", "1\ufe0f\u20e3")],
        ),
        ("🇩🇪🇫🇷 👍🏽", [("emoji", text) for text in ("🇩🇪", "🇫🇷", "👍🏽")]),
        ("1,000.50 10\u00a0000 ١٢٣", [("number", text) for text in ("1,000.50", "10\u00a0000", "١٢٣")]),
        ("nothing here: a - b", []),
        ("", []),
    ],
)
def test_fragments_are_found(line: str, expected: list[tuple[str, str]]) -> None:
    assert found(line) == expected


@pytest.mark.parametrize(
    ("line", "unknown", "expected"),
    [
        ("in Łódź now", [(3, 4)], "Łódź"),  # only Ł is unknown, but the whole name is copied
        ("in Łódź, now", [(3, 4), (6, 7)], "Łódź"),
        ("看北京看", [(1, 3)], "北京"),  # words are not separated
    ],
)
def test_the_word_around_an_unknown_character_is_a_fragment(
    line: str, unknown: list[tuple[int, int]], expected: str
) -> None:
    assert [(one.kind, one.text) for one in find_fragments(line, unknown)] == [(UNKNOWN, expected)]


def test_damaged_bytes_and_spaces_are_no_unknown_words() -> None:
    assert find_fragments("b\ufffd \u200b c", [(1, 2), (3, 4)]) == []


def test_of_a_very_long_line_only_the_start_is_searched() -> None:
    """Otherwise a megabyte of signs could take hours."""
    assert len(find_fragments("😀" * 10**6, [(0, 1), (10**6 - 1, 10**6)])) == MAX_SEARCHED_CHARACTERS


@pytest.mark.parametrize(
    ("source", "translation", "missing"),
    [
        ("1,000.5 km", "1.000,5 km", []),  # the same digits
        ("1000 m", "1 000 m", ["1000"]),
        ("on 5/3/2019", "am 3.5.2019", []),
        ("10:30", "22:30", ["10:30"]),
        ("a {0} b {0}", "{0} a", ["{0}"]),  # once is not twice
        ("<b>a</b>", "<b>a", ["</b>"]),
        ("caf\u00e9@x.fr", "cafe\u0301@x.fr", []),  # the same text, composed and not
        ("١٢ 😀", "12", ["😀"]),
        ("no fragment", "", []),
    ],
)
def test_missing_fragments_are_found(source: str, translation: str, missing: list[str]) -> None:
    assert [one.text for one in find_missing(find_fragments(source), translation)] == missing


@pytest.mark.parametrize(
    ("source", "translation", "place", "expected"),
    [
        ("go to http://a.de now", "geh jetzt", 3, "geh http://a.de jetzt"),  # place: behind "geh"
        ("go to http://a.de now", "geh http://b.ce jetzt", 3, "geh http://a.de jetzt"),  # a damaged one is replaced
        ("in 2019 it", "im Jahr 2018", 7, "im Jahr 2019"),
        ("in 2019 it", "im Jahr", 2, "im 2019 Jahr"),
        ("2 dogs and 2 cats", "zwei Hunde und zwei Katzen", 0, "zwei Hunde und zwei Katzen"),  # may be words
        ("😀 hello", "hallo", 0, "😀 hallo"),
        ("hello 😀", "hallo", 0, "hallo 😀"),
        ("hello 😀.", "hallo.", 0, "hallo 😀."),
        ("a <b>bold</b> dog", "ein fetter Hund", 3, "ein <b></b> fetter Hund"),
        ("a {0} and {1}", "ein", 3, "ein {0} {1}"),
        ("%s files", "Dateien", 0, "%s Dateien"),
        ("at 10:30 pm", "um 22:30 Uhr", 2, "um 10:30 22:30 Uhr"),  # 22:30 has digits of the source: it is no mistake
        ("see <a> here", "siehe hier", 2, "siehe <a> hier"),  # never inside a word
    ],
)
def test_missing_fragments_are_added(source: str, translation: str, place: int, expected: str) -> None:
    fragments = find_fragments(source)
    missing = find_missing(fragments, translation)
    assert (
        copy_missing(translation, missing, source=source, fragments=fragments, find_place=lambda start: place)
        == expected
    )


texts = st.lists(
    st.sampled_from(
        ["dog", " ", ".", "<b>", "</b>", "{0}", "%1$s", "😀", "a@b.de", "http://a.de/x", "2019", "1,000", "犬"]
    )
).map("".join)


@given(source=texts, translation=texts, place=st.integers(0, 50))
def test_everything_but_short_numbers_is_in_the_completed_translation(
    source: str, translation: str, place: int
) -> None:
    fragments = find_fragments(source)
    missing = find_missing(fragments, translation)
    completed = copy_missing(translation, missing, source=source, fragments=fragments, find_place=lambda start: place)
    assert "\n" not in completed
    for fragment in missing:
        assert fragment.text in completed or (fragment.kind == "number" and len(fragment.key) < 3)
