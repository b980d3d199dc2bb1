"""Runs on the Hugging Face hub: `run=hf://user/name` in place of a run folder, and what `nmt push` uploads.

A run that is read from the hub is downloaded into the cache of huggingface_hub, which every program shares and nobody
may change. The run folder is another one, whose files are links into that cache:

    ~/.cache/huggingface/nmt/runs/user/name/   model.json → the cache   checkpoints/   evaluation/ (our own files)

So everything that commands write into a run folder, such as evaluations, has its place beside the links.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nmt.errors import UserError
from nmt.files import make_folder, writing

SCHEME = "hf://"

RUN_FILES = (
    *("config.yaml", "model.json", "search.json", "metrics.json", "corpus.json", "cleaning.json", "environment.json"),
    *("tokenizer.json", "tokenizer.model", "source.model", "target.model", "alignment.json", "changes.jsonl"),
    *("history.jsonl", "checkpoints/best.safetensors", "evaluation/*.json"),
)
"""The files of a run on the hub, as patterns: without the optimizer's state, and without the text of evaluations."""

CARD_FILE = "README.md"
"""The model card."""

LOG_IN = "log in by hf auth login, or set HF_TOKEN"

NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
"""A name on the hub. Nothing else may reach the path of a folder."""

_REPOSITORY = re.compile(rf"{NAME}/{NAME}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


@dataclass(frozen=True)
class HubAddress:
    """Where a run is on the hub.

    Attributes:
        repository: "user/name".
        revision: a branch, a tag or a commit; None for the main branch.
    """

    repository: str
    revision: str | None

    @classmethod
    def parse(cls, text: str | Path) -> HubAddress | None:
        """Reads "hf://user/name" or "hf://user/name@revision"; None for the path of a folder.

        Raises:
            UserError: it begins like an address, and is none.
        """
        match = re.match(r"hf:/+", str(text))  # a Path has only one slash there
        if match is None:
            return None
        rest = str(text)[match.end() :]
        repository, at, revision = rest.partition("@")
        is_revision = not at or (_REVISION.fullmatch(revision) is not None and ".." not in revision)
        if not (is_repository(repository) and is_revision):
            raise UserError(
                f"{SCHEME}{rest} is no address of a run: write {SCHEME}user/name or {SCHEME}user/name@revision"
            )
        return cls(repository, revision or None)

    def __str__(self) -> str:
        return SCHEME + self.repository + ("" if self.revision is None else f"@{self.revision}")


def is_repository(text: str) -> bool:
    """Whether a text can be "user/name" on the hub."""
    return _REPOSITORY.fullmatch(text) is not None and ".." not in text and "--" not in text


def find_folder(path: str | Path, *, key: str) -> Path:
    """The run folder that a user names: the path itself, or for an address of the hub a folder with that run.

    The hub is asked for a newer version each time. Without a connection, or with HF_HUB_OFFLINE=1, the one that was
    downloaded last is used.

    Args:
        path: a path, or an address.
        key: what the user names it by, for error messages.

    Raises:
        UserError: the address is wrong, the hub has no such run, or it cannot be reached.
    """
    address = HubAddress.parse(path)
    if address is None:
        return Path(path)
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    with explaining_hub_errors(f"{key}={address}"):
        snapshot = snapshot_download(
            address.repository, revision=address.revision, allow_patterns=list(RUN_FILES), library_name="nmt"
        )
    name = address.repository + ("" if address.revision is None else "@" + address.revision.replace("/", "-"))
    folder = Path(constants.HF_HOME) / "nmt" / "runs" / name
    link_files(Path(snapshot), folder)
    return folder


def check_local(path: str | Path) -> None:
    """Raises UserError if a folder in which to train is an address of the hub."""
    if address := HubAddress.parse(path):
        raise UserError(f"run={address} is on the hub: name a folder to train in; init={address} starts with that run")


def link_files(snapshot: Path, folder: Path) -> None:
    """Fills a folder with links to all files of a snapshot; files that are no links stay.

    Raises:
        UserError: the folder cannot be written to.
        Failure: the system refuses to write.
    """
    files = {path.relative_to(snapshot) for path in snapshot.rglob("*") if path.is_file()}
    make_folder(folder)
    # Another process may be reading a file, or filling the folder too, so each link is replaced at once.
    with writing(folder), tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        for path in folder.rglob("*"):
            if path.is_symlink() and path.relative_to(folder) not in files:  # of an earlier version
                path.unlink(missing_ok=True)
        for file in files:
            link = folder / file
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.exists() and not link.is_symlink():  # an evaluation of our own
                continue
            new = Path(temporary) / "link"
            new.symlink_to(os.path.realpath(snapshot / file))
            new.replace(link)


def check_login(subject: str) -> None:
    """Raises UserError, which begins with `subject`, if there is no token with which to write to the hub."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise UserError(f"{subject}: writing to the hub needs a token: {LOG_IN}")


def upload_folder(folder: Path, repository: str, *, private: bool) -> str:
    """Uploads a folder as one commit, and creates the model on the hub if it does not exist. Files there stay.

    Args:
        folder: with the files.
        repository: "user/name".
        private: whether a new model can only be seen by its owner.

    Returns:
        The address of the model's page.

    Raises:
        UserError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi(library_name="nmt")
    with explaining_hub_errors(f"to={repository}"):
        address = api.create_repo(repository, private=private, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload a run by nmt push")
    return str(address)


@contextmanager
def explaining_hub_errors(subject: str) -> Iterator[None]:
    """Turns any error of huggingface_hub inside the block into a `UserError` that begins with `subject`."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise UserError(
            f"{subject}: the hub asks for consent to its terms on the model's page; then {LOG_IN}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f"{subject}: the hub has no such model, or it is private: check the name, or {LOG_IN}"
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{subject}: the model has no such revision: leave out what follows @") from None
    except errors.LocalEntryNotFoundError:
        raise UserError(
            f"{subject}: the hub cannot be reached, and the run was not downloaded before: check the connection"
        ) from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        remedy = LOG_IN + " with a token that may write" if status in (401, 403) else "try again later"
        raise UserError(f"{subject}: the hub refuses ({_first_line(error)}): {remedy}") from None
    # Without a connection, the packages below huggingface_hub raise errors of their own.
    except Exception as error:
        raise UserError(f"{subject}: the hub cannot be reached ({_first_line(error)}): check the connection") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
