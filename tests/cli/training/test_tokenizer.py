"""Training with a tokenizer that exists already. docs/more_data.md has commands that do; its test runs them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceTrainer

from nmt.cli import main
from nmt.cli.shell.configuration import complete_config, compose, hydra_initialized
from nmt.cli.shell.settings import to_settings
from nmt.cli.training.settings import TrainSettings
from nmt.cli.training.tokenizer import FileTokenizer, NewTokenizer, RunTokenizer
from nmt.run import RunFolder

Train = Callable[..., int]


@pytest.fixture
def train(corpus_folder: Path, tiny_models: dict[str, list[str]], tiny_training: list[str], tmp_path: Path) -> Train:
    """Calls `nmt train` with a tiny LSTM for one step, into the folder `run`, without settings of a new tokenizer."""
    training = [word for word in tiny_training if not word.startswith("tokenizer.")]
    common = ["data=files", f"data.path={corpus_folder}", f"run={tmp_path / 'run'}", *tiny_models["lstm"], *training]
    return lambda *words: main(["train", *common, *words])


def test_the_choice_decides_although_an_experiment_has_settings_of_a_new_tokenizer() -> None:
    choices: list[tuple[list[str], type]] = [
        (["tokenizer=run", "tokenizer.run=runs/a"], RunTokenizer),
        (["tokenizer=file", "tokenizer.path=a.model"], FileTokenizer),
        (["tokenizer=bpe"], NewTokenizer),
    ]
    for words, expected in choices:
        with hydra_initialized() as folder:
            composed = compose("train", folder, ["experiment=pretraining", *words])
        assert isinstance(to_settings(complete_config(composed), TrainSettings).tokenizer, expected)


def test_the_tags_of_a_tokenizer_are_used_again(train: Train, two_way_run: Path, tmp_path: Path) -> None:
    given = ["tokenizer=run", f"tokenizer.run={two_way_run}"]
    assert train("data=mix", "data.parts=[{source: de, target: en}]", "data.tags=true", *given) == 0
    old, new = RunFolder(two_way_run).tokenizer(), RunFolder(tmp_path / "run").tokenizer()
    assert new.source_tag == "2en"
    assert new.fingerprint == old.with_source_tag("2en").fingerprint


@pytest.mark.parametrize("pad", [{}, {"pad_id": 3}], ids=["without <pad>", "with <pad>"])
def test_two_models_of_another_program(
    train: Train, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], pad: dict[str, Any]
) -> None:
    """They have different sizes. Only one of them having <pad> is a mistake."""
    words = ["tokenizer=file"]
    for key, language, size, settings in (("path", "en", 20, {}), ("target_path", "de", 24, pad)):
        prefix = str(tmp_path / language)
        text = str(corpus_folder / f"train.{language}")
        SentencePieceTrainer.train(input=text, model_prefix=prefix, vocab_size=size, minloglevel=2, **settings)
        words.append(f"tokenizer.{key}={prefix}.model")
    capsys.readouterr()
    assert train(*words) == (2 if pad else 0)
    if pad:
        message = "source has (-1, 1, 2, 0), target (3, 1, 2, 0) (-1: none): train them with the same --pad_id, "
        assert message in capsys.readouterr().err
    else:
        tokenizer = RunFolder(tmp_path / "run").tokenizer()
        assert (tokenizer.source_size, tokenizer.target_size, tokenizer.pad_id) == (21, 25, 20)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tokenizer=run", "tokenizer.run=nowhere"], "tokenizer.run=nowhere is not a folder: name one that nmt train"),
        (
            ["tokenizer=run", "tokenizer.run=RUN", "data=mix", "data.parts=[{tag: bt}]"],
            "tokenizer.run=RUN has 2de, 2en, but not bt: give the part one that it has, or train a new tokenizer",
        ),
        (
            ["tokenizer=run", "tokenizer.run=RUN", "objective=masked", "data=text", "trainer.select=loss"],
            "tokenizer.run=RUN lacks the piece <mask>, which objective=… needs",
        ),
        (["tokenizer=file", "tokenizer.path=no.model"], "tokenizer.path=no.model is not a file: name a model of"),
        (["tokenizer=file", "tokenizer.path=RUN/model.json"], "tokenizer.path=RUN/model.json: not a SentencePiece"),
        (["tokenizer=file", "tokenizer.vocab_size=9"], "tokenizer.vocab_size: no such key with tokenizer=file"),
    ],
)
def test_mistakes_are_explained_in_one_line(
    train: Train, two_way_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    capsys.readouterr()
    assert train(*(word.replace("RUN", str(two_way_run)) for word in words)) == 2
    error = capsys.readouterr().err.replace(str(two_way_run), "RUN")
    assert error.startswith(f"nmt train: {message}") and error.count("\n") == 1
    assert not (tmp_path / "run").exists()
