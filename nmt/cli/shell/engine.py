"""The settings of commands that can translate with CTranslate2 instead of torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nmt.errors import UserError
from nmt.run.registry import Description

COMPUTE_TYPES = ("float32", "int8")
"""The number formats of CTranslate2's matrix products that an export is made for."""


@dataclass(frozen=True)
class ExportedEngine:
    """CTranslate2 with an exported model.

    Attributes:
        folder: of the model.
        compute_type: number format of matrix products.
    """

    folder: Path
    compute_type: str

    def describe(self, search: Description) -> Description:
        """The description of a search that this engine carries out, for the record of an evaluation."""
        return {
            "class": "CTranslate2Search",
            "arguments": {**search["arguments"], "compute_type": self.compute_type},
        }


def choose_engine(engine: str, exported: Path | None, compute_type: str) -> ExportedEngine | None:
    """The engine that the settings of these names ask for; None for torch.

    Raises:
        UserError: a value is unknown, or one is missing or useless.
    """
    if engine not in ("torch", "ctranslate2"):
        raise UserError(f"engine={engine} is unknown: use torch or ctranslate2")
    if compute_type not in COMPUTE_TYPES:
        raise UserError(f"compute_type={compute_type} is unknown: use {' or '.join(COMPUTE_TYPES)}")
    if engine == "torch":
        if exported is not None:
            raise UserError(f"exported={exported} is for another engine: add engine=ctranslate2")
        return None
    if exported is None:
        raise UserError("engine=ctranslate2 needs a model: name the folder that nmt export wrote by exported=")
    return ExportedEngine(exported, compute_type)
