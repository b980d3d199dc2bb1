"""`nmt plot`: the attention of one sentence as a picture, a page or data."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.cli.shell.errors import print_message
from nmt.cli.shell.length_limit import remark_on_truncated
from nmt.cli.shell.output_file import prepare_output_file
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import SearchChanges, describe_search, load_translator
from nmt.errors import UserError
from nmt.report.alignment_plot import SUFFIXES, write_alignment
from nmt.run import RunFolder


class PlotSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/plot.yaml, which describes each setting."""

    run: Path
    source: str
    target: str | None
    out: Path
    layer: int | None
    search: Component | SearchChanges
    device: str

    def __post_init__(self) -> None:
        if self.out.suffix.lower() not in SUFFIXES:
            raise UserError(f"out={self.out}: the suffix selects the format and must be one of {' '.join(SUFFIXES)}")
        if not self.source.strip():
            raise UserError('source= contains no words: give a sentence, such as source="A dog runs."')


def run(config: DictConfig) -> None:
    """Draws the attention of a translation, and prints the translation."""
    settings = to_settings(config, PlotSettings)
    folder = RunFolder.open(settings.run)
    search = describe_search(folder, settings.search)
    translator = load_translator(folder, search, device=settings.device, batch_tokens=None)
    if settings.target is None:
        translation = translator.translate(settings.source, warn=print_warning)
    else:
        translation = translator.force_decode(settings.source, settings.target, warn=print_warning)
    if not translation.source_tokens:
        raise UserError(f"source={settings.source} contains no words: the tokenizer keeps nothing of it")
    alignment = translation.alignment(layer=settings.layer)
    if alignment is None:
        raise UserError(f"run={folder.path} is a model without attention: there is nothing to draw")
    prepare_output_file(settings.out, key="out")
    write_alignment(
        settings.out,
        source_tokens=translation.source_tokens,
        target_tokens=translation.target_tokens,
        weights=alignment,
        title=folder.name,
        warn=partial(print_message, "nmt plot"),
    )
    print(translation.text)
    remark_on_truncated("nmt plot", [1] if translation.truncated else [])
    print_message("nmt plot", f"wrote {settings.out}")


def print_warning(index: int, message: str) -> None:
    """Prints a warning about the source, which is the only line."""
    print_message("nmt plot", f"source: {message}")
