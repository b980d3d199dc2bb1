"""How a run is validated, through the real entry point: metrics by language, held-out pairs, a limit, or not at all."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nmt.cli import main
from nmt.run import RunFolder

Train = Callable[..., int]
ENGLISH = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
CHINESE = "一二三四五六七八九"


@pytest.fixture(scope="module")
def chinese_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """English number words, and Chinese ones without spaces."""
    folder = tmp_path_factory.mktemp("chinese")
    for seed, (split, num_lines) in enumerate({"train": 120, "val": 16}.items()):
        generator = random.Random(seed)
        rows = [generator.choices(range(9), k=generator.randint(4, 7)) for _ in range(num_lines)]
        english = [" ".join(ENGLISH[number] for number in row) for row in rows]
        chinese = ["".join(CHINESE[number] for number in row) for row in rows]
        for language, lines in (("en", english), ("zh", chinese), ("tgt", chinese)):
            (folder / f"{split}.{language}").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return folder


def validations(run: Path) -> list[dict[str, Any]]:
    records = map(json.loads, (run / "history.jsonl").read_text().splitlines())
    return [record for record in records if record["kind"] == "validation"]


def evaluate(run: Path, *words: str, split: str = "val") -> dict[str, Any]:
    assert main(["evaluate", f"run={run}", f"split={split}", "device=cpu", *words]) == 0
    evaluation: dict[str, Any] = json.loads((run / "evaluation" / f"{split}.json").read_text(encoding="utf-8"))
    return evaluation


def test_validation_evaluation_and_comparison_use_the_tokenizer_of_the_run(
    train: Train, chinese_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, report = tmp_path / "run", tmp_path / "report"
    data = [f"data.path={chinese_folder}", "data.target=zh"]
    assert train(*data, "trainer.max_steps=30", "schedule.warmup_steps=5", "schedule.learning_rate=0.03") == 0
    assert json.loads((run / "metrics.json").read_text())["arguments"] == {"language": "zh", "bleu_tokenizer": "zh"}

    # The same figure in validation and evaluation; above 0, which it would be if a line counted as one word.
    best = [record for record in validations(run) if record["best"]][-1]
    evaluation = evaluate(run)
    assert evaluation["metrics"]["bleu"]["score"] == best["bleu"] > 1
    assert evaluation["metrics"]["chrf"]["score"] == best["chrf"]
    assert all("|tok:zh|" in evaluation["metrics"][key]["signature"] for key in ("bleu", "bleu_lowercase_tokenized"))

    # Another tokenizer on request; a comparison evaluates again with the one of the run, or with that on request.
    assert "|tok:char|" in evaluate(run, "bleu_tokenizer=char")["metrics"]["bleu"]["signature"]
    for words, tokenizer in (([], "zh"), (["bleu_tokenizer=char"], "char")):
        capsys.readouterr()
        assert main(["compare", f"runs=[{run}]", "split=val", f"out={report}", "device=cpu", *words]) == 0
        assert capsys.readouterr().err.count("evaluating") == 1
        assert f"|tok:{tokenizer}|" in (report / "report.md").read_text(encoding="utf-8")

    # A resumed run keeps its own.
    assert train(*data, "resume=true", "bleu_tokenizer=13a") == 2
    assert "bleu_tokenizer=auto, not 13a" in capsys.readouterr().err


def test_a_target_without_spaces_under_another_name_is_remarked(
    train: Train, chinese_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(f"data.path={chinese_folder}", "data.target=tgt") == 0
    remark = "the target text has no spaces between words, so bleu_tokenizer=13a takes whole sentences for words"
    assert remark in capsys.readouterr().err


def test_pairs_are_held_out_of_training(train: Train, own_corpus: Path, tmp_path: Path) -> None:
    for language in ("en", "de"):
        (own_corpus / f"val.{language}").unlink()
    assert train(f"data.path={own_corpus}", "hold_out=12") == 0
    run = tmp_path / "run"
    corpus = RunFolder(run).corpus()
    held_out, kept = corpus.split("val"), corpus.split("train")
    assert len(held_out) == 12
    assert not set(held_out["source"]) & set(kept["source"])
    assert json.loads((run / "cleaning.json").read_text())["pairs"] == len(kept)
    assert validations(run)[-1]["pairs"] == 12
    # The same pairs are evaluated later, also if the corpus has moved.
    moved = own_corpus.rename(own_corpus.with_name("moved"))
    assert evaluate(run, f"data.path={moved}")["metrics"]["bleu"]["score"] == validations(run)[-1]["bleu"]
    references = (run / "evaluation" / "val.ref.txt").read_text(encoding="utf-8").splitlines()
    assert references == list(held_out["target"])


def test_a_run_without_validation_can_be_used(train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    words = ["validation_split=null", "trainer.validate_every=2"]
    assert train(*words, "trainer.max_steps=3") == 0
    error = capsys.readouterr().err
    assert "no validation: the last weights are kept" in error and "best validation" not in error
    assert validations(run) == []
    assert RunFolder(run).best_step() == 3
    assert train(*words, "trainer.max_steps=5", "resume=true") == 0
    assert RunFolder(run).best_step() == 5
    assert evaluate(run, split="test")["step"] == 5
    assert main(["compare", f"runs=[{run}]", "split=test", f"out={tmp_path / 'report'}"]) == 0


def test_validation_can_be_limited_to_some_pairs(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("max_validation_pairs=4") == 0
    assert "val: 4 of its 16 pairs are used, spread evenly over it" in capsys.readouterr().err
    assert [record["pairs"] for record in validations(tmp_path / "run")] == [4]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bleu_tokenizer=13b"], "bleu_tokenizer=13b is unknown: it can be none, zh, 13a"),
        (["trainer.select=ter"], "trainer.select=ter is unknown: use loss, bleu, chrf"),
        (["max_validation_pairs=0"], "max_validation_pairs=0 must be a whole number of at least 1"),
        (["hold_out=-1"], "hold_out=-1 must be a whole number of at least 1"),
        (["hold_out=5"], "has a split val already"),
        (["hold_out=5", "validation_split=null"], "needs a name, such as validation_split=val"),
        (["hold_out=5000", "validation_split=held"], "hold_out=5,000 leaves nothing to train on"),
        (["validation_split=dev"], "hold_out=500 takes pairs out of train, and validation_split=null trains without"),
        (["validation_split=null", "schedule=plateau"], "choose another one, such as schedule=cosine"),
        (["validation_split=null", "trainer.max_steps=null"], "trainer.max_steps, max_epochs or max_minutes"),
    ],
)
def test_mistakes_end_in_one_line(error_line: Callable[..., str], words: list[str], expected: str) -> None:
    assert expected in error_line(*words)
