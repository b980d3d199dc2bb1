"""tokenizer.json in a run folder: which SentencePiece models belong to a tokenizer, with their checksums."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from nmt.errors import UserError
from nmt.files import atomic_write, read_bytes, read_record, write_json

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
        source_tag: the tag that is put before source lines, see `nmt.data.tokenizer.tokenizer`; None for no tag.
    """

    format: int
    shared: bool
    model_type: ModelType
    files: PerSide[str]
    sizes: PerSide[int]
    sha256: PerSide[str]
    source_tag: str | None = None


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


def write_models(
    folder: Path, models: Sequence[bytes], *, model_type: ModelType, sizes: PerSide[int], source_tag: str | None
) -> None:
    """Writes tokenizer.json and the models it names: tokenizer.model, or source.model and target.model.

    Args:
        models: the model that both sides share, or one for each side.

    Raises:
        Failure: the system refuses to write.
    """
    names = ["tokenizer.model"] if len(models) == 1 else ["source.model", "target.model"]
    for name, model in zip(names, models, strict=True):
        with atomic_write(folder / name) as file:
            file.write(model)
    description = TokenizerDescription(
        format=FORMAT,
        shared=len(models) == 1,
        model_type=model_type,
        files=PerSide(names[0], names[-1]),
        sizes=sizes,
        sha256=PerSide(checksum(models[0]), checksum(models[-1])),
        source_tag=source_tag,
    )
    write_json(folder / "tokenizer.json", msgspec.to_builtins(description))  # last: it marks the models as complete


def read_models(path: Path) -> tuple[TokenizerDescription, bytes, bytes | None]:
    """Reads tokenizer.json, the source model that it names, and the target's own model; None if they share one.

    Raises:
        UserError: a file is missing, damaged or of a newer format, or does not belong to the others.
    """
    description = read_tokenizer_description(path)
    files, sha256 = description.files, description.sha256
    source = _read_model(path.with_name(files.source), sha256=sha256.source)
    target = None if description.shared else _read_model(path.with_name(files.target), sha256=sha256.target)
    return description, source, target


def _read_model(path: Path, *, sha256: str) -> bytes:
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
