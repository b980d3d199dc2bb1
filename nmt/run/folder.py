"""The run folder, which `nmt train` writes, and which holds everything that the other commands need to translate.

    config.yaml  model.json  search.json  metrics.json  corpus.json  tokenizer.json  tokenizer.model
    history.jsonl  log.txt  cleaning.json  environment.json (program and machine, see `nmt.run.environment`)
    changes.jsonl (settings that changed when the run was resumed, each with its step)   nonfinite-step-*.json
    alignment.json (how links are read from attention, see `nmt.alignment.choice`)
    checkpoints/  best.safetensors   last.safetensors (exact resume)   step-*.safetensors (for averaging)
    evaluation/   report/   tensorboard/   tracker.json (the run in another tracker, see `nmt.training.trackers`)

Nothing in it is executable. A class is stored by its name and its arguments, and looked up by that name among the
public classes of one package of this project (`nmt.run.registry`).

A folder is not trusted, because it may come from anyone. Every file is checked when it is read: one that is damaged or
does not fit the others raises a `UserError`, whose message of one line names it, before anything large is allocated
(`nmt.run.limits`). There is one exception: corpus.json may name any folder or dataset, which `nmt evaluate` then reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nmt.data.tokenizer import Tokenizer
from nmt.display import Displayed
from nmt.errors import Failure, UserError
from nmt.files import is_partial, make_folder, reading, remove_partials, write_json, writing
from nmt.run.format import FORMAT, read_versioned
from nmt.run.hub import check_local, find_folder
from nmt.run.limits import check_model_size, check_search_size
from nmt.run.lock import is_locked, lock
from nmt.run.registry import Description, StoredCorpus, StoredObjective, build, change_main_corpus, read_description
from nmt.run.weights import load_weights, read_shapes, read_step

if TYPE_CHECKING:  # importing torch takes a second, and half of the commands never need it
    from nmt.data.corpus import Corpus
    from nmt.models.seq2seq import TranslationModel

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "source.model", "target.model")
ENSEMBLE_FILE = "ensemble.json"
"""What the folder of an ensemble has in place of a model, see `nmt.run.ensemble`."""

FILES_BEFORE_MODEL = {".lock", "checkpoints", "config.yaml", "corpus.json", "metrics.json", "search.json"}
FILES_BEFORE_MODEL |= {*TOKENIZER_FILES}
"""What training writes before model.json. A folder with only these files holds no run yet."""


class RunFolder(Displayed):
    """The run folder at `path`: the paths of its files, and methods that read and write them.

    The constructor does not touch the disk.

    Attributes:
        path: the folder.
        best: path of the weights with the highest validation score, with which the run translates.
        last: path of the newest checkpoint, from which training resumes.
        averaged: path of the mean of the last weights.
        history: path of the records of training.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.best = self.path / "checkpoints" / "best.safetensors"
        self.last = self.path / "checkpoints" / "last.safetensors"
        self.averaged = self.path / "checkpoints" / "averaged.safetensors"
        self.history = self.path / "history.jsonl"
        self._lock: BinaryIO | None = None

    @property
    def name(self) -> str:
        """The name of the folder, without its parents."""
        return self.path.resolve().name

    @property
    def members(self) -> list[RunFolder]:
        """The runs whose models translate together: this one by itself, unless it is an ensemble."""
        return [self]

    @property
    def is_saved(self) -> bool:
        """Whether the folder is on disk and this run's, so that results may be written to it."""
        return self.path.is_dir()

    @classmethod
    def open(cls, path: str | Path, *, key: str = "run") -> RunFolder:
        """Opens a folder that holds a trained model.

        Args:
            path: the folder, or an address on the Hugging Face hub; see `nmt.run.hub.find_folder`.
            key: what the user names it by, for error messages.

        Raises:
            UserError: there is no such folder, it is not a run folder, or it has no checkpoint yet.
        """
        run = cls(find_folder(path, key=key))
        with reading(f"{key}={path}"):
            if not run.path.is_dir():
                raise UserError(f"{key}={path} is not a folder: name one that nmt train wrote")
            if (run.path / ENSEMBLE_FILE).is_file():
                raise UserError(f"{key}={path} is the folder of an ensemble: name one of its runs here")
            if not (run.path / "model.json").is_file():
                raise UserError(f"{key}={path} is not a run folder: it has no model.json")
            if not run.best.is_file():
                raise UserError(f"{key}={path} has no checkpoint yet (checkpoints/best.safetensors): train it further")
        return run

    @classmethod
    def check_available(cls, path: str | Path, *, resume: bool) -> RunFolder:
        """Checks that a run may be trained in a folder, and writes nothing.

        Raises:
            UserError: the folder holds something already and `resume` is off, or holds no run and `resume` is on.
        """
        check_local(path)
        run = cls(path)
        with reading(f"run={path}"):
            if run.path.exists() and not run.path.is_dir():
                raise UserError(f"run={path} is a file: name a folder")
            in_use = run.path.is_dir() and not run._holds_no_run()
            if in_use and not resume and not run.holds_run():
                raise UserError(f"run={path} holds other files: name another folder")
            if in_use and not resume:
                raise UserError(f"run={path} is in use: name another folder, or continue its run with resume=true")
            if resume and not run.holds_run():
                raise UserError(f"run={path} holds no run to continue: leave resume=true out")
            if is_locked(run.path):
                raise UserError(f"run={path} is in use: another process is training in it")
        return run

    def holds_run(self) -> bool:
        """Whether the folder holds a run that can be resumed; training may have stopped before its first checkpoint.

        Raises:
            UserError: the path cannot be read.
        """
        with reading(f"run={self.path}"):
            return (self.path / "model.json").is_file()

    @classmethod
    def create(cls, path: str | Path, *, resume: bool) -> RunFolder:
        """Creates a folder to train in, or opens it to resume, and locks it until this process ends.

        Raises:
            UserError: as `check_available`, or another process is training in the folder.
            Failure: the system refuses to write.
        """
        run = cls.check_available(path, resume=resume)
        make_folder(run.path)
        run._lock = lock(run.path)
        with writing(run.best.parent):
            run.best.parent.mkdir(exist_ok=True)
        remove_partials(run.path)
        remove_partials(run.best.parent)
        return run

    def _holds_no_run(self) -> bool:
        """Tells whether the folder is empty, or holds only what a run writes before its model.json."""
        names = {file.name for file in self.path.iterdir()}
        if not names - {".lock"}:
            return True
        partial_names = {name for name in names if is_partial(name)}
        has_model = "model.json" in names or any(self.best.parent.glob("*"))
        return ".lock" in names and names - partial_names <= FILES_BEFORE_MODEL and not has_model

    @contextmanager
    def with_recovery_hint(self) -> Iterator[None]:
        """Adds to a `Failure` inside the block what is still intact."""
        try:
            yield
        except Failure as failure:
            raise Failure(f"{failure}; {self.recovery_hint()}") from failure

    def recovery_hint(self) -> str:
        """Says what is still intact after a failure: the newest complete checkpoint, and how to continue from it."""
        if not self.path.is_dir():
            return f"{self.path} itself is gone: put it back and continue with resume=true"
        if (step := read_step(self.last)) is not None:
            return f"the checkpoint of step {step} ({self.last}) is intact: continue with resume=true"
        if (step := read_step(self.best)) is not None:
            return f"the weights of step {step} in {self.best} are intact: they can translate, not be trained further"
        return "there is no checkpoint yet: start again with the same command" + (
            " and resume=true" if (self.path / "model.json").is_file() else ""
        )

    def step_path(self, step: int) -> Path:
        """The path of the weights after `step`, which are kept for averaging."""
        return self.path / "checkpoints" / f"step-{step:08d}.safetensors"

    def step_paths(self) -> list[Path]:
        """Returns the paths of the weights that are kept for averaging, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.safetensors"))

    def write_description(self, name: str, description: Description) -> None:
        """Writes NAME.json: the description of the run's "model", "search", "metrics" or "corpus"."""
        write_json(self.path / f"{name}.json", {"format": FORMAT, **description})

    def description(self, name: str) -> Description:
        """Reads NAME.json.

        Raises:
            UserError: the file is missing, damaged, of another format, or asks for an unreasonably large search.
        """
        path = self.path / f"{name}.json"
        description = read_description(path)
        if name == "search":
            with _naming(path):
                check_search_size(description)
        return description

    def text_digests(self) -> dict[str, str]:
        """The digests of the text on which the run was started, by the use of the text: "training", "validation".

        Raises:
            UserError: corpus.json is missing or damaged.
        """
        return read_versioned(self.path / "corpus.json", StoredCorpus).text

    def tokenizer(self) -> Tokenizer:
        """Loads the run's tokenizer.

        Raises:
            UserError: it is missing or damaged, or its vocabulary is not that of the model.
        """
        tokenizer = Tokenizer.load(self.path)
        arguments = self.description("model")["arguments"]
        for side, size in (("source", tokenizer.source_size), ("target", tokenizer.target_size)):
            if arguments.get(f"{side}_vocab_size") != size:
                raise UserError(
                    f"{self.path / 'tokenizer.json'} is of another run: it has {size} {side} pieces, "
                    f"model.json {str(arguments.get(f'{side}_vocab_size'))[:80]}"
                )
        return tokenizer

    def objective(self) -> str | None:
        """The class of a pre-trained run's objective, such as "MaskedPieces"; None for a run that translates."""
        objective = read_versioned(self.path / "model.json", StoredObjective).objective
        return None if objective is None else objective.class_name

    def check_translates(self) -> None:
        """Raises UserError if the run was pre-trained, so that it restores text and does not translate."""
        if (objective := self.objective()) is not None:
            raise UserError(
                f"{self.path} was pre-trained to restore text ({objective}) and cannot translate: train a system that "
                f"starts from it, by nmt train init={self.path}"
            )

    def model(self, *, heads_off: Sequence[str] = ()) -> TranslationModel:
        """Loads the run's model with its best weights, on the CPU, in evaluation mode.

        Args:
            heads_off: names of attention heads to silence, such as "encoder.0.3"; see `nmt.models.heads`.

        Raises:
            UserError: a file is damaged or does not fit the others, there is no such head, or it does not translate.
        """
        self.check_translates()
        from nmt import models
        from nmt.models.heads import silence_heads
        from nmt.models.initialization import SkipInit

        description = self.description("model")
        shapes = read_shapes(self.best)
        with _naming(self.path / "model.json"), SkipInit():
            check_model_size(description, models, shapes)
            model: models.Seq2Seq = build(description, models)
        load_weights(model, self.best)
        silence_heads(model, heads_off)
        return model.eval()

    def corpus(self, **changes: Any) -> Corpus:
        """Builds the corpus that the run was trained on.

        Args:
            changes: arguments of the corpus that replace the stored ones.

        Raises:
            UserError: the description is damaged, or the corpus does not take the arguments.
        """
        from nmt import data

        description = self.description("corpus")
        with _naming(self.path / "corpus.json"):
            return build(change_main_corpus(description, changes), data)

    def best_step(self) -> int:
        """Returns the training step of the best weights. Raises UserError if the file does not state it."""
        step = read_step(self.best)
        if step is None:
            raise UserError(f"{self.best} is damaged: it does not state its training step")
        return step


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Puts the path of a file before the message of a `UserError` inside the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
