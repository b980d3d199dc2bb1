"""Resuming a run, and folders that are in use."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
import yaml

from nmt.cli.training.resume import write_config
from nmt.run import RunFolder
from nmt.run.environment import read_environments
from nmt.run.history import read_history
from nmt.training.checkpoint import read_progress
from nmt.training.trainer import Trainer

Train = Callable[..., int]
Files = Callable[[Path], dict[str, bytes]]


def test_a_folder_in_use_is_refused_and_unchanged(
    train: Train, read_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    before = read_files(tmp_path / "run")
    capsys.readouterr()
    assert train("trainer.max_steps=2") == 2
    remedy = "name another folder, or continue its run with resume=true"
    assert capsys.readouterr().err == f"nmt train: run={tmp_path / 'run'} is in use: {remedy}\n"
    assert read_files(tmp_path / "run") == before


def test_a_folder_in_which_another_process_trains_is_refused(
    train: Train, read_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    holder = RunFolder.create(tmp_path / "run", resume=True)
    before = read_files(tmp_path / "run")
    capsys.readouterr()
    assert train("resume=true", "trainer.max_steps=2") == 2
    assert capsys.readouterr().err == (f"nmt train: run={holder.path} is in use: another process is training in it\n")
    assert read_files(tmp_path / "run") == before


def test_a_resumed_run_has_the_losses_of_an_uninterrupted_one(train: Train, read_files: Files, tmp_path: Path) -> None:
    words = ["trainer.log_every=1", "trainer.validate_every=2"]
    assert train(*words, "trainer.max_steps=4", f"run={tmp_path / 'uninterrupted'}") == 0
    assert train(*words, "trainer.max_steps=2") == 0
    first = read_files(tmp_path / "run")
    assert train(*words, "trainer.max_steps=4", "resume=true") == 0
    losses = [
        [record.loss for record in read_history(tmp_path / name / "history.jsonl").train]
        for name in ("run", "uninterrupted")
    ]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 4
    last = read_files(tmp_path / "run")
    for name in ("tokenizer.json", "tokenizer.model", "model.json"):
        assert last[name] == first[name]
    assert last["log.txt"].startswith(first["log.txt"])


def test_changed_settings_are_printed_and_recorded(
    train: Train, read_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    run = tmp_path / "run"
    first = yaml.safe_load((run / "config.yaml").read_text())
    assert not (run / "changes.jsonl").exists()
    capsys.readouterr()
    before = datetime.now(UTC).replace(microsecond=0)
    assert train("resume=true", "trainer.max_steps=3", "schedule.learning_rate=0.001") == 0
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("until now the run was trained with ")]
    assert lines == [
        "until now the run was trained with schedule.learning_rate=0.002, not 0.001",
        "until now the run was trained with trainer.max_steps=1, not 3",
    ]
    # config.yaml has the present settings, changes.jsonl those that changed, with step and time.
    second = yaml.safe_load((run / "config.yaml").read_text())
    assert (second["trainer"]["max_steps"], second["schedule"]["learning_rate"]) == (3, 0.001)
    expected = {**first, "resume": "true", "trainer": second["trainer"], "schedule": second["schedule"]}
    assert second == expected
    records = [json.loads(line) for line in (run / "changes.jsonl").read_text().splitlines()]
    times = [datetime.fromisoformat(record.pop("time")) for record in records]
    assert all(before <= time <= datetime.now(UTC) for time in times)
    assert records == [
        {"step": 1, "key": "schedule.learning_rate", "old": 0.002, "new": 0.001},
        {"step": 1, "key": "trainer.max_steps", "old": 1, "new": 3},
    ]
    # Without a change nothing is recorded, and a refused one leaves the folder as it is.
    files = read_files(run)
    capsys.readouterr()
    assert train("resume=true", "trainer.max_steps=3", "schedule.learning_rate=0.001") == 0
    assert "until now" not in capsys.readouterr().err
    assert train("resume=true", "trainer.max_steps=4", "model.dropout=0.5") == 2
    names = ("config.yaml", "changes.jsonl")
    assert [read_files(run)[name] for name in names] == [files[name] for name in names]
    # A further change has the step of the checkpoint from which it holds.
    assert train("resume=true", "trainer.max_steps=5", "schedule.learning_rate=0.001") == 0
    last = json.loads((run / "changes.jsonl").read_text().splitlines()[-1])
    assert (last["step"], last["key"], last["old"], last["new"]) == (3, "trainer.max_steps", 3, 5)


def test_if_the_order_of_the_pairs_changes_the_epoch_starts_again(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["loader.batch_tokens=128", "trainer.log_every=1"]
    assert train(*words, "trainer.max_steps=2") == 0
    capsys.readouterr()
    assert train(*words, "resume=true", "trainer.max_steps=3") == 0
    assert "starts again" not in capsys.readouterr().err
    assert train(*words, "resume=true", "trainer.max_steps=4", "loader.batch_tokens=64") == 0
    assert "loader.batch_tokens has changed: epoch 1 starts again" in capsys.readouterr().err
    assert read_progress(RunFolder(tmp_path / "run").last).position == 1


@pytest.mark.parametrize("text", ["a: [1", "\x00", "{" * 5000])
def test_a_damaged_config_yaml_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    assert train() == 0
    (tmp_path / "run" / "config.yaml").write_text(text)
    capsys.readouterr()
    assert train("resume=true", "trainer.max_steps=3") == 2
    assert (
        capsys.readouterr().err == f"nmt train: {tmp_path / 'run' / 'config.yaml'} is damaged: it is not plain YAML\n"
    )


def test_config_yaml_has_one_setting_per_line(tmp_path: Path) -> None:
    config = {"run": "a folder with spaces/" * 10, "seed": 1}
    write_config(RunFolder(tmp_path), config)
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == f"run: {config['run']}\nseed: 1\n"


def test_nothing_in_config_yaml_is_instantiated(train: Train, tmp_path: Path) -> None:
    assert train() == 0
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text() + f"_target_: os.system\n_args_: [touch {tmp_path / 'made'}]\n")
    assert train("resume=true", "trainer.max_steps=3") == 2  # it differs from the settings
    assert not (tmp_path / "made").exists()


def test_a_finished_run_stays_finished(train: Train, tmp_path: Path) -> None:
    assert train() == 0
    before = (tmp_path / "run" / "checkpoints" / "best.safetensors").read_bytes()
    assert train("resume=true") == 0
    assert (tmp_path / "run" / "checkpoints" / "best.safetensors").read_bytes() == before
    assert [record.step for record in read_history(tmp_path / "run" / "history.jsonl").validation] == [1]


SMALLER_FOLDERS = {
    "a finished run": ["checkpoints/last.safetensors"],
    "without its history": ["checkpoints/last.safetensors", "history.jsonl"],
    "without any weights": ["checkpoints/last.safetensors", "checkpoints/best.safetensors"],
}


@pytest.mark.parametrize("resume", ["true", "auto"])
@pytest.mark.parametrize("removed", SMALLER_FOLDERS.values(), ids=list(SMALLER_FOLDERS))
def test_a_run_whose_checkpoint_was_removed_does_not_start_again(
    train: Train, read_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str], removed: list[str], resume: str
) -> None:
    run = tmp_path / "run"
    assert train() == 0
    for name in removed:
        (run / name).unlink()
    before = read_files(run)
    capsys.readouterr()
    assert train(f"resume={resume}", "trainer.max_steps=3") == 2
    has_best = "checkpoints/best.safetensors" not in removed
    remedy = f", and start with its weights by init={run}" if has_best else ""
    assert capsys.readouterr().err == (
        f"nmt train: {run}/checkpoints/last.safetensors is missing, so the run would start again and replace its "
        f"weights and history: put the file back, or name another folder with run=…{remedy}\n"
    )
    assert read_files(run) == before


def interrupt(train: Train, monkeypatch: pytest.MonkeyPatch, *words: str, method: str, calls: int) -> None:
    """Trains, and ends at once when the trainer calls `method` for the first time after `calls` calls."""
    original = getattr(Trainer, method)
    num_calls = 0

    def counted(trainer: Trainer) -> None:
        nonlocal num_calls
        num_calls += 1
        if num_calls > calls:
            raise KeyboardInterrupt
        original(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, method, counted)
        assert train(*words) == 130


@pytest.mark.parametrize("words", [[], ["validation_split=null"]], ids=["validation", "no validation"])
def test_a_run_that_ended_before_its_first_checkpoint_starts_again_but_not_if_a_checkpoint_was_removed(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    words = [*words, "trainer.max_steps=5", "trainer.validate_every=2", "trainer.log_every=1"]
    run = RunFolder(tmp_path / "run")
    interrupt(train, monkeypatch, *words, method="save", calls=0)
    assert run.best.is_file()
    assert not run.last.is_file()
    interrupt(train, monkeypatch, *words, "resume=true", method="log", calls=3)
    run.last.unlink()
    assert train(*words, "resume=true") == 2


SETTINGS = [
    ("lstm", ["model.hidden_size=18"], "model.hidden_size=16, not 18"),
    ("lstm", ["model.dropout=0.5"], "model.dropout=0.3, not 0.5"),
    ("lstm_luong", [], "model=PlainRNN, not LuongRNN; "),
    ("lstm", ["schedule=plateau"], "schedule=InverseSquareRoot, not Plateau; "),
    ("lstm", ["optimizer=adamw"], "optimizer=Adam, not AdamW; "),
    ("lstm", ["tokenizer.vocab_size=39"], "tokenizer.vocab_size=40, not 39"),
    ("lstm", ["tokenizer=bpe"], "tokenizer.model_type=unigram, not bpe"),
    ("lstm", ["cleaning=none"], "cleaning.drop_duplicates=True, not False; "),
    ("lstm", ["seed=2"], "seed=1, not 2"),
    ("lstm", ["search=beam"], "search=GreedySearch, not BeamSearch; "),
    ("lstm", ["loader.max_length=50"], "loader.max_length=128, not 50"),
    ("lstm", ["trainer.label_smoothing=0.2"], "trainer.label_smoothing=0.1, not 0.2"),
    ("lstm", ["data.source=de", "data.target=en"], "data.source=en, not de; data.target=de, not en"),
]


def test_a_resumed_run_keeps_its_settings(
    train: Train, read_files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    before = read_files(tmp_path / "run")
    for mode in ("true", "auto"):
        for model, words, difference in SETTINGS if mode == "true" else SETTINGS[:1]:
            capsys.readouterr()
            assert train(f"resume={mode}", "trainer.max_steps=2", *words, model=model) == 2
            error = capsys.readouterr().err
            assert error.startswith(f"nmt train: run={tmp_path / 'run'} was started with {difference}"), error
            remedy = "use these, or name another folder with run=… to train a new one"
            assert error.endswith(f"{remedy}\n") and error.count("\n") == 1
    assert read_files(tmp_path / "run") == before


def test_another_corpus_is_refused_and_the_same_text_elsewhere_is_not(
    train: Train, read_files: Files, own_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(f"data.path={own_corpus}") == 0
    moved = own_corpus.rename(tmp_path / "moved")
    assert train("resume=true", "trainer.max_steps=2", f"data.path={moved}") == 0
    assert RunFolder(tmp_path / "run").corpus().splits() == ["train", "val", "test"]  # found where it is now
    assert RunFolder(tmp_path / "run").description("corpus")["arguments"]["path"] == str(moved)
    before = read_files(tmp_path / "run")
    for split, use in (("train", "training"), ("val", "validation")):
        path = moved / f"{split}.de"
        old_text = path.read_text()
        path.write_text(old_text.replace("drei", "DREI", 1))  # of the same length: no number of any pair changes
        capsys.readouterr()
        assert train("resume=true", "trainer.max_steps=3", f"data.path={moved}") == 2
        error = capsys.readouterr().err
        difference = f"the text for {use} is not the same"  # config.yaml already has the path to which it has moved
        assert f"was started with another corpus ({difference}): " in error and error.count("\n") == 1
        path.write_text(old_text)
    assert read_files(tmp_path / "run") == before


def test_resume_without_a_run_is_refused(error_line: Callable[..., str]) -> None:
    assert "holds no run to continue: leave resume=true out" in error_line("resume=true")


@pytest.mark.parametrize(("started_with_bf16", "number_format"), [(True, "bf16"), (False, "fp32")])
def test_a_run_that_resumes_on_another_machine_keeps_its_number_format(
    started_with_bf16: bool,
    number_format: str,
    train: Train,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With precision=auto a CPU with bf16 instructions uses them. What Linux says about the CPU is simulated."""
    monkeypatch.setattr("nmt.device.CPUINFO", tmp_path / "cpuinfo")
    cores = {
        True: "model name\t: AMD EPYC\nflags\t\t: fpu avx512f avx512_bf16\n",
        False: "model name\t: Intel Xeon\nflags\t\t: fpu avx512f\n",
    }
    (tmp_path / "cpuinfo").write_text(cores[started_with_bf16])
    assert train("trainer.max_steps=1", "trainer.precision=auto") == 0
    assert f" on cpu in {number_format} (" in capsys.readouterr().err

    (tmp_path / "cpuinfo").write_text(cores[not started_with_bf16])
    assert train("trainer.max_steps=2", "resume=true", "trainer.precision=auto") == 0
    error = capsys.readouterr().err
    assert f"training continues in {number_format}, as it was started" in error
    assert f" on cpu in {number_format} (" in error
    # The user may change it.
    chosen = "fp32" if started_with_bf16 else "bf16"
    assert train("trainer.max_steps=3", "resume=true", f"trainer.precision={chosen}") == 0
    error = capsys.readouterr().err
    assert f" on cpu in {chosen} (" in error
    assert f"trainer.precision=auto, not {chosen}" in error

    # environment.json says which machine made which steps, and in what format.
    names = ["AMD EPYC", "Intel Xeon"] if started_with_bf16 else ["Intel Xeon", "AMD EPYC"]
    environments = read_environments(tmp_path / "run")
    assert [(each.step, each.device, each.number_format) for each in environments] == [
        (0, names[0], number_format),
        (1, names[1], number_format),
        (2, names[1], chosen),
    ]
    assert {(each.torch, each.threads, each.processes) for each in environments} == {(torch.__version__, 1, 1)}


def test_the_history_says_why_training_ended(train: Train, tmp_path: Path) -> None:
    assert train("trainer.max_steps=2") == 0
    end = read_history(tmp_path / "run" / "history.jsonl").end
    assert end is not None
    assert (end.step, end.reason) == (2, "max_steps=2")
    assert train("trainer.max_steps=null", "trainer.max_minutes=1e-9", "resume=true") == 0  # nothing left to do
    assert train("trainer.max_steps=3", "resume=true") == 0
    history = read_history(tmp_path / "run" / "history.jsonl")
    assert history.end is not None
    assert (history.end.step, history.end.reason, history.has_ended) == (3, "max_steps=3", True)


@pytest.mark.parametrize(("method", "code"), [("sync_clock", 130), ("average_checkpoints", 0)])
def test_a_signal_after_the_last_update_does_not_interrupt_the_run(
    train: Train, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], method: str, code: int
) -> None:
    """Before the first update it interrupts the run; while the checkpoints are averaged, it does not."""
    original = getattr(Trainer, method)

    def signal_and_continue(trainer: Trainer) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        monkeypatch.setattr(Trainer, method, original)
        original(trainer)

    monkeypatch.setattr(Trainer, method, signal_and_continue)
    assert train("trainer.max_steps=2", "trainer.validate_every=1") == code
    error = capsys.readouterr().err
    assert ("ended after step 2" in error) == (code == 0)
    assert ("nmt train: interrupted" in error) == (code == 130)


def test_the_number_of_threads_is_a_setting(
    train: Train, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    assert train("trainer.max_steps=1", "threads=3") == 0
    assert "(3 threads)" in capsys.readouterr().err
    assert torch.get_num_threads() == before  # as it was, for the next command of this process
    assert train("threads=0") == 2
    assert capsys.readouterr().err == "nmt train: threads=0 must be a whole number of at least 1, or auto\n"
