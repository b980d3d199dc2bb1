"""The run folder: the interface between the commands, and all that translating needs.

    config.yaml  model.json  search.json  corpus.json  tokenizer.json  tokenizer.model
    history.jsonl  log.txt
    checkpoints/  best.safetensors   last.safetensors (exact resume)   step-*.safetensors (for averaging)
    evaluation/   report/   tensorboard/

Nothing in it is executable. A class is written down by its name and its arguments, and looked up by that name among the
public names of one package of ours; a path to code is never followed.
"""

from __future__ import annotations

import fcntl
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from nmt.data.tokenizer import Tokenizer
from nmt.files import read_json, replacing, write_json

if TYPE_CHECKING:  # torch takes a second to import, and half of the commands never need it
    from torch import Tensor

    from nmt.data.corpus import Corpus
    from nmt.models import Seq2Seq

FORMAT = 1
"""The version of the folder's format; a reader refuses a newer one."""

Description = dict[str, Any]
"""A class by its name and its arguments: {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}}."""


def build(description: Any, package: ModuleType, **runtime: Any) -> Any:
    """The object that a description names.

    Args:
        description: as `Description`; arguments may be descriptions themselves.
        package: whose public names (`__all__`) may be named, and no others.
        runtime: arguments that only the caller knows, handed to the outermost class.

    Raises:
        ValueError: the class is not one of the package's, its arguments are not those it takes, or it refuses them.
    """
    if not isinstance(description, Mapping) or not isinstance(description.get("class"), str):
        raise ValueError(f'a description has a "class" and "arguments", not {str(description)[:80]}')
    name, arguments = description["class"], description.get("arguments", {})
    names = [public for public in package.__all__ if inspect.isclass(getattr(package, public))]
    if name not in names:
        raise ValueError(f"{package.__name__} has no class {name[:80]!r}; it has {', '.join(names)}")
    if not isinstance(arguments, Mapping):
        raise ValueError(f"the arguments of {name} must be names with values")
    values = {
        key: build(value, package) if isinstance(value, Mapping) and "class" in value else value
        for key, value in arguments.items()
    }
    try:
        return getattr(package, name)(**values, **runtime)
    except TypeError as error:
        raise ValueError(f"{name} cannot be made from these arguments: {error}") from None


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
            raise ValueError(f"run={path} is no folder: name one that nmt train wrote")
        if not (run.path / "model.json").is_file():
            raise ValueError(f"run={path} is no run folder: model.json is missing in it")
        if not run.best.is_file():
            raise ValueError(f"run={path} has no checkpoint yet (checkpoints/best.safetensors): train it further")
        return run

    @classmethod
    def claim(cls, path: str | Path, *, resume: bool) -> RunFolder:
        """A folder that may be trained in; nothing is written yet.

        Raises:
            ValueError: it holds something already and `resume` is off, or `resume` is on and there is no run in it.
        """
        run = cls(path)
        if run.path.exists() and not run.path.is_dir():
            raise ValueError(f"run={path} is a file: name a folder")
        used = run.path.is_dir() and any(file.name != ".lock" for file in run.path.iterdir())
        if used and not resume:
            raise ValueError(f"run={path} is in use: name another folder, or go on with it by resume=true")
        if resume and not (run.path / "model.json").is_file():
            raise ValueError(f"run={path} holds no run to go on with: leave resume=true out")
        return run

    @classmethod
    def create(cls, path: str | Path, *, resume: bool) -> RunFolder:
        """A folder to train in, made where it is missing, and locked until this process ends.

        Raises:
            ValueError: as `claim`, or another process is training in it.
        """
        run = cls.claim(path, resume=resume)
        run.path.mkdir(parents=True, exist_ok=True)
        # The system lets go of the lock when the process ends, however it ends.
        run._lock = (run.path / ".lock").open("wb")
        try:
            fcntl.flock(run._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"run={path} is in use: another process is training in it") from None
        return run

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
        if not isinstance(description, dict) or not isinstance(description.get("format"), int):
            raise ValueError(f"{path} is damaged: it names no format")
        if description["format"] > FORMAT:
            raise ValueError(
                f"{path} has format {description['format']}, newer than this program's {FORMAT}: update nmt"
            )
        return description

    def tokenizer(self) -> Tokenizer:
        """The run's tokenizer."""
        return Tokenizer.load(self.path)

    def model(self) -> Seq2Seq:
        """The run's model with its best weights, on the CPU, in evaluation mode.

        Raises:
            ValueError: the description or the weights are damaged or do not fit each other.
        """
        from nmt import models

        try:
            model: Seq2Seq = build(self.description("model"), models)
        except ValueError as error:
            raise ValueError(f"{self.path / 'model.json'}: {error}") from None
        load_weights(model, self.best)
        return model.eval()

    def corpus(self, **changes: Any) -> Corpus:
        """The corpus that the run was trained on, with some of its arguments changed.

        Raises:
            ValueError: the description is damaged, or the corpus is not where it was.
        """
        from nmt.data import corpora

        description = self.description("corpus")
        arguments = description.get("arguments", {})
        if isinstance(arguments, Mapping):
            description["arguments"] = {**arguments, **changes}
        corpus: Corpus = build(description, corpora)
        return corpus

    def best_step(self) -> int:
        """The training step of the best weights."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.best, framework="pt") as file:
                return int((file.metadata() or {})["step"])
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{self.best} is damaged: {error}") from None

    def records(self) -> list[dict[str, Any]]:
        """The history's records, in order."""
        if not self.history.is_file():
            return []
        try:
            return [json.loads(line) for line in self.history.read_text(encoding="utf-8").splitlines()]
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{self.history} is damaged: {error}") from None


def save_weights(weights: Mapping[str, Tensor], path: Path, *, step: int) -> None:
    """Writes tensors as safetensors, whole or not at all, tied ones once; `step` goes into the file's metadata."""
    from safetensors.torch import save

    kept = {}
    seen = set()
    for name, tensor in weights.items():
        if tensor.data_ptr() not in seen or tensor.numel() == 0:
            seen.add(tensor.data_ptr())
            kept[name] = tensor.detach().cpu().contiguous()
    with replacing(path) as file:
        file.write(save(kept, metadata={"step": str(step)}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU.

    Raises:
        ValueError: the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None


def load_weights(model: Seq2Seq, path: Path) -> None:
    """Fills `model` from a file of `save_weights`.

    Raises:
        ValueError: the file is missing or damaged, or its tensors are not the model's.
    """
    weights = read_weights(path)
    own = model.state_dict()
    names_of: dict[int, list[str]] = {}  # tied tensors have several names, and were saved under one
    for name, tensor in own.items():
        names_of.setdefault(tensor.data_ptr(), []).append(name)
    for names in names_of.values():
        saved = [name for name in names if name in weights]
        if len(saved) != 1 or weights[saved[0]].shape != own[saved[0]].shape:
            raise ValueError(f"{path} does not fit model.json: {names[0]} is missing or of another shape")
        own[saved[0]].copy_(weights.pop(saved[0]))
    if weights:
        raise ValueError(f"{path} does not fit model.json: it has {next(iter(weights))}, the model has not")
