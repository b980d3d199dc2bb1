"""Checks where a result is written to before the work begins."""

from __future__ import annotations

from pathlib import Path

from nmt.errors import UserError
from nmt.files import make_folder


def prepare_output_file(path: Path, *, key: str) -> None:
    """Creates the folder of a file that a command will write, and checks the file's name.

    Args:
        path: the file.
        key: the key that names it on the command line, for error messages.

    Raises:
        UserError: the path is a folder, is too long, or lies where the user may not write.
        Failure: the disk is full or fails.
    """
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:  # such as a name that is too long
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{key}={path} cannot be written ({reason.lower()}): use another name") from None
    if is_folder:
        raise UserError(f"{key}={path} is a folder: add the name of a file")
    make_folder(path.parent)
