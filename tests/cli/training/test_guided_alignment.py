"""Guided alignment by `nmt train`: word links from a file beside the text, and what is refused."""

import math
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.data.words import spaced_words
from nmt.run import RunFolder
from nmt.run.history import read_history
from nmt.translator import Translator

Train = Callable[..., int]

GUIDED = ["trainer.alignment_weight=0.5", "trainer.alignment_head=1"]


def write_links(corpus: Path) -> Path:
    """Links every number to its translation, which has the same index; every third line has no links."""
    lines = (corpus / "train.en").read_text(encoding="utf-8").splitlines()
    links = [" ".join(f"{i}-{i}" for i in range(len(line.split()))) if n % 3 else "" for n, line in enumerate(lines)]
    path = corpus / "train.en-de.align"
    path.write_text("".join(f"{line}\n" for line in links), encoding="utf-8")
    return path


def test_links_beside_the_text_guide_a_run_which_is_only_resumed_with_the_same_links(
    train: Train, own_corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    links = write_links(own_corpus)
    words = [f"data.path={own_corpus}", "loader.subword_alpha=0.1", "hold_out=9", "validation_split=held", *GUIDED]
    assert train(*words, model="transformer") == 0
    check_recorded_attention(tmp_path / "run")
    assert train(*words, "trainer.max_steps=2", "resume=true", model="transformer") == 0
    links.write_text(links.read_text(encoding="utf-8").replace("0-0", ""), encoding="utf-8")
    capsys.readouterr()
    assert train(*words, "trainer.max_steps=3", "resume=true", model="transformer") == 2
    assert "was started with another corpus (the text for alignment is not the same)" in capsys.readouterr().err


def check_recorded_attention(path: Path) -> None:
    """The figures of the validation equal those of the guided head of the saved weights, forced to the references."""
    run = RunFolder(path)
    record = read_history(run.history).validation[-1]
    translator, counts, entropies, eos_weights = Translator.load(run.path), [0, 0, 0], [], []
    pairs = run.corpus().split("held")
    for source, target, alignment in zip(pairs["source"], pairs["target"], pairs["alignment"], strict=True):
        attention = translator.force_decode(source, target, attention="cross").attention
        assert attention is not None
        words = attention["cross"].head(0, 1).words(spaced_words).matrix[:-1]  # (target words, source words + eos)
        entropies += [-sum(weight * math.log(weight) for weight in row) for row in words.tolist()]
        eos_weights += words[:, -1].tolist()
        found = {(int(row[:-1].argmax()), target) for target, row in enumerate(words)}
        gold = {tuple(map(int, link.split("-"))) for link in alignment.split()}
        counts = [counts[0] + len(found), counts[1] + len(gold), counts[2] + len(found & gold)]
    assert record.alignment_error == pytest.approx(1 - 2 * counts[2] / (counts[0] + counts[1]))
    assert record.attention_entropy == pytest.approx(statistics.mean(entropies), rel=1e-4)
    assert record.attention_eos_weight == pytest.approx(statistics.mean(eos_weights), rel=1e-4)


def test_a_model_without_attention_records_none(train: Train, tmp_path: Path) -> None:
    assert train("trainer.max_steps=1") == 0
    assert "attention" not in (tmp_path / "run" / "history.jsonl").read_text()


def test_the_grammar_has_links_of_its_own(
    tiny_models: dict[str, list[str]], tiny_training: list[str], tmp_path: Path
) -> None:
    sizes = ["data.train_size=40", "data.val_size=4", "data.test_size=1", "data.test_long_size=1"]
    words = ["data=grammar", f"run={tmp_path / 'run'}", *tiny_models["transformer"], *tiny_training, *sizes, *GUIDED]
    assert main(["train", *words, "tokenizer.vocab_size=90"]) == 0


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("transformer", [], "train has no word links, which guided alignment needs: put them beside its text"),
        ("lstm", [], "trainer.alignment_weight: PlainRNN has no attention to guide; set it to 0"),
        ("transformer", ["trainer.alignment_layer=1"], "trainer.alignment_layer=1 does not exist: the decoder has 1"),
        ("lstm_luong", ["trainer.alignment_head=1"], "trainer.alignment_head=1 does not exist: the decoder has 1"),
    ],
)
def test_what_cannot_be_guided_is_refused(
    error_line: Callable[..., str], model: str, words: list[str], message: str
) -> None:
    assert error_line("trainer.alignment_weight=0.5", *words, model=model).startswith(message)
