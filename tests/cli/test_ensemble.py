"""Several runs in `run=`: `nmt translate`, `nmt evaluate` and `nmt compare` with an ensemble."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from nmt.cli import main
from nmt.translator import Translator

LINES = ["one two three", "", "seven nine nine one"]


@pytest.fixture
def runs(trained_run: Path, transformer_run: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of an LSTM with attention and a Transformer, `luong` and `transformer`."""
    luong = shutil.copytree(trained_run, tmp_path / "luong")
    return Path(luong), Path(shutil.copytree(transformer_run, tmp_path / "transformer"))


@pytest.fixture
def input_file(tmp_path: Path) -> Path:
    path = tmp_path / "input.txt"
    path.write_text("".join(line + "\n" for line in LINES), encoding="utf-8")
    return path


def translate(run: str, input_file: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["translate", f"run={run}", f"input={input_file}", "device=cpu", *words]) == 0
    return capsys.readouterr().out.splitlines()


def test_an_lstm_and_a_transformer_translate_together(
    runs: tuple[Path, Path], input_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = Translator.load(list(runs), device="cpu").translate(LINES)
    printed = translate(f"[{runs[0]},{runs[1]}]", input_file, capsys)
    assert printed == [translation.text for translation in expected]
    assert printed[0] and printed[1] == ""
    arguments = ["format=jsonl", "n_best=2", "attention=all", "links=true"]
    best = json.loads(translate(f"[{runs[0]},{runs[1]}]", input_file, capsys, *arguments)[0])
    assert not (runs[0].parent / "luong+transformer").exists()  # translating leaves no folder behind
    assert best["text"] == printed[0]
    assert best["score"] == pytest.approx(expected[0].score, abs=1e-4)
    assert len(best["n_best"]) == 2
    assert best["attention"].keys() == {"cross"}
    assert {link.split("-")[0] for link in best["links"].split()} <= {"0", "1", "2"}
    # The same model twice is that model, and so is a list of one.
    alone = translate(str(runs[0]), input_file, capsys)
    for run in (f"[{runs[0]},{runs[0]}]", f"[{runs[0]}]"):
        assert translate(run, input_file, capsys) == alone


def test_the_attention_of_an_ensemble_is_drawn_as_the_mean_of_its_members(
    runs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "attention.json"
    words = ["source=one two", "target=eins zwei", "words=false", f"out={out}", "device=cpu"]
    matrices = []
    for systems in (f"run=[{runs[0]},{runs[1]}]", f"runs=[{runs[0]},{runs[1]}]"):
        assert main(["plot", systems, *words]) == 0
        content = json.loads(out.read_text(encoding="utf-8"))
        matrices += [np.mean(system["attention"]["cross"]["weights"], axis=(0, 1)) for system in content["systems"]]
    ensemble, *members = matrices
    assert len(members) == 2
    np.testing.assert_allclose(ensemble, np.mean(members, axis=0), atol=1e-3)


def test_an_ensemble_has_an_evaluation_of_its_own_that_compare_shows(
    runs: tuple[Path, Path], input_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    luong, transformer = runs
    assert main(["evaluate", f"run=[{luong},{transformer}]", "split=test", "device=cpu"]) == 0
    printed = capsys.readouterr()
    both = tmp_path / "luong+transformer"
    assert f"wrote {both / 'evaluation' / 'test.json'}" in printed.err
    assert not (luong / "evaluation").exists() and not (transformer / "evaluation").exists()
    hypotheses = (both / "evaluation" / "test.hyp.txt").read_text(encoding="utf-8").splitlines()
    sources = (both / "evaluation" / "test.source.txt").read_text(encoding="utf-8").splitlines()
    expected = Translator.load([luong, transformer], device="cpu").translate(sources)
    assert hypotheses == [translation.text for translation in expected]
    # The evaluation still holds when the ensemble is named by its folder, which translates, too.
    assert main(["evaluate", f"run={both}", "split=test", "device=cpu"]) == 0
    again = capsys.readouterr()
    assert again.out == printed.out
    assert "nothing has changed" in again.err
    assert translate(str(both), input_file, capsys) == translate(f"[{luong},{transformer}]", input_file, capsys)

    out = tmp_path / "report"
    assert main(["compare", f"runs=[{luong},{both}]", "split=test", f"out={out}", "device=cpu"]) == 0
    assert "luong+transformer is an ensemble of 2 runs" in capsys.readouterr().err
    single, ensemble = json.loads((out / "report.json").read_text(encoding="utf-8"))["systems"]
    parameters = [json.loads((run / "model.json").read_text(encoding="utf-8"))["parameters"] for run in runs]
    assert (single["num_runs"], single["parameters"]) == (1, parameters[0])
    assert (ensemble["num_runs"], ensemble["parameters"]) == (2, sum(parameters))
    assert ensemble["metrics"]["bleu"]["score"] != single["metrics"]["bleu"]["score"]
    assert "ensemble of 2 runs" in (out / "report.html").read_text(encoding="utf-8")
    # A member that is trained further makes another ensemble.
    shutil.rmtree(transformer)
    shutil.copytree(luong, transformer)
    capsys.readouterr()
    assert main(["evaluate", f"run={both}", "split=test", "device=cpu"]) == 0
    assert "again: another model of the same step" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["translate", "run=[LUONG,TRANSFORMER]", "heads_off=[cross.0.0]"], "heads_off is for a single run"),
        (
            ["evaluate", "run=[LUONG,TRANSFORMER]", "split=test", "heads_off=[cross.0.0]"],
            "heads_off is for a single run",
        ),
        (["translate", "run=[LUONG,LUONG/nowhere]"], "run=LUONG/nowhere is not a folder"),
        (["translate", "run=[]"], "run=[] names no run: name one or several"),
        (["evaluate", "run=LUONG", "split=test", "out=x"], "out=x is for several runs"),
        (["evaluate", "run=[LUONG,TRANSFORMER]", "split=test", "out=LUONG"], "holds other files than an ensemble's"),
        (["align", "run=[LUONG,TRANSFORMER]", "source=INPUT", "target=INPUT"], "run: must be one path, such as runs/a"),
    ],
)
def test_a_wrong_ensemble_is_one_line(
    runs: tuple[Path, Path], input_file: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"LUONG": str(runs[0]), "TRANSFORMER": str(runs[1]), "INPUT": str(input_file)}
    for name, path in names.items():
        words = [word.replace(name, path) for word in words]
        message = message.replace(name, path)
    device = [] if words[0] == "align" else ["device=cpu"]
    assert main([*words, *device, *([f"input={input_file}"] if words[0] == "translate" else [])]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert not (runs[0].parent / "luong+transformer").exists()


def test_the_folder_of_another_run_stays_as_it_is(
    runs: tuple[Path, Path], input_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    namesake = Path(shutil.copytree(runs[0], runs[0].parent / "luong+transformer"))
    before = {path.name for path in namesake.iterdir()}
    translate(f"[{runs[0]},{runs[1]}]", input_file, capsys, "format=jsonl", "links=true")
    assert {path.name for path in namesake.iterdir()} == before
