"""The settings of commands that can translate with CTranslate2 instead of torch, and in several number formats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nmt.errors import UserError
from nmt.run.registry import Description

PRECISIONS = {"torch": ("fp32", "bf16"), "ctranslate2": ("fp32", "int8")}
"""The number formats of each engine. torch's int8 modules are about to be removed, and CTranslate2 is faster anyway."""


@dataclass(frozen=True)
class ExportedEngine:
    """CTranslate2 with an exported model.

    Attributes:
        folder: of the model.
    """

    folder: Path

    def describe(self, search: Description) -> Description:
        """The description of a search that this engine carries out, for the record of an evaluation."""
        return {"class": "CTranslate2Search", "arguments": search["arguments"]}


def choose_engine(engine: str, exported: Path | None, precision: str) -> ExportedEngine | None:
    """The engine that the settings of these names ask for, which has the number format; None for torch.

    Raises:
        UserError: a value is unknown, or one is missing or useless.
    """
    if engine not in PRECISIONS:
        raise UserError(f"engine={engine} is unknown: use {' or '.join(PRECISIONS)}")
    if precision not in PRECISIONS[engine]:
        raise UserError(f"precision={precision} is unknown to engine={engine}: use {' or '.join(PRECISIONS[engine])}")
    if engine == "torch":
        if exported is not None:
            raise UserError(f"exported={exported} is for another engine: add engine=ctranslate2")
        return None
    if exported is None:
        raise UserError("engine=ctranslate2 needs a model: name the folder that nmt export wrote by exported=")
    return ExportedEngine(exported)
