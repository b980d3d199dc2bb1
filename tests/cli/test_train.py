"""`nmt train` through the program's own door."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import nmt
import nmt.cli.preparation
from nmt.cli import main
from nmt.cli.shell.configuration import conf_folder
from nmt.run import RunFolder
from nmt.training.checkpoint import read_progress
from nmt.translator import Translator

ROOT = Path(nmt.__file__).parents[1]

Train = Callable[..., int]


@pytest.fixture
def train(
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Train:
    """`nmt train` with everything tiny, into the folder `run`; later words win."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str, model: str = "lstm") -> int:
        common = ["data=files", f"data.path={corpus_folder}", f"run={tmp_path / 'run'}"]
        return main(["train", *common, *tiny_models[model], *tiny_training, *words])

    return run


@pytest.fixture
def mistake(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """A command line that is wrong: exit code 2, one line, nothing written. Returns the line."""

    def run(*words: str, model: str = "lstm") -> str:
        assert train(*words, model=model) == 2
        output, error = capsys.readouterr()
        assert output == ""
        assert error.startswith("nmt train: ") and error.endswith("\n") and error.count("\n") == 1, error
        assert not (tmp_path / "run").exists()
        return error.removeprefix("nmt train: ").rstrip("\n")

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What a run leaves


def test_a_run_folder_is_whole(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["trainer.max_steps=4", "trainer.validate_every=2", "trainer.log_every=1", "tensorboard=true"]
    assert train(*words) == 0
    output, error = capsys.readouterr()
    assert output == ""  # standard output is for results
    assert "ended after step 4" in error and "best validation BLEU" in error
    folder = tmp_path / "run"
    names = {name for name in files(folder) if not name.startswith("tensorboard/")}
    assert names == {
        ".lock",
        "config.yaml",
        "model.json",
        "search.json",
        "corpus.json",
        "cleaning.json",
        "tokenizer.json",
        "tokenizer.model",
        "history.jsonl",
        "log.txt",
        "checkpoints/best.safetensors",
        "checkpoints/last.safetensors",
        "checkpoints/step-00000002.safetensors",
        "checkpoints/step-00000004.safetensors",
    }
    assert list((folder / "tensorboard").iterdir())
    run = RunFolder.open(folder)
    described = run.description("model")
    assert described["class"] == "LSTM"
    assert described["parameters"] == run.model().num_parameters()
    assert [record["step"] for record in run.records() if record["kind"] == "train"] == [1, 2, 3, 4]
    translator = Translator.load(folder, device="cpu")
    assert len(translator.translate(["one two", ""])) == 2


def spoil(corpus: Path, split: str) -> int:
    """Makes a split dirty in every way and returns its number of lines."""
    pairs = [*zip(*((corpus / f"{split}.{name}").read_text().splitlines() for name in ("en", "de")), strict=True)]
    pairs = list(dict.fromkeys(pairs))
    dirty = [*pairs, ("", ""), ("", "eins"), ("one", " "), pairs[0], pairs[0]]
    dirty += [("one", "eins " * 30), ("two " * 200, "zwei " * 200)]
    sources, targets = zip(*dirty, strict=True)
    (corpus / f"{split}.en").write_bytes(b"\xef\xbb\xbf" + "".join(line + "\r\n" for line in sources).encode())
    (corpus / f"{split}.de").write_text("".join(line + "\n" for line in targets))
    return len(dirty)


def test_what_is_left_out_of_a_dirty_corpus_is_told(
    train: Train, tmp_path: Path, own_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = spoil(own_corpus, "train")
    assert train(f"data.path={own_corpus}") == 0
    error = capsys.readouterr().err
    log = (tmp_path / "run" / "log.txt").read_text()
    expected = {
        "training pairs": size,
        "kept": size - 7,
        "dropped: both sides empty": 1,
        "dropped: source empty": 1,
        "dropped: target empty": 1,
        "dropped: too long": 1,
        "dropped: length ratio": 1,
        "dropped: duplicate": 2,
    }
    for what, count in expected.items():
        line = re.compile(rf"{what} +{count} +[0-9.]+%$", re.MULTILINE)
        assert line.search(error) and line.search(log), what
    repaired = f"train.en: a byte order mark was dropped; {size} lines end in CRLF"
    assert repaired in error and repaired in log
    record = json.loads((tmp_path / "run" / "cleaning.json").read_text())
    assert (record["pairs"], record["kept"], sum(record["dropped"].values())) == (size, size - 7, 7)
    assert record["repaired"] == [repaired]


def test_cleaning_can_be_switched_off(train: Train, tmp_path: Path, own_corpus: Path) -> None:
    size = spoil(own_corpus, "train")
    assert train(f"data.path={own_corpus}", "cleaning=none", "loader.max_length=1000") == 0
    record = json.loads((tmp_path / "run" / "cleaning.json").read_text())
    assert (record["pairs"], record["kept"], record["dropped"]) == (size, size, {"too long": 0})


def test_nothing_is_left_out_of_validation(train: Train, own_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = spoil(own_corpus, "val")
    measured = []
    bleu = nmt.cli.preparation.bleu

    def measure(hypotheses: list[str], references: list[str]) -> float:
        measured.append((len(hypotheses), references))
        return bleu(hypotheses, references)

    monkeypatch.setattr(nmt.cli.preparation, "bleu", measure)
    assert train(f"data.path={own_corpus}") == 0
    references = (own_corpus / "val.de").read_text().split("\n")[:-1]
    assert measured == [(size, references)]


def test_the_corpus_is_found_from_any_folder(
    train: Train, tmp_path: Path, own_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(f"data.path={own_corpus.name}") == 0
    monkeypatch.chdir("/")
    assert len(RunFolder(tmp_path / "run").corpus().split("test")) == 8


def test_the_same_seed_gives_the_same_run(train: Train, tmp_path: Path) -> None:
    words = ["trainer.max_steps=3", "trainer.log_every=1", "loader.subword_alpha=0.2"]
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(*words, f"run={tmp_path / name}", f"seed={seed}") == 0
        found.append([record["loss"] for record in RunFolder(tmp_path / name).records()])
    assert found[0] == found[1] != found[2]


def test_the_other_direction(train: Train, tmp_path: Path) -> None:
    assert train("data.source=de", "data.target=en") == 0
    corpus = RunFolder(tmp_path / "run").corpus()
    assert (corpus.source, corpus.target) == ("de", "en")


# A folder that is in use, and going on


def test_a_used_folder_is_refused_and_unchanged(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    before = files(tmp_path / "run")
    capsys.readouterr()
    assert train("trainer.max_steps=2") == 2
    error = capsys.readouterr().err
    assert (
        error == f"nmt train: run={tmp_path / 'run'} is in use: name another folder, or go on with it by resume=true\n"
    )
    assert files(tmp_path / "run") == before


def test_a_folder_in_which_another_process_trains(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    holder = RunFolder.create(tmp_path / "run", resume=True)
    before = files(tmp_path / "run")
    capsys.readouterr()
    assert train("resume=true", "trainer.max_steps=2") == 2
    assert capsys.readouterr().err == (f"nmt train: run={holder.path} is in use: another process is training in it\n")
    assert files(tmp_path / "run") == before


def test_resume_goes_on(train: Train, tmp_path: Path) -> None:
    words = ["trainer.log_every=1", "trainer.validate_every=2"]
    assert train(*words, "trainer.max_steps=4", f"run={tmp_path / 'whole'}") == 0
    assert train(*words, "trainer.max_steps=2") == 0
    first = files(tmp_path / "run")
    assert train(*words, "trainer.max_steps=4", "resume=true") == 0
    losses = [
        [record["loss"] for record in RunFolder(tmp_path / name).records() if record["kind"] == "train"]
        for name in ("run", "whole")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4
    then = files(tmp_path / "run")
    for name in ("tokenizer.json", "tokenizer.model", "model.json", "config.yaml"):
        assert then[name] == first[name]
    assert then["log.txt"].startswith(first["log.txt"])


def test_what_is_otherwise_than_when_the_run_began_is_said(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    capsys.readouterr()
    assert train("resume=true", "trainer.max_steps=3", "search.max_length_factor=1.0") == 0
    error = capsys.readouterr().err
    said = [line for line in error.splitlines() if line.startswith("the run was begun with ")]
    assert said == [
        "the run was begun with search.max_length_factor=1.5, not 1.0",
        "the run was begun with trainer.max_steps=1, not 3",
    ]
    capsys.readouterr()
    assert train("resume=true", "trainer.max_steps=3", "search.max_length_factor=1.0") == 0
    assert "search.max_length_factor=1.5, not 1.0" in capsys.readouterr().err  # config.yaml tells of the beginning


def test_where_the_order_of_the_pairs_has_changed_the_epoch_begins_again_and_that_is_said(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["loader.batch_tokens=128", "trainer.log_every=1"]
    assert train(*words, "trainer.max_steps=2") == 0
    capsys.readouterr()
    assert train(*words, "resume=true", "trainer.max_steps=3") == 0
    assert "begins again" not in capsys.readouterr().err
    assert train(*words, "resume=true", "trainer.max_steps=4", "loader.batch_tokens=64") == 0
    assert "loader.batch_tokens has changed: epoch 1 begins again" in capsys.readouterr().err
    assert read_progress(RunFolder(tmp_path / "run").last).position == 1


@pytest.mark.parametrize("text", ["a: [1", "\x00", "{" * 5000])
def test_a_damaged_config_of_a_run_that_shall_go_on(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert train() == 0
    (tmp_path / "run" / "config.yaml").write_text(text)
    capsys.readouterr()
    assert train("resume=true", "trainer.max_steps=3") == 2
    assert (
        capsys.readouterr().err == f"nmt train: {tmp_path / 'run' / 'config.yaml'} is damaged: it is not plain YAML\n"
    )


def test_a_config_of_a_run_is_never_instantiated(train: Train, tmp_path: Path) -> None:
    assert train() == 0
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text() + f"_target_: os.system\n_args_: [touch {tmp_path / 'made'}]\n")
    assert train("resume=true", "trainer.max_steps=3") == 0
    assert not (tmp_path / "made").exists()


def test_a_finished_run_stays_finished(train: Train, tmp_path: Path) -> None:
    assert train() == 0
    before = (tmp_path / "run" / "checkpoints" / "best.safetensors").read_bytes()
    assert train("resume=true") == 0
    assert (tmp_path / "run" / "checkpoints" / "best.safetensors").read_bytes() == before
    assert [record["step"] for record in RunFolder(tmp_path / "run").records()] == [1]


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("lstm", ["model.hidden_size=18"], "model.hidden_size=16, not 18: resume=true goes on with the same settings"),
        ("lstm_luong", [], "was begun with LSTM, not LuongLSTM"),
        ("lstm", ["schedule=plateau"], "begun with another schedule"),
    ],
)
def test_another_model_cannot_go_on(
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    model: str,
    words: list[str],
    message: str,
) -> None:
    assert train("schedule=inverse_sqrt") == 0
    before = files(tmp_path / "run")
    capsys.readouterr()
    assert train("resume=true", "trainer.max_steps=2", *words, model=model) == 2
    error = capsys.readouterr().err
    assert message in error.splitlines()[-1] and "Traceback" not in error
    after = files(tmp_path / "run")
    assert {name for name in before if before[name] != after[name]} <= {"log.txt"}


def test_resume_without_a_run(mistake: Callable[..., str]) -> None:
    assert "holds no run to go on with: leave resume=true out" in mistake("resume=true")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_run_tidily(
    tmp_path: Path, corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str], number: int
) -> None:
    folder = tmp_path / "run"
    words = ["data=files", f"data.path={corpus_folder}", f"run={folder}", *tiny_models["lstm"], *tiny_training]
    words += ["trainer.max_steps=1000000", "trainer.log_every=1", "trainer.validate_every=1000000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "nmt", "train", *words], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        history = folder / "history.jsonl"
        while process.poll() is None and not (history.is_file() and history.stat().st_size):
            time.sleep(0.05)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert "interrupted; go on with resume=true" in error and "Traceback" not in error
    assert len(Translator.load(folder, device="cpu").translate(["one"])) == 1
    with safe_open(folder / "checkpoints" / "last.safetensors", framework="pt") as checkpoint:
        step = json.loads(checkpoint.metadata()["progress"])["step"]
    assert main(["train", *words, "resume=true", f"trainer.max_steps={step + 2}"]) == 0
    steps = [record["step"] for record in RunFolder(folder).records() if record["kind"] == "train"]
    assert steps == list(range(1, step + 3))


# What bad input gets


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.max_step=3"], "trainer.max_step: no such key; did you mean trainer.max_steps?"),
        (["model=lstmm"], "model=lstmm: no such choice; did you mean lstm"),
        (["trainer.max_steps=many"], "trainer.max_steps: must be a whole number"),
        (["trainer.max_epochs=two"], "max_epochs=two must be a whole number above 0"),
        (["trainer.max_minutes=ten"], "max_minutes=ten must be above 0"),
        (["trainer.max_steps=0"], "max_steps=0"),
        (["trainer.precision=fp8"], "precision=fp8 is unknown: use auto, fp32 or bf16"),
        (["loader.batch_tokens=0"], "batch_tokens=0"),
        (["loader.max_length=1"], "max_length=1"),
        (["loader.num_workers=0"], "num_workers=0"),
        (["trainer.label_smoothing=1.5"], "label_smoothing=1.5"),
        (["loader.subword_alpha=-1.0"], "subword_alpha=-1.0"),
        (["schedule.learning_rate=0.0"], "learning_rate=0.0 must be above 0"),
        (["optimizer.betas=[2.0,0.9]"], "beta"),
        (["model.hidden_size=15"], "hidden_size=15 must be even"),
        (["model.dropout=1.0"], "dropout=1.0"),
        (["search=beam", "search.beam_size=0"], "beam_size=0"),
        (["device=gpu"], "device=gpu is unknown: use auto, cpu or cuda"),
        (["device=cuda:99"], "device=cuda:99 is not there"),
        (["train_split=trian"], "has no split trian; the splits there are train, val, test"),
        (["validation_split=dev"], "has no split dev; the splits there are train, val, test"),
        (["data.path=nowhere"], "nowhere is not a folder"),
        (["data.source=fr"], "fr"),
        (["data.target=en"], "both en"),
        (["tokenizer.vocab_size=100000"], "tokenizer.vocab_size=100000 is more than this corpus allows: at most"),
        (["tokenizer.vocab_size=5"], "tokenizer.vocab_size=5 is too small"),
        (["tokenizer.model_type=words"], "tokenizer.model_type=words is unknown"),
    ],
)
def test_a_wrong_setting(mistake: Callable[..., str], words: list[str], message: str) -> None:
    assert message in mistake(*words)


def test_a_missing_file(mistake: Callable[..., str], own_corpus: Path) -> None:
    (own_corpus / "val.de").unlink()
    assert "contains val.en but not val.de" in mistake(f"data.path={own_corpus}")


def test_sides_of_different_length(mistake: Callable[..., str], own_corpus: Path) -> None:
    with (own_corpus / "train.de").open("a") as file:
        file.write("zehn\nelf\n")
    message = mistake(f"data.path={own_corpus}")
    assert "train.de has 122 lines but train.en has 120: from line 121 on" in message


@pytest.mark.parametrize("name", ["train.en", "val.de"])
def test_bytes_that_are_not_utf8(mistake: Callable[..., str], own_corpus: Path, name: str) -> None:
    lines = (own_corpus / name).read_bytes().split(b"\n")
    lines[6] = b"f\xfcnf"
    (own_corpus / name).write_bytes(b"\n".join(lines))
    assert f"{name} line 7 is not UTF-8: byte 0xfc" in mistake(f"data.path={own_corpus}")


@pytest.mark.parametrize("text", ["", "\n\n\n"])
def test_an_empty_corpus(mistake: Callable[..., str], own_corpus: Path, text: str) -> None:
    for language in ("en", "de"):
        (own_corpus / f"train.{language}").write_text(text)
    message = mistake(f"data.path={own_corpus}")
    assert "empty" in message


def test_a_folder_without_text(mistake: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert "void is empty" in mistake(f"data.path={tmp_path / 'void'}")


def test_a_device_that_is_not_there(mistake: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert mistake("device=cuda") == "device=cuda is not there: this machine has 0 CUDA devices; use cpu"


def test_a_run_that_is_a_file(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").write_text("notes")
    assert train() == 2
    assert capsys.readouterr().err == f"nmt train: run={tmp_path / 'run'} is a file: name a folder\n"
    assert (tmp_path / "run").read_text() == "notes"


# Every YAML file composes, binds and trains


GRAMMAR = ["data.train_size=200", "data.val_size=8", "data.test_size=8", "data.test_long_size=4"]


def choices(group: str) -> list[str]:
    """The choices of a group that are for training; `run` stands for what a trained run used."""
    return sorted(path.stem for path in (conf_folder() / group).glob("*.yaml") if path.stem != "run")


def test_every_group_is_tried_here() -> None:
    groups = {str(path.parent.relative_to(conf_folder())) for path in conf_folder().rglob("*.yaml")} - {"."}
    tried = {
        "data",
        "cleaning",
        "model",
        "model/score",
        "tokenizer",
        "optimizer",
        "schedule",
        "loader",
        "trainer",
        "search",
    }
    assert groups == tried | {"experiment"}
    assert choices("data") == ["files", "grammar", "hub", "multi30k"]


@pytest.mark.parametrize("group", ["data", "search"])
def test_what_stands_for_a_trained_run_s_own(tmp_path: Path, corpus_folder: Path, group: str, capsys: Any) -> None:
    words = ["data=files", f"data.path={corpus_folder}"] if group != "data" else []
    assert main(["train", *words, f"{group}=run", f"run={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "stands for what a trained run used" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", choices("model"))
def test_every_model(train: Train, tmp_path: Path, model: str) -> None:
    assert train(model=model) == 0
    assert RunFolder(tmp_path / "run").model().num_parameters() > 0


@pytest.mark.parametrize("score", choices("model/score"))
def test_every_score(train: Train, tmp_path: Path, score: str) -> None:
    assert train(f"model/score={score}", model="lstm_luong") == 0
    described = RunFolder(tmp_path / "run").description("model")["arguments"]["score"]
    assert described["class"] == {"dot": "DotScore", "general": "GeneralScore", "concat": "AdditiveScore"}[score]


@pytest.mark.parametrize(
    ("group", "choice"),
    [
        (group, choice)
        for group in ("cleaning", "tokenizer", "optimizer", "schedule", "trainer", "search")
        for choice in choices(group)
    ],
)
def test_every_choice(train: Train, tmp_path: Path, group: str, choice: str) -> None:
    assert train(f"{group}={choice}") == 0
    assert RunFolder.open(tmp_path / "run").best_step() == 1


@pytest.mark.parametrize("data", ["hub", "multi30k"])
def test_data_of_the_hub_in_a_local_folder(train: Train, tmp_path: Path, data: str) -> None:
    words = [f"data={data}"] + (["data.id=some/where"] if data == "hub" else [])
    assert train(*words) == 0
    assert len(RunFolder(tmp_path / "run").corpus().split("val")) == 16


def test_the_built_in_corpus(tmp_path: Path, tiny_models: dict[str, list[str]], tiny_training: list[str]) -> None:
    words = ["data=grammar", *GRAMMAR, *tiny_models["lstm"], *tiny_training, "tokenizer.vocab_size=120"]
    assert main(["train", *words, f"run={tmp_path / 'run'}"]) == 0
    assert len(RunFolder(tmp_path / "run").corpus().split("val")) == 8


def test_compressed_files(train: Train, own_corpus: Path) -> None:
    for path in list(own_corpus.iterdir()):
        with gzip.open(own_corpus / f"{path.name}.gz", "wb") as file:
            file.write(path.read_bytes())
        path.unlink()
    assert train(f"data.path={own_corpus}") == 0


CLASSES = {
    "lstm": "LSTM",
    "lstm_bahdanau": "BahdanauLSTM",
    "lstm_luong": "LuongLSTM",
    "transformer": "Transformer",
}


@pytest.mark.slow
@pytest.mark.parametrize("experiment", choices("experiment"))
def test_every_experiment(
    tmp_path: Path, corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str], experiment: str
) -> None:
    """As the file's own first lines start it, with every size shrunk."""
    text = (conf_folder() / "experiment" / f"{experiment}.yaml").read_text(encoding="utf-8")
    command = next(line for line in text.splitlines() if "nmt train" in line)
    (models,) = [word for word in command.split() if word.startswith("model=")] or ["model=transformer"]
    for name in models.removeprefix("model=").split(","):
        sizes = [word for word in tiny_models[name] if not (name == "transformer" and word.startswith("model="))]
        data = [f"data.path={corpus_folder}"]
        if "/data: grammar" in text:
            data = [*GRAMMAR, "tokenizer.vocab_size=120"]
        words = [f"experiment={experiment}", *sizes, *tiny_training, *data, "trainer.max_minutes=null"]
        assert main(["train", *words, f"run={tmp_path / name}"]) == 0
        assert RunFolder.open(tmp_path / name).description("model")["class"] == CLASSES[name]
