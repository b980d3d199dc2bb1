"""Fixtures of all tests: a cache of their own, one thread, a tiny corpus, and one tiny run trained by `nmt train`."""

import json
import os
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TextIO

import datasets
import hydra
import hypothesis
import numpy as np
import pytest
import torch
from omegaconf import DictConfig

from nmt.cli import main
from nmt.cli.shell import configuration
from nmt.data.batch import Batch, make_batch
from nmt.data.encoding import encode_corpus
from nmt.data.tokenizer import Tokenizer

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# The same examples in every run, and no time limit per example: machines differ and may be busy.
hypothesis.settings.register_profile("nmt", derandomize=True, deadline=None)
hypothesis.settings.load_profile("nmt")

NUMBERS = {
    "one": "eins",
    "two": "zwei",
    "three": "drei",
    "four": "vier",
    "five": "fünf",
    "six": "sechs",
    "seven": "sieben",
    "eight": "acht",
    "nine": "neun",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SPLITS = {"train": 120, "val": 16, "test": 8}

TINY_MODELS = {
    "lstm": ["model=lstm", "model.embedding_size=16", "model.hidden_size=16"],
    "lstm_bahdanau": [
        "model=lstm_bahdanau",
        "model.embedding_size=16",
        "model.hidden_size=16",
        "model.score.attention_size=16",
    ],
    "lstm_luong": ["model=lstm_luong", "model.embedding_size=16", "model.hidden_size=16"],
    **{
        name: [
            f"model={name}",
            "model.model_size=16",
            "model.feedforward_size=32",
            "model.num_heads=2",
            "model.num_encoder_layers=1",
            "model.num_decoder_layers=1",
        ]
        for name in ("transformer", "transformer_linear")
    },
    **{
        name: [
            f"model={name}",
            "model.model_size=16",
            "model.feedforward_size=32",
            "model.num_heads=2",
            "model.num_layers=2",
        ]
        for name in ("decoder_only", "prefix_lm")
    },
}
TINY_TRAINING = [
    "tokenizer.vocab_size=40",
    "trainer.max_steps=1",
    "loader.batch_tokens=256",
    "trainer.precision=fp32",  # the same on every CPU
    "trainer.validate_every=100",
    "device=cpu",
    "loader.num_workers=1",
    "tracker=null",
    "search=greedy",
]

SIZES: dict[str, Any] = {
    "source_vocab_size": 50,
    "target_vocab_size": 50,
    "shared_vocab": True,
    "tie_output": True,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
}
RECURRENT = SIZES | {
    "cell": {"class": "LSTMCell", "arguments": {}},
    "embedding_size": 16,
    "hidden_size": 24,
    "num_layers": 2,
    "variational_dropout": False,
    "recurrent_dropout": 0.0,
}
ATTENTIONAL = RECURRENT | {"encoder_dropout": 0.0, "span": {"class": "GlobalSpan", "arguments": {}}}
SCORE: dict[str, Any] = {"class": "GeneralScore", "arguments": {"query_size": 24, "value_size": 24}}
ADDITIVE: dict[str, Any] = {"class": "AdditiveScore", "arguments": SCORE["arguments"] | {"attention_size": 12}}
DESCRIPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("PlainRNN", RECURRENT),
    "lstm_bahdanau": ("BahdanauRNN", ATTENTIONAL | {"score": ADDITIVE}),
    "lstm_luong": ("LuongRNN", ATTENTIONAL | {"input_feeding": True, "score": SCORE}),
    "lstm_luong-dot": (
        "LuongRNN",
        ATTENTIONAL | {"input_feeding": False, "score": SCORE | {"class": "DotScore"}},
    ),
    "lstm_luong-concat": (
        "LuongRNN",
        ATTENTIONAL | {"input_feeding": False, "score": ADDITIVE},
    ),
    "transformer": (
        "Transformer",
        SIZES
        | {
            "model_size": 16,
            "feedforward_size": 24,
            "num_heads": 2,
            "num_key_value_heads": 2,
            "num_encoder_layers": 2,
            "num_decoder_layers": 2,
            "activation_dropout": 0.0,
            "attention_dropout": 0.0,
            "layer_dropout": 0.0,
            "pre_norm": True,
            "encoder_attention": None,
            "positions": {"class": "SinusoidalPositions", "arguments": {"model_size": 16, "max_length": 32}},
        },
    ),
    "prefix_lm": (
        "PrefixLM",
        SIZES
        | {
            "model_size": 16,
            "feedforward_size": 24,
            "num_heads": 2,
            "num_layers": 3,
            "activation_dropout": 0.0,
            "attention_dropout": 0.0,
            "layer_dropout": 0.0,
            "pre_norm": True,
            "max_length": 32,
        },
    ),
}
"""Every architecture at a small size: the name of its class, and its arguments."""


FIRST = ("tests/integration/", "tests/test_files.py", "tests/run/test_folder.py", "tests/cli/training/test_sweeps.py")
"""Tests that fork their own process. A library with threads of its own that has run before breaks its children."""

LAST = ("tests/export/", "tests/cli/test_export.py", "tests/documents/")
"""Tests that start such libraries: CTranslate2, onnxruntime."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the tests that fork first, and those after which no test should fork last."""

    def place(item: pytest.Item) -> int:
        return 0 if item.nodeid.startswith(FIRST) else 2 if item.nodeid.startswith(LAST) else 1

    items.sort(key=place)


@pytest.fixture(scope="session", autouse=True)
def datasets_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of datasets for the tests, in this process and those it starts; the user's cache is not touched."""
    folder = tmp_path_factory.mktemp("datasets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
        patch.setenv("HF_DATASETS_CACHE", str(folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="session", autouse=True)
def no_flush_to_disk() -> Iterator[None]:
    """Files are not flushed to the disk, which takes milliseconds each time: tests need not survive a power failure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def compositions() -> Iterator[None]:
    """Hydra composes each choice of the project's YAML files once: it takes a tenth of a second for every command."""
    conf_folder = configuration.conf_folder

    @lru_cache(maxsize=64)
    def compose_once(command: str, *overrides: str) -> DictConfig:
        return hydra.compose(command, list(overrides), return_hydra_config=True)

    def compose(command: str, overrides: list[str], *, return_hydra_config: bool) -> DictConfig:
        if configuration.conf_folder is conf_folder and return_hydra_config:
            return compose_once(command, *overrides)
        # A test has YAML files of its own, and may change them.
        return hydra.compose(command, overrides, return_hydra_config=return_hydra_config)

    with pytest.MonkeyPatch.context() as patch:
        caching = SimpleNamespace(compose=compose, initialize_config_dir=hydra.initialize_config_dir)
        patch.setattr(configuration, "hydra", caching)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Several threads do not make tiny models faster, and change the order in which numbers are added."""
    torch.set_num_threads(1)


def counting(num_lines: int, *, seed: int) -> tuple[list[str], list[str]]:
    """Returns English and German lines of one to six number words."""
    generator = random.Random(seed)
    lines = [generator.choices(list(NUMBERS), k=generator.randint(1, 6)) for _ in range(num_lines)]
    return [" ".join(line) for line in lines], [" ".join(NUMBERS[word] for word in line) for line in lines]


def write_corpus(folder: Path) -> Path:
    """Writes a tiny parallel corpus: train.en, train.de, val.en, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (split, num_lines) in enumerate(SPLITS.items()):
        for language, lines in zip(("en", "de"), counting(num_lines, seed=seed), strict=True):
            (folder / f"{split}.{language}").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus; tests must not change it."""
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def own_corpus(tmp_path: Path) -> Path:
    """A copy of the tiny corpus that a test may change."""
    return write_corpus(tmp_path / "corpus")


@pytest.fixture(scope="session")
def tokenizer(corpus_folder: Path) -> Tokenizer:
    """A tokenizer of the tiny corpus."""
    english, german = ((corpus_folder / f"train.{name}").read_text().splitlines() for name in ("en", "de"))
    return Tokenizer.train(
        english,
        german,
        vocab_size=40,
        model_type="unigram",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
        normalization="compose",
    )


@pytest.fixture(scope="session")
def encoded(corpus_folder: Path, tokenizer: Tokenizer) -> datasets.Dataset:
    """Forty pairs of the tiny corpus, encoded."""
    english, german = ((corpus_folder / f"train.{name}").read_text().splitlines()[:40] for name in ("en", "de"))
    return encode_corpus(datasets.Dataset.from_dict({"source": english, "target": german}), tokenizer, num_workers=1)


@pytest.fixture(scope="session")
def tiny_models() -> dict[str, list[str]]:
    """Model → overrides that make it tiny."""
    return TINY_MODELS


@pytest.fixture(scope="session")
def tiny_training() -> list[str]:
    """Overrides that make `nmt train` fast: one step on the CPU, greedy search."""
    return TINY_TRAINING


@pytest.fixture(scope="session")
def trained_run(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a small LuongRNN that has learned the tiny corpus a little; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs") / "luong"
    overrides = [*TINY_MODELS["lstm_luong"], *TINY_TRAINING, "trainer.max_steps=160", "trainer.validate_every=40"]
    overrides += [
        "model.hidden_size=32",
        "model.dropout=0.0",
        "schedule.learning_rate=0.02",
        "schedule.warmup_steps=20",
    ]
    overrides += ["trainer.log_every=40", "search=beam"]
    assert main(["train", "data=files", f"data.path={corpus_folder}", f"run={folder}", *overrides]) == 0
    return folder


@pytest.fixture(scope="session")
def lstm_run(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a tiny LSTM without attention, trained for one step; tests must not change it."""
    return train_for_a_step("lstm", corpus_folder, tmp_path_factory)


@pytest.fixture(scope="session")
def transformer_run(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a tiny Transformer, with one layer and two heads on either side; tests must not change it."""
    return train_for_a_step("transformer", corpus_folder, tmp_path_factory)


def train_for_a_step(model: str, corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trains a tiny model, and returns its run folder, which has the name of the model."""
    folder = tmp_path_factory.mktemp("runs") / model
    assert (
        main(
            ["train", "data=files", f"data.path={corpus_folder}", f"run={folder}", *TINY_MODELS[model], *TINY_TRAINING]
        )
        == 0
    )
    return folder


@pytest.fixture(scope="session")
def remove_progress() -> Callable[[Path], None]:
    """Leaves a run folder as if training had been killed before its first record and its first checkpoint."""

    def remove(run: Path) -> None:
        (run / "history.jsonl").write_text("")
        for path in (run / "checkpoints").iterdir():
            path.unlink()

    return remove


def open_stream(number: int, path: Path | None) -> TextIO | None:
    """Opens a standard stream of this process as a new Python process does; without a path it is closed."""
    os.close(number)
    if path is None:
        return None
    descriptor = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
    if descriptor != number:
        os.dup2(descriptor, number)
        os.close(descriptor)
    errors = "backslashreplace" if number == 2 else "strict"
    return open(number, "r" if number == 0 else "w", encoding="utf-8", errors=errors, closefd=False)


@pytest.fixture
def run_with_streams(tmp_path: Path) -> Callable[..., tuple[int, bytes, str]]:
    """Runs `nmt WORD...` with streams that are closed (None) or lead to a file: `run(words, text, stdout=None)`.

    Returns the exit code, standard output and standard error. The process is forked from the tests' process: a new one
    would need seconds of processor time to load torch.
    """
    folder = tmp_path / "streams"
    folder.mkdir()

    def run(words: list[str], text: bytes = b"", **streams: Path | None) -> tuple[int, bytes, str]:
        paths = {name: folder / name for name in ("stdin", "stdout", "stderr")}
        for name, path in paths.items():
            path.write_bytes(text if name == "stdin" else b"")
        pid = os.fork()
        if pid == 0:
            code = 120  # as Python ends if a stream cannot be flushed
            try:
                opened = [open_stream(number, path) for number, path in enumerate((paths | streams).values())]
                sys.stdin, sys.stdout, sys.stderr = opened
                ended = main(words)
                for stream in (sys.stdout, sys.stderr):
                    if stream is not None:
                        stream.flush()
                code = ended
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code, paths["stdout"].read_bytes(), paths["stderr"].read_text(encoding="utf-8")

    return run


@pytest.fixture(params=DESCRIPTIONS)
def description(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each architecture at a small size, as a run folder describes it."""
    name, arguments = DESCRIPTIONS[request.param]
    return {"class": name, "arguments": arguments}


@pytest.fixture
def batch() -> Batch:
    """Six pairs of different lengths."""
    torch.manual_seed(1)
    generator = np.random.default_rng(1)
    sources = [generator.integers(4, 50, size=size).tolist() for size in range(3, 9)]
    targets = [generator.integers(4, 50, size=size).tolist() for size in range(9, 3, -1)]
    return make_batch(sources, targets, pad_id=0, bos_id=1, eos_id=2)


@pytest.fixture(scope="session")
def read_page() -> Callable[[Path], Any]:
    """Reads the data in a file that `nmt.explore.page` has written: {analyses, beams, state}."""

    def read(path: Path) -> Any:
        [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"))
        return json.loads(data)

    return read


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """The Chromium of this machine. It ends with each module: while it runs, no other test could use asyncio."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("needs Chromium, such as Debian's package chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
