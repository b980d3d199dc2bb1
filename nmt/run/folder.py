"""The run folder: the interface between the commands, and all that translating needs.

    config.yaml  model.json  search.json  corpus.json  tokenizer.json  tokenizer.model
    history.jsonl  log.txt
    checkpoints/  best.safetensors   last.safetensors (exact resume)   step-*.safetensors (for averaging)
    evaluation/   report/   tensorboard/

Nothing in it is executable. A class is written down by its name and its arguments, and looked up by that name among the
public names of one package of ours; a path to code is never followed. Everything is read as if a stranger had written
it: what does not fit together is a ValueError in one line that names the file, before anything large is made of it. One
thing is taken at its word: corpus.json names a folder or a dataset anywhere, which `nmt evaluate` then reads.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from nmt.data.tokenizer import Tokenizer
from nmt.errors import Failure, UserError
from nmt.files import (
    is_partial,
    make_folder,
    parse_json,
    read_json,
    read_text,
    remove_partials,
    trouble,
    write_json,
    writing,
)
from nmt.run.registry import FORMAT, Description, build, check_size, first_above
from nmt.run.weights import load_weights, read_shapes, read_step

if TYPE_CHECKING:  # torch takes a second to import, and half of the commands never need it
    from nmt.data.corpus import Corpus
    from nmt.models import Seq2Seq

MOST_OF_SEARCH = 1024
"""The largest number in search.json: a stranger's beam of a billion would take all memory. Who wants more says so."""

TOKENIZER = ("tokenizer.json", "tokenizer.model", "source.model", "target.model")
BEFORE_MODEL = {".lock", "checkpoints", "config.yaml", "corpus.json", "search.json", *TOKENIZER}
"""What training writes before model.json, which makes the folder a run."""


class RunFolder:
    """A run folder at `path`, written by `nmt train` and read by everything else."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.best = self.path / "checkpoints" / "best.safetensors"
        self.last = self.path / "checkpoints" / "last.safetensors"
        self.averaged = self.path / "checkpoints" / "averaged.safetensors"
        self.history = self.path / "history.jsonl"
        self._lock: BinaryIO | None = None

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.path.resolve().name

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """A folder that can translate.

        Raises:
            ValueError: it is missing, is no run folder, or no checkpoint has been written to it yet.
        """
        run = cls(path)
        if not run.path.is_dir():
            raise UserError(f"run={path} is no folder: name one that nmt train wrote")
        if not (run.path / "model.json").is_file():
            raise UserError(f"run={path} is no run folder: model.json is missing in it")
        if not run.best.is_file():
            raise UserError(f"run={path} has no checkpoint yet (checkpoints/best.safetensors): train it further")
        return run

    @classmethod
    def claim(cls, path: str | Path, *, resume: bool) -> RunFolder:
        """A folder that may be trained in; nothing is written yet.

        Raises:
            ValueError: it holds something already and `resume` is off, or `resume` is on and there is no run in it.
        """
        run = cls(path)
        if run.path.exists() and not run.path.is_dir():
            raise UserError(f"run={path} is a file: name a folder")
        used = run.path.is_dir() and not run._unbegun()
        if used and not resume:
            raise UserError(f"run={path} is in use: name another folder, or go on with it by resume=true")
        if resume and not (run.path / "model.json").is_file():
            raise UserError(f"run={path} holds no run to go on with: leave resume=true out")
        return run

    @classmethod
    def create(cls, path: str | Path, *, resume: bool) -> RunFolder:
        """A folder to train in, made where it is missing, and locked until this process ends.

        Raises:
            ValueError: as `claim`, or another process is training in it.
        """
        run = cls.claim(path, resume=resume)
        make_folder(run.path)
        with writing(run.path / ".lock"):
            run._lock = (run.path / ".lock").open("wb")
        # The system lets go of the lock when the process ends, however it ends, unless a child that it forked, which
        # shares the lock, outlives it: so a child gives up its share.
        os.register_at_fork(after_in_child=partial(_close, weakref.ref(run._lock)))
        try:
            fcntl.flock(run._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"run={path} is in use: another process is training in it") from None
        except OSError as error:
            raise Failure(f"{run.path} cannot be locked: {trouble(error)}") from None
        with writing(run.best.parent):
            run.best.parent.mkdir(exist_ok=True)
        remove_partials(run.path)
        remove_partials(run.best.parent)
        return run

    def _unbegun(self) -> bool:
        """Whether the folder holds nothing, or no more than a run that ended before its description was written."""
        names = {file.name for file in self.path.iterdir()}
        if not names - {".lock"}:
            return True
        partial = {name for name in names if is_partial(name)}
        begun = "model.json" in names or any(self.best.parent.glob("*"))
        return ".lock" in names and names - partial <= BEFORE_MODEL and not begun

    @contextmanager
    def telling(self) -> Iterator[None]:
        """A `Failure` inside also tells what is still good."""
        try:
            yield
        except Failure as failure:
            raise Failure(f"{failure}; {self.still_good()}") from failure

    def still_good(self) -> str:
        """What a failure leaves to go on with, in words: the newest checkpoint that reads whole, and its step."""
        if not self.path.is_dir():
            return f"{self.path} itself is gone: put it back and go on with resume=true"
        steps = {path: step for path in (self.last, self.best) if (step := read_step(path)) is not None}
        if self.last in steps:
            return f"the checkpoint of step {steps[self.last]} ({self.last}) is whole: go on with resume=true"
        if self.best in steps:
            return f"the weights of step {steps[self.best]} in {self.best} are whole: they can translate, not go on"
        return "there is no checkpoint yet: begin again with the same command" + (
            " and resume=true" if (self.path / "model.json").is_file() else ""
        )

    def step_path(self, step: int) -> Path:
        """Where the weights after `step` are kept for averaging."""
        return self.path / "checkpoints" / f"step-{step:08d}.safetensors"

    def step_paths(self) -> list[Path]:
        """The weights kept for averaging, oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.safetensors"))

    def describe(self, what: str, description: Description) -> None:
        """Writes `what`.json: the description of the run's model, search or corpus."""
        write_json(self.path / f"{what}.json", {"format": FORMAT, **description})

    def description(self, what: str) -> Description:
        """Reads `what`.json.

        Raises:
            ValueError: it is missing, damaged, or of a newer format than this program's.
        """
        path = self.path / f"{what}.json"
        description = read_json(path)
        if not isinstance(description, dict) or type(description.get("format")) is not int:
            raise UserError(f"{path} is damaged: it names no format")
        if description["format"] != FORMAT:
            remedy = "update nmt" if description["format"] > FORMAT else "train the run again"
            raise UserError(f"{path} has format {description['format']}, this program reads {FORMAT}: {remedy}")
        if not isinstance(description.get("arguments", {}), dict):
            raise UserError(f"{path} is damaged: the arguments must be names with values")
        if what == "search" and (huge := first_above(description, MOST_OF_SEARCH)) is not None:
            raise UserError(f"{path} asks for a search of {huge}, but at most {MOST_OF_SEARCH} is read from a folder")
        return description

    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer.

        Raises:
            ValueError: it is missing or damaged, or has not as many pieces as the model.
        """
        tokenizer = Tokenizer.load(self.path)
        arguments = self.description("model").get("arguments", {})
        for side, size in (("source", tokenizer.source_size), ("target", tokenizer.target_size)):
            if arguments.get(f"{side}_vocab_size") != size:
                raise UserError(
                    f"{self.path / 'tokenizer.json'} is of another run: it has {size} {side} pieces, "
                    f"model.json {str(arguments.get(f'{side}_vocab_size'))[:80]}"
                )
        return tokenizer

    def model(self) -> Seq2Seq:
        """The run's model with its best weights, on the CPU, in evaluation mode.

        Raises:
            ValueError: the description or the weights are damaged or do not fit each other.
        """
        from nmt import models
        from nmt.models.initialization import SkipInit

        description = self.description("model")
        shapes = read_shapes(self.best)
        try:
            with SkipInit():
                check_size(description, models, shapes)
                model: Seq2Seq = build(description, models)
        except ValueError as error:
            raise UserError(f"{self.path / 'model.json'}: {error}") from None
        load_weights(model, self.best)
        return model.eval()

    def corpus(self, **changes: Any) -> Corpus:
        """The corpus that the run was trained on, with some of its arguments changed.

        Raises:
            ValueError: the description is damaged, or the corpus is not where it was.
        """
        from nmt import data

        description = self.description("corpus")
        description["arguments"] = {**description.get("arguments", {}), **changes}
        try:
            corpus: Corpus = build(description, data)
        except ValueError as error:
            raise UserError(f"{self.path / 'corpus.json'}: {error}") from None
        return corpus

    def best_step(self) -> int:
        """The training step of the best weights."""
        step = read_step(self.best)
        if step is None:
            raise UserError(f"{self.best} is damaged: it does not say of which step it is")
        return step

    def records(self) -> list[dict[str, Any]]:
        """The history's records, in order, but half a last line of a killed run. Raises ValueError if it is damaged."""
        if not self.history.exists():
            return []
        lines = read_text(self.history).split("\n")[:-1]  # what follows the last line end is nothing, or half a line
        try:
            records = [parse_json(line) for line in lines]
            if not all(isinstance(record, dict) for record in records):
                raise UserError("a line is no record")
        except ValueError as error:
            raise UserError(f"{self.history} is damaged: {error}") from None
        return records


def _close(file: weakref.ref[BinaryIO]) -> None:
    if (still := file()) is not None:
        still.close()
