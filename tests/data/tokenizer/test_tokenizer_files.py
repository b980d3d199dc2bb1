"""Loading a tokenizer from an untrusted folder: all damage is detected, and the file is named in one line."""

import hashlib
import json
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from nmt.data.grammar import generate_pairs
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError

PAIRS = list(islice(generate_pairs(seed=1), 300))
ENGLISH, GERMAN = [pair.source for pair in PAIRS], [pair.target for pair in PAIRS]
SETTINGS: dict[str, Any] = {
    "model_type": "unigram",
    "character_coverage": 1.0,
    "byte_fallback": False,
    "normalization": "compose",
}
SHARED = Tokenizer.train(ENGLISH, GERMAN, vocab_size=160, shared=True, **SETTINGS)
SEPARATE = Tokenizer.train(ENGLISH, GERMAN, vocab_size=110, shared=False, **SETTINGS)

Damage = Callable[[Path], object]


def edit(name: str, **changes: object) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def remove(field: str) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "tokenizer.json"
        description = json.loads(path.read_text())
        del description[field]
        path.write_text(json.dumps(description))

    return damage


def cut(name: str, keep: int) -> Damage:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no description": (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
    "cut description": (cut("tokenizer.json", 50), "tokenizer.json"),
    "not utf-8": (lambda folder: (folder / "tokenizer.json").write_bytes(b"\xff\xfe{}"), "tokenizer.json"),
    "a list": (lambda folder: (folder / "tokenizer.json").write_text("[]"), "tokenizer.json"),
    "an empty object": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "tokenizer.json"),
    "newer": (edit("tokenizer.json", format=2), "tokenizer.json"),
    "odd files": (edit("tokenizer.json", files=["source.model"]), "tokenizer.json"),
    "odd sizes": (edit("tokenizer.json", sizes={"source": "110", "target": 110}), "tokenizer.json"),
    "other sizes": (edit("tokenizer.json", sizes={"source": 110, "target": 111}), "tokenizer.json"),
    "odd shared": (edit("tokenizer.json", shared="no"), "tokenizer.json"),
    "missing field": (remove("sizes"), "tokenizer.json"),
    "deeply nested": (lambda folder: (folder / "tokenizer.json").write_text("[" * 100_000), "tokenizer.json"),
    "huge number": (edit("tokenizer.json", format=10**400), "tokenizer.json"),
    "odd type": (edit("tokenizer.json", model_type="word"), "tokenizer.json"),
    "no model": (lambda folder: (folder / "target.model").unlink(), "target.model"),
    "cut model": (cut("target.model", 1000), "target.model"),
    "empty model": (cut("source.model", 0), "source.model"),
    "swapped": (edit("tokenizer.json", files={"source": "target.model", "target": "source.model"}), "target.model"),
}


@pytest.mark.parametrize(("damage", "named"), DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_files_are_named_in_one_line(damage: Damage, named: str, tmp_path: Path) -> None:
    SEPARATE.save(tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=re.escape(str(tmp_path / named))) as error:
        Tokenizer.load(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "name", ["../source.model", "/source.model", "..", ".", "", "a/b", "a\\b", "source.model\0", ".x"]
)
def test_only_files_in_the_same_folder_are_opened(name: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    SEPARATE.save(run)
    SEPARATE.save(tmp_path)
    edit("tokenizer.json", files={"source": name, "target": "target.model"})(run)
    with pytest.raises(UserError, match="only plain names"):
        Tokenizer.load(run)


def test_a_model_with_pieces_that_are_not_utf8_is_refused(tmp_path: Path) -> None:
    """SentencePiece loads such a model, and fails when the piece is used."""
    SHARED.save(tmp_path)
    model = (tmp_path / "tokenizer.model").read_bytes()
    start = model.index("▁".encode())
    model = model[:start] + b"\xff" + model[start + 1 :]
    (tmp_path / "tokenizer.model").write_bytes(model)
    checksum = hashlib.sha256(model).hexdigest()
    edit("tokenizer.json", sha256={"source": checksum, "target": checksum})(tmp_path)
    with pytest.raises(UserError, match=r"tokenizer\.json names models that cannot be used"):
        Tokenizer.load(tmp_path)
