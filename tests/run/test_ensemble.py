"""Several runs opened as an ensemble, and the folder that names them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from nmt.errors import UserError
from nmt.models.ensemble import Ensemble
from nmt.run import RunFolder, open_run
from nmt.run.ensemble import EnsembleFolder
from nmt.run.model_hash import hash_model


@pytest.fixture
def runs(trained_run: Path, transformer_run: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Copies of two runs with the same tokenizer, `runs/a` and `runs/b`."""
    a = shutil.copytree(trained_run, tmp_path / "runs" / "a")
    b = shutil.copytree(transformer_run, tmp_path / "runs" / "b")
    return Path(a), Path(b)


def ensemble_of(*paths: Path, out: Path | None = None) -> EnsembleFolder:
    folder = open_run(paths, out=out)
    assert isinstance(folder, EnsembleFolder)
    return folder


def test_several_runs_are_an_ensemble_with_the_settings_of_the_first(runs: tuple[Path, Path]) -> None:
    first, second = map(RunFolder.open, runs)
    folder = ensemble_of(*runs)
    assert folder.path == runs[0].parent / "a+b"
    assert not folder.path.exists()
    assert [member.path for member in folder.members] == list(runs)
    model = folder.model()
    assert isinstance(model, Ensemble)
    assert [type(member).__name__ for member in model.members] == ["LuongRNN", "Transformer"]
    for name in ("search", "metrics", "corpus"):
        assert folder.description(name) == first.description(name)
    assert folder.description("search") != second.description("search")
    assert folder.best_step() == 160
    assert folder.tokenizer().fingerprint == second.tokenizer().fingerprint
    assert hash_model(folder) not in (hash_model(first), hash_model(second))


def test_a_list_of_one_run_is_that_run(runs: tuple[Path, Path]) -> None:
    for folder in (open_run([runs[0]]), open_run(runs[0])):
        assert type(folder) is RunFolder
        assert folder.path == runs[0]
        assert hash_model(folder) == hash_model(RunFolder.open(runs[0]))
    assert len(ensemble_of(runs[0], runs[0]).members) == 2


def test_the_folder_of_an_ensemble_opens_it_again_wherever_they_are_moved(runs: tuple[Path, Path]) -> None:
    folder = ensemble_of(*runs)
    folder.save()
    folder.save()
    moved = runs[0].parent.rename(runs[0].parents[1] / "moved")
    again = open_run(moved / "a+b")
    assert isinstance(again, EnsembleFolder)
    assert [member.path.resolve() for member in again.members] == [moved / "a", moved / "b"]
    assert hash_model(again) == hash_model(ensemble_of(moved / "a", moved / "b"))
    stored = json.loads((moved / "a+b" / "ensemble.json").read_text(encoding="utf-8"))
    numbers = [json.loads((moved / name / "model.json").read_text("utf-8"))["parameters"] for name in ("a", "b")]
    assert stored == {"format": 2, "runs": ["../a", "../b"], "parameters": sum(numbers)}


def test_an_ensemble_takes_no_folder_of_something_else(runs: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds other files than an ensemble's: name another folder"):
        ensemble_of(*runs, out=runs[0]).save()
    ensemble_of(*runs, out=tmp_path / "both").save()
    for content in (
        None,
        '{"format": 2, "runs": ["gone", "gone"], "parameters": 1}',
        '{"format": 2, "runs": ["x", "\\u0000"], "parameters": 1}',
    ):
        if content is not None:
            (tmp_path / "both" / "ensemble.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match="both is the folder of another ensemble: name another folder"):
            ensemble_of(runs[1], runs[0], out=tmp_path / "both").save()
    with pytest.raises(UserError, match="out=x is for several runs"):
        open_run([runs[0]], out=Path("x"))
    with pytest.raises(UserError, match=r"run=.*both is the folder of an ensemble: name one of its runs here"):
        open_run([tmp_path / "both", runs[0]])


def test_many_runs_have_a_folder_with_a_short_name(runs: tuple[Path, Path]) -> None:
    long = runs[0].rename(runs[0].with_name("a" * 200))
    folder = ensemble_of(long, long)
    assert re.fullmatch(r"ensemble-of-2-[0-9a-f]{12}", folder.path.name)
    assert not folder.is_saved
    folder.save()
    assert folder.is_saved
    assert ensemble_of(long, runs[1]).path.name == f"{'a' * 200}+b"
    with pytest.raises(UserError, match="an ensemble of 65 runs is too large: name at most 64"):
        open_run([long] * 65)


def test_members_that_do_not_fit_are_refused(runs: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match=r"run=\[\] names no run"):
        open_run([])
    with pytest.raises(UserError, match="heads_off is for a single run"):
        ensemble_of(*runs).model(heads_off=["cross.0.0"])
    tokenizer = json.loads((runs[1] / "tokenizer.json").read_text(encoding="utf-8"))
    content = (runs[1] / "tokenizer.model").read_bytes()
    for name in ("source.model", "target.model"):  # the same pieces, but other files: two models instead of one
        (runs[1] / name).write_bytes(content)
    tokenizer |= {"shared": False, "files": {"source": "source.model", "target": "target.model"}}
    (runs[1] / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(UserError, match=r"/b has another tokenizer than .*/a: .* same tokenizer"):
        open_run(runs)
    corpus = json.loads((runs[1] / "corpus.json").read_text(encoding="utf-8"))
    corpus["arguments"] |= {"source": "de", "target": "en"}
    (runs[1] / "corpus.json").write_text(json.dumps(corpus), encoding="utf-8")
    with pytest.raises(UserError, match=r"/b translates from de to en, and .*/a from en to de"):
        open_run(runs)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ('{"format": 2, "runs": [], "parameters": 1}', "is damaged"),
        ('{"format": 2, "runs": ["../a"], "parameters": 1}', "is damaged"),
        ('{"format": 2, "runs": ["../../../a", 7], "parameters": 1}', "is damaged"),
        ('{"format": 2, "runs": ["../a", "../nowhere"], "parameters": 1}', "nowhere, which is no folder: put"),
        ('{"format": 2, "runs": ["../a", "../a+b"], "parameters": 1}', "is the folder of an ensemble"),
        ('{"format": 2, "runs": ["\\u0000", "../a"], "parameters": 1}', "NUL"),
        (json.dumps({"format": 2, "runs": ["../a"] * 65, "parameters": 1}), "is damaged"),
    ],
)
def test_a_damaged_ensemble_is_a_user_error(runs: tuple[Path, Path], content: str, message: str) -> None:
    folder = runs[0].parent / "a+b"
    folder.mkdir()
    (folder / "ensemble.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        open_run(folder)
