import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import nmt.run
from nmt import data, models
from nmt.errors import Failure
from nmt.models import DotScore, LuongLSTM, Transformer
from nmt.run import RunFolder
from nmt.run.registry import build, check_size
from nmt.run.weights import load_weights, read_shapes, read_step, read_weights, save_weights
from nmt.search import BeamSearch
from nmt.translator import Translator

ROOT = Path(nmt.run.__file__).parents[2]

LUONG: dict[str, Any] = {
    "source_vocab_size": 11,
    "target_vocab_size": 11,
    "shared_vocab": True,
    "tie_output": True,
    "embedding_size": 8,
    "hidden_size": 8,
    "num_layers": 1,
    "input_feeding": True,
    "dropout": 0.0,
    "score": {"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8}},
}


def luong(**changes: Any) -> LuongLSTM:
    return build({"class": "LuongLSTM", "arguments": LUONG | changes}, models)


@pytest.fixture
def run_copy(trained_run: Path, tmp_path: Path) -> RunFolder:
    """A trained run that a test may spoil."""
    return RunFolder(shutil.copytree(trained_run, tmp_path / "copy"))


# build


def test_build_makes_nested_descriptions() -> None:
    model = luong()
    assert type(model) is LuongLSTM
    assert type(model.score) is DotScore


def test_build_hands_runtime_values_to_the_outermost_class() -> None:
    arguments = {key: value for key, value in LUONG.items() if key != "dropout"}
    assert type(build({"class": "LuongLSTM", "arguments": arguments}, models, dropout=0.5)) is LuongLSTM


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (None, '"class"'),
        ([], '"class"'),
        ({}, '"class"'),
        ({"class": 3}, '"class"'),
        ({"class": ["LSTM"]}, '"class"'),
        ({"class": "GPT"}, "has no class 'GPT'; it has .*LSTM"),
        ({"class": "nmt.models.LSTM"}, "has no class"),
        ({"class": "os.system", "arguments": {"command": "true"}}, "has no class"),
        ({"class": "recurrent"}, "has no class"),
        ({"class": "__builtins__"}, "has no class"),
        ({"class": "LSTM", "arguments": [1, 2]}, "must be names with values"),
        ({"class": "LSTM", "arguments": {}}, "LSTM cannot be made"),
        ({"class": "LSTM"}, "LSTM cannot be made"),
        ({"class": "DotScore", "arguments": {"query_size": 8, "value_size": 8, "colour": 1}}, "colour"),
        ({"class": "DotScore", "arguments": {"query_size": 8, "value_size": 9}}, "query_size|value_size"),
        ({"class": "DotScore", "arguments": {"query_size": "8", "value_size": 8}}, "DotScore|query_size"),
        ({"class": "Seq2Seq"}, "Seq2Seq cannot be made"),
        ({"class": "LuongLSTM", "arguments": LUONG | {"score": {"class": "GPT"}}}, "GPT"),
        ({"class": "LuongLSTM", "arguments": LUONG | {"score": {"class": "LSTM"}}}, "LSTM cannot be made"),
    ],
)
def test_build_refuses(description: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build(description, models)
    assert "\n" not in str(caught.value)


def test_a_target_is_never_followed(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    target = {"_target_": "pathlib.Path.touch", "self": str(touched)}
    for description in (target, {"class": "DotScore", **target}, {"class": "LuongLSTM", "arguments": LUONG | target}):
        with pytest.raises(ValueError):
            build(description, models)
    build_package = ModuleType("package")
    build_package.__all__ = ["dict"]  # type: ignore[attr-defined]
    build_package.dict = dict  # type: ignore[attr-defined]
    made = build({"class": "dict", "arguments": {"inner": target}}, build_package)
    assert made == {"inner": target}  # handed on as it stands, to a class that makes of it what it likes
    assert not touched.exists()


def test_corpora_may_be_named_but_not_their_module() -> None:
    with pytest.raises(ValueError, match="has no class"):
        build({"class": "datasets", "arguments": {}}, data)


# Claim, create, lock, open


def test_claim_writes_nothing(tmp_path: Path) -> None:
    RunFolder.claim(tmp_path / "run", resume=False)
    assert list(tmp_path.iterdir()) == []


def test_create_makes_the_folder_and_its_parents(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a" / "b", resume=False)
    assert run.path.is_dir()
    assert run.name == "b"


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, resume=False)


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for make in (RunFolder.claim, RunFolder.create):
        with pytest.raises(ValueError, match="is in use: name another folder, or go on with it by resume=true"):
            make(tmp_path, resume=False)
        with pytest.raises(ValueError, match="holds no run to go on with"):
            make(tmp_path, resume=True)
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("resume", [False, True])
def test_a_file_is_no_folder(tmp_path: Path, resume: bool) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file: name a folder"):
        RunFolder.claim(tmp_path / "file", resume=resume)


def test_resume_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no run to go on with: leave resume=true out"):
        RunFolder.claim(tmp_path / "missing", resume=True)
    (tmp_path / "model.json").touch()
    assert RunFolder.claim(tmp_path, resume=True).path == tmp_path


def test_another_process_is_locked_out(tmp_path: Path) -> None:
    (tmp_path / "model.json").touch()
    code = (
        "import sys; from nmt.run import RunFolder\n"
        "try: RunFolder.create(sys.argv[1], resume=True)\n"
        "except ValueError as error: sys.exit(str(error))"
    )
    call = [sys.executable, "-c", code, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = RunFolder.create(tmp_path, resume=True)
    refused = subprocess.run(call, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr == f"run={tmp_path} is in use: another process is training in it\n"
    assert run._lock is not None
    run._lock.close()  # as the end of the process does
    assert subprocess.run(call, env=environment).returncode == 0


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # takes the lock and dies without a word
        RunFolder.create(tmp_path, resume=False)
        os.write(writer, b"x")
        os.kill(os.getpid(), 9)
    assert os.read(reader, 1) == b"x"
    os.waitpid(child, 0)
    run = RunFolder.create(tmp_path, resume=False)
    assert run._lock is not None and not run._lock.closed
    with (tmp_path / ".lock").open("wb") as again, pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_never_became_a_run_may_be_begun_again(tmp_path: Path) -> None:
    """The disk was full, or the process was killed, before model.json was there."""
    RunFolder.create(tmp_path, resume=False)
    for name in ("tokenizer.model", "tokenizer.json", "config.yaml", "search.json", ".corpus.json.abcd1234.partial"):
        (tmp_path / name).write_text("half")
    RunFolder.create(tmp_path, resume=False)
    assert not list(tmp_path.glob(".*.partial"))
    for name in ("model.json", "notes.txt", "checkpoints/best.safetensors"):
        (tmp_path / name).touch()
        with pytest.raises(ValueError, match="is in use: name another folder"):
            RunFolder.claim(tmp_path, resume=False)
        (tmp_path / name).unlink()
    (tmp_path / ".lock").unlink()  # somebody else's folder, whose config.yaml is precious
    with pytest.raises(ValueError, match="is in use: name another folder"):
        RunFolder.claim(tmp_path, resume=False)


def test_what_is_still_good(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", resume=False)
    assert run.still_good() == "there is no checkpoint yet: begin again with the same command"
    run.describe("model", {"class": "LSTM", "arguments": {}})
    assert run.still_good().endswith("begin again with the same command and resume=true")
    save_weights({"a": torch.zeros(1)}, run.best, step=5)
    assert "the weights of step 5" in run.still_good() and "they can translate" in run.still_good()
    save_weights({"a": torch.zeros(1)}, run.last, step=7)
    assert run.still_good() == f"the checkpoint of step 7 ({run.last}) is whole: go on with resume=true"
    run.last.write_bytes(run.last.read_bytes()[:-1])
    assert "step 5" in run.still_good()
    with pytest.raises(Failure, match=r"the disk is full; the weights of step 5"), run.telling():
        raise Failure("the disk is full")
    shutil.rmtree(run.path)
    assert "itself is gone: put it back and go on with resume=true" in run.still_good()


@pytest.mark.parametrize(
    "arguments", [{"num_layers": 10**9}, {"hidden_size": 10**12}, {"hidden_size": 30_000}, {"embedding_size": 1e12}]
)
def test_a_model_is_not_built_beyond_its_weights(
    run_copy: RunFolder, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    description = run_copy.description("model")
    description["arguments"] |= arguments
    run_copy.describe("model", description)
    built = []

    def told(description: Any, package: ModuleType, **runtime: Any) -> Any:
        built.append(torch.zeros(()).device.type)
        return build(description, package, **runtime)

    monkeypatch.setattr(nmt.run.folder, "build", told)
    with pytest.raises(ValueError, match=r"model\.json: "):
        run_copy.model()
    assert "cpu" not in built


SHAPES = {"a": ("F32", (300, 300)), "b": ("F32", (300,))}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"num_layers": 100_000}, "of size 100000, but the weights are 90,300 numbers"),  # a list of so many sizes
        ({"num_layers": 50}, "more than the 2 tensors of the weights"),  # one by one
        ({"hidden_size": 60_000, "score": None}, "cannot be made"),
        ({"embedding_size": 40_000, "source_vocab_size": 2_000, "target_vocab_size": 2_000}, "numbers, more than the"),
    ],
)
def test_each_measure_of_a_model_is_held_against_the_weights(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_size({"class": "LuongLSTM", "arguments": LUONG | arguments}, models, SHAPES)
    assert torch.zeros(()).device.type == "cpu"
    check_size({"class": "LuongLSTM", "arguments": LUONG}, models, SHAPES)


@pytest.mark.parametrize("max_length", [10**6, 60_000_000])
def test_a_table_of_positions_beyond_all_measure(tmp_path: Path, max_length: int) -> None:
    arguments = {
        "source_vocab_size": 9, "target_vocab_size": 9, "shared_vocab": True, "tie_output": True, "model_size": 64,
        "feedforward_size": 64, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1, "dropout": 0.0,
        "pre_norm": True, "max_length": 20,
    }  # fmt: skip
    run = RunFolder.create(tmp_path, resume=False)
    save_weights(build({"class": "Transformer", "arguments": arguments}, models).state_dict(), run.best, step=1)
    run.describe("model", {"class": "Transformer", "arguments": arguments | {"max_length": 2**16}})
    assert run.model().max_length == 2**16
    run.describe("model", {"class": "Transformer", "arguments": arguments | {"max_length": max_length}})
    with pytest.raises(ValueError, match=r"model\.json: it describes"):
        run.model()


def test_open_says_what_is_missing(tmp_path: Path, trained_run: Path) -> None:
    with pytest.raises(ValueError, match="is no folder: name one that nmt train wrote"):
        RunFolder.open(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"is no run folder: model\.json is missing"):
        RunFolder.open(tmp_path)
    (tmp_path / "model.json").touch()
    with pytest.raises(ValueError, match="has no checkpoint yet"):
        RunFolder.open(tmp_path)
    assert RunFolder.open(trained_run).path == trained_run


# What a trained run holds


def test_a_trained_run_is_all_that_translating_needs(run_copy: RunFolder) -> None:
    model = run_copy.model()
    assert type(model) is LuongLSTM and not model.training
    assert run_copy.tokenizer().source_size == 40
    assert type(Translator.load(run_copy.path, device="cpu").search) is BeamSearch
    assert run_copy.best_step() in (80, 120, 160)
    for name in ("config.yaml", "log.txt", "corpus.json", "search.json", "model.json", "tokenizer.json"):
        assert (run_copy.path / name).is_file()
    assert not any("_target_" in file.read_text() for file in run_copy.path.glob("*.json"))


def test_the_best_weights_are_those_of_the_file(run_copy: RunFolder) -> None:
    weights = read_weights(run_copy.best)
    own = run_copy.model().state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in weights.items())


def test_the_corpus_is_found_again_and_may_be_changed(run_copy: RunFolder, corpus_folder: Path) -> None:
    corpus = run_copy.corpus()
    assert (corpus.source, corpus.target) == ("en", "de")
    assert len(corpus.split("test")) == 8
    assert run_copy.corpus(source="de", target="en").source == "de"
    with pytest.raises(ValueError, match="elsewhere"):
        run_copy.corpus(path=str(corpus_folder / "elsewhere")).split("test")


def test_records_come_in_order(run_copy: RunFolder, tmp_path: Path) -> None:
    records = run_copy.records()
    assert [record["step"] for record in records if record["kind"] == "train"] == [40, 80, 120, 160]
    assert [record["step"] for record in records if record["kind"] == "validation"][:4] == [40, 80, 120, 160]
    assert RunFolder(tmp_path / "new").records() == []


@pytest.mark.parametrize("damage", ['{"kind": "train"\n', "3\n", "\n", "[" * 100_000 + "\n"])
def test_a_damaged_history(run_copy: RunFolder, damage: str) -> None:
    run_copy.history.write_text(damage)
    with pytest.raises(ValueError, match=r"history\.jsonl is damaged"):
        run_copy.records()


def test_half_a_last_record_is_passed_over(run_copy: RunFolder) -> None:
    before = run_copy.records()
    with run_copy.history.open("a") as file:
        file.write('{"kind": "tra')
    assert run_copy.records() == before


@pytest.mark.parametrize("what", ["model", "search", "corpus"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing"),
        ("", "is damaged"),
        ("[1]", "names no format"),
        ('{"class": "LSTM", "arguments": {}}', "names no format"),
        ('{"format": "1", "class": "LSTM"}', "names no format"),
        ('{"format": 3, "class": "LSTM"}', "has format 3, this program reads 2: update nmt"),
        ('{"format": 2}', "class"),
        ('{"format": 2, "class": "Unknown"}', "has no class"),
        ('{"format": 2, "class": "Unknown", "arguments": 3}', "class|names with values|no class"),
    ],
)
def test_damaged_descriptions(run_copy: RunFolder, what: str, content: str | None, message: str) -> None:
    path = run_copy.path / f"{what}.json"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        run_copy.corpus() if what == "corpus" else Translator.load(run_copy.path, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("arguments", [[1, 2], 3, None, "path"])
def test_damaged_corpus_arguments(run_copy: RunFolder, arguments: Any) -> None:
    run_copy.describe("corpus", {"class": "FilesCorpus", "arguments": arguments})
    with pytest.raises(ValueError):
        run_copy.corpus()


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated_weights(run_copy: RunFolder, keep: int) -> None:
    run_copy.best.write_bytes(run_copy.best.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"best\.safetensors is damaged"):
        run_copy.model()
    with pytest.raises(ValueError, match=r"best\.safetensors is damaged"):
        run_copy.best_step()


def test_weights_of_another_shape(run_copy: RunFolder) -> None:
    description = run_copy.description("model")
    description["arguments"]["embedding_size"] = 18
    run_copy.describe("model", description)
    with pytest.raises(ValueError, match=r"best\.safetensors does not fit model\.json: .* another shape"):
        run_copy.model()


def test_weights_without_a_step(run_copy: RunFolder) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, run_copy.best)
    with pytest.raises(ValueError, match="is damaged"):
        run_copy.best_step()


def test_best_step_is_what_was_saved(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, resume=False)
    save_weights({"a": torch.zeros(1)}, run.best, step=123)
    assert run.best_step() == 123


# Weights


def test_weights_come_back_and_tied_ones_are_written_once(tmp_path: Path) -> None:
    first, second = luong(), luong()
    save_weights(first.state_dict(), tmp_path / "w", step=1)
    load_weights(second, tmp_path / "w")
    for name, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[name], tensor)
    assert len([name for name in read_weights(tmp_path / "w") if name.startswith("vocabulary.")]) == 2  # table, bias


@pytest.mark.parametrize(
    ("saved", "read"), [({"num_layers": 2}, {}), ({}, {"num_layers": 2}), ({"tie_output": False}, {})]
)
def test_weights_of_another_model(tmp_path: Path, saved: dict[str, Any], read: dict[str, Any]) -> None:
    save_weights(luong(**saved).state_dict(), tmp_path / "w", step=1)
    with pytest.raises(ValueError, match=r"does not fit model\.json"):
        load_weights(luong(**read), tmp_path / "w")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w")
    for read in (read_weights, read_shapes):
        with pytest.raises(ValueError, match="w is damaged: it is no file"):
            read(tmp_path / "w")
    assert read_step(tmp_path / "w") is None


def test_missing_weights(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="w is missing"):
        read_weights(tmp_path / "w")


def test_step_paths_are_in_the_order_of_steps(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, resume=False)
    for step in (900, 1000, 99):
        save_weights({"a": torch.zeros(1)}, run.step_path(step), step=step)
    assert run.step_paths() == [run.step_path(99), run.step_path(900), run.step_path(1000)]


def test_descriptions_are_plain_json(tmp_path: Path) -> None:
    RunFolder(tmp_path).describe("model", {"class": "LSTM", "arguments": {"a": 1}})
    assert json.loads((tmp_path / "model.json").read_text()) == {"format": 2, "class": "LSTM", "arguments": {"a": 1}}
    assert RunFolder(tmp_path).description("model")["class"] == "LSTM"
    assert Transformer.__name__ in models.__all__
