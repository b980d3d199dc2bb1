"""tokenizer.json in a run folder: which SentencePiece models belong to a tokenizer, with their checksums."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from nmt.errors import UserError
from nmt.files import read_bytes, read_record

FORMAT = 1
"""The version of tokenizer.json; newer versions are refused."""

ModelType = Literal["unigram", "bpe"]
Value = TypeVar("Value")


class PerSide(msgspec.Struct, Generic[Value], frozen=True):
    """One value for the source and one for the target; the same one if both sides share a model."""

    source: Value
    target: Value


class TokenizerDescription(msgspec.Struct, frozen=True, kw_only=True):
    """The content of tokenizer.json.

    Attributes:
        shared: whether both sides share one model.
        files: names of the model files, in the same folder.
        sizes: vocabulary sizes.
        sha256: checksums of the model files.
    """

    format: int
    shared: bool
    model_type: ModelType
    files: PerSide[str]
    sizes: PerSide[int]
    sha256: PerSide[str]


class _Version(msgspec.Struct):
    """The one field that every version of tokenizer.json has."""

    format: int


def read_tokenizer_description(path: Path) -> TokenizerDescription:
    """Reads and validates tokenizer.json, which is not trusted: a run folder may come from anyone.

    Raises:
        UserError: the file is missing, damaged or of a newer format, or names a file outside its folder.
    """
    version = read_record(path, _Version).format  # first: a newer format may have other fields
    if version > FORMAT:
        raise UserError(f"{path} has format {version}, but this program reads up to {FORMAT}: update nmt")
    description = read_record(path, TokenizerDescription)
    for name in (description.files.source, description.files.target):
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise UserError(f"{path} names the file {name!r}, but only plain names in the same folder are read")
    return description


def read_model(path: Path, *, sha256: str) -> bytes:
    """Reads a serialized model.

    Raises:
        UserError: the file is missing, or has another checksum.
    """
    model = read_bytes(path)
    if checksum(model) != sha256:
        raise UserError(f"{path} is damaged or from another run: it is not the file that tokenizer.json describes")
    return model


def checksum(content: bytes) -> str:
    """The SHA-256 digest of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
