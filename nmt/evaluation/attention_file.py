"""evaluation/SPLIT.attention.gz: which source words each translation of a split attends to, word by word.

The file is small, so that all sentences of a split fit into a report. Each line is the JSON value of a sentence, with
two hexadecimal digits for each weight. The file is compressed by gzip; `zcat` shows it.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from nmt.errors import UserError
from nmt.files import MAX_FILE_BYTES, read_bytes

MAX_LEVEL = 255
"""The level of a weight of one; a level is written as two hexadecimal digits."""


class SentenceAttention(msgspec.Struct, frozen=True):
    """The attention between the words of one sentence.

    Attributes:
        columns: the S source words, the end-of-sentence piece included.
        rows: the T words of the translation, the end-of-sentence piece included.
        weights: row by row, each weight as two hexadecimal digits; "ff" is a weight of one.
    """

    columns: list[str]
    rows: list[str]
    weights: str

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """The weights (T, S), between 0 and 1."""
        levels = np.frombuffer(bytes.fromhex(self.weights), dtype=np.uint8)
        return levels.reshape(len(self.rows), len(self.columns)) / MAX_LEVEL


def quantize_attention(columns: list[str], rows: list[str], weights: npt.NDArray[np.floating]) -> SentenceAttention:
    """Rounds the weights (T, S) of a sentence to 256 levels."""
    levels = np.round(np.clip(weights, 0, 1) * MAX_LEVEL).astype(np.uint8)
    return SentenceAttention(columns, rows, levels.tobytes().hex())


def encode_attention(sentences: Sequence[SentenceAttention | None]) -> bytes:
    """The content of the file; None for a sentence whose translation has no attention."""
    lines = b"".join(msgspec.json.encode(sentence) + b"\n" for sentence in sentences)
    return gzip.compress(lines, mtime=0)  # without the time, so that equal attention makes equal files


def read_attention(path: Path) -> list[SentenceAttention | None]:
    """Reads the file: the attention of each sentence of the split.

    Raises:
        UserError: the file is missing or damaged.
    """
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)  # 16: with gzip's header
    try:
        lines = unpacker.decompress(read_bytes(path), MAX_FILE_BYTES)
        if not unpacker.eof:
            raise ValueError("it is incomplete or too large")
        sentences = [msgspec.json.decode(line, type=SentenceAttention | None) for line in lines.splitlines()]
        for sentence in sentences:
            if sentence is not None:
                _ = sentence.matrix
    except (zlib.error, ValueError, msgspec.DecodeError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from None
    return sentences
