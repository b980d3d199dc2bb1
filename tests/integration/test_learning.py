"""Each architecture learns the grammar's small split; a broken one does not get there."""

from pathlib import Path

import pytest

from nmt.cli import main
from nmt.run import RunFolder
from nmt.run.history import read_history

GRAMMAR = ["data=grammar", "data.test_size=10", "data.test_long_size=10"]
TRAINING = [
    "loader.batch_tokens=512",
    "trainer.validate_every=1000",
    "trainer.average_checkpoints=1",
    "tensorboard=false",
    "device=cpu",
    "search=greedy",
]
RECURRENT = [
    "model.embedding_size=96",
    "model.hidden_size=96",
    "model.dropout=0.1",
    "schedule=plateau",
    "schedule.learning_rate=0.006",
    "schedule.warmup_steps=30",
]
TRANSFORMER = [
    "model=transformer",
    "model.model_size=96",
    "model.feedforward_size=192",
    "model.num_encoder_layers=2",
    "model.num_decoder_layers=2",
    "model.dropout=0.1",
    "schedule.learning_rate=0.004",
    "schedule.warmup_steps=200",
]


def bleu_after(steps: int, run: Path, *overrides: str) -> float:
    """The validation BLEU of a system after so many steps."""
    words = [*GRAMMAR, *TRAINING, *overrides, f"trainer.max_steps={steps}", f"run={run}"]
    assert main(["train", *words]) == 0
    (validation,) = read_history(RunFolder(run).history).validation
    score = validation.bleu
    assert score is not None
    return score


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "system"),
    [
        (600, ["model=lstm_bahdanau", "model.attention_size=96", *RECURRENT]),
        (600, ["model=lstm_luong", *RECURRENT]),
        (450, ["model=lstm_luong", "model.input_feeding=false", "model/score=dot", *RECURRENT]),
        (600, TRANSFORMER),
    ],
    ids=["bahdanau", "luong-fed", "luong-dot", "transformer"],
)
def test_attention_translates_new_sentences(steps: int, system: list[str], tmp_path: Path) -> None:
    """These reach 40 to 45; a system that cannot look at the source stays below 5."""
    corpus = ["data.train_size=4000", "data.val_size=100", "tokenizer.vocab_size=1000"]
    assert bleu_after(steps, tmp_path / "run", *corpus, *system) > 20


@pytest.mark.slow
def test_a_fixed_vector_remembers_its_sentences(tmp_path: Path) -> None:
    """Without attention so short a training brings no new sentence right, but the learned ones come back: BLEU 70. If
    the vector did not reach the decoder, they would all be translated alike: below 2."""
    corpus = ["data.train_size=200", "data.val_size=10", "tokenizer.vocab_size=300", "validation_split=train"]
    system = ["model=lstm", *RECURRENT, "model.hidden_size=128", "model.dropout=0.0"]
    assert bleu_after(800, tmp_path / "run", *corpus, *system) > 40
