"""Language codes: which tokenizer and which unit of length belong to them."""

import pytest

from nmt.evaluation.languages import bleu_tokenizer_of, is_mostly_unspaced, length_unit, sentence_length


@pytest.mark.parametrize(
    ("codes", "tokenizer", "unit"),
    [
        ("zh ZH zh-CN zh_TW zh-Hans zh-Hant-HK zho zho_Hans chi cmn cmn_Hans_CN cn", "zh", "characters"),
        ("yue yue_Hant wuu lzh hak nan zh-yue vi-Hani", "zh", "characters"),
        ("ja JA ja-JP ja_JP jpn jpn_Jpan jp", "ja-mecab", "characters"),
        ("ko ko-KR kor kor_Hang ko-Kore", "ko-mecab", "words"),
        ("th TH th_TH tha tha_Thai lo lao lao_Laoo km khm khm_Khmr my mya mya_Mymr bur bo bod bod_Tibt tib dz dzo shn",
         "char", "characters"),
        ("jv-Java ban_Bali ii khb", "char", "characters"),
        ("ja-Hira ojp", "char", "characters"),
        # Written with spaces: also romanised forms, and languages whose other script has none.
        ("en de de-CH pt_BR fr ar he fa hi bn ta te vi id jv jav_Latn am ka hy el ru sr-Latn mn ur", "13a", "words"),
        ("zh-Latn zh-Latn-pinyin ja-Latn th_Latn ko-Latn bo-Latn", "13a", "words"),
        # No language codes: nothing is known of them.
        ("src tgt x a1 thai zhongwen", "13a", "words"),
    ],
)  # fmt: skip
def test_the_code_determines_tokenizer_and_unit(codes: str, tokenizer: str, unit: str) -> None:
    for code in codes.split():
        assert (code, bleu_tokenizer_of(code), length_unit(code)) == (code, tokenizer, unit)


def test_lengths_are_counted_in_words_or_characters() -> None:
    assert sentence_length("a bird  sings ", "words") == 3
    assert sentence_length("我喜欢 吃。", "characters") == 5
    assert sentence_length("", "words") == sentence_length(" ", "characters") == 0


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["你好，世界。", "我喜欢吃苹果"], True),
        (["猫が好きです", "OK"], True),
        (["ฉันชอบกินข้าว"], True),
        (["ខ្ញុំ"], True),
        (["བཀྲ་ཤིས"], True),
        (["나는 학교에 간다."], False),
        (["Ein Haus 家", "und ein Garten"], False),
        (["مرحبا"], False),
        (["", " "], False),
        ([], False),
    ],
)
def test_the_script_of_a_text_shows_whether_it_has_spaces(lines: list[str], expected: bool) -> None:
    assert is_mostly_unspaced(lines) is expected
