"""Every reader of a file of a run folder or a corpus accepts a damaged file, or refuses it with a `UserError`.

The damage is of two kinds, which may be combined: to the structure (a value is replaced, removed, doubled or renamed)
and to the bytes (cut, flipped, doubled). Every defect that fuzzing reveals becomes a named test of the reader.
"""

import copy
import gzip
import hashlib
import json
import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nmt import models
from nmt import search as searches
from nmt.cli.training.resume import compare_settings
from nmt.data.corpus import FilesCorpus
from nmt.data.readers import find_splits, read_split
from nmt.data.tokenizer import Tokenizer
from nmt.evaluation import significance
from nmt.models import Seq2Seq
from nmt.report import comparison
from nmt.report.comparison import compare
from nmt.report.curves import learning_curves
from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.run.registry import build
from nmt.run.weights import save_weights
from nmt.search import GreedySearch
from nmt.training.checkpoint import Progress, read_checkpoint, restore, save_checkpoint
from nmt.training.history import History
from nmt.training.loss_meter import LossMeter
from nmt.translator import Translator

Outcome = Callable[[Callable[[], object], str], None]

fuzz = hypothesis.settings.get_profile("fuzz")
"""The profile of conftest.py."""

# Odd values, one of which replaces a value of a file.
ODD: list[Any] = [
    None, True, 0, -1, 1, 2, 3, 7, 64, 1.5, -0.5, 1e308, math.nan, math.inf, 10**9, 10**12, 10**30, -(10**30), "", "8",
    "Seq2Seq", "Transformer", "PlainRNN", "torch.nn.Linear", "os.system", "../../../etc/passwd", "/etc/passwd", "a\nb",
    "\x1b[2J", "\ud800", "x" * 5000, [], {}, [[]], [1, "a", None], {"class": "Seq2Seq"},
    {"class": "DotScore", "arguments": {}},
    {"_target_": "os.system", "command": "true"},
]  # fmt: skip
values = st.one_of(
    st.sampled_from(ODD),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=5,
    ),
)
positions = st.integers(0, 2**20)
structure = st.lists(
    st.tuples(st.sampled_from(["replace", "remove", "double", "rename", "swap", "wrap"]), positions, positions, values),
    max_size=3,
)
damages = st.lists(
    st.tuples(
        st.sampled_from(["cut", "flip", "double", "drop", "insert", "tail"]),
        positions,
        positions,
        st.binary(max_size=6),
    ),
    max_size=2,
)


def find_positions(value: Any) -> list[tuple[Any, Any]]:
    """Every position in a JSON value, as its container and the key there."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [position for key, inner in items for position in ((value, key), *find_positions(inner))]


def change_structure(value: Any, changes: list[tuple[str, int, int, Any]]) -> Any:
    """Returns a JSON value after changes to its structure."""
    value = json.loads(json.dumps(value))
    for kind, position, other, drawn in changes:
        new = copy.deepcopy(drawn)  # a drawn value may be used again, so it must not change
        all_positions = find_positions(value)
        if not all_positions:
            return new
        container, key = all_positions[position % len(all_positions)]
        if kind == "replace":
            container[key] = new
        elif kind == "remove":
            del container[key]
        elif kind == "double" and isinstance(container, list):
            container.insert(key, container[key])
        elif kind == "rename" and isinstance(container, dict):
            container[str(new)[:20]] = container.pop(key)
        elif kind == "wrap":
            container[key] = [container[key]] if other % 2 else {"class": container[key]}
        else:
            other_container, other_key = all_positions[other % len(all_positions)]
            container[key] = json.loads(json.dumps(other_container[other_key]))
    return value


def damage_bytes(data: bytes, changes: list[tuple[str, int, int, bytes]]) -> bytes:
    """Returns bytes after damage."""
    for kind, position, other, new in changes:
        start = position % (len(data) + 1)
        end = min(len(data), start + other % 40)
        if kind == "cut":
            data = data[:start]
        elif kind == "flip" and start < len(data):
            data = data[:start] + bytes([data[start] ^ 1 << other % 8]) + data[start + 1 :]
        elif kind == "double":
            data = data[:end] + data[start:end] + data[end:]
        elif kind == "drop":
            data = data[:start] + data[end:]
        elif kind == "insert":
            data = data[:start] + new + data[start:]
        elif kind == "tail":
            data += new
    return data


def as_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode()


RECURRENT = {
    "source_vocab_size": 40, "target_vocab_size": 40, "shared_vocab": True, "tie_output": True, "embedding_size": 8,
    "cell": {"class": "LSTMCell", "arguments": {}},
    "hidden_size": 8, "num_layers": 1, "dropout": 0.0,
    "embedding_dropout": 0.0, "word_dropout": 0.0, "variational_dropout": False, "recurrent_dropout": 0.0,
}  # fmt: skip
DESCRIPTIONS: list[dict[str, Any]] = [
    {"class": "PlainRNN", "arguments": RECURRENT},
    {
        "class": "BahdanauRNN",
        "arguments": {
            **RECURRENT,
            "encoder_dropout": 0.0,
            "score": {"class": "CoverageScore", "arguments": {"query_size": 8, "value_size": 8, "attention_size": 8}},
            "span": {"class": "PredictiveSpan", "arguments": {"query_size": 8, "window": 3}},
        },
    },
    {
        "class": "LuongRNN",
        "arguments": {
            **RECURRENT,
            "encoder_dropout": 0.0,
            "input_feeding": True,
            "span": {"class": "GlobalSpan", "arguments": {}},
            "score": {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}},
        },
    },
    {
        "class": "Transformer",
        "arguments": {
            **{key: RECURRENT[key] for key in ("source_vocab_size", "target_vocab_size", "shared_vocab", "tie_output")},
            "model_size": 8, "feedforward_size": 8, "num_heads": 2, "num_key_value_heads": 2,
            "num_encoder_layers": 1, "num_decoder_layers": 1,
            "dropout": 0.0, "activation_dropout": 0.0, "pre_norm": True,
            "encoder_attention": None,
            "positions": {"class": "SinusoidalPositions", "arguments": {"model_size": 8, "max_length": 64}},
            "embedding_dropout": 0.0, "word_dropout": 0.0, "attention_dropout": 0.0, "layer_dropout": 0.0,
        },
    },
]  # fmt: skip


@pytest.fixture(scope="module")
def runs(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """A run folder of each architecture, with untrained weights, and the tokenizer of the trained run."""
    folders = []
    for description in DESCRIPTIONS:
        run = RunFolder(tmp_path_factory.mktemp("fuzzed") / description["class"])
        shutil.copytree(trained_run, run.path)
        model = build(description, models)
        run.write_description("model", description | {"parameters": model.num_parameters()})
        save_weights(model.state_dict(), run.best, step=7)
        save_checkpoint(run.last, *stepped(model))
        folders.append(run)
    return folders


def stepped(model: Seq2Seq) -> tuple[Progress, Seq2Seq, torch.optim.Optimizer]:
    """The state of a run after one update."""
    optimizer = torch.optim.Adam(model.parameters())
    update(model, optimizer)
    return Progress(step=7, loss_meter=LossMeter(nll=1.0, num_tokens=3)), model, optimizer


def update(model: Seq2Seq, optimizer: torch.optim.Optimizer) -> None:
    ids = torch.ones(1, 1, dtype=torch.long)
    model(ids, ids.bool(), ids).sum().backward()
    optimizer.step()


def translate(run: RunFolder) -> None:
    search = GreedySearch(max_length_factor=1.0, max_length_margin=2)
    translator = Translator(run.model(), run.tokenizer(), search, batch_tokens=64)
    assert len(translator.translate(["one two", ""])) == 2


def test_model_json(runs: list[RunFolder], outcome: Outcome) -> None:
    @fuzz
    @given(st.integers(0, 3), structure, damages)
    def check(which: int, changes: Any, damage: Any) -> None:
        run, path = runs[which], runs[which].path / "model.json"
        before = path.read_bytes()
        path.write_bytes(damage_bytes(as_json(change_structure(json.loads(before), changes)), damage))
        try:
            outcome(lambda: translate(run), str(run.path))
        finally:
            path.write_bytes(before)

    check()


def test_search_json(runs: list[RunFolder], outcome: Outcome) -> None:
    run = runs[0]
    path = run.path / "search.json"
    valid = json.loads(path.read_bytes())

    def read() -> None:
        search = build(run.description("search"), searches)
        search.length_limit()(3, None)

    @fuzz
    @given(structure, damages)
    def check(changes: Any, damage: Any) -> None:
        path.write_bytes(damage_bytes(as_json(change_structure(valid, changes)), damage))
        outcome(read, "")

    check()


def test_corpus_json(runs: list[RunFolder], outcome: Outcome) -> None:
    run = runs[0]
    path = run.path / "corpus.json"
    languages = {"source": "en", "target": "de"}
    sizes = {f"{split}_size": 3 for split in ("train", "val", "test", "test_long")}
    valid = [
        json.loads(path.read_bytes()),
        {"format": 2, "class": "GrammarCorpus", "arguments": {**languages, "seed": 1, **sizes}},
        {
            "format": 2,
            "class": "HubCorpus",
            "arguments": {"id": "a/b", "path": None, "subset": None, **languages, "split_names": {"val": "validation"}},
        },
    ]

    def read() -> None:
        corpus = run.corpus()
        if isinstance(corpus, FilesCorpus):  # the others generate or download their text
            corpus.splits()

    @fuzz
    @given(st.sampled_from(valid), structure, damages)
    def check(description: Any, changes: Any, damage: Any) -> None:
        path.write_bytes(damage_bytes(as_json(change_structure(description, changes)), damage))
        outcome(read, "")

    check()


def use_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder)
    texts = ["one two three", "", "Straße ﬁ… 日本 \u202e😀", "a" * 50]
    for ids in tokenizer.encode_source(texts) + tokenizer.encode_target(texts):
        assert all(0 <= id < max(tokenizer.source_size, tokenizer.target_size) for id in ids)
        tokenizer.decode_target(ids)
    assert len(tokenizer.target_pieces(range(tokenizer.target_size))) == tokenizer.target_size
    tokenizer.decode_target(range(tokenizer.target_size))
    sentences = [np.array(ids, dtype=np.int32) for ids in tokenizer.encode_source(texts)]
    tokenizer.resample_source(sentences, alpha=0.1, seeds=np.arange(len(texts), dtype=np.uint64))


def test_tokenizer_json(trained_run: Path, tmp_path: Path, outcome: Outcome) -> None:
    for name in ("tokenizer.json", "tokenizer.model"):
        shutil.copy(trained_run / name, tmp_path)
    path = tmp_path / "tokenizer.json"
    valid = json.loads(path.read_bytes())

    @fuzz
    @given(structure, damages)
    def check(changes: Any, damage: Any) -> None:
        path.write_bytes(damage_bytes(as_json(change_structure(valid, changes)), damage))
        outcome(lambda: use_tokenizer(tmp_path), str(tmp_path))

    check()


def test_tokenizer_model(trained_run: Path, tmp_path: Path, outcome: Outcome) -> None:
    """The checksum is correct, because an attacker would adapt it; only accidents leave it wrong."""
    for name in ("tokenizer.json", "tokenizer.model"):
        shutil.copy(trained_run / name, tmp_path)
    path = tmp_path / "tokenizer.model"
    description, valid = json.loads((tmp_path / "tokenizer.json").read_bytes()), path.read_bytes()
    small = valid.index(b"user_defined")  # the start of the normalization rules, which make up most of the file
    near = st.tuples(st.sampled_from(["flip", "drop", "double", "cut"]), st.integers(0, small), positions, st.just(b""))

    @fuzz
    @given(st.lists(near, max_size=3), damages)
    def check(pieces: Any, damage: Any) -> None:
        data = damage_bytes(damage_bytes(valid, pieces), damage)
        path.write_bytes(data)
        checksum = hashlib.sha256(data).hexdigest()
        changed = description | {"sha256": {"source": checksum, "target": checksum}}
        (tmp_path / "tokenizer.json").write_bytes(as_json(changed))
        outcome(lambda: use_tokenizer(tmp_path), str(tmp_path))

    check()


def packed(header: Any, data: bytes) -> bytes:
    text = as_json(header)
    return struct.pack("<Q", len(text)) + text + data


def unpacked(content: bytes) -> tuple[Any, bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


@pytest.mark.parametrize("name", ["best", "last"])
def test_safetensors(runs: list[RunFolder], name: str, outcome: Outcome) -> None:
    def read(run: RunFolder) -> None:
        if name == "best":
            translate(run)
            run.best_step()
            return
        run.recovery_hint()
        model = build(run.description("model"), models)
        optimizer = torch.optim.Adam(model.parameters())
        progress, tensors = read_checkpoint(run.last)
        restore(tensors, run.last, model, optimizer)
        history = History(run.path / "other.jsonl", tracking=None)
        history.start(num_records=progress.num_records, last_step=progress.step)
        update(model, optimizer)

    @fuzz
    @given(st.integers(0, 3), structure, structure, damages)
    def check(which: int, changes: Any, inner: Any, damage: Any) -> None:
        run = runs[which]
        path = run.best if name == "best" else run.last
        before = path.read_bytes()
        header, data = unpacked(before)
        if name == "last" and inner:
            progress = change_structure(json.loads(header["__metadata__"]["progress"]), inner)
            header["__metadata__"]["progress"] = json.dumps(progress)
        path.write_bytes(damage_bytes(packed(change_structure(header, changes), data), damage))
        try:
            outcome(lambda: read(run), str(run.path))
        finally:
            path.write_bytes(before)

    check()


def test_config_yaml(runs: list[RunFolder], outcome: Outcome) -> None:
    run = runs[0]
    path = run.path / "config.yaml"
    valid = path.read_bytes()
    now = {"seed": 1, "model": {"_target_": "a"}}
    odd = st.sampled_from([
        b"a: &a {b: 1}\nc: *a\n", b"!!python/object/apply:os.system ['true']\n", b"2020-99-99\n", b"!!int x\n",
        b"? [a]\n", b"{" * 5000, b"- " * 5000, b"seed: 0x\n", b"x: 1e999\n", b"<<: 1\n", b"!!binary x\n",
        b"!!timestamp x\n",
    ])  # fmt: skip

    @fuzz
    @given(damages, st.lists(st.tuples(st.just("insert"), positions, positions, odd), max_size=2))
    def check(damage: Any, inserted: Any) -> None:
        path.write_bytes(damage_bytes(damage_bytes(valid, damage), inserted))
        outcome(lambda: compare_settings(RunFolder(path.parent), now), str(path.parent))

    check()


RECORDS = [
    {"kind": "train", "step": 10, "epoch": 0, "seconds": 1.5, "learning_rate": 0.1, "loss": 3.5, "gradient_norm": 1.0,
     "tokens_per_second": 900.0},
    {"kind": "validation", "step": 10, "seconds": 2.0, "loss": 3.0, "bleu": 10.0, "chrf": 30.0,
     "selected_by": "chrf", "best": True},
    {"kind": "train", "step": 20, "epoch": 1, "seconds": 3.5, "learning_rate": 0.1, "loss": 2.5, "gradient_norm": 1.0,
     "tokens_per_second": 950.0},
    {"kind": "validation", "step": 20, "seconds": 4.0, "loss": 2.0, "bleu": 20.0, "chrf": 40.0,
     "selected_by": "chrf", "best": True},
    {"kind": "validation", "step": 20, "seconds": 5.0, "loss": 2.0, "bleu": 21.0, "averaged": 2},
]  # fmt: skip


def resume(run: RunFolder) -> None:
    """Opens the history as a resumed run does, which keeps the records up to its checkpoint."""
    history = History(run.history, tracking=None)
    history.start(num_records=2, last_step=15)
    history.record({"kind": "train", "step": 16})


def test_history_jsonl(tmp_path: Path, outcome: Outcome) -> None:
    run = RunFolder(tmp_path)

    def read() -> None:
        history = read_history(run.history)
        assert (history.steps is None) == (history.seconds is None or not history.train + history.validation)
        assert history.tokens_per_second is None or history.train
        assert history.best_validation is None or history.best_validation.best
        learning_curves({"run": history})

    @fuzz
    @given(structure, damages)
    def check(changes: Any, damage: Any) -> None:
        records = change_structure(RECORDS, changes)
        lines = records if isinstance(records, list) else [records]
        content = damage_bytes(b"".join(as_json(line) + b"\n" for line in lines), damage)
        run.history.write_bytes(content)
        outcome(read, str(run.history))
        outcome(lambda: resume(run), str(run.history))

    check()


def test_evaluation_json(runs: list[RunFolder], tmp_path: Path, outcome: Outcome, monkeypatch: Any) -> None:
    monkeypatch.setattr(significance, "NUM_RESAMPLES", 2)
    monkeypatch.setattr(comparison, "NUM_RESAMPLES", 2)
    run = shutil.copytree(runs[0].path, tmp_path / "run")
    (run / "evaluation").mkdir(exist_ok=True)
    metric = {"name": "BLEU", "score": 100.0, "signature": "s"}
    sample = {
        "index": 0, "source": "one", "reference": "eins", "hypothesis": "eins", "score": -0.5,
        "source_tokens": ["▁one", "</s>"], "target_tokens": ["▁eins", "</s>"], "attention": [[0.5, 0.5], [0.25, 0.75]],
    }  # fmt: skip
    valid = {
        "format": 2, "split": "test", "source": "en", "target": "de", "sentences": 2, "step": 7,
        "bleu_tokenizer": "13a", "length_unit": "words",
        "metrics": dict.fromkeys(("bleu", "chrf", "ter", "bleu_lowercase_tokenized"), metric),
        "bleu_by_length": [{"from": 1, "to": 10, "sentences": 2, "bleu": 100.0}],
        "search": {"class": "GreedySearch", "arguments": {}},
        "seconds": 1.0, "sentences_per_second": 2.0, "device": "cpu", "threads": 1, "samples": [sample],
        "cut_lines": 0, "model_hash": "", "text_hash": "", "checksum": "",
    }  # fmt: skip
    attention = b'{"columns":["one","</s>"],"rows":["</s>"],"weights":"ff00"}\nnull\n'
    lines = "eins zwei drei vier fünf\nzwei drei vier fünf sechs\n".encode()
    (run / "history.jsonl").write_bytes(b"".join(as_json(record) + b"\n" for record in RECORDS))

    @fuzz
    @given(structure, damages, damages, damages, damages)
    def check(changes: Any, damage: Any, hypotheses: Any, references: Any, weights: Any) -> None:
        (run / "evaluation" / "test.json").write_bytes(damage_bytes(as_json(change_structure(valid, changes)), damage))
        (run / "evaluation" / "test.source.txt").write_bytes(lines)
        (run / "evaluation" / "test.attention.gz").write_bytes(gzip.compress(damage_bytes(attention, weights[1:])))
        (run / "evaluation" / "test.hyp.txt").write_bytes(damage_bytes(lines, hypotheses[1:]))
        (run / "evaluation" / "test.ref.txt").write_bytes(damage_bytes(lines, references[1:]))
        outcome(lambda: compare([run], split="test", out=tmp_path / "out"), str(run))

    check()


TABLE = b"en\tde\none\teins\ntwo three\tzwei drei\nfour\tvier\n"
OBJECTS = [{"en": "one", "de": "eins"}, {"translation": {"en": "two", "de": "zwei"}}, {"en": "a\nb", "de": "c"}]


@pytest.mark.parametrize("kind", ["plain", "tsv", "jsonl", "gz"])
def test_corpus(kind: str, tmp_path: Path, outcome: Outcome) -> None:
    def read() -> None:
        for paths in find_splits(tmp_path, source="en", target="de").values():
            for pair in read_split(paths, source="en", target="de"):
                assert all("\n" not in side and side.encode() is not None for side in pair.values())

    @fuzz
    @given(structure, damages, damages)
    def check(changes: Any, damage: Any, outer: Any) -> None:
        if kind == "plain":
            (tmp_path / "train.en").write_bytes(damage_bytes(b"one\ntwo three\n\xef\xbb\xbf\r\n", damage))
            (tmp_path / "train.de").write_bytes(damage_bytes(b"eins\nzwei drei\nx\n", outer))
        elif kind == "jsonl":
            rows = change_structure(OBJECTS, changes)
            content = b"".join(as_json(row) + b"\n" for row in (rows if isinstance(rows, list) else [rows]))
            (tmp_path / "train.jsonl").write_bytes(damage_bytes(content, damage))
        else:
            content = damage_bytes(TABLE, damage)
            name, data = (
                ("train.tsv.gz", damage_bytes(gzip.compress(content, mtime=0), outer))
                if kind == "gz"
                else ("train.tsv", content)
            )
            (tmp_path / name).write_bytes(data)
        outcome(read, str(tmp_path))

    check()
