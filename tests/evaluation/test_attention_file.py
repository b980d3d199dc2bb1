"""The file with the attention of every sentence of a split."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from nmt.errors import UserError
from nmt.evaluation.attention_file import SentenceAttention, encode_attention, quantize_attention, read_attention


def test_weights_have_two_hexadecimal_digits_row_by_row() -> None:
    weights = np.array([[1.0, 0.0], [0.25, 0.75], [0.001, 0.999]])
    sentence = quantize_attention(["one", "</s>"], ["eins", "zwei", "</s>"], weights)
    assert sentence.weights == "ff0040bf00ff"  # 255, 0; 63.75 → 64, 191.25 → 191; 0.255 → 0, 254.7 → 255
    assert sentence.matrix == pytest.approx(weights, abs=1 / 510)


def test_sentences_come_back_in_their_order(tmp_path: Path) -> None:
    sentences = [
        SentenceAttention(["a\u2028b", "\n"], ["ä"], "ff00"),
        None,
        SentenceAttention([], [], ""),
    ]
    content = encode_attention(sentences)
    assert content == encode_attention(sentences)  # no time in it
    path = tmp_path / "test.attention.gz"
    path.write_bytes(content)
    assert read_attention(path) == sentences
    path.write_bytes(encode_attention([]))
    assert read_attention(path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip",
        encode_attention([None] * 9)[:-4],
        gzip.compress(b"{\n", mtime=0),
        gzip.compress(b'{"columns": ["a"], "rows": ["b"], "weights": "ffff"}\n', mtime=0),
        gzip.compress(b'{"columns": ["a"], "rows": ["b"], "weights": "xx"}\n', mtime=0),
        gzip.compress(b'{"columns": "a", "rows": ["b"], "weights": "ff"}\n', mtime=0),
        gzip.compress(b"[" * 100_000 + b"\n", mtime=0),
    ],
)
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "test.attention.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"test\.attention\.gz is damaged") as error:
        read_attention(path)
    assert "\n" not in str(error.value)
