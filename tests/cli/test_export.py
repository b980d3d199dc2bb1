"""`nmt export` through the real entry point."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.export import packages
from nmt.run import RunFolder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., str]:
    """Exports a run to a path that must not appear; returns the line that says why it is refused."""

    def export(*words: str) -> str:
        capsys.readouterr()
        before = sorted(tmp_path.iterdir())
        assert main(["export", f"out={tmp_path / 'new' / 'out'}", *words]) == 2
        output, error = capsys.readouterr()
        assert output == "" and error.count("\n") == 1
        assert sorted(tmp_path.iterdir()) == before
        return error.removeprefix("nmt export: ").strip()

    return export


def test_export_writes_a_model_and_prints_how_it_agrees(
    transformer_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ctranslate2")
    out = tmp_path / "new" / "model"
    command = ["export", f"run={transformer_run}", "format=ctranslate2", f"out={out}", "sentences=5"]
    assert main(command) == 0
    output, error = capsys.readouterr()
    first, second = output.splitlines()  # the run was trained with greedy search, so there is no beam to compare
    assert first.startswith("greedy search           ") and " of 5 translations are the same" in first
    assert second.startswith("log-probabilities   ") and " nats is the largest difference, of " in second
    assert error == f"nmt export: wrote {out}\n"
    record = json.loads((out / "export.json").read_text(encoding="utf-8"))
    assert record["run"] == transformer_run.name and record["verification"]["lines"] == 5
    assert record["verification"]["largest_difference"] < 1e-4
    assert [path.name for path in out.parent.iterdir()] == ["model"]

    assert main(command) == 2
    assert capsys.readouterr().err == f"nmt export: out={out} exists already: name another path\n"


def test_what_a_format_cannot_express_is_refused_in_one_line(
    refused: Callable[..., str], lstm_run: Path, transformer_run: Path
) -> None:
    for name in ("ctranslate2", "huggingface", "argos"):
        assert refused(f"run={lstm_run}", f"format={name}") == (
            f"format={name} cannot express run={lstm_run}: it takes an encoder-decoder Transformer, not a PlainRNN"
        )
    assert refused(f"run={transformer_run}", "format=tflite") == (
        "format=tflite is unknown: use one of ctranslate2, huggingface, argos, onnx"
    )
    run = f"run={transformer_run}"
    assert refused(run, "format=ctranslate2", "data.source=de", "data.target=en") == (
        f"data.source=de data.target=en: {run} is exported from en to de; leave both out, or name data.source=en "
        "data.target=de"
    )
    assert "sentences" in refused(f"run={transformer_run}", "format=argos", "sentences=0")
    assert "split" in refused(f"run={transformer_run}", "format=ctranslate2", "split=nowhere")


def test_a_missing_package_names_the_extra(
    refused: Callable[..., str], transformer_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    assert refused(f"run={transformer_run}", "format=argos") == (
        "format=argos needs ctranslate2 and onnx: pip install 'nmt[export]'"
    )


def test_the_corpus_may_have_moved(
    refused: Callable[..., str], transformer_run: Path, corpus_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2")
    run = f"run={transformer_run}"
    assert "data.path" in refused(run, "format=ctranslate2", f"data.path={tmp_path / 'nowhere'}")
    words = [f"data.path={corpus_folder}", "split=test", f"out={tmp_path / 'out'}"]
    assert main(["export", run, "format=ctranslate2", *words]) == 0
    assert json.loads((tmp_path / "out" / "export.json").read_text())["verification"]["lines"] == 8
    assert RunFolder(transformer_run).best.is_file()


@pytest.fixture
def exported(transformer_run: Path, tmp_path: Path) -> Path:
    """The run's model for CTranslate2."""
    pytest.importorskip("ctranslate2")
    out = tmp_path / "exported"
    assert main(["export", f"run={transformer_run}", "format=ctranslate2", f"out={out}", "sentences=3"]) == 0
    return out


def test_translate_with_the_exported_model(
    exported: Path, transformer_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In batches of one line, whose length limit is the line's own, the translations are those of torch."""
    (tmp_path / "lines.txt").write_text("one two three\n\nnine\nseven six five four\n", encoding="utf-8")
    command = ["translate", f"run={transformer_run}", f"input={tmp_path / 'lines.txt'}", "batch_size=1", "format=jsonl"]
    command += ["search.max_length_factor=2", "device=cpu", "attention=cross"]
    capsys.readouterr()
    results = []
    for engine in ([], ["engine=ctranslate2", f"exported={exported}"]):
        assert main([*command, *engine]) == 0
        results.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    for torch_line, other_line in zip(*results, strict=True):
        assert other_line["text"] == torch_line["text"]
        assert other_line["attention"].keys() == torch_line["attention"].keys()  # which torch computes
    assert main([*command, "engine=ctranslate2", f"exported={exported}", "precision=int8", "search.beam_size=2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_evaluate_records_the_engine(
    exported: Path, transformer_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(transformer_run, tmp_path / "run")
    engine = ["engine=ctranslate2", f"exported={exported}"]
    assert main(["evaluate", f"run={run}", "split=test", "device=cpu", *engine]) == 0
    record = json.loads((run / "evaluation" / "test.json").read_text(encoding="utf-8"))
    assert record["search"]["class"] == "CTranslate2Search"
    assert record["precision"] == "fp32"
    assert main(["evaluate", f"run={run}", "split=test", "device=cpu", *engine]) == 0
    assert "nothing has changed since" in capsys.readouterr().err
    assert main(["evaluate", f"run={run}", "split=test", "device=cpu"]) == 0
    assert "GreedySearch instead of CTranslate2Search" in capsys.readouterr().err


def test_an_engine_needs_the_right_model(
    exported: Path, transformer_run: Path, lstm_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "lines.txt").write_text("one\n", encoding="utf-8")
    capsys.readouterr()
    for run, words, message in (
        (transformer_run, ["engine=marian"], "engine=marian is unknown: use torch or ctranslate2"),
        (transformer_run, ["engine=ctranslate2"], "engine=ctranslate2 needs a model: name the folder"),
        (transformer_run, [f"exported={exported}"], "is for another engine: add engine=ctranslate2"),
        (transformer_run, ["precision=int8"], "precision=int8 is unknown to engine=torch: use fp32 or bf16"),
        (transformer_run, ["engine=ctranslate2", f"exported={tmp_path}"], "holds no exported model"),
        (lstm_run, ["engine=ctranslate2", f"exported={exported}"], "was not exported from run="),
        (
            transformer_run,
            ["engine=ctranslate2", f"exported={exported}", "heads_off=[encoder.0.0]"],
            "engine=ctranslate2 translates with all heads",
        ),
    ):
        assert main(["translate", f"run={run}", f"input={tmp_path / 'lines.txt'}", "device=cpu", *words]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
