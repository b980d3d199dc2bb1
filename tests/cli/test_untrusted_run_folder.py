"""A damaged run folder from somebody else ends every command in one line that names the file, with exit code 2."""

import ast
import hashlib
import json
import os
import resource
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import nmt
from nmt import data
from nmt.cli import main
from nmt.errors import UserError
from nmt.run import RunFolder

ROOT = Path(nmt.__file__).parent

Damage = Callable[[Path], None]


@pytest.fixture
def untrusted_run(trained_run: Path, tmp_path: Path) -> Path:
    """A copy of a trained run that a test may damage."""
    return Path(shutil.copytree(trained_run, tmp_path / "untrusted"))


def edit(name: str, *path: str | int, value: Any) -> Damage:
    """Replaces a value in a JSON file."""

    def damage(run: Path) -> None:
        whole = inner = json.loads((run / name).read_bytes())
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (run / name).write_text(json.dumps(whole))

    return damage


def content(name: str, text: str | bytes) -> Damage:
    data = text.encode() if isinstance(text, str) else text

    def damage(run: Path) -> None:
        (run / name).write_bytes(data)

    return damage


def flipped(name: str, position: float) -> Damage:
    def damage(run: Path) -> None:
        data = bytearray((run / name).read_bytes())
        data[int(position * len(data))] ^= 0x10
        (run / name).write_bytes(data)

    return damage


def cut(name: str, share: float) -> Damage:
    return lambda run: os.truncate(run / name, int(share * (run / name).stat().st_size))


def device(name: str, target: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        (run / name).symlink_to(target)

    return damage


def folder(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def pipe(name: str) -> Damage:
    def damage(run: Path) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)

    return damage


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    def damage(run: Path) -> None:
        path = run / "checkpoints" / "best.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"step": "1"})

    return damage


def first(tensors: dict[str, torch.Tensor]) -> str:
    return next(name for name, tensor in tensors.items() if tensor.dim() == 2)


def with_a_false_checksum(run: Path) -> None:
    """Damages the tokenizer, and adapts its checksum."""
    data = (run / "tokenizer.model").read_bytes()[:-20_000]
    (run / "tokenizer.model").write_bytes(data)
    checksum = hashlib.sha256(data).hexdigest()
    edit("tokenizer.json", "sha256", value={"source": checksum, "target": checksum})(run)


def header(length: int) -> Damage:
    return content("checkpoints/best.safetensors", struct.pack("<Q", length) + b"{}" * 100)


def vocabulary(run: Path) -> None:
    """Replaces the tokenizer by one of another run."""
    from nmt.data.tokenizer import Tokenizer

    Tokenizer.train(
        ["one two three four five six"] * 9,
        ["eins zwei drei"] * 9,
        vocab_size=25,
        model_type="unigram",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
        normalization="compose",
    ).save(run)


SAME = ["schedule.warmup_steps=20", "search=beam", "trainer.max_steps=161"]
"""Settings of the trained run, without which it is not resumed, and a further step."""

REFERENCES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 60))
"""A few lines of YAML that expand to 2**60 values."""

MODEL = ("model.json", "arguments")
DAMAGES: dict[str, tuple[Damage, str]] = {
    "empty": (content("model.json", ""), "model.json"),
    "cut": (cut("model.json", 0.5), "model.json"),
    "no UTF-8": (content("model.json", b"\xff\xfe\x00"), "model.json"),
    "newer": (edit("model.json", "format", value=3), "model.json"),
    "brackets": (content("model.json", "[" * 10_000_000), "model.json"),
    "braces": (content("model.json", '{"class":' * 1_000_000), "model.json"),
    "a long number": (content("model.json", '{"format": ' + "9" * 10_000 + "}"), "model.json"),
    "a folder": (folder("search.json"), "search.json"),
    "endless": (device("search.json", "/dev/zero"), "search.json"),
    "a pipe": (pipe("search.json"), "search.json"),
    "an endless tokenizer": (device("tokenizer.model", "/dev/zero"), "tokenizer.model"),
    "endless weights": (device("checkpoints/best.safetensors", "/dev/zero"), "best.safetensors"),
    "a code path": (edit("model.json", "class", value="torch.nn.Linear"), "model.json"),
    "a shell": (edit("model.json", "class", value="os.system"), "model.json"),
    "no architecture": (edit("model.json", "class", value="Seq2Seq"), "model.json"),
    "no model": (
        content(
            "model.json",
            '{"format": 2, "class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}}',
        ),
        "model.json",
    ),
    "a target": (edit(*MODEL, "score", value={"_target_": "os.system", "command": "touch x"}), "model.json"),
    "nested": (edit(*MODEL, "score", value={"class": "PlainRNN"}), "model.json"),
    "a size of text": (edit(*MODEL, "hidden_size", value="32"), "model.json"),
    "no size": (edit(*MODEL, "hidden_size", value=None), "model.json"),
    "a huge size": (edit(*MODEL, "hidden_size", value=10**12), "model.json"),
    "a huge fraction": (edit(*MODEL, "hidden_size", value=1e12), "model.json"),
    "a size beyond all": (edit(*MODEL, "embedding_size", value=10**30), "model.json"),
    "a large size": (edit(*MODEL, "hidden_size", value=20_000), "model.json"),
    "very many layers": (edit(*MODEL, "num_layers", value=10**9), "model.json"),
    "a list": (edit(*MODEL, "num_layers", value=[[1]]), "model.json"),
    "not a number": (edit(*MODEL, "dropout", value=float("nan")), "model.json"),
    "arguments of another kind": (edit("model.json", "arguments", value=[1, 2]), "model.json"),
    "one layer more": (edit(*MODEL, "num_layers", value=2), "model.json"),
    "a huge beam": (edit("search.json", "arguments", "beam_size", value=10**9), "search.json"),
    "an endless translation": (edit("search.json", "arguments", "max_length_factor", value=1e300), "search.json"),
    "no number of beams": (edit("search.json", "arguments", "beam_size", value="5"), "beam_size"),
    "climbing": (edit("tokenizer.json", "files", "source", value="../../etc/passwd"), "tokenizer.json"),
    "absolute": (edit("tokenizer.json", "files", "source", value="/etc/passwd"), "tokenizer.json"),
    "a damaged tokenizer": (flipped("tokenizer.model", 0.5), "tokenizer.model"),
    "a tokenizer with a false checksum": (with_a_false_checksum, "tokenizer.json"),
    "half a tokenizer": (cut("tokenizer.model", 0.5), "tokenizer.model"),
    "another vocabulary": (vocabulary, "tokenizer.json"),
    "half the weights": (cut("checkpoints/best.safetensors", 0.5), "best.safetensors"),
    "no weights": (content("checkpoints/best.safetensors", ""), "best.safetensors"),
    "a flipped header": (flipped("checkpoints/best.safetensors", 0.0), "best.safetensors"),
    "a huge header": (header(2**62), "best.safetensors"),
    "a tensor more": (weights(lambda t: t.update(more=torch.zeros(2))), "best.safetensors"),
    "a tensor less": (weights(lambda t: t.pop(first(t))), "best.safetensors"),
    "another shape": (weights(lambda t: t.update({first(t): t[first(t)].T.contiguous()[:-1]})), "best.safetensors"),
    "another kind": (weights(lambda t: t.update({first(t): t[first(t)].long()})), "best.safetensors"),
    "complex numbers": (weights(lambda t: t.update({first(t): t[first(t)].to(torch.complex64)})), "best.safetensors"),
    "weights that are no numbers": (weights(lambda t: t[first(t)].fill_(torch.nan)), "best.safetensors"),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_named_in_one_line(
    damage: Damage, named: str, untrusted_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(untrusted_run)
    (tmp_path / "in").write_text("one two\n")
    words = [f"run={untrusted_run}", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "device=cpu"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert main(["translate", *words]) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.count("\n") == 1, error
    assert named in error
    assert len(error) < 1000
    assert not (tmp_path / "out").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 200 * 1024  # KiB


@pytest.mark.parametrize(
    ("command", "damage", "named"),
    [
        ("evaluate", edit("corpus.json", "class", value="os.system"), "corpus.json"),
        ("evaluate", edit("corpus.json", "class", value="nmt.data.corpus.FilesCorpus"), "corpus.json"),
        ("evaluate", edit("corpus.json", "arguments", "path", value="/nowhere"), "/nowhere"),
        ("evaluate", edit("corpus.json", "arguments", "path", value="x" * 300), "file name too long"),
        ("evaluate", edit("corpus.json", "arguments", "source", value="../en"), "corpus.json"),
        ("evaluate", content("corpus.json", "[" * 100_000), "corpus.json"),
        (
            "evaluate",
            edit("corpus.json", "arguments", "corpus", value={"class": "os.system", "arguments": {}}),
            "corpus",
        ),
        ("evaluate", edit("metrics.json", "class", value="os.system"), "metrics.json"),
        ("evaluate", edit("metrics.json", "arguments", "bleu_tokenizer", value="a\n" * 9999), "metrics.json"),
        ("evaluate", edit("metrics.json", "arguments", "language", value=["zh"]), "metrics.json"),
        ("compare", content("metrics.json", ""), "metrics.json"),
        ("compare", content("history.jsonl", '{"kind": []}\n'), "history.jsonl"),
        ("compare", content("history.jsonl", '{"kind": "train", "step": 1, "seconds": 1, "loss": "x"}\n'), "history"),
        ("compare", content("history.jsonl", b"\xff\n"), "history.jsonl"),
        ("plot", edit("model.json", "class", value="os.system"), "model.json"),
        ("train", cut("checkpoints/last.safetensors", 0.9), "last.safetensors"),
        ("train", content("checkpoints/last.safetensors", ""), "last.safetensors"),
        ("train", flipped("tokenizer.model", 0.3), "tokenizer.model"),
        ("train", edit("model.json", "format", value=7), "model.json"),
        ("train", content("config.yaml", "seed: [1"), "config.yaml"),
        ("train", content("config.yaml", "[" * 100_000), "config.yaml"),
        ("train", content("config.yaml", "when: 2020-99-99"), "config.yaml"),
        ("train", content("config.yaml", "a: !!python/object/apply:os.system ['true']"), "config.yaml"),
        ("train", content("config.yaml", REFERENCES), "config.yaml"),
    ],
)
def test_every_command_names_the_damaged_file_in_one_line(
    command: str,
    damage: Damage,
    named: str,
    untrusted_run: Path,
    corpus_folder: Path,
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = ["resume=true", "data=files", f"data.path={corpus_folder}", *tiny_models["lstm_luong"], *tiny_training]
    words = {
        "evaluate": [f"run={untrusted_run}", "split=test", "device=cpu"],
        "compare": [f"runs=[{untrusted_run}]", "split=test", f"out={tmp_path / 'out'}", "device=cpu"],
        "plot": [f"run={untrusted_run}", "source=one", f"out={tmp_path / 'out.png'}", "device=cpu"],
        "train": [f"run={untrusted_run}", *train, "model.hidden_size=32", "model.dropout=0.0", *SAME],
    }[command]
    if command == "compare":
        assert main(["evaluate", f"run={untrusted_run}", "split=test", "device=cpu"]) == 0
    damage(untrusted_run)
    capsys.readouterr()
    assert main([command, *words]) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.count("\n") == 1, error
    assert named in error


@pytest.mark.parametrize(
    "damage",
    [
        edit("evaluation/test.json", "length_unit", value="<b>"),
        content("evaluation/test.json", "{}"),
        edit("evaluation/test.json", "samples", value=[{"index": 1}]),
        edit("evaluation/test.json", "bleu_by_length", value=[]),
        edit("evaluation/test.json", "bleu_by_length", 0, "bleu", value=None),
        edit("evaluation/test.json", "bleu_by_length", 0, "sentences", value=None),
        edit("evaluation/test.json", "metrics", "bleu", "score", value=float("nan")),
        edit("evaluation/test.json", "threads", value=10**400),
    ],
)
def test_a_damaged_evaluation_is_named_and_made_again(
    damage: Damage, untrusted_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", f"run={untrusted_run}", "split=test", "device=cpu"]) == 0
    expected = json.loads((untrusted_run / "evaluation" / "test.json").read_text())["metrics"]
    damage(untrusted_run)
    capsys.readouterr()
    assert main(["compare", f"runs=[{untrusted_run}]", "split=test", f"out={tmp_path / 'out'}", "device=cpu"]) == 0
    again = next(line for line in capsys.readouterr().err.splitlines() if " again: " in line)
    assert "test.json" in again and len(again) < 1000 and again.isprintable()
    assert json.loads((untrusted_run / "evaluation" / "test.json").read_text())["metrics"] == expected


def test_a_target_in_a_run_folder_is_never_instantiated(untrusted_run: Path, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    target = f"_target_: os.system\n_args_: ['touch {touched}']\n"
    for name in ("config.yaml", "model.yaml", "checkpoints/config.yaml"):
        (untrusted_run / name).write_text(target)
    (tmp_path / "in").write_text("one two\n")
    words = [f"run={untrusted_run}", f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "device=cpu"]
    assert main(["translate", *words]) == 0
    assert main(["evaluate", f"run={untrusted_run}", "split=test", "device=cpu"]) == 0
    assert not touched.exists()


def test_control_characters_do_not_reach_the_terminal(
    untrusted_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit("model.json", "class", value="\x1b[2J\x9b\u202e\rGPT")(untrusted_run)
    (tmp_path / "in").write_text("one\n")
    assert main(["translate", f"run={untrusted_run}", f"input={tmp_path / 'in'}", "device=cpu"]) == 2
    error = capsys.readouterr().err.removesuffix("\n")
    assert error.isprintable() and "GPT" in error


def test_a_link_is_replaced_and_its_target_stays(untrusted_run: Path, tmp_path: Path) -> None:
    (untrusted_run / "evaluation").mkdir(exist_ok=True)
    (tmp_path / "precious").write_text("mine")
    (untrusted_run / "evaluation" / "test.json").symlink_to(tmp_path / "precious")
    assert main(["evaluate", f"run={untrusted_run}", "split=test", "device=cpu"]) == 0
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_corpus_can_only_be_a_public_class_of_the_data_package(untrusted_run: Path) -> None:
    files = {"FilesCorpus", "HoldOutCorpus", "HubCorpus", "MixedCorpus", "TextCorpus"}
    assert set(data.__all__) == files | {"GrammarCorpus", "GrammarDocuments", "SceneCorpus"}
    for name in ("Corpus", "datasets", "Dataset", "load_dataset", "readers", "os.system"):
        edit("corpus.json", "class", value=name)(untrusted_run)
        with pytest.raises(UserError, match=r"corpus\.json: "):
            RunFolder(untrusted_run).corpus()


FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {("torch", "load"), ("torch", "save"), ("yaml", "load"), ("numpy", "load"), ("np", "load")}


def dangers(source: str, *, in_cli: bool) -> list[str]:
    """What in a source file could execute code that it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            found += [name for name in modules if name.split(".")[0] in FORBIDDEN]
            found += [name for name in names if name in ("instantiate", "yaml") and not in_cli]
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in CALLS:
                found.append(function.id)
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                pair = (function.value.id, function.attr)
                found += [".".join(pair)] * (pair in ATTRIBUTES)
            found += [keyword.arg for keyword in node.keywords if keyword.arg in ("allow_pickle", "trust_remote_code")]
    return found


def test_nothing_that_is_read_can_be_executed() -> None:
    found = {
        str(path.relative_to(ROOT)): wrong
        for path in ROOT.rglob("*.py")
        if (wrong := dangers(path.read_text(), in_cli="cli" in path.parts))
    }
    assert found == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "import torch; torch.load('x')",
        "np.load('x', allow_pickle=True)",
        "eval('1')",
        "import yaml",
        "from hydra.utils import instantiate",
        "datasets.load_dataset('x', trust_remote_code=True)",
    ],
)
def test_a_danger_is_found(line: str) -> None:
    assert dangers(line, in_cli=False)
