"""How a language is written, from its code: which tokenizer BLEU needs, and in which unit sentences are measured.

BLEU counts sequences of words. Text that has no spaces between words must be split first, or a whole sentence counts as
one word, and even a perfect translation scores nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from nmt.data.words import UNSPACED_CHARACTERS

Unit = Literal["words", "characters"]
"""What the length of a sentence is counted in."""

SCRIPTS = {
    # Chinese, its varieties and its classical form. "cn" and "jp" are no language codes, but common endings of files.
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "cn", "yue", "wuu", "lzh", "hak", "nan", "gan", "hsn", "cdo"), "hani"),
    **dict.fromkeys(("ja", "jpn", "jp", "ojp", "ryu"), "jpan"),  # Japanese, Old Japanese, Okinawan
    **dict.fromkeys(("th", "tha", "tts", "nod", "sou"), "thai"),  # Thai, Isan, Northern and Southern Thai
    **dict.fromkeys(("lo", "lao"), "laoo"),
    **dict.fromkeys(("km", "khm"), "khmr"),
    **dict.fromkeys(("my", "mya", "bur", "rki", "shn", "mnw", "kht"), "mymr"),  # Burmese, Arakanese, Shan, Mon, Khamti
    **dict.fromkeys(("bo", "bod", "tib", "dz", "dzo", "adx", "khg"), "tibt"),  # Tibetan, Dzongkha, Amdo, Khams
    **dict.fromkeys(("ii", "iii"), "yiii"),  # Sichuan Yi
    **dict.fromkeys(("khb",), "talu"),  # Lü
    **dict.fromkeys(("tdd",), "tale"),  # Tai Nüa
}
"""Languages that are usually written without spaces between words, with their usual script (ISO 639 and ISO 15924)."""

UNSPACED_SCRIPTS = {
    *("hani", "hans", "hant", "hanb", "bopo"),  # Chinese characters, simplified or traditional, or Bopomofo
    *("jpan", "hira", "kana", "hrkt"),  # Japanese
    *("thai", "laoo", "khmr", "mymr", "tibt"),
    *("java", "bali", "batk", "lana", "tale", "talu", "tavt", "ahom", "yiii", "nshu", "tang"),
}
"""Scripts that have no space between words: spaces separate phrases or sentences, if anything."""

CHINESE_SCRIPTS = {"hani", "hans", "hant", "hanb"}


def parse_language(code: str) -> tuple[str, str]:
    """Splits a code such as zh-Hans, zh_CN, yue_Hant or JPN into language and script, both in lower case.

    The script is the one that the code names (BCP 47), or else the usual one if that has no spaces between words, or
    else "".
    """
    language, *subtags = re.split(r"[-_]", code.lower())
    named = [tag for tag in subtags if re.fullmatch(r"[a-z]{4}", tag)]
    return language, named[0] if named else SCRIPTS.get(language, "")


def is_unspaced(code: str) -> bool:
    """Whether a language is written without spaces between words."""
    return parse_language(code)[1] in UNSPACED_SCRIPTS


def is_mostly_unspaced(lines: Iterable[str]) -> bool:
    """Whether most characters of a text belong to scripts without spaces between words."""
    text = "".join("".join(line.split()) for line in lines)
    return 2 * len(UNSPACED_CHARACTERS.findall(text)) > len(text)


def length_unit(code: str) -> Unit:
    """The unit in which the length of a sentence is counted: characters where spaces do not separate words."""
    return "characters" if is_unspaced(code) else "words"


def sentence_length(sentence: str, unit: Unit) -> int:
    """The number of words between white space, or of characters other than white space."""
    words = sentence.split()
    return len(words) if unit == "words" else sum(map(len, words))


def bleu_tokenizer_of(code: str) -> str:
    """The tokenizer that sacreBLEU recommends for a language, by sacreBLEU's name.

    Other languages without spaces are counted in characters.
    """
    language, script = parse_language(code)
    if language in ("ko", "kor") and script in ("", "hang", "kore"):
        return "ko-mecab"
    if language in ("ja", "jpn", "jp") and script == "jpan":
        return "ja-mecab"
    if script in CHINESE_SCRIPTS:
        return "zh"
    return "char" if script in UNSPACED_SCRIPTS else "13a"
