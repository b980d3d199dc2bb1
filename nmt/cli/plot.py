"""`nmt plot`: one alignment matrix."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from nmt.cli.description import translator_of
from nmt.cli.shell.errors import say
from nmt.errors import UserError
from nmt.report.alignment_plot import SUFFIXES, write_alignment
from nmt.run import RunFolder


def run(config: DictConfig) -> None:
    """Draws as `config` (conf/plot.yaml) says, and prints the translation that the matrix is of."""
    out = Path(str(config.out))
    if out.suffix.lower() not in SUFFIXES:
        raise UserError(f"out={out}: the suffix says what to draw, and must be one of {' '.join(SUFFIXES)}")
    if not config.source.strip():
        raise UserError('source= has no words: give a sentence, such as source="A dog runs."')
    folder = RunFolder.open(str(config.run))
    translator, _ = translator_of(folder, config.search, device=config.device, batch_tokens=None)
    if config.target is None:
        translation = translator.translate([config.source], need_attention=True)[0]
    else:
        translation = translator.force_decode(config.source, config.target)
    alignment = translation.alignment(layer=config.layer)
    if alignment is None:
        raise UserError(f"run={folder.path} is a model without attention: it has no alignment to draw")
    write_alignment(
        out,
        source_tokens=translation.source_tokens,
        target_tokens=translation.target_tokens,
        weights=alignment,
        title=folder.name,
    )
    print(translation.text)
    say("nmt plot", f"wrote {out}")
