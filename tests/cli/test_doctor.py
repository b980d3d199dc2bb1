"""`nmt doctor` as a whole command: what it reports, what it warns of, what stops it, and that it writes nothing."""

import os
import shutil
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import datasets
import pytest
import torch

from nmt.cli import main
from nmt.cli.diagnosis import corpus, training
from nmt.cli.diagnosis.training import describe_duration, estimate_duration
from nmt.cli.shell.configuration import compose, hydra_initialized
from nmt.evaluation import Metrics
from nmt.training import dry_run
from nmt.training.dry_run import DryRun, OverfitResult, TrainingSpeed

LABELS = ("versions", "device", "corpus", "pieces", "cleaning", "model", "memory", "run folder", "learning", "speed")


@dataclass(frozen=True)
class Result:
    """How a command ended: its exit code, its report and its error messages."""

    code: int
    report: str
    error: str

    @property
    def text(self) -> str:
        """The report as one line."""
        return " ".join(self.report.split())


Examine = Callable[..., Result]


@pytest.fixture
def examine(
    tmp_path: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Examine:
    """Runs `nmt doctor` on a tiny corpus with a tiny model; later words override earlier ones.

    It overfits a few sentences for 30 updates instead of 150, which is enough to see the loss fall.
    """
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    monkeypatch.setattr(dry_run, "MAX_STEPS", 30)

    def run(*words: str, model: str = "lstm", command: str = "doctor") -> Result:
        common = ["data=files", f"data.path={corpus_folder}", f"run={tmp_path / 'runs' / 'x'}"]
        code = main([command, *common, *tiny_models[model], *tiny_training, *words])
        return Result(code, *capsys.readouterr())

    return run


# What is reported


@pytest.mark.parametrize("model", ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"])
def test_a_run_that_will_work(examine: Examine, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = examine(model=model)
    assert (result.code, result.error) == (0, "")
    assert list(tmp_path.iterdir()) == []  # nothing is written
    lines = result.report.splitlines()
    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)
    verdict = " ".join(lines[-2:])
    assert "This run will work: about " in verdict and "to max_steps=1," in verdict
    for label in LABELS:
        assert sum(line.startswith(label) for line in lines) == 1, label


def test_lines_words_and_characters_of_the_corpus_are_counted(examine: Examine, corpus_folder: Path) -> None:
    lines = examine().report.splitlines()
    for name in ("train.en", "train.de", "val.en", "val.de"):
        text = (corpus_folder / name).read_text(encoding="utf-8")
        (row,) = (line.split() for line in lines if line.startswith(f"{name} "))
        assert [int(number.replace(",", "")) for number in row[1:4]] == [
            text.count("\n"),
            len(text.split()),
            len(text.replace("\n", "")),
        ]


def test_a_large_corpus_is_sampled(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["trainer.max_epochs=7", "trainer.max_steps=null", "loader.batch_tokens=32", "cleaning=none"]
    full = examine(*words)
    monkeypatch.setattr(corpus, "MAX_PAIRS", 119)
    monkeypatch.setattr(corpus, "SAMPLE_PAIRS", 60)
    sampled = examine(*words)
    assert sampled.code == 0
    assert "of 120 training pairs, a sample of 60 is examined" in sampled.text
    assert "training pairs 60 100.00%" in sampled.text
    # The number of batches of an epoch is that of the full split.
    full_batches, sampled_batches = (
        int(result.text.partition("an epoch of ")[2].split()[0]) for result in (full, sampled)
    )
    assert sampled_batches == pytest.approx(full_batches, rel=0.15)


def test_a_sample_is_spread_over_the_split(monkeypatch: pytest.MonkeyPatch) -> None:
    split = datasets.Dataset.from_dict({"source": [str(number) for number in range(10)]})
    monkeypatch.setattr(corpus, "MAX_PAIRS", 9)
    monkeypatch.setattr(corpus, "SAMPLE_PAIRS", 4)
    assert corpus.sample_split(split)["source"][:] == ["0", "2", "5", "7"]
    monkeypatch.setattr(corpus, "MAX_PAIRS", 10)
    assert len(corpus.sample_split(split)) == 10


@pytest.mark.parametrize(
    ("limits", "validation_seconds", "text"),
    [
        ({"max_steps": 100}, 0, "about 6 min 40 s to max_steps=100"),  # two batches per step, two seconds per batch
        ({"max_steps": 100, "max_epochs": 3}, 0, "about 1 min 00 s to max_epochs=3"),  # ten batches per epoch
        ({"max_steps": 100, "max_minutes": 2.0}, 0, "about 2 min 00 s to max_minutes=2"),
        ({"max_steps": 100, "patience": 4}, 0, "patience=4 may end it earlier"),
        ({"patience": 4}, 7, "only patience=4 ends it"),
        # A validation after every 40 steps and one at the end; 400 s of training.
        ({"max_steps": 100}, 20, "about 7 min 40 s to max_steps=100, of which 1 min 00 s for 3 validations"),
        ({"max_steps": 40}, 20, "about 3 min 00 s to max_steps=40, of which 20 s for 1 validation"),
        # One more for the mean of the last checkpoints.
        (
            {"max_steps": 100, "average_checkpoints": 5},
            20,
            "about 8 min 00 s to max_steps=100, of which 1 min 20 s for 4 validations",
        ),
        ({"max_epochs": 4}, 20, "about 1 min 40 s to max_epochs=4, of which 20 s for 1 validation"),  # 20 steps
        # 40 steps and one validation take 160 s + 40 s, and 10 min have room for three of them.
        ({"max_minutes": 10.0}, 40, "about 10 min 00 s to max_minutes=10, of which 2 min 00 s for 3 validations"),
        # With validations, the limit in minutes comes first.
        ({"max_steps": 100, "max_minutes": 7.0}, 20, "about 7 min 00 s to max_minutes=7"),
    ],
)
def test_the_duration_of_a_run_is_that_of_its_first_limit(
    limits: dict[str, float], validation_seconds: float, text: str
) -> None:
    settings = {"max_steps": None, "max_epochs": None, "max_minutes": None, "patience": None, "accumulate": 2}
    settings |= {"validate_every": 40, "average_checkpoints": 1}
    trainer = namedtuple("trainer", settings)(**settings | limits)
    speed = TrainingSpeed(tokens_per_second=1.0, seconds_per_batch=2.0)
    expected = estimate_duration(
        trainer,  # type: ignore[arg-type]
        batches_per_epoch=10.0,
        speed=speed,
        validation_seconds=validation_seconds,
    )
    assert text in describe_duration(expected, trainer)  # type: ignore[arg-type]


def test_a_validation_is_measured_on_some_sentences(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four of the sixteen sentences take 15 seconds by this clock, so all of them take a minute."""
    monkeypatch.setattr(training, "MAX_MEASURED_LINES", 4)
    monkeypatch.setattr("nmt.cli.diagnosis.training.time", SimpleNamespace(monotonic=iter([0, 15]).__next__))
    report = examine("trainer.max_steps=1000", "trainer.validate_every=100", "trainer.average_checkpoints=1")
    assert "validation takes up to 1 min 00 s, by the translation of some sentences" in report.text
    assert "of which 10 min 00 s for 10 validations" in report.text
    assert "of the time: raise trainer.validate_every, or lower max_validation_pairs" in report.text


# Warnings


def test_many_unusable_pairs_are_a_warning(examine: Examine, own_corpus: Path) -> None:
    lines = (own_corpus / "train.en").read_text(encoding="utf-8").splitlines()
    lines[:5] = ["one " * 300, "", "two", " ", "one " * 200]
    (own_corpus / "train.en").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = examine(f"data.path={own_corpus}", "cleaning.drop_duplicates=false", "cleaning.max_ratio=null")
    assert result.code == 0
    for text in ("training pairs 120 100.00%", "kept 116 96.67%", "dropped: source empty 2"):
        assert text in result.text
    assert "warning of 120 pairs of train, 116 can be used; dropped: source empty 2, too long 2" in result.text


def test_sentences_shared_by_two_splits_are_a_warning(examine: Examine, own_corpus: Path) -> None:
    """All ten sources of val are also in train, five of them with the same target."""
    for side in ("en", "de"):
        lines = (own_corpus / f"train.{side}").read_text(encoding="utf-8").splitlines()
        shared = [f"{line} {line}" for line in lines[:10]] if side == "en" else lines[:10]
        val = shared if side == "en" else [*shared[:5], *(f"{line} eins" for line in shared[5:])]
        (own_corpus / f"train.{side}").write_text("\n".join(shared + lines) + "\n", encoding="utf-8")
        (own_corpus / f"val.{side}").write_text("\n".join(val) + "\n", encoding="utf-8")
    text = examine(f"data.path={own_corpus}").text
    assert "warning 10 of the 10 sources of val are also in the training split, 5 of them with the same target" in text


def test_unknown_pieces_are_a_warning(examine: Examine, own_corpus: Path) -> None:
    (own_corpus / "val.en").write_text("中 文 字\n" * 16, encoding="utf-8")
    text = examine(f"data.path={own_corpus}").text
    assert "of the pieces of val.en are unknown: set tokenizer.byte_fallback=true warning" in text
    assert "of the pieces of train.en are unknown" not in text
    words = ["tokenizer.character_coverage=0.99", "tokenizer.max_pairs=20"]
    assert (
        "of the pieces of val.en are unknown: set tokenizer.byte_fallback=true, or raise tokenizer.character_coverage, "
        "or raise tokenizer.max_pairs"
    ) in examine(f"data.path={own_corpus}", *words).text


def test_no_warning_advises_to_change_a_tokenizer_that_is_given(
    own_corpus: Path,
    trained_run: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (own_corpus / "train.en").write_text("中 文 字\n" * len((own_corpus / "train.de").read_text().splitlines()))
    words = ["data=files", f"data.path={own_corpus}", "run=unused", "tokenizer=run", f"tokenizer.run={trained_run}"]
    training = [word for word in tiny_training if not word.startswith("tokenizer.")]
    assert main(["doctor", *words, *tiny_models["lstm"], *training, "trainer.max_steps=1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "pieces of train.en are unknown" not in text
    assert "byte_fallback" not in text
    assert "of train are unknown to the tokenizer, so they cannot be learned: leave tokenizer=… out" in text


def test_text_that_the_tokenizer_changes_is_a_warning(examine: Examine, own_corpus: Path) -> None:
    """Four of the sixteen targets have a superscript, which one set of rules turns into a digit."""
    lines = (own_corpus / "val.de").read_text(encoding="utf-8").splitlines()
    lines = [f"eins² {line}" if number < 4 else line for number, line in enumerate(lines)]
    (own_corpus / "val.de").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    text = examine(f"data.path={own_corpus}", "tokenizer.normalization=nmt_nfkc").text
    assert "warning 25.0% of the lines of val.de change when the tokenizer encodes and decodes them" in text
    assert '"eins² ' in text
    assert "of the lines of val.en change" not in text


def test_references_that_do_not_match_themselves_are_a_warning(
    examine: Examine, own_corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Metrics, "bleu", lambda self, hypotheses, references: 61.5)
    text = examine("trainer.max_steps=1").text
    assert "warning the targets of val get 61.50 BLEU against themselves" in text


def test_a_tokenizer_for_bleu_that_does_not_suit_the_target_is_a_warning(examine: Examine, own_corpus: Path) -> None:
    """Chinese has no spaces between words, so 13a would take a sentence for a word; zh splits it."""
    for split in ("train", "val"):
        lines = (own_corpus / f"{split}.de").read_text(encoding="utf-8").splitlines()
        text = "".join("".join("一二三四五六七八九"[len(word) % 9] for word in line.split()) + "\n" for line in lines)
        (own_corpus / f"{split}.zh").write_text(text, encoding="utf-8")
    words = [f"data.path={own_corpus}", "data.target=zh", "cleaning=none"]
    assert "warning the target text has no spaces between words" in examine(*words, "bleu_tokenizer=13a").text
    assert "no spaces between words" not in examine(*words).text


def test_a_split_that_training_does_not_read_may_be_damaged(examine: Examine, own_corpus: Path) -> None:
    (own_corpus / "notes.json").write_text('{"author": "me"}', encoding="utf-8")
    result = examine(f"data.path={own_corpus}")
    assert result.code == 0
    assert "warning the split notes cannot be used: " in result.text


@pytest.mark.parametrize(("last", "warns"), [(1.19, False), (1.21, True)])
def test_a_loss_that_rises_again_is_a_warning(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, last: float, warns: bool
) -> None:
    """The loss fell from 3 to 1 by 2 nats, and a tenth of them is 0.2."""
    result = OverfitResult(first=3.0, lowest=1.0, last=last, steps=150)
    monkeypatch.setattr(DryRun, "overfit", lambda self, seconds: result)
    report = examine("schedule.learning_rate=0.25")
    assert report.code == 0
    warning = f"warning the loss on a few sentences fell to 1.00 and rose again to {last:.2f}"
    assert (warning in report.text) is warns
    assert ("schedule.learning_rate=0.25" in report.report) is warns


# What stops a run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.path=nowhere"], "nowhere is not a folder"),
        (["tokenizer.vocab_size=5"], "tokenizer.vocab_size=5 is too small"),
        (
            ["tokenizer.vocab_size=9000", "tokenizer.exact_size=true"],
            "tokenizer.vocab_size=9000 is more than this corpus allows",
        ),
        (["device=cuda"], "device=cuda is not available"),
        (["loader.max_length=0"], "max_length=0 must be at least 1"),
        (["train_split=trian"], "has no split trian"),
        (["resume=true"], "holds no run"),
        (["trainer.max_steps=0"], "max_steps=0"),
        (["model.hidden_size=15"], "hidden_size=15"),
    ],
)
def test_what_stops_training_stops_the_doctor_with_the_same_message(
    words: list[str], message: str, examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    doctor = examine(*words)
    assert doctor.code == 2
    assert doctor.error.startswith("nmt doctor: ") and doctor.error.count("\n") == 1
    assert message in doctor.error
    assert "will work" not in doctor.report
    train = examine(*words, command="train")
    assert train.code == 2
    assert train.error.replace("nmt train", "nmt doctor") == doctor.error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("text", ["", "\n" * 16], ids=["no lines", "empty lines"])
def test_an_empty_split_is_refused(examine: Examine, own_corpus: Path, text: str) -> None:
    for side in ("en", "de"):
        (own_corpus / f"val.{side}").write_text(text, encoding="utf-8")
    result = examine(f"data.path={own_corpus}")
    assert result.code == 2
    assert result.error.count("\n") == 1
    assert "will work" not in result.report


def test_a_folder_in_use_is_refused(examine: Examine, trained_run: Path) -> None:
    result = examine(f"run={trained_run}")
    assert (result.code, result.report) == (2, "")
    assert "is in use" in result.error


@pytest.mark.parametrize("rate", ["1.0e+4", "30.0"])
def test_a_learning_rate_that_makes_training_diverge_is_refused(examine: Examine, rate: str) -> None:
    """In training, a warm-up of a thousand steps would hide it for long."""
    result = examine(f"schedule.learning_rate={rate}", "schedule.warmup_steps=1000", model="transformer")
    assert result.code == 2
    assert "the loss on a few sentences" in result.error
    assert f"lower schedule.learning_rate={float(rate):g}" in result.error
    assert "will work" not in result.report


def test_a_batch_that_does_not_fit_is_refused_and_the_remedy_works(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "free_memory", lambda device: 300_000)
    refused = examine()
    assert refused.code == 2
    assert "0.3 MB are free: lower loader.batch_tokens to " in refused.error
    batch_tokens = refused.error.partition("lower loader.batch_tokens to ")[2].split()[0]
    lowered = examine(f"loader.batch_tokens={batch_tokens}")
    assert lowered.code == 0, lowered.error
    monkeypatch.setattr(dry_run, "free_memory", lambda device: 10_000)
    assert "use a smaller model" in examine().error


def test_a_disk_that_is_too_full_is_refused(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000))
    result = examine()
    assert result.code == 2
    assert "are free: name a folder on another disk" in result.error


def test_a_read_only_folder_is_refused(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    result = examine()
    assert result.code == 2
    assert "cannot be written" in result.error


@pytest.mark.parametrize("installed", ["1.0", None], ids=["too old", "missing"])
def test_a_package_that_is_too_old_or_missing_is_refused(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, installed: str | None
) -> None:
    real_version = metadata.version

    def version(name: str) -> str:
        if name != "sacrebleu":
            return real_version(name)
        if installed is None:
            raise metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(metadata, "version", version)
    result = examine()
    assert (result.code, result.report) == (2, "")
    assert 'pip install "sacrebleu>=' in result.error


# The same arguments as for training


def test_its_arguments_are_those_of_training() -> None:
    with hydra_initialized() as folder:
        for words in ([], ["experiment=demo_recurrent", "model=lstm_luong", "model/score=concat", "optimizer=adamw"]):
            train, doctor = (compose(command, folder, words) for command in ("train", "doctor"))
            assert train.config == doctor.config
            assert train.choices == doctor.choices
            assert set(train.names()) == set(doctor.names())


def test_its_help_shows_the_keys_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    pages = []
    for command in ("train", "doctor"):
        assert main([command, "--help"]) == 0
        pages.append(capsys.readouterr().out)
    keys = [page[page.index("Keys and their defaults") :] for page in pages]
    assert sorted(keys[0].split("\n\n")) == sorted(keys[1].split("\n\n"))
