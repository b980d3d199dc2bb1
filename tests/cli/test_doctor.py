"""`nmt doctor` through the program's own door: what it finds, what stops it, and that it leaves nothing behind."""

import shutil
from collections import namedtuple
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
import torch
import torch._dynamo

from nmt.cli import doctor, main
from nmt.cli.shell.configuration import compose, hydra_initialized
from nmt.training import dry_run
from nmt.training.dry_run import DryRun, Learning, Speed

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def examine(
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Exit code, report and errors of `nmt doctor` with everything tiny; later words win."""
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str, model: str = "lstm", command: str = "doctor") -> tuple[int, str, str]:
        common = ["data=files", f"data.path={corpus_folder}", f"run={tmp_path / 'runs' / 'x'}"]
        code = main([command, *common, *tiny_models[model], *tiny_training, *words])
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("model", ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"])
def test_a_run_that_will_work(
    examine: Run, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_models: dict[str, list[str]]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, report, error = examine(model=model)
    assert (code, error) == (0, "")
    assert list(tmp_path.iterdir()) == []  # nothing is left behind
    lines = report.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)
    verdict = " ".join(lines[-2:])
    assert "This run will work: about " in verdict and "to max_steps=1 " in verdict
    for label in (
        "versions",
        "device",
        "corpus",
        "pieces",
        "cleaning",
        "model",
        "memory",
        "run folder",
        "learning",
        "speed",
    ):
        assert sum(line.startswith(label) for line in lines) == 1, label


def test_the_corpus_is_counted(examine: Run, corpus_folder: Path) -> None:
    _, report, _ = examine()
    for name in ("train.en", "train.de", "val.en", "val.de"):
        text = (corpus_folder / name).read_text(encoding="utf-8")
        (row,) = (line.split() for line in report.splitlines() if line.startswith(f"{name} "))
        assert [int(number.replace(",", "")) for number in row[1:4]] == [
            text.count("\n"),
            len(text.split()),
            len(text.replace("\n", "")),
        ]


def test_what_would_be_left_out(examine: Run, own_corpus: Path) -> None:
    lines = (own_corpus / "train.en").read_text(encoding="utf-8").splitlines()
    lines[:5] = ["one " * 300, "", "two", " ", "one " * 200]
    (own_corpus / "train.en").write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, report, _ = examine(f"data.path={own_corpus}", "cleaning.drop_duplicates=false", "cleaning.max_ratio=null")
    assert code == 0
    text = " ".join(report.split())
    assert (
        "training pairs 120 100.00% kept 116 96.67% dropped: both sides empty 0 0.00% dropped: source empty 2" in text
    )
    assert "mind of 120 pairs of train, 116 can be used: source empty 2, too long 2" in text


def test_lines_that_training_sees_are_told(examine: Run, own_corpus: Path) -> None:
    """The corpus's own val and test hold none, then all of val are also in train, and half of them with its target."""
    for side in ("en", "de"):
        kept = (own_corpus / f"train.{side}").read_text(encoding="utf-8").splitlines()
        seen = [f"{line} {line}" for line in kept[:10]] if side == "en" else kept[:10]
        other = seen if side == "en" else [*seen[:5], *(f"{line} eins" for line in seen[5:])]
        (own_corpus / f"train.{side}").write_text("\n".join(seen + kept) + "\n", encoding="utf-8")
        (own_corpus / f"val.{side}").write_text("\n".join(other) + "\n", encoding="utf-8")
    _, report, _ = examine(f"data.path={own_corpus}")
    text = " ".join(report.split())
    assert "mind 10 of the 10 sources of val are in the training split too, 5 of them with the same target" in text


def test_unknown_pieces_are_told(examine: Run, own_corpus: Path) -> None:
    (own_corpus / "val.en").write_text("中 文 字\n" * 16, encoding="utf-8")
    _, report, _ = examine(f"data.path={own_corpus}")
    text = " ".join(report.split())
    assert "of the pieces of val.en are unknown: raise tokenizer.vocab_size" in text
    assert "of the pieces of train.en are unknown" not in text


def test_a_large_corpus_is_sampled(examine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["trainer.max_epochs=7", "trainer.max_steps=null", "loader.batch_tokens=32", "cleaning=none"]
    whole = examine(*words)[1]
    monkeypatch.setattr(doctor, "LARGE", 119)
    monkeypatch.setattr(doctor, "SAMPLE", 60)
    code, report, _ = examine(*words)
    assert code == 0
    text = " ".join(report.split())
    assert "of 120 training pairs a sample of 60 is looked at" in text
    assert "training pairs 60 100.00%" in text
    of_all, of_sample = (int(one[one.index("an epoch of ") :].split()[3]) for one in (" ".join(whole.split()), text))
    assert of_sample == pytest.approx(of_all, rel=0.15)  # an epoch is that of the whole split


def test_a_sample_is_spread_over_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    split = datasets.Dataset.from_dict({"source": [str(number) for number in range(10)]})
    monkeypatch.setattr(doctor, "LARGE", 9)
    monkeypatch.setattr(doctor, "SAMPLE", 4)
    assert doctor.thin(split)["source"][:] == ["0", "2", "5", "7"]
    monkeypatch.setattr(doctor, "LARGE", 10)
    assert len(doctor.thin(split)) == 10


# What stops a run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.path=nowhere"], "nowhere is not a folder"),
        (["tokenizer.vocab_size=5"], "tokenizer.vocab_size=5 is too small"),
        (["tokenizer.vocab_size=9000"], "tokenizer.vocab_size=9000 is more than this corpus allows"),
        (["device=cuda"], "device=cuda is not there"),
        (["loader.max_length=1"], "max_length=1 must be at least 2"),
        (["train_split=trian"], "has no split trian"),
        (["resume=true"], "holds no run to continue"),
        (["trainer.max_steps=0"], "max_steps=0"),
        (["model.hidden_size=15"], "hidden_size=15"),
    ],
)
def test_what_stops_training_stops_it_in_the_same_words(
    words: list[str], said: str, examine: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    code, report, error = examine(*words)
    assert code == 2
    assert error.startswith("nmt doctor: ") and error.count("\n") == 1
    assert said in error
    assert "will work" not in report
    code, _, other = examine(*words, command="train")
    assert (code, other.replace("nmt train", "nmt doctor")) == (2, error)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["", "\n" * 16])
def test_an_empty_split(examine: Run, own_corpus: Path, text: str) -> None:
    for side in ("en", "de"):
        (own_corpus / f"val.{side}").write_text(text, encoding="utf-8")
    code, report, error = examine(f"data.path={own_corpus}")
    assert code == 2
    assert error.count("\n") == 1
    assert "will work" not in report


def test_a_folder_in_use(examine: Run, trained_run: Path) -> None:
    code, report, error = examine(f"run={trained_run}")
    assert (code, report) == (2, "")
    assert "is in use" in error


@pytest.mark.parametrize("rate", ["1.0e+4", "30.0"])
def test_a_learning_rate_that_leads_astray(examine: Run, rate: str) -> None:
    """Training would warm up for a thousand steps before it shows."""
    code, report, error = examine(f"schedule.learning_rate={rate}", "schedule.warmup_steps=1000", model="transformer")
    assert code == 2
    assert "the loss on a few sentences" in error and f"lower schedule.learning_rate={float(rate):g}" in error
    assert "will work" not in report


def test_a_batch_that_does_not_fit(examine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "free_memory", lambda device: 300_000)
    code, _, error = examine()
    assert code == 2
    assert "0.3 MB are free: lower loader.batch_tokens to " in error
    lower = error[error.index("batch_tokens to ") :].split()[2]
    code, _, error = examine(f"loader.batch_tokens={lower}")
    assert code == 0, error  # the remedy is one
    monkeypatch.setattr(dry_run, "free_memory", lambda device: 10_000)
    assert "take a smaller model" in examine()[2]


def test_a_disk_that_is_too_full(examine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000))
    code, _, error = examine()
    assert code == 2
    assert "are free: name a folder on another disk" in error


def test_a_folder_that_is_read_only(examine: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    code, _, error = examine()
    assert code == 2
    assert "cannot be written" in error


@pytest.mark.parametrize("found", ["1.0", None])
def test_a_package_that_is_too_old_or_missing(examine: Run, monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    version = metadata.version

    def pretended(name: str) -> str:
        if name != "sacrebleu":
            return version(name)
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(metadata, "version", pretended)
    code, report, error = examine()
    assert (code, report) == (2, "")
    assert 'pip install "sacrebleu>=' in error


@pytest.mark.parametrize(("last", "told"), [(1.19, False), (1.21, True)])
def test_learning_that_turns_round_is_told(
    examine: Run, monkeypatch: pytest.MonkeyPatch, last: float, told: bool
) -> None:
    """It had come from 3 down to 1; a tenth of these 2 nats is 0.2."""
    monkeypatch.setattr(DryRun, "learn", lambda self, seconds: Learning(3.0, 1.0, last, 150))
    code, report, _ = examine("schedule.learning_rate=0.25")
    assert code == 0
    note = f"mind the loss on a few sentences came down to 1.00 and went up again to {last:.2f}"
    assert (note in " ".join(report.split())) is told
    assert ("schedule.learning_rate=0.25" in report) is told


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"max_steps": 100}, "about 6 min 40 s to max_steps=100"),  # two batches a step, of two seconds
        ({"max_steps": 100, "max_epochs": 3}, "about 1 min 00 s to max_epochs=3"),  # of ten batches
        ({"max_steps": 100, "max_minutes": 2.0}, "about 2 min 00 s to max_minutes=2"),
        ({"max_steps": 100, "patience": 4}, "patience=4 may end it before"),
        ({"patience": 4}, "only patience=4 ends it"),
    ],
)
def test_how_long_a_run_takes(limits: dict[str, float], said: str) -> None:
    settings = {"max_steps": None, "max_epochs": None, "max_minutes": None, "patience": None, "accumulate": 2}
    trainer = namedtuple("trainer", settings)(**settings | limits)
    assert said in doctor.prospect(trainer, 10.0, Speed(1.0, 2.0))  # type: ignore[arg-type]


def test_its_words_are_those_of_training() -> None:
    """`nmt doctor X` becomes `nmt train X` by one word, whatever X is."""
    with hydra_initialized() as folder:
        for words in ([], ["experiment=demo_recurrent", "model=lstm_luong", "model/score=concat", "optimizer=adamw"]):
            trained, examined = (compose(command, folder, words) for command in ("train", "doctor"))
            assert trained.config == examined.config
            assert trained.choices == examined.choices
            assert set(trained.names()) == set(examined.names())


def test_its_help_shows_the_keys_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for command in ("train", "doctor"):
        assert main([command, "--help"]) == 0
        pages.append(capsys.readouterr().out)
    keys = [page[page.index("Keys and their defaults") :] for page in pages]
    assert sorted(keys[0].split("\n\n")) == sorted(keys[1].split("\n\n"))
