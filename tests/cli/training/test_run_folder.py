"""What `nmt train` writes and prints."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.evaluation import Metrics
from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.translator import Translator

Train = Callable[..., int]
Files = Callable[[Path], dict[str, bytes]]


def test_a_run_folder_holds_everything(
    train: Train, read_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["trainer.max_steps=4", "trainer.validate_every=2", "trainer.log_every=1", "tracker=tensorboard"]
    assert train(*words) == 0
    output, error = capsys.readouterr()
    assert output == ""  # standard output is reserved for results
    assert "ended after step 4" in error and "best validation BLEU" in error
    folder = tmp_path / "run"
    names = {name for name in read_files(folder) if not name.startswith("tensorboard/")}
    assert names == {
        ".lock",
        "config.yaml",
        "model.json",
        "search.json",
        "metrics.json",
        "corpus.json",
        "cleaning.json",
        "environment.json",
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
    description = json.loads((folder / "model.json").read_text())
    assert description["class"] == "PlainRNN"
    assert description["parameters"] == run.model().num_parameters()
    assert [record.step for record in read_history(run.history).train] == [1, 2, 3, 4]
    translator = Translator.load(folder, device="cpu")
    assert len(translator.translate(["one two", ""])) == 2


def spoil(corpus: Path, split: str) -> int:
    """Adds every kind of bad line to a split, and returns its number of lines."""
    pairs = [*zip(*((corpus / f"{split}.{name}").read_text().splitlines() for name in ("en", "de")), strict=True)]
    pairs = list(dict.fromkeys(pairs))
    dirty = [*pairs, ("", ""), ("", "eins"), ("one", " "), pairs[0], pairs[0]]
    dirty += [("one", "eins " * 30), ("two " * 200, "zwei " * 200)]
    sources, targets = zip(*dirty, strict=True)
    (corpus / f"{split}.en").write_bytes(b"\xef\xbb\xbf" + "".join(line + "\r\n" for line in sources).encode())
    (corpus / f"{split}.de").write_text("".join(line + "\n" for line in targets))
    return len(dirty)


def test_the_pairs_that_cleaning_drops_are_reported(
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


def test_cleaning_can_be_turned_off(train: Train, tmp_path: Path, own_corpus: Path) -> None:
    size = spoil(own_corpus, "train")
    assert train(f"data.path={own_corpus}", "cleaning=none", "loader.max_length=1000") == 0
    record = json.loads((tmp_path / "run" / "cleaning.json").read_text())
    assert (record["pairs"], record["kept"], record["dropped"]) == (size, size, {"too long": 0})


def test_validation_bleu_uses_every_line(train: Train, own_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = spoil(own_corpus, "val")
    measured = []

    def measure(metrics: Metrics, hypotheses: list[str], references: list[str]) -> float:
        measured.append((len(hypotheses), references))
        return 1.0

    monkeypatch.setattr(Metrics, "bleu", measure)
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
    losses = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(*words, f"run={tmp_path / name}", f"seed={seed}") == 0
        losses.append([record.loss for record in read_history(tmp_path / name / "history.jsonl").train])
    assert losses[0] == losses[1] != losses[2]


def test_the_languages_can_be_swapped(train: Train, tmp_path: Path) -> None:
    assert train("data.source=de", "data.target=en") == 0
    corpus = RunFolder(tmp_path / "run").corpus()
    assert (corpus.source, corpus.target) == ("de", "en")


@pytest.mark.parametrize("num_lines", [1, 20])
def test_a_tiny_corpus_trains_with_the_usual_vocabulary_size(
    train: Train, own_corpus: Path, tmp_path: Path, num_lines: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in own_corpus.iterdir():
        path.write_text("".join(path.read_text(encoding="utf-8").splitlines(keepends=True)[:num_lines]))
    assert train(f"data.path={own_corpus}", "tokenizer.vocab_size=8000") == 0
    size = RunFolder(tmp_path / "run").tokenizer().source_size
    remark = f"the vocabulary has {size} pieces: this corpus allows no more (tokenizer.vocab_size=8000)"
    assert remark in capsys.readouterr().err
    assert remark in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_pairs_of_exactly_max_length_pieces_are_trained_on(
    train: Train, own_corpus: Path, tmp_path: Path, model: str
) -> None:
    """Also by a Transformer with one position more, for the end of the sentence."""
    assert train(f"data.path={own_corpus}", "cleaning=none", model=model) == 0
    tokenizer = RunFolder(tmp_path / "run").tokenizer()
    lines = [(own_corpus / f"train.{language}").read_text().splitlines() for language in ("en", "de")]
    longest = max(map(len, tokenizer.encode_source(lines[0] + lines[1])))
    sizes = [f"model.positions.max_length={longest + 1}"] if model == "transformer" else []
    shutil.rmtree(tmp_path / "run")
    assert train(f"data.path={own_corpus}", "cleaning=none", f"loader.max_length={longest}", *sizes, model=model) == 0
    assert json.loads((tmp_path / "run" / "cleaning.json").read_text())["dropped"] == {"too long": 0}
    shutil.rmtree(tmp_path / "run")
    words = ["cleaning=none", f"loader.max_length={longest - 1}", *sizes]
    assert train(f"data.path={own_corpus}", *words, model=model) == 0
    assert json.loads((tmp_path / "run" / "cleaning.json").read_text())["dropped"]["too long"] > 0
