"""No text is lost between encoding and decoding, in any script, except by the documented rules."""

import unicodedata
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor

from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer.normalization import is_blank
from nmt.errors import UserError

TEXTS = [
    "80 m² + 10⁵ cm³ ½ ¼ H₂O № ™ ﬁ ﬂ Ａ１ ｶﾞ ㈱ ℃",  # superscripts, fractions, ligatures, full and half width
    "“Wait…” – ‘no’ — it’s 10\u00a0%, 5\u202f€, 3\u2009km, co\u00adoperate",  # quotes, dashes, typographic spaces
    "你好：“世界”，（三）！？　全角",  # Chinese, with an ideographic space
    "می\u200cخواهم کتاب\u200cها را بخوانم؟",  # Persian, with zero-width non-joiners
    "ทำน้ำแข็ง กำลัง",  # Thai, with sara am (one character in NFKC's eyes: two)
    "क्\u200dष क़लम ज़रूर \u0958\u095b",  # Hindi, with a joiner, and nukta as a mark and in one character
    "Tiếng Việt: Nguyễn, ậ ệ ỗ",  # Vietnamese
    "שָׁלוֹם \ufb2a \u200fעברית\u200e",  # Hebrew, with a presentation form and direction marks
    "\ufefeﻻ \ufef5 العربية ـــ",  # Arabic presentation forms, tatweel
    "👩\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3 🇩🇪 👍🏽",  # emoji: joined, with variation selectors, flags, skin tones
    "神 \ufa19 Å \u212b Ω \u2126",  # compatibility ideographs; the signs for ångström and ohm
    "x\u0323\u0302 q\u0308 각 \u1112\u1161",  # marks without a composed character, Hangul
    "▁▁ ▅ a▁b ▁ ⁇",  # characters that SentencePiece reserves
    "a  b   c\td\t\te \u200b f\u2060g \ufeff h\x01\x7fi",  # runs of spaces, tabs, zero width, control characters
    "  two before, one after ",
    "<s> </s> <unk> <pad> <0x41>",  # the names of special pieces are text
    "<b>100&nbsp;%</b> %1$s {0} ${name} https://example.org/?a=1&b=2#c",
]
COMPOSED_ELSEWHERE = "\u1112\u1161"
"""The one spelling in TEXTS that `compose` changes: two Hangul letters, which become one syllable."""

KINDS: dict[str, dict[str, Any]] = {
    "unigram": {"model_type": "unigram", "vocab_size": 203, "byte_fallback": False},
    "bpe": {"model_type": "bpe", "vocab_size": 205, "byte_fallback": False},
    "bytes": {"model_type": "bpe", "vocab_size": 461, "byte_fallback": True},
}


@cache
def train(kind: str, normalization: Any) -> Tokenizer:
    settings = KINDS[kind] | {"shared": True, "character_coverage": 1.0, "normalization": normalization}
    return Tokenizer.train(TEXTS, TEXTS, **settings)


def decoded(tokenizer: Tokenizer, text: str) -> str:
    return tokenizer.decode_target(tokenizer.encode_target([text])[0])


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_text_like_the_training_text_comes_back(kind: str, text: str) -> None:
    assert decoded(train(kind, "none"), text) == text
    composed = train(kind, "compose")
    assert decoded(composed, text) == text.replace(COMPOSED_ELSEWHERE, "하")
    assert composed.unk_id not in composed.encode_source([text])[0]


@pytest.mark.parametrize("text", TEXTS)
def test_another_program_reads_the_rules_from_the_model_file(text: str) -> None:
    tokenizer = train("unigram", "compose")
    processor = SentencePieceProcessor(model_proto=tokenizer._models[0])
    assert processor.encode(text) == tokenizer.encode_source([text])[0]
    assert processor.decode(processor.encode(text)) == decoded(tokenizer, text)


@given(text=st.text(st.characters(codec="utf-8"), max_size=40))
@example(text="e\u0301\u0323 a\u0302\u0323 a\u0323\u0302 \u1100\u1161\u11a8 \uac00\u11a8 \u0915\u093c")
def test_any_text_comes_back(text: str) -> None:
    """Only line separators and NUL become spaces; composing gives canonically equivalent text."""
    expected = "".join(" " if len(f"a{character}b".splitlines()) > 1 else character for character in text)
    expected = expected.replace("\0", " ")
    for stand_in, character in zip("\ufdd0\ufdd1\ufdd2", "▁▅\t", strict=True):
        expected = expected.replace(stand_in, character)
    if is_blank(expected):
        expected = ""
    assert decoded(train("bytes", "none"), text) == expected
    composed = decoded(train("bytes", "compose"), text)
    assert unicodedata.normalize("NFD", composed) == unicodedata.normalize("NFD", expected)


@pytest.mark.parametrize(
    ("text", "composed"),
    [
        ("e\u0301", "é"),
        ("a\u0302\u0323 a\u0323\u0302 â\u0323 ạ\u0302", "ậ ậ ậ ậ"),
        ("\u1112\u1161\u11ab 하\u11ab", "한 한"),
        ("e\u0301\u0323 \u00e9\u0323 \u1eb9\u0301 e\u0323\u0301", " ".join(["\u1eb9\u0301"] * 4)),  # Yoruba
        ("a\u0301\u0328 a\u0308\u0304\u0323", "\u0105\u0301 \u1ea1\u0308\u0304"),
        ("e\u0301\u0304 a\u0331\u0301 e\u0301x\u0323", "\u00e9\u0304 a\u0331\u0301 \u00e9x\u0323"),
        ("\u0438\u0306 \u30ab\u3099", "й ガ"),
        ("\u0915\u093c \u0958", "\u0915\u093c \u0958"),  # Unicode itself keeps these apart
        ("\ufa19 \u212b", "\ufa19 \u212b"),  # NFC would replace them: a name would be written differently
    ],
)
def test_letters_and_marks_become_one_character(text: str, composed: str) -> None:
    assert decoded(train("bytes", "compose"), text) == composed
    assert decoded(train("bytes", "none"), text) == text


def test_nmt_nfkc_is_the_rule_of_sentencepiece() -> None:
    text = "trägt\tzwei  kleine ﬁ… m² ½"
    expected = " ".join(unicodedata.normalize("NFKC", text).split())
    assert decoded(train("bytes", "nmt_nfkc"), text) == expected == "trägt zwei kleine fi... m2 1⁄2"


@pytest.mark.parametrize("normalization", ["compose", "none", "nmt_nfkc"])
def test_no_line_is_left_out_of_training(normalization: str) -> None:
    tokenizer = Tokenizer.train(
        ["abc abc", "▅ж", "▁щ", "\tю"],
        [],
        vocab_size=20,
        model_type="bpe",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
        normalization=normalization,  # type: ignore[arg-type]
    )
    assert tokenizer.unk_id not in tokenizer.encode_source(["ж щ ю"])[0]


@pytest.mark.parametrize("text", ["", " ", "\t \u3000", "\u200b\u200d\ufeff", "\x01\x7f\0", "\n\u2028", "\u00ad"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_prints_nothing_has_no_pieces(kind: str, text: str) -> None:
    assert train(kind, "compose").encode_source([text]) == train(kind, "none").encode_target([text]) == [[]]


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UserError, match=r"^tokenizer\.normalization=nfd is unknown; choose one of compose, none, nmt_"):
        train("bpe", "nfd")
