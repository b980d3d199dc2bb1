"""Splitting lines into words, and grouping pieces by them, by hand-worked examples."""

import re
from itertools import islice

import pytest

from nmt.data.grammar import generate_pairs, split_words
from nmt.data.words import (
    UNSPACED_CHARACTERS,
    Splitter,
    find_special,
    find_text_words,
    group_pieces,
    join_pieces,
    separate_words,
    spaced_words,
)
from nmt.explore.page import PAGE_FOLDER


def words(line: str, split: Splitter) -> list[str]:
    return [line[start:end] for start, end in split(line)]


@pytest.mark.parametrize(
    ("line", "spaced", "separate"),
    [
        ("Das Tier, das war's.", ["Das", "Tier,", "das", "war's."], ["Das", "Tier", ",", "das", "war's", "."]),
        ("  a\t(b)\u3000", ["a", "(b)"], ["a", "(", "b", ")"]),
        ("coffee-cup, 'x' -y", ["coffee-cup,", "'x'", "-y"], ["coffee-cup", ",", "'", "x", "'", "-", "y"]),
        ("3.5% of $10", ["3.5%", "of", "$10"], ["3", ".", "5", "%", "of", "$", "10"]),
        ("我有3只狗。", list("我有3只狗。"), list("我有3只狗。")),  # every character is a word
        ("สุนัขวิ่ง", ["สุ", "นั", "ข", "วิ่", "ง"], ["สุ", "นั", "ข", "วิ่", "ง"]),  # with its vowel signs and tones
        ("개가 뛴다", ["개가", "뛴다"], ["개가", "뛴다"]),  # Korean writes spaces
        ("कुत्ता है।", ["कुत्ता", "है।"], ["कुत्ता", "है", "।"]),
        ("e\u0301te\u0301.", ["e\u0301te\u0301."], ["e\u0301te\u0301", "."]),
        ("a <br> b<br>c", ["a", "<br>", "b<br>c"], ["a", "<br>", "b", "<br>", "c"]),  # a symbol is one word
        ("1 < 2 <我>", ["1", "<", "2", "<", "我", ">"], ["1", "<", "2", "<", "我", ">"]),
        # A mark that nothing stands before belongs to what follows.
        ("\u200fשלום, עולם", ["\u200fשלום,", "עולם"], ["\u200fשלום", ",", "עולם"]),
        ("a \u2067\u202bשלום\u202c", ["a", "\u2067\u202bשלום\u202c"], ["a", "\u2067\u202bשלום\u202c"]),
        ("\u200b我 \u200f'x \u200e", ["\u200b我", "\u200f'x", "\u200e"], ["\u200b我", "\u200f'", "x", "\u200e"]),
        ("〇〇年々", list("〇〇年々"), list("〇〇年々")),
        ("ｱｶﾞ", ["ｱ", "ｶﾞ"], ["ｱ", "ｶﾞ"]),
        ("ㇰㆠꧠꩠ", list("ㇰㆠꧠꩠ"), list("ㇰㆠꧠꩠ")),  # more kana, Bopomofo and Burmese
        ("", [], []),
        (" \u2003 ", [], []),
    ],
)
def test_the_words_of_a_line(line: str, spaced: list[str], separate: list[str]) -> None:
    assert words(line, spaced_words) == spaced
    assert words(line, separate_words) == separate


def test_the_page_knows_the_same_scripts_without_spaces() -> None:
    script = (PAGE_FOLDER / "labels.js").read_text(encoding="utf-8")
    [strings] = re.findall(r"UNSPACED = new RegExp\((.*?)\n\);", script, re.DOTALL)
    pattern = "".join(re.findall(r'"(\[?\\.*?)"', strings))
    characters = re.sub(r"\\u\{?([0-9a-f]{4,5})\}?", lambda match: chr(int(match[1], 16)), pattern)
    assert characters == UNSPACED_CHARACTERS.pattern


@pytest.mark.parametrize("long", [False, True])
def test_separate_words_are_those_of_the_grammar(long: bool) -> None:
    for pair in islice(generate_pairs(7, long=long), 100):
        for side in (pair.source, pair.target):
            assert words(side, separate_words) == split_words(side)


def test_the_text_of_pieces() -> None:
    pieces = ["▁a", "<0xE7>", "<0x8A>", "<0xAC>", "b", "<br>"]
    assert join_pieces(pieces) == (" a犬b<br>", [(0, 2), (2, 3), (2, 3), (2, 3), (3, 4), (4, 8)])


@pytest.mark.parametrize(
    ("pieces", "groups"),
    [
        (["▁Ka", "tze", ".", "</s>"], [("Katze", [0, 1]), (".", [2]), ("</s>", [3])]),
        (["<s>", "▁don", "'", "t"], [("<s>", [0]), ("don't", [1, 2, 3])]),
        (["▁to▁be", "▁or"], [("to", [0]), ("be", [0]), ("or", [1])]),  # a piece across words
        (["▁", "dog", "▁", "</s>"], [("dog", [0, 1, 2]), ("</s>", [3])]),  # spaces belong to a word
        (["▁", "▁", "cat"], [("cat", [0, 1, 2])]),
        (["▁", "</s>"], [("▁", [0]), ("</s>", [1])]),  # nothing but spaces
        (["▁x", "<0xE7>", "<0x8A>", "<0xAC>"], [("x", [0]), ("犬", [1, 2, 3])]),  # the bytes of one character
        (["▁w", "<0xC3>", "<0xB6>", "ge"], [("wöge", [0, 1, 2, 3])]),
        (["▁我有", "狗", "。"], [("我", [0]), ("有", [0]), ("狗", [1]), ("。", [2])]),
        (["▁dog", "."], [("dog", [0]), (".", [1])]),
        (["<unk>", "▁a"], [("<unk>", [0]), ("a", [1])]),
        (
            ["<2de>", "▁", "<br>", "▁a", "<br>", "b"],
            [("<2de>", [0]), ("<br>", [1, 2]), ("a", [3]), ("<br>", [4]), ("b", [5])],
        ),
        (["▁", "<.>", "<.>", "▁a"], [("▁", [0]), ("<.>", [1]), ("<.>", [2]), ("a", [3])]),  # cells of a picture
        ([], []),
    ],
)
def test_pieces_are_grouped_by_words(pieces: list[str], groups: list[tuple[str, list[int]]]) -> None:
    assert group_pieces(pieces) == groups


def test_pieces_are_grouped_by_spaced_words() -> None:
    assert group_pieces(["▁Ka", "tze", ".", "</s>"], spaced_words) == [("Katze.", [0, 1, 2]), ("</s>", [3])]


@pytest.mark.parametrize(
    ("pieces", "special", "words"),
    [
        (["<s>", "▁a", "<unk>", "<mask>", "</s>", "<pad>"], {0, 2, 3, 4, 5}, [(1, [1])]),
        (["<2de>", "▁", "<br>", "▁a", "</s>"], {0, 4}, [(1, [1, 2]), (2, [3])]),  # a tag, and a symbol
        (["▁", "<br>", "▁<", "<0x41>", "</s>"], {4}, [(0, [0, 1]), (1, [2, 3])]),
        (["<0x41>", "<ж>", "<.>", "▁a"], {2}, [(0, [0, 1]), (2, [3])]),  # bytes, unknown characters, a picture
        ([], set(), []),
    ],
)
def test_links_count_symbols_but_no_special_pieces(
    pieces: list[str], special: set[int], words: list[tuple[int, list[int]]]
) -> None:
    assert find_special(pieces) == special
    assert find_text_words(pieces, spaced_words) == words
