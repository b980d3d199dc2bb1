"""The JSON files of a run folder, and the version of their format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec

from nmt.errors import UserError
from nmt.files import read_record

FORMAT = 2
"""The version of the run folder's format, see docs/run_folder.md. Files of any other version are refused."""

MAX_NUMBER = 2**53
"""Maximum of any number in a JSON file of a run folder: no count or measurement of this program reaches it."""

Count = Annotated[int, msgspec.Meta(ge=0, lt=MAX_NUMBER)]
Number = Annotated[float, msgspec.Meta(gt=-MAX_NUMBER, lt=MAX_NUMBER)]


class Versioned(msgspec.Struct, kw_only=True):
    """The content of a JSON file of a run folder. Every such file states the version of its format."""

    format: int = FORMAT


class _Version(msgspec.Struct):
    """The one field that every version of the format has."""

    format: int


Record = TypeVar("Record", bound=Versioned)


def read_versioned(path: Path, kind: type[Record]) -> Record:
    """Reads a JSON file of a run folder.

    Raises:
        UserError: the file is missing or damaged, or has another format than this program's.
    """
    version = read_record(path, _Version).format  # first: the other fields may differ between versions
    if version != FORMAT:
        remedy = "update nmt" if version > FORMAT else "use the version of nmt that wrote it, or train the run again"
        raise UserError(f"{path} has format {version}, this program reads {FORMAT}: {remedy}")
    return read_record(path, kind)
