"""Pre-training on text alone, and translation systems that start from it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from nmt.cli import main
from nmt.files import read_text
from nmt.models import Seq2Seq
from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.run.weights import read_weights
from nmt.translator import Translator

TINY_RATE = "schedule.learning_rate=1e-12"
"""With this rate, an update leaves the weights as they are, up to rounding."""


@pytest.fixture(scope="module")
def text_folder(corpus_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text of the tiny corpus, with fewer English lines than German ones."""
    folder = tmp_path_factory.mktemp("text")
    for path in corpus_folder.iterdir():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / path.name).write_text("".join(lines[: -5 if path.suffix == ".en" else None]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def pretrain(
    text_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
) -> Callable[..., Path]:
    """Pre-trains a tiny Transformer for two steps, validated after each, and returns its folder."""

    def run(objective: str, *words: str) -> Path:
        folder = tmp_path_factory.mktemp("runs") / objective
        common = [f"objective={objective}", "data=text", f"data.path={text_folder}", f"run={folder}"]
        training = [*tiny_training, "tokenizer.vocab_size=60", "trainer.max_steps=2", "trainer.validate_every=1"]
        assert main(["train", *common, *tiny_models["transformer"], *training, *words]) == 0
        return folder

    return run


@pytest.fixture(scope="module")
def masked_run(pretrain: Callable[..., Path]) -> Path:
    """A run that was pre-trained with masked pieces; tests must not change it."""
    return pretrain("masked")


@pytest.fixture(scope="module")
def denoising_run(pretrain: Callable[..., Path]) -> Path:
    """A run that was pre-trained with text infilling; tests must not change it."""
    return pretrain("denoising")


@pytest.fixture
def start(tmp_path: Path, corpus_folder: Path, tiny_training: list[str]) -> Callable[..., Path]:
    """Trains a translation system for a step, which starts from another run, and returns its folder."""
    training = [word for word in tiny_training if not word.startswith("tokenizer.")]

    def run(init: Path, *words: str) -> Path:
        common = ["data=files", f"data.path={corpus_folder}", f"init={init}", f"run={tmp_path / 'run'}"]
        assert main(["train", *common, *training, *words]) == 0
        return tmp_path / "run"

    return run


def changed_parts(before: Path, after: Path) -> set[str]:
    """The parts of the model whose weights differ between two runs, or exist in one of them only."""
    old, new = read_weights(RunFolder(before).best), read_weights(RunFolder(after).best)
    same = {name for name in old.keys() & new.keys() if torch.allclose(old[name], new[name], rtol=0, atol=1e-9)}
    return {name.split(".")[0] for name in (old.keys() | new.keys()) - same}


def test_an_encoder_is_pretrained_and_translates_after_further_training(
    masked_run: Path, start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    # 1. Pre-training is validated by its loss alone, and says what it is.
    validations = read_history(RunFolder(masked_run).history).validation
    assert [each.step for each in validations] == [1, 2]
    assert all(each.bleu is None and each.loss is not None and each.selected_by == "loss" for each in validations)
    assert validations[1].best
    model = json.loads(read_text(masked_run / "model.json"))
    arguments = {"share": 0.15, "mask_share": 0.8, "random_share": 0.1}
    assert model["objective"] == {"class": "MaskedPieces", "arguments": arguments}
    names = read_weights(RunFolder(masked_run).best)
    assert model["parameters"] == sum(each.numel() for name, each in names.items() if not name.startswith("decoder."))

    # 2. A translation system takes its encoder, embeddings, tokenizer and the tag of its target language.
    run = start(masked_run, TINY_RATE, "seed=2")
    assert f"the encoder's weights are those of step 2 of {masked_run}\n" in capsys.readouterr().err
    assert changed_parts(masked_run, run) == {"decoder", "masked_head"}
    assert RunFolder(run).tokenizer().source_tag == "2de"
    assert json.loads(read_text(run / "model.json"))["init"]["parts"] == "encoder"

    # 3. It is a translation system like any other.
    assert main(["evaluate", f"run={run}", "split=val"]) == 0
    assert "BLEU" in capsys.readouterr().out


def test_a_whole_model_is_pretrained_and_translates_after_further_training(
    denoising_run: Path, start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(each.bleu is None for each in read_history(RunFolder(denoising_run).history).validation)
    run = start(denoising_run, TINY_RATE, "data.source=de", "data.target=en")
    assert f"the weights are those of step 2 of {denoising_run}\n" in capsys.readouterr().err
    assert changed_parts(denoising_run, run) == set()
    assert RunFolder(run).tokenizer().source_tag == "2en"
    assert main(["evaluate", f"run={run}", "split=val"]) == 0
    # No translation contains the mask, whatever the model thinks of it.
    translator = Translator.load(run)
    assert isinstance(translator.model, Seq2Seq)
    translator.model.vocabulary.output.bias[translator.tokenizer.mask_id] = 1e4
    assert "<mask>" not in translator.translate(["eins zwei"])[0].target_tokens


def test_the_encoder_of_any_run_can_be_taken_with_another_decoder(
    denoising_run: Path, start: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(denoising_run, TINY_RATE, "init_parts=encoder", "model.num_decoder_layers=2", "seed=2")
    assert changed_parts(denoising_run, run) == {"decoder"}
    # A resumed run needs neither key.
    words = ["data=files", f"data.path={RunFolder(run).description('corpus')['arguments']['path']}"]
    config = yaml.safe_load(read_text(run / "config.yaml"))
    same = [
        f"{group}.{key}={config[group][key]}" for group, key in (("loader", "batch_tokens"), ("loader", "num_workers"))
    ]
    same += [TINY_RATE, "trainer.precision=fp32", "trainer.validate_every=100", "tracker=null", "search=greedy"]
    assert (
        main(["train", *words, *same, f"run={run}", "resume=true", "trainer.max_steps=2", "seed=2", "device=cpu"]) == 0
    )
    assert yaml.safe_load(read_text(run / "config.yaml"))["init_parts"] == "encoder"
    assert RunFolder(run).best_step() in (1, 2)


def test_a_translation_starts_from_text_in_one_language(
    pretrain: Callable[..., Path], start: Callable[..., Path]
) -> None:
    masked = pretrain("masked", "data.languages=[en]")
    run = start(masked, TINY_RATE, "seed=2")
    assert changed_parts(masked, run) == {"decoder", "masked_head"}


def test_pretraining_resumes_exactly(pretrain: Callable[..., Path]) -> None:
    words = ("model.dropout=0.3", "loader.subword_alpha=0.5", "trainer.average_checkpoints=1")
    whole, part = pretrain("masked", *words, "trainer.max_steps=4"), pretrain("masked", *words)
    pretrain("masked", *words, "trainer.max_steps=4", f"run={part}", "resume=true")
    assert read_weights(RunFolder(whole).last).keys() == read_weights(RunFolder(part).last).keys()
    for name, tensor in read_weights(RunFolder(whole).last).items():
        assert torch.equal(tensor, read_weights(RunFolder(part).last)[name]), name
    losses = [[each.loss for each in read_history(RunFolder(run).history).validation] for run in (whole, part)]
    assert losses[0] == losses[1] and len(losses[0]) == 4


@pytest.mark.parametrize("objective", [None, "masked", "denoising"])
def test_a_run_without_a_checkpoint_starts_again_from_pretraining(
    objective: str | None,
    masked_run: Path,
    text_folder: Path,
    start: Callable[..., Path],
    remove_progress: Callable[[Path], None],
) -> None:
    words = [] if objective is None else [f"objective={objective}", "data=text", f"data.path={text_folder}"]
    run = RunFolder(start(masked_run, TINY_RATE, "seed=2", *words))
    first = read_weights(run.best)
    remove_progress(run.path)
    start(masked_run, TINY_RATE, "seed=2", *words, "resume=true")
    again = read_weights(run.best)
    assert first.keys() == again.keys() and all(torch.equal(again[name], tensor) for name, tensor in first.items())


@pytest.mark.parametrize(("objective", "model"), [("masked", "lstm"), ("denoising", "transformer")])
def test_the_doctor_examines_pretraining(
    objective: str,
    model: str,
    text_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("nmt.cli.doctor.MAX_OVERFIT_SECONDS", 0.2)
    monkeypatch.setattr("nmt.cli.doctor.MAX_SPEED_SECONDS", 0.1)
    words = [f"objective={objective}", "data=text", f"data.path={text_folder}", *tiny_models[model], *tiny_training]
    assert main(["doctor", *words, "schedule.learning_rate=0.01", "tokenizer.vocab_size=60"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert "This run will work" in output and "every parameter gets a gradient" in output
    assert "decoding" not in output and "BLEU" not in output
    [(total, parts)] = re.findall(r"([\d,]+) parameters: (.*?) memory ", output)
    counts = [int(count.replace(",", "")) for count in re.findall(r" ([\d,]+\d)", parts)]
    assert sum(counts) == int(total.replace(",", ""))
    assert ("decoder" in parts) == (objective == "denoising")


def test_a_pretrained_run_does_not_translate(
    masked_run: Path, denoising_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = [f"source={tmp_path / 'en'}", f"target={tmp_path / 'de'}"]
    for path in ("en", "de"):
        (tmp_path / path).write_text("one\n")
    capsys.readouterr()
    for run, objective in ((masked_run, "MaskedPieces"), (denoising_run, "TextInfilling")):
        for words in (
            ["translate", f"run={run}"],
            ["evaluate", f"run={run}", "split=val"],
            ["plot", f"run={run}", "source=one", f"out={tmp_path / 'plot.svg'}"],
            ["align", f"run={run}", *pair],
            ["heads", f"run={run}"],
            ["compare", f"runs=[{run}]", "split=val", f"out={tmp_path / 'report'}"],
            ["translate", f"run=[{run},{run}]"],
        ):
            assert main(words) == 2
            error = capsys.readouterr().err
            assert error.count("\n") == 1
            assert f"{run} was pre-trained to restore text ({objective}) and cannot translate: train a" in error, words


def test_settings_that_do_not_fit_are_refused(
    error_line: Callable[..., str],
    text_folder: Path,
    trained_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = ("data=text", f"data.path={text_folder}")
    for words, message in [
        (text, "data=text has no translations, so add objective=masked or objective=denoising to pre-train"),
        (("objective=masked",), "objective=… is learned from text alone: add data=text data.path=DIR"),
        (
            (*text, "objective=masked", "trainer.select=bleu"),
            "trainer.select does not go together with objective=…: set it to loss, since nothing is translated",
        ),
        ((*text, "objective=denoising", "trainer.consistency=5"), "trainer.consistency does not go together with"),
        ((*text, "objective=denoising", "tokenizer.shared=false"), "tokenizer.shared does not go together with"),
        ((*text, "objective=denoising", "objective.share=2"), "objective.share=2 must be a number from 0 to 1"),
        ((*text, "objective=mask"), "objective=mask: no such choice; did you mean masked?"),
        (("init_parts=decoder",), "init_parts=decoder must be all or encoder"),
        (("init_parts=encoder",), "init_parts=encoder needs a run of which it takes a part: add init=RUN"),
        ((*text, "objective=masked", "data.languages=[en,fr]"), f"{text_folder} has no split train, which takes"),
    ]:
        assert error_line(*words).startswith(message)
    capsys.readouterr()
    assert main(["train", *text, f"init={trained_run}", "objective=masked", f"run={tmp_path / 'run'}"]) == 2
    assert "was not pre-trained, so its tokenizer lacks the piece <mask>" in capsys.readouterr().err


def test_a_damaged_objective_is_reported(masked_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Path(shutil.copytree(masked_run, tmp_path / "copy"))
    model = json.loads(read_text(run / "model.json"))
    (run / "model.json").write_text(json.dumps({**model, "objective": "masked"}))
    assert main(["translate", f"run={run}"]) == 2
    assert "model.json is damaged" in capsys.readouterr().err
