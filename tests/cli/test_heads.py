"""`nmt heads`, and `heads_off` in the other commands, through the real entry point."""

import json
import shutil
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.evaluation import heads
from nmt.evaluation.head_report import HeadReport
from nmt.run.format import read_versioned

SIZES = ["data.train_size=60", "data.val_size=60", "data.test_size=60", "data.test_long_size=2", "data.pronouns_size=8"]
SHORT = ["search=greedy", "search.max_length_factor=0", "search.max_length_margin=4"]


@pytest.fixture(scope="module")
def transformer_run(
    tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, list[str]], tiny_training: list[str]
) -> Path:
    """A Transformer with two heads in its encoder that has hardly been trained on the grammar."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    vocabulary = ["tokenizer.vocab_size=300"]
    words = [*tiny_models["transformer"], *tiny_training, *vocabulary, *SIZES, *SHORT]
    assert main(["train", "data=grammar", *words, f"run={folder}"]) == 0
    return folder


@pytest.fixture
def own_run(transformer_run: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(transformer_run, tmp_path / "small"))


def test_heads_writes_tables_data_and_a_figure(
    transformer_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heads, "NUM_FURTHER_PRONOUNS", 8)
    out = tmp_path / "heads"
    assert main(["heads", f"run={transformer_run}", f"out={out}", "device=cpu"]) == 0
    report = read_versioned(out / "heads.json", HeadReport)
    assert (report.run, report.source, report.target) == ("small", "en", "de")
    assert [relation.name for relation in report.relations] == list(heads.RELATIONS)
    assert list(report.without) == list(report.pronouns) == ["encoder.0.0", "encoder.0.1"]
    assert report.with_all_heads.pronouns.all.total == 8
    for relation in report.relations:
        assert relation.split == ("pronouns" if relation.name == "antecedent" else "test")
        assert all(0 <= figure <= 100 for figure in [*relation.accuracy.values(), *relation.weight.values()])
        assert 5 < relation.chance < 25
    by_name = {relation.name: relation for relation in report.relations}
    assert (by_name["previous"].distance, by_name["previous"].distance_accuracy) == (-1, 100.0)
    assert by_name["antecedent"].words == 8

    assert (out / "coreference.png").read_bytes().startswith(b"\x89PNG")
    text = (out / "heads.md").read_text(encoding="utf-8")
    assert "| head | previous | next | subject | adjective | article | particle | antecedent |" in text
    output, messages = capsys.readouterr()
    [line] = [line.split() for line in output.splitlines() if "pronoun → noun" in line]
    assert line[3] == by_name["antecedent"].best
    assert messages.splitlines() == [
        "nmt heads: translating without encoder.0.0, 1 of 2",
        "nmt heads: translating without encoder.0.1, 2 of 2",
        f"nmt heads: wrote {out}/heads.json, heads.md and coreference.png",
    ]


def test_sentences_that_the_model_cuts_off_are_refused(own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = json.loads((own_run / "model.json").read_text(encoding="utf-8"))
    model["arguments"]["positions"]["arguments"]["max_length"] = 8
    (own_run / "model.json").write_text(json.dumps(model), encoding="utf-8")
    capsys.readouterr()
    assert main(["heads", f"run={own_run}", f"out={own_run / 'heads'}", "device=cpu"]) == 2
    assert "the model takes 7 pieces of a line, which cuts sentences" in capsys.readouterr().err


def test_a_recurrent_model_has_no_heads(trained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["heads", f"run={trained_run}", f"out={tmp_path / 'heads'}", "device=cpu"]) == 2
    expected = f"nmt heads: run={trained_run}: its encoder has no attention heads: name a run of a Transformer\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "heads").exists()


def test_relations_need_the_built_in_corpus(
    transformer_run: Path, corpus_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data=files", f"data.path={corpus_folder}", f"out={tmp_path / 'heads'}", "device=cpu"]
    assert main(["heads", f"run={transformer_run}", *words]) == 2
    error = capsys.readouterr().err
    assert "its corpus does not tell how words are related" in error
    assert error.count("\n") == 1


def test_an_evaluation_without_heads_is_kept_apart(own_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["evaluate", f"run={own_run}", "split=val", "device=cpu"]
    assert main([*command, "heads_off=[encoder.0.0]"]) == 0
    assert not (own_run / "evaluation" / "val.json").exists()
    assert not (own_run / "alignment.json").exists()  # how links are read is chosen with all heads
    assert main(command) == 0
    assert (own_run / "alignment.json").exists()
    stored = (own_run / "evaluation" / "val.json").read_bytes()
    capsys.readouterr()

    assert main([*command, "heads_off=[encoder.0.1,cross.0.0]"]) == 0
    folder = own_run / "evaluation" / "heads_off" / "cross.0.0+encoder.0.1"
    result = json.loads((folder / "val.json").read_text(encoding="utf-8"))
    assert result["heads_off"] == ["cross.0.0", "encoder.0.1"]
    assert result["samples"] != json.loads(stored)["samples"]  # other scores
    assert (own_run / "evaluation" / "val.json").read_bytes() == stored

    assert main([*command, "heads_off=[cross.0.0,encoder.0.1]"]) == 0
    assert f"nothing has changed since {folder / 'val.json'} was written" in capsys.readouterr().err
    shutil.copy(folder / "val.json", own_run / "evaluation" / "val.json")
    assert main(command) == 0
    assert "evaluation without other heads" in capsys.readouterr().err
    assert (own_run / "evaluation" / "val.json").read_bytes() != stored  # only its time differs
    assert json.loads((own_run / "evaluation" / "val.json").read_text())["heads_off"] == []


def test_translate_can_do_without_heads(
    transformer_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_text("The dog sleeps.\n", encoding="utf-8")
    command = ["translate", f"run={transformer_run}", f"input={tmp_path / 'lines.txt'}", "format=jsonl", "device=cpu"]
    scores = []
    for heads_off in ("[]", "[encoder.0.0]", "[encoder.0.0]", "[encoder.0.1]"):
        assert main([*command, f"heads_off={heads_off}"]) == 0
        scores.append(json.loads(capsys.readouterr().out)["score"])
    assert scores[1] == scores[2]
    assert len(set(scores)) == 3


@pytest.mark.parametrize("command", ["evaluate", "translate"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "encoder.1.0",
            "heads_off=encoder.1.0: the model has no such head, only cross.0.0 to cross.0.1, encoder.0.0 to "
            "encoder.0.1, decoder.0.0 to decoder.0.1",
        ),
        (
            "encoder.0",
            "heads_off=encoder.0 is no name of a head: write KIND.LAYER.HEAD, such as encoder.0.3, where KIND is "
            "encoder, decoder or cross",
        ),
    ],
)
def test_a_wrong_head_is_named_in_one_line(
    command: str, name: str, message: str, transformer_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_text("A dog.\n", encoding="utf-8")
    words = ["split=val"] if command == "evaluate" else [f"input={tmp_path / 'lines.txt'}"]
    assert main([command, f"run={transformer_run}", *words, f"heads_off=[{name}]", "device=cpu"]) == 2
    assert capsys.readouterr().err == f"nmt {command}: {message}\n"
