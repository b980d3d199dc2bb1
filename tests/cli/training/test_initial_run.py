"""Training that starts with the weights, the tokenizer and the model settings of another run."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import yaml

from nmt.cli import main
from nmt.errors import Failure
from nmt.files import read_text
from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.run.model_hash import hash_model
from nmt.run.weights import read_weights, save_weights
from nmt.training.checkpoint import read_progress
from nmt.training.trainer import Trainer

Start = Callable[..., int]

TINY_RATE = "schedule.learning_rate=1e-12"
"""With this rate, an update leaves the weights as they are, up to rounding."""


@pytest.fixture
def start(tmp_path: Path, corpus_folder: Path, tiny_training: list[str]) -> Start:
    """Calls `nmt train init=RUN` for one step on the tiny corpus, into the folder `run`; later words override."""
    training = [word for word in tiny_training if not word.startswith("tokenizer.")]

    def run(init: Path, *words: str, command: str = "train") -> int:
        common = ["data=files", f"data.path={corpus_folder}", f"run={tmp_path / 'run'}", f"init={init}"]
        return main([command, *common, *training, *words])

    return run


@pytest.fixture
def error_line(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Starts from a run with a mistake, checks exit code 2, one line and no folder, and returns the line."""

    def run(init: Path, *words: str) -> str:
        capsys.readouterr()
        assert start(init, *words) == 2
        error = capsys.readouterr().err
        assert error.startswith("nmt train: ") and error.count("\n") == 1, error
        assert not (tmp_path / "run").exists()
        return error.removeprefix("nmt train: ").rstrip("\n")

    return run


def test_a_run_in_both_directions_is_fine_tuned_in_one(
    start: Start, two_way_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(two_way_run, TINY_RATE) == 0
    error = capsys.readouterr().err
    assert f"the weights are those of step 1 of {two_way_run}\n" in error
    assert "0.00% of the source pieces and 0.00% of the target pieces of train are unknown to the tokenizer" in error
    old, new = RunFolder(two_way_run), RunFolder(tmp_path / "run")
    # Weights, model and tokenizer are those of the other run, and so is the tag of this direction.
    before, after = read_weights(old.best), read_weights(new.best)
    assert before.keys() == after.keys()
    for name, weight in before.items():
        torch.testing.assert_close(after[name], weight, rtol=0, atol=1e-9)
    assert new.description("model") == old.description("model")
    assert read_text(new.path / "tokenizer.json") == read_text(old.path / "tokenizer.json")
    assert new.tokenizer().source_tag == "2de"
    # The optimizer and the history are new.
    progress = read_progress(new.last)
    assert (progress.step, progress.epoch) == (1, 0)
    assert [record.step for record in read_history(new.history).validation] == [1]
    # Both files say where the run came from.
    assert yaml.safe_load(read_text(new.path / "config.yaml"))["init"] == str(two_way_run)
    origin = json.loads(read_text(new.path / "model.json"))["init"]
    assert origin == {"run": str(two_way_run), "model_hash": hash_model(old), "step": 1, "parts": "all"}


def test_the_tag_is_that_of_the_direction(
    start: Start, error_line: Callable[..., str], two_way_run: Path, own_corpus: Path, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        (own_corpus / f"{split}.de").rename(own_corpus / f"{split}.fr")
    french = [f"data.path={own_corpus}", "data.target=fr"]
    assert error_line(two_way_run, *french) == (
        f"{two_way_run} was not trained to translate into fr: choose one of its tags 2de, 2en, as in data=mix "
        "'data.parts=[{path: my-text, tag: 2de}]'"
    )
    message = error_line(two_way_run, *french, "data=mix", "data.parts=[{tag: 2fr}]")
    assert message == f"tag=2fr: the tokenizer of init={two_way_run} has no such tag; it has 2de, 2en"
    assert start(two_way_run, *french, "data=mix", "data.parts=[{tag: 2de}]", f"run={tmp_path / 'french'}") == 0
    assert RunFolder(tmp_path / "french").tokenizer().source_tag == "2de"
    assert start(two_way_run, "data.source=de", "data.target=en") == 0
    assert RunFolder(tmp_path / "run").tokenizer().source_tag == "2en"
    # The next run starts from a run without parts, and in the other direction.
    assert start(tmp_path / "run", f"run={tmp_path / 'next'}") == 0
    assert RunFolder(tmp_path / "next").tokenizer().source_tag == "2de"


def test_the_direction_turns_round_if_both_languages_share_the_vocabulary(
    start: Start,
    error_line: Callable[..., str],
    lstm_run: Path,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
) -> None:
    turned = ["data.source=de", "data.target=en"]
    assert start(lstm_run, TINY_RATE, *turned) == 0
    assert RunFolder(tmp_path / "run").tokenizer().fingerprint == RunFolder(lstm_run).tokenizer().fingerprint
    shutil.rmtree(tmp_path / "run")
    separate = tmp_path / "separate"
    words = [*tiny_models["lstm"], *tiny_training, "tokenizer.shared=false", f"run={separate}"]
    assert main(["train", "data=files", f"data.path={corpus_folder}", *words]) == 0
    assert error_line(separate, *turned) == (
        f"init={separate} has one vocabulary for en and another for de, so it cannot start a system from de to en: "
        "start from a run with tokenizer.shared=true, or leave init out"
    )


def test_dropout_may_change_and_what_the_weights_fix_may_not(
    start: Start, error_line: Callable[..., str], lstm_run: Path, tmp_path: Path
) -> None:
    for words, message in [
        ("model.hidden_size=8", "model.hidden_size=8: the weights of init=RUN do not fit; leave it out to keep 16"),
        (
            "model=lstm",
            "model: init=RUN brings its own model, so leave this out; single settings such as model.dropout",
        ),
        ("model.num_heads=2", "model.num_heads: no such key"),
        ("model.droput=0.1", "model.droput: no such key; did you mean model.dropout?"),
        ("tokenizer=bpe", "tokenizer: init=RUN brings its own tokenizer, so leave this out; its pieces are fixed"),
        ("tokenizer.vocab_size=50", "tokenizer.vocab_size: init=RUN brings its own tokenizer"),
    ]:
        assert error_line(lstm_run, words).replace(str(lstm_run), "RUN").startswith(message)
    assert (
        error_line(tmp_path / "nothing")
        == f"init={tmp_path / 'nothing'} is not a folder: name one that nmt train wrote"
    )
    assert start(lstm_run, "model.dropout=0.05") == 0
    arguments = RunFolder(tmp_path / "run").description("model")["arguments"]
    assert arguments == {**RunFolder(lstm_run).description("model")["arguments"], "dropout": 0.05}


def test_a_resumed_run_needs_the_other_one_no_longer(
    start: Start, lstm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(lstm_run, origin)
    assert start(origin, "model.dropout=0.05") == 0
    config = read_text(tmp_path / "run" / "config.yaml")
    origin.rename(tmp_path / "elsewhere")
    assert start(origin, "model.dropout=0.05", "trainer.max_steps=2", "resume=true") == 0
    assert start(origin, "init=null", "trainer.max_steps=3", "resume=auto") == 0
    assert read_progress(RunFolder(tmp_path / "run").last).step == 3
    assert yaml.safe_load(config)["model"] == yaml.safe_load(read_text(tmp_path / "run" / "config.yaml"))["model"]
    capsys.readouterr()
    assert start(lstm_run, "trainer.max_steps=4", "resume=true") == 2
    assert f"run={tmp_path / 'run'} was started with init={origin}, not {lstm_run}" in capsys.readouterr().err
    assert start(origin, "model.dropout=0.1", "trainer.max_steps=4", "resume=true") == 2
    assert "was started with model.dropout=0.05, not 0.1" in capsys.readouterr().err
    assert start(origin, f"run={tmp_path / 'new'}", "resume=auto") == 2  # this one would be new
    assert "is not a folder: name one that nmt train wrote" in capsys.readouterr().err


@contextmanager
def failing_updates() -> Iterator[None]:
    """Inside, training ends before its first update, and so before its first checkpoint."""

    def fail(trainer: Trainer, batches: object) -> None:
        raise Failure("the machine failed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "train_step", fail)
        yield


@pytest.mark.parametrize("words", [[], ["init_parts=encoder", "seed=2"]])
def test_a_run_without_a_checkpoint_starts_again_with_the_same_weights(
    start: Start, lstm_run: Path, tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with failing_updates():
        assert start(lstm_run, *words) == 1
    assert "there is no checkpoint yet: start again with the same command and resume=true" in capsys.readouterr().err
    description = read_text(tmp_path / "run" / "model.json")
    assert start(lstm_run, *words, "resume=true") == 0
    assert f"weights are those of step 1 of {lstm_run}\n" in capsys.readouterr().err
    assert read_text(tmp_path / "run" / "model.json") == description
    assert start(lstm_run, *words, f"run={tmp_path / 'whole'}") == 0
    resumed, whole = (read_weights(RunFolder(tmp_path / name).last) for name in ("run", "whole"))
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], tensor) for name, tensor in whole.items())


def test_without_a_checkpoint_the_other_run_must_be_the_same(
    start: Start, lstm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(lstm_run, origin)
    with failing_updates():
        assert start(origin) == 1
    best = RunFolder(origin).best
    weights = read_weights(best)
    for problem in ("have changed", f"cannot be read (init={origin} has no checkpoint yet"):
        if problem == "have changed":
            save_weights({name: tensor + 1 for name, tensor in weights.items()}, best, step=1)
        else:
            best.unlink()
        capsys.readouterr()
        assert start(origin, "resume=auto") == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"starts again with the weights of init={origin}, which {problem}" in error
        assert not RunFolder(tmp_path / "run").last.exists()


def test_text_with_unknown_pieces_is_a_warning(
    start: Start, lstm_run: Path, own_corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_corpus / "train.de").write_text("я\n" * 60 + "eins\n" * 60, encoding="utf-8")
    assert start(lstm_run, f"data.path={own_corpus}") == 0
    error = capsys.readouterr().err
    tokenizer = RunFolder(lstm_run).tokenizer()
    known, unknown = tokenizer.encode_target(["eins", "я"])
    share = unknown.count(tokenizer.unk_id) / (len(known) + len(unknown))
    assert f"warning: 0.00% of the source pieces and {share:.2%} of the target pieces of train are unknown" in error
    assert "leave init out to train a run with a tokenizer of its own\n" in error


def test_the_configuration_shows_the_settings_of_the_other_run(
    trained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--cfg", "job", f"init={trained_run}", "model.dropout=0.3", "seed=2", "--resolve"]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    recorded = yaml.safe_load(read_text(trained_run / "config.yaml"))
    assert shown["model"]["_target_"] == "nmt.models.LuongRNN"
    assert shown["model"] == {**recorded["model"], "dropout": 0.3}
    assert shown["tokenizer"] == recorded["tokenizer"]
    assert shown["run"] == "runs/multi30k/init-luong-seed2"


def test_the_doctor_tries_out_such_a_run(
    start: Start, lstm_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nmt.cli.doctor.MAX_OVERFIT_SECONDS", 0.5)
    monkeypatch.setattr("nmt.cli.doctor.MAX_SPEED_SECONDS", 0.1)
    assert start(lstm_run, command="doctor") == 0
    output = " ".join(capsys.readouterr().out.split())
    assert f"the weights are those of step 1 of {lstm_run}" in output.replace("- ", "-")
    assert "This run will work" in output
    assert not (tmp_path / "run").exists()


def test_a_folder_from_a_stranger_names_no_code(error_line: Callable[..., str], lstm_run: Path, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    shutil.copytree(lstm_run, origin)
    model = json.loads(read_text(origin / "model.json"))
    for name, message in [
        ("torch.os.system", "model.json of init names a class 'torch.os.system', which is not a plain name"),
        ("torch", "model: nmt.models has no class torch, so the run folder could not be read again; it has "),
    ]:
        (origin / "model.json").write_text(json.dumps({**model, "class": name}))
        assert error_line(origin).startswith(message)
    for argument, message in [
        ({"_target_": "os.system", "command": "true"}, "model.json of init names a class 'None'"),
        ([{"class": "DotScore", "arguments": {"_target_": "os.system"}}], "model.json of init is damaged: it has an"),
    ]:
        arguments = {**model["arguments"], "score": argument}
        (origin / "model.json").write_text(json.dumps({**model, "arguments": arguments}))
        assert error_line(origin).startswith(message)
    (origin / "model.json").write_text(json.dumps(model))
    (origin / "config.yaml").write_text("tokenizer: '{_target_: os.system}'\n")
    assert error_line(origin) == f"{origin / 'config.yaml'} is damaged: it has no settings of the tokenizer"
