"""Odd characters survive a whole run: they are learned, no pair is dropped for them, and they can be translated."""

import io
import json
import sys
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.data.tokenizer import Tokenizer

ODD = ["80 m² ½…", "你好：（三）！", "می\u200cخواهم", "กำลัง", "10\u00a0%", "a  b", "▁", "▅ c", "tab\there"]
ODD += ["👩\u200d👧", "\ufe0f#"]


def test_odd_characters_are_learned_and_translated(
    own_corpus: Path,
    tmp_path: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    for language in ("en", "de"):
        with (own_corpus / f"train.{language}").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in ODD)
    run = tmp_path / "run"
    overrides = [
        *tiny_models["lstm_luong"],
        *tiny_training,
        "tokenizer.vocab_size=80",
        "cleaning.drop_duplicates=false",
    ]
    assert main(["train", "data=files", f"data.path={own_corpus}", f"run={run}", *overrides]) == 0
    cleaning = json.loads((run / "cleaning.json").read_text(encoding="utf-8"))
    assert cleaning["kept"] == cleaning["pairs"] == 120 + len(ODD)
    tokenizer = Tokenizer.load(run)
    assert [tokenizer.decode_target(ids) for ids in tokenizer.encode_target(ODD)] == ODD
    capfdbinary.readouterr()

    invisible = ["\u200b", "\u00a0 \u3000", "\t", "\x01"]
    text = "".join(f"{line}\n" for line in [*ODD, *invisible])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert main(["translate", f"run={run}", "device=cpu"]) == 0
    output = capfdbinary.readouterr().out.decode()
    assert output.count("\n") == len(output.splitlines()) == len(ODD) + len(invisible)
    assert output.endswith("\n\n\n\n\n")  # nothing is made up for a line that prints nothing
