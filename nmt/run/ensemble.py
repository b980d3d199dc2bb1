"""Several runs whose models translate together: `run=[runs/a,runs/b]`.

An ensemble is used like a run. Its tokenizer is that of all members, its model is an `nmt.models.ensemble.Ensemble`,
and search, metrics and corpus are those of the first member.

    runs/a+b/   ensemble.json (names the members)   evaluation/

Evaluating an ensemble gives it a folder of its own, so that its scores are never taken for those of a member. The
folder can be named wherever an ensemble can, as in `run=runs/a+b` or `nmt compare runs=[runs/a,runs/a+b]`. It holds no
weights, only the paths of the members, relative to itself. Like corpus.json, ensemble.json may name any folder; each
is checked as every run folder is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.files import make_folder, reading, write_json
from nmt.run.folder import ENSEMBLE_FILE, RunFolder
from nmt.run.format import Count, Versioned, read_versioned
from nmt.run.registry import Description, StoredModel, language_pair

if TYPE_CHECKING:
    from nmt.data.corpus import Corpus
    from nmt.models.seq2seq import TranslationModel

MAX_MEMBERS = 64
"""Maximum number of runs in an ensemble. An ensemble.json may come from anyone, and every run in it takes memory."""

MAX_NAME_BYTES = 255
"""Maximum length of the name of a folder, on most file systems."""


class StoredEnsemble(Versioned, kw_only=True):
    """The content of ensemble.json.

    Attributes:
        runs: paths of the members' folders, relative to the folder of the ensemble.
        parameters: how many numbers the models of all members have learned.
    """

    runs: Annotated[list[str], msgspec.Meta(min_length=2, max_length=MAX_MEMBERS)]
    parameters: Count


class EnsembleFolder(RunFolder):
    """The folder of an ensemble, which need not exist, and the run folders of its members.

    Args:
        members: the runs; one may occur twice.
        path: the folder of the ensemble. None: runs/a+b, beside the first run and named after all of them.

    Raises:
        UserError: there are too many members, or they have different languages or tokenizers.
    """

    def __init__(self, members: Sequence[RunFolder], path: Path | None = None) -> None:
        if len(members) > MAX_MEMBERS:
            raise UserError(f"an ensemble of {len(members)} runs is too large: name at most {MAX_MEMBERS}")
        first = members[0]
        super().__init__(_path_beside(members) if path is None else path)
        self._members = list(members)
        self._tokenizer = first.tokenizer()
        languages = language_pair(first.description("corpus"))
        for member in members[1:]:
            if (others := language_pair(member.description("corpus"))) != languages:
                raise UserError(
                    f"{member.path} translates from {' to '.join(others)}, and {first.path} from "
                    f"{' to '.join(languages)}: the runs of an ensemble need the same languages"
                )
            if member.tokenizer().fingerprint != self._tokenizer.fingerprint:
                raise UserError(
                    f"{member.path} has another tokenizer than {first.path}: the runs of an ensemble need the same "
                    "one, so train them on the same corpus with the same tokenizer.* settings"
                )

    @classmethod
    def read(cls, path: Path) -> EnsembleFolder:
        """Opens the folder of an ensemble and those of its members.

        Raises:
            UserError: ensemble.json or a member is damaged, or a member is missing or does not fit the others.
        """
        file = path / ENSEMBLE_FILE
        folders = [path / run for run in read_versioned(file, StoredEnsemble).runs]
        for folder in folders:
            with reading(f"{file}: {folder}"):
                if not folder.is_dir():
                    raise UserError(
                        f"{file} names {folder}, which is no folder: put that run back, or name all runs of the "
                        "ensemble where they are now, as in run=[runs/a,runs/b]"
                    )
        return cls([RunFolder.open(folder, key=f"{file}: run") for folder in folders], path)

    def save(self) -> None:
        """Writes ensemble.json; the folder is created if it does not exist.

        Raises:
            UserError: the folder holds something else already, or cannot be written to.
            Failure: the system refuses to write.
        """
        with reading(f"out={self.path}"):
            is_ensemble = (self.path / ENSEMBLE_FILE).is_file()
            in_use = self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir()))
        remedy = "name another folder, such as out=runs/ensemble"
        if in_use and not is_ensemble:
            raise UserError(f"out={self.path} holds other files than an ensemble's: {remedy}")
        if is_ensemble and not self.is_saved:
            raise UserError(f"out={self.path} is the folder of another ensemble: {remedy}")
        make_folder(self.path)
        folder = self.path.resolve()
        stored = StoredEnsemble(
            runs=[os.path.relpath(path, folder) for path in self._member_paths()],
            parameters=sum(read_versioned(each.path / "model.json", StoredModel).parameters for each in self._members),
        )
        write_json(self.path / ENSEMBLE_FILE, msgspec.to_builtins(stored))

    @property
    def is_saved(self) -> bool:
        """Whether the folder is on disk, and names these members.

        Raises:
            UserError: ensemble.json is damaged.
        """
        path = self.path / ENSEMBLE_FILE
        if not path.is_file():
            return False
        stored = read_versioned(path, StoredEnsemble)
        try:
            return [(self.path / run).resolve() for run in stored.runs] == self._member_paths()
        except ValueError:  # a path with a NUL character or half a surrogate pair, which no member has
            return False

    def check_heads(self, heads_off: Sequence[str]) -> None:
        """Raises UserError if heads are to be silenced, which is for single runs."""
        if heads_off:
            raise UserError("heads_off is for a single run: name one, since an ensemble has no heads of its own")

    def _member_paths(self) -> list[Path]:
        return [member.path.resolve() for member in self._members]

    @property
    def members(self) -> list[RunFolder]:
        """The runs whose models translate together."""
        return self._members

    def description(self, name: str) -> Description:
        """The description of the first member's "search", "metrics" or "corpus"; see `RunFolder.description`."""
        return self._members[0].description(name)

    def tokenizer(self) -> Tokenizer:
        """The tokenizer of all members."""
        return self._tokenizer

    def model(self, *, heads_off: Sequence[str] = ()) -> TranslationModel:
        """Loads the models of the members.

        Raises:
            UserError: a member is damaged, or heads are to be silenced, which is for single runs.
        """
        from nmt.models.ensemble import Ensemble

        self.check_heads(heads_off)
        return Ensemble([member.model() for member in self._members])

    def corpus(self, **changes: Any) -> Corpus:
        """The corpus of the first member; see `RunFolder.corpus`."""
        return self._members[0].corpus(**changes)

    def best_step(self) -> int:
        """The training step of the first member's weights."""
        return self._members[0].best_step()


def _path_beside(members: Sequence[RunFolder]) -> Path:
    """The folder beside the first run that is named after all of them, or after their hash if that is too long."""
    first = members[0]
    beside = first.path if first.path.name == first.name else first.path.resolve()
    name = "+".join(member.name for member in members)
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        name = f"ensemble-of-{len(members)}-{hashlib.sha256(os.fsencode(name)).hexdigest()[:12]}"
    return beside.with_name(name)


def open_run(paths: str | Path | Sequence[str | Path], *, key: str = "run", out: Path | None = None) -> RunFolder:
    """Opens a run, or several as an ensemble.

    Args:
        paths: a run folder, the folder of an ensemble, or a list of run folders; a list of one is that run.
        key: what the user names them by, for error messages.
        out: the folder of the ensemble, see `EnsembleFolder`; None for a single run.

    Raises:
        UserError: a folder is missing, damaged, or no run folder; or a run does not translate, or fit the others.
    """
    folders = [Path(paths)] if isinstance(paths, str | Path) else list(map(Path, paths))
    if not folders:
        raise UserError(f"{key}=[] names no run: name one or several, as in {key}=[runs/a,runs/b]")
    if len(folders) > 1:
        members = [RunFolder.open(folder, key=key) for folder in folders]
        for member in members:
            member.check_translates()
        return EnsembleFolder(members, out)
    if out is not None:
        raise UserError(f"out={out} is for several runs: a single one keeps its evaluations in its own folder")
    with reading(f"{key}={folders[0]}"):
        is_ensemble = (folders[0] / ENSEMBLE_FILE).is_file()
    if is_ensemble:
        return EnsembleFolder.read(folders[0])
    run = RunFolder.open(folders[0], key=key)
    run.check_translates()
    return run
