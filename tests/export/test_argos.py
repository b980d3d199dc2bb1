"""Packages of Argos Translate, which itself needs gigabytes of other packages: docs/export.md has its own check."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nmt.errors import UserError
from nmt.export.argos import ArgosEngine, ArgosFormat
from nmt.export.conversion import export_system
from nmt.export.ctranslate2 import CTranslate2Engine
from nmt.export.splitter import UNITS, write_splitter
from nmt.export.system import System
from nmt.export.verification import Output
from nmt.translator.batch import list_banned_ids

pytest.importorskip("ctranslate2")
pytest.importorskip("onnx")


@pytest.mark.parametrize("variant", ["pre_norm", "two_vocabularies"])
def test_a_package_has_all_files(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path, variant: str
) -> None:
    system, out = make_system(variant), tmp_path / "en_de.argosmodel"
    record = export_system(ArgosFormat(), system, lines, out)
    assert record.verification.largest_difference < 1e-4
    vocabularies = ["shared_vocabulary.json"]
    if variant == "two_vocabularies":
        vocabularies = ["source_vocabulary.json", "target_vocabulary.json"]
    names = ["README.md", "export.json", "metadata.json", "minisbd/en.onnx", "sentencepiece.model"]
    names += [f"model/{name}" for name in ("config.json", "model.bin", *vocabularies)]
    with zipfile.ZipFile(out) as archive:
        files = {name for name in archive.namelist() if not name.endswith("/")}
        assert files == {f"translate-en_de-1_0/{name}" for name in names}
        assert json.loads(archive.read("translate-en_de-1_0/metadata.json")) == {
            "package_version": "1.0",
            "argos_version": "1.9.0",
            "from_code": "en",
            "from_name": "English",
            "to_code": "de",
            "to_name": "German",
            "type": "translate",
        }
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_package_decodes_with_the_model_of_the_source(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Argos does, although it lacks many pieces of the target."""
    system = make_system("two_vocabularies")
    export_system(ArgosFormat(), system, lines, tmp_path / "en_de.argosmodel")
    with zipfile.ZipFile(tmp_path / "en_de.argosmodel") as archive:
        archive.extractall(tmp_path)
    engine = ArgosEngine(tmp_path / "translate-en_de-1_0", system)
    tokenizer = system.tokenizer
    words = [id for id in range(tokenizer.target_size) if id not in list_banned_ids(tokenizer)]
    monkeypatch.setattr(CTranslate2Engine, "translate", lambda *_, **__: [Output("", words)])
    [output] = engine.translate(["one"], beam_size=1, exponent=0.0, max_tokens=len(words))
    assert output.text == tokenizer.decode_target(words) and " " in output.text


def test_a_tag_is_refused(make_system: Callable[..., System]) -> None:
    system = make_system("pre_norm", tags=("2de",), source_tag="2de")
    with pytest.raises(UserError, match="put no tag before a line, but the run needs tag=2de"):
        ArgosFormat().check(system)


@pytest.mark.parametrize(
    "sentences",
    [
        ["A dog runs.", "It barks!", "Why?"],
        ['He said "No."', 'He said ("No.")', "Then he left."],
        ["Tzw. źródło.", "И т. д. это.", "क्या?", "हाँ।", "هل؟", "نعم"],
        ["See e.g. this, or 3.5 of it.", "Yes"],
        ["你好。", "你好！"],
        ["No end"],
    ],
)
def test_the_splitter_finds_the_ends_of_sentences(tmp_path: Path, sentences: list[str]) -> None:
    from onnx.reference import ReferenceEvaluator

    write_splitter(tmp_path / "en.onnx", "en")
    gap = "" if "你" in sentences[0] else " "
    text = gap.join(sentences)
    units = [UNITS.index(unit) if unit in UNITS else 1 for unit in [*text, UNITS[0]]]
    features = np.zeros((1, len(units), 1), np.float32)
    [scores] = ReferenceEvaluator(str(tmp_path / "en.onnx")).run(
        None, {"units": np.array([units]), "features": features}
    )
    ends = np.flatnonzero(np.asarray(scores[0]).argmax(-1) == 2)
    expected = [len(gap.join(sentences[: count + 1])) - 1 for count in range(len(sentences))]
    assert [*ends] == [end for end in expected if text[end] in '.!?。！")।؟']
