"""A Transformer as a package of Argos Translate, which LibreTranslate serves too.

An .argosmodel file is a zip archive of one folder: a model of CTranslate2, its SentencePiece model, a sentence splitter
and metadata.json. Argos loads it in int8, with a beam of 4 and a length penalty of 0.2, whatever the run's search is;
and it turns every "_" of a translation into a space.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from nmt.data.languages import LANGUAGE_NAMES
from nmt.data.tokenizer.description import read_models
from nmt.export.conversion import RECORD_FILE
from nmt.export.ctranslate2 import CTranslate2Engine, write_model
from nmt.export.packages import check_packages
from nmt.export.splitter import write_splitter
from nmt.export.system import System
from nmt.export.verification import Engine, Output, OwnTranslations
from nmt.files import atomic_write

PACKAGE_VERSION, ARGOS_VERSION = "1.0", "1.9.0"
"""The version of the package, and the oldest version of Argos Translate that reads it."""


class ArgosFormat:
    """Writes a Transformer for Argos Translate, and opens it as Argos does; see `Format`.

    Argos Translate itself needs gigabytes of other packages. It translates by CTranslate2 and SentencePiece, so these
    verify the model.
    """

    name = "argos"
    packages: tuple[str, ...] = ("ctranslate2", "onnx")
    shares_length_penalty = False

    def check(self, system: System) -> None:
        system.transformer(self.name)
        if (tag := system.tokenizer.source_tag) is not None:
            system.refuse(self.name, f"its programs put no tag before a line, but the run needs tag={tag}")
        check_packages(self.packages, need=f"format={self.name}")

    def write(self, system: System, own: OwnTranslations, folder: Path) -> None:
        (folder / "model").mkdir()
        write_model(system.transformer(self.name), system.tokenizer, folder / "model")
        _, source_model, _ = read_models(system.run.path / "tokenizer.json")
        (folder / "sentencepiece.model").write_bytes(source_model)
        (folder / "minisbd").mkdir()
        write_splitter(folder / "minisbd" / f"{system.source}.onnx", system.source)
        names = [LANGUAGE_NAMES.get(code, code) for code in (system.source, system.target)]
        metadata = {
            "package_version": PACKAGE_VERSION,
            "argos_version": ARGOS_VERSION,
            "from_code": system.source,
            "from_name": names[0],
            "to_code": system.target,
            "to_name": names[1],
            "type": "translate",
        }
        (folder / "metadata.json").write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        text = f"# {names[0]} to {names[1]}\n\nExported from the nmt run `{system.run.name}`; see `{RECORD_FILE}`.\n"
        (folder / "README.md").write_text(text, encoding="utf-8")

    def open(self, system: System, folder: Path) -> Engine:
        return ArgosEngine(folder, system)

    def publish(self, folder: Path, out: Path) -> None:
        """Writes the archive."""
        code = "_".join(json.loads((folder / "metadata.json").read_text())[key] for key in ("from_code", "to_code"))
        root = Path(f"translate-{code}-{PACKAGE_VERSION.replace('.', '_')}")
        with atomic_write(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, root / path.relative_to(folder))


class ArgosEngine(CTranslate2Engine):
    """CTranslate2 with the SentencePiece model of a package, which also decodes, as in Argos; see `Engine`.

    Args:
        folder: of the package.
        system: that was exported.
    """

    def __init__(self, folder: Path, system: System) -> None:
        from sentencepiece import SentencePieceProcessor

        super().__init__(folder / "model", system.tokenizer, compute_type="float32")
        self.processor = SentencePieceProcessor(model_file=str(folder / "sentencepiece.model"))

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self.processor.encode(list(lines))
        return ids

    def translate(self, lines: Sequence[str], *, beam_size: int, exponent: float, max_tokens: int) -> list[Output]:
        outputs = super().translate(lines, beam_size=beam_size, exponent=exponent, max_tokens=max_tokens)
        eos_id = self.tokenizer.eos_id
        pieces = [self.tokenizer.target_pieces([id for id in output.ids if id != eos_id]) for output in outputs]
        # A piece that the source model lacks keeps its sign for a space, so Argos replaces those that are left.
        texts = [self.processor.decode_pieces(each).replace("▁", " ").removeprefix(" ") for each in pieces]
        return [Output(text, output.ids) for text, output in zip(texts, outputs, strict=True)]
