"""Mistakes in settings and corpora: `nmt train` names each in one line, and writes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Train = Callable[..., int]

BARE_OPTIMIZER = ["~optimizer.betas", "~optimizer.eps", "~optimizer.fused"]
"""Leaves out the arguments that only Adam takes."""


class CountingAdam(torch.optim.Adam):
    """Has a state that it does not keep with the parameters."""

    def step(self, closure: Any = None) -> Any:
        self.param_groups[0]["num_steps"] = self.param_groups[0].get("num_steps", 0) + 1
        return super().step(closure)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.max_step=3"], "trainer.max_step: no such key; did you mean trainer.max_steps?"),
        (["model=lstmm"], "model=lstmm: no such choice; did you mean lstm"),
        (["model/score=dot"], "model/score: no such group with model=lstm; choose model=lstm_bahdanau or lstm_luong"),
        (["model/positions=alibi"], "choose model=picture_transformer or transformer or transformer_linear"),
        (["objective.share=0.3"], "no such key without a choice of objective; choose denoising or masked"),
        (["trainer.max_steps=null", "trainer.patience=null"], "trainer: max_steps, max_epochs, max_minutes and"),
        (["trainer.max_steps=many"], "trainer.max_steps: must be a whole number"),
        (["trainer.max_epochs=two"], "trainer.max_epochs: must be a whole number or null, not two"),
        (["trainer.max_minutes=ten"], "trainer.max_minutes: must be a number or null, not ten"),
        (["trainer.max_steps=0"], "trainer.max_steps=0 must be a whole number above 0, or null for none"),
        (["trainer.precision=fp8"], "trainer.precision=fp8 is unknown: use auto, fp32 or bf16"),
        (["loader.batch_tokens=0"], "loader.batch_tokens=0 must be a whole number of at least 1"),
        (["loader.max_length=0"], "loader.max_length=0 must be at least 1"),
        (["loader.num_workers=0"], "loader.num_workers=0 must be at least 1"),
        (["trainer.label_smoothing=1.5"], "trainer.label_smoothing=1.5 must be a probability"),
        (["loader.subword_alpha=-1.0"], "loader.subword_alpha=-1.0 must be"),
        (["schedule.learning_rate=0.0"], "schedule.learning_rate=0.0 must be above 0"),
        (["optimizer.betas=[2.0,0.9]"], "optimizer: Invalid beta parameter"),
        (
            [*BARE_OPTIMIZER, "optimizer._target_=torch.optim.LBFGS"],
            "optimizer: torch.optim.LBFGS cannot train these models (LBFGS.step() missing 1 required positional "
            "argument: 'closure'): use Adam, AdamW, Adafactor, ",
        ),
        (
            [*BARE_OPTIMIZER, "optimizer._target_=torch.optim.SparseAdam"],
            "optimizer: torch.optim.SparseAdam cannot train these models (SparseAdam does not support dense gradients",
        ),
        (
            [*BARE_OPTIMIZER, f"optimizer._target_={__name__}.CountingAdam"],
            "CountingAdam cannot train these models (a checkpoint cannot store its state)",
        ),
        (["model.hidden_size=15"], "model.hidden_size=15 must be even"),
        (["model.dropout=1.0"], "model.dropout=1.0 must be a probability"),
        (["search=beam", "search.beam_size=0"], "search.beam_size=0 must be"),
        (
            ["search._target_=builtins.dict"],
            "search: nmt.search has no class dict, so the run folder",
        ),
        (["cleaning.max_ratio=0.5"], "cleaning.max_ratio=0.5 must be a number of at least 1"),
        (["tokenizer.max_pairs=0"], "tokenizer.max_pairs=0 must be a whole number above 0"),
        (["tokenizer.vocab_size=null"], "tokenizer.vocab_size: must be a whole number, not null"),
        (["seed=-1"], "seed=-1 must be a whole number from 0 to"),
        (["seed=" + "9" * 20], "must be a whole number from 0 to 9223372036854775807"),
        (["trainer.accumulate=" + "9" * 20], "trainer.accumulate=99999999999999999999 is too large"),
        (["schedule.learning_rate=inf"], "schedule.learning_rate=inf must be above 0"),
        (["optimizer.betas=[0.9]"], "optimizer: list index out of range"),
        (["+model.x=3"], "model.x: no such key"),
        (["+trainer.x=3"], "trainer.x: no such key"),
        (["~trainer.patience"], "trainer.patience=… is required"),
        (["schedule._target_=builtins.dict"], "schedule: builtins.dict is no Schedule"),
        (["model.hidden_size=2000000000"], "model: this size needs more memory than there is"),
        (["loader.num_workers=two"], "loader.num_workers: must be a whole number or null, not two"),
        (["data.path=null"], "null is not a folder: data.path=DIR names"),
        (["data.path=[a,b]"], "[a,b] is not a folder: data.path=DIR names"),
        (["run="], "run: must be a path, such as runs/a"),
        (["device=gpu"], "device=gpu is unknown: use auto, cpu or cuda"),
        (["device=cuda:99"], "device=cuda:99 is not available"),
        (["train_split=trian"], "has no split trian; the splits there are train, val, test"),
        (["validation_split=dev"], "has no split dev; the splits there are train, val, test"),
        (["data.path=nowhere"], "nowhere is not a folder"),
        (["data.source=fr"], "fr"),
        (["data.target=en"], "both en"),
        (
            ["tokenizer.vocab_size=100000", "tokenizer.exact_size=true"],
            "tokenizer.vocab_size=100000 is more than this corpus allows: at most",
        ),
        (["tokenizer.vocab_size=5"], "tokenizer.vocab_size=5 is too small"),
        (["tokenizer.model_type=words"], "tokenizer.model_type=words is unknown"),
    ],
)
def test_a_wrong_setting_is_named(error_line: Callable[..., str], words: list[str], message: str) -> None:
    assert message in error_line(*words)


def test_a_long_list_of_choices_is_left_out_beside_a_suggestion(error_line: Callable[..., str]) -> None:
    assert error_line("experiment=zoo_rotry").endswith("did you mean zoo_rotary?")


def test_a_missing_file_is_named(error_line: Callable[..., str], own_corpus: Path) -> None:
    (own_corpus / "val.de").unlink()
    assert "contains val.en but not val.de" in error_line(f"data.path={own_corpus}")


def test_sides_of_different_length_are_refused(error_line: Callable[..., str], own_corpus: Path) -> None:
    with (own_corpus / "train.de").open("a") as file:
        file.write("zehn\nelf\n")
    message = error_line(f"data.path={own_corpus}")
    assert "train.de has 122 lines but train.en has 120: from line 121 on" in message


@pytest.mark.parametrize("name", ["train.en", "val.de"])
def test_bytes_that_are_not_utf8_are_located(error_line: Callable[..., str], own_corpus: Path, name: str) -> None:
    lines = (own_corpus / name).read_bytes().split(b"\n")
    lines[6] = b"f\xfcnf"
    (own_corpus / name).write_bytes(b"\n".join(lines))
    assert f"{name} line 7 is not UTF-8: byte 0xfc" in error_line(f"data.path={own_corpus}")


@pytest.mark.parametrize("text", ["", "\n\n\n"])
def test_an_empty_corpus_is_refused(error_line: Callable[..., str], own_corpus: Path, text: str) -> None:
    for language in ("en", "de"):
        (own_corpus / f"train.{language}").write_text(text)
    message = error_line(f"data.path={own_corpus}")
    assert "empty" in message


def test_a_folder_without_text_is_refused(error_line: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    assert "void is empty" in error_line(f"data.path={tmp_path / 'void'}")


def test_a_missing_device_is_named(error_line: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert error_line("device=cuda") == "device=cuda is not available: CUDA devices on this machine: 0; use cpu"


def test_a_run_folder_that_is_a_file_is_refused(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").write_text("notes")
    assert train() == 2
    assert capsys.readouterr().err == f"nmt train: run={tmp_path / 'run'} is a file: name a folder\n"
    assert (tmp_path / "run").read_text() == "notes"


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_whose_pairs_are_all_too_long_is_named_with_the_remedy(
    error_line: Callable[..., str], own_corpus: Path, split: str
) -> None:
    for language, word in (("en", "one"), ("de", "eins")):
        (own_corpus / f"{split}.{language}").write_text(f"{word} " * 300 + "\n")
    message = error_line(f"data.path={own_corpus}", "loader.max_length=9", "cleaning.drop_duplicates=false")
    assert f"split {split}: no pair of " in message
    assert (
        "raise loader.max_length (and the model's max_length, if it has one), since the shortest pair has " in message
    )


@pytest.mark.parametrize(
    ("model", "key"), [("transformer", "model.positions.max_length"), ("prefix_lm", "model.max_length")]
)
def test_a_model_too_short_for_one_piece_is_refused(error_line: Callable[..., str], model: str, key: str) -> None:
    message = error_line(f"{key}=1", model=model)
    assert message == "the model's max_length=1 must be at least 2: one piece and the end"
