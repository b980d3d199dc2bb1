"""`nmt train` with every kind of regularisation, and what cannot be combined."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nmt.run import RunFolder
from nmt.run.weights import read_weights
from nmt.training.checkpoint import read_progress
from nmt.translator import Translator

OPTIONS = {
    "lstm_luong": ["model.encoder_dropout=0.3", "model.variational_dropout=true", "model.recurrent_dropout=0.3"],
    "transformer": ["model.attention_dropout=0.1", "model.activation_dropout=0", "model.layer_dropout=0.2"],
}
OPTIONS_OF_ALL = ["model.word_dropout=0.1", "model.embedding_dropout=0.2", "trainer.simcut=3", "trainer.ema_decay=0.9"]


@pytest.mark.parametrize("model", OPTIONS)
def test_a_regularised_run_trains_resumes_and_translates(train: Callable[..., int], tmp_path: Path, model: str) -> None:
    words = [*OPTIONS[model], *OPTIONS_OF_ALL, "trainer.validate_every=1"]
    folders = [RunFolder(tmp_path / name) for name in ("uninterrupted", "resumed")]
    assert train(*words, "trainer.max_steps=3", f"run={folders[0].path}", model=model) == 0
    assert train(*words, "trainer.max_steps=2", f"run={folders[1].path}", model=model) == 0
    assert train(*words, "trainer.max_steps=3", f"run={folders[1].path}", "resume=true", model=model) == 0
    assert read_progress(folders[0].last).step == 3
    saved, resumed = (read_weights(folder.last) for folder in folders)
    assert saved.keys() == resumed.keys()
    assert all(torch.equal(saved[name], resumed[name]) for name in saved)
    first, second = (Translator.load(folder.path).translate(["one two", "three"]) for folder in folders)
    assert [translation.text for translation in first] == [translation.text for translation in second]


def test_only_one_option_with_two_passes_can_be_on(error_line: Callable[..., str]) -> None:
    assert "consistency=5 (R-Drop) and simcut=3 " in error_line("trainer.simcut=3", "trainer.consistency=5")
