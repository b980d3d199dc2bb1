"""`nmt translate format=document`: a file whose markup stays, and whose text is translated sentence by sentence."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from nmt.alignment.aligner import Aligner
from nmt.alignment.extraction import Extraction
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.line_streams import open_output
from nmt.data.pharaoh import Link
from nmt.data.words import separate_words
from nmt.documents.kinds import KINDS
from nmt.documents.segment import Piece, Segment
from nmt.documents.sentences import translate_segments
from nmt.errors import UserError
from nmt.files import reading
from nmt.run import RunFolder
from nmt.run.registry import language_pair
from nmt.translator import Translator

DEFAULT_LINKS = Extraction(layer=None, head=None, rows="first", method="grow-diag-final-and")
"""How links are read if nothing is known about the heads of a model."""


def translate_document(
    source: BinaryIO,
    output: Path | None,
    *,
    kind: str,
    folder: RunFolder,
    translator: Translator,
    load_aligner: Callable[[], Aligner],
    copy: bool,
    program: str,
) -> None:
    """Translates a file of a known kind.

    Args:
        source: the file.
        output: where to write its translation; None: standard output.
        kind: from `find_kind`.
        folder: the run.
        translator: of the run.
        load_aligner: called if there is markup inside sentences.
        copy: see `Translator.translate`.
        program: for messages.

    Raises:
        UserError: the file cannot be read, or is damaged.
    """
    with reading("the document"):
        content = source.read()
    num_sentences = num_truncated = num_missing_terms = 0

    def translate(sentences: Sequence[str]) -> list[str]:
        nonlocal num_sentences, num_truncated, num_missing_terms
        found = translator.translate(sentences, copy=copy)
        num_sentences, num_truncated = len(found), sum(each.truncated or each.source_truncated for each in found)
        num_missing_terms = sum(len(each.missing_terms) for each in found)
        return [each.text for each in found]

    def align(pairs: Sequence[tuple[str, str]]) -> list[Set[Link]]:
        if translator.model.cross_attention_shape() is None:
            print_message(program, "markup inside sentences is placed by position alone: the model has no attention")
            return [set() for _ in pairs]
        try:
            aligner = load_aligner()
        except UserError as error:  # the run does not state how links are read, and its corpus has been moved
            print_message(program, f"markup inside sentences is placed by {DEFAULT_LINKS.description}: {error}")
            aligner = Aligner(translator, DEFAULT_LINKS)
        return [each.links for each in replace(aligner, split=separate_words).align(pairs)]

    def change(segments: Sequence[Segment]) -> list[list[Piece]]:
        language, _ = language_pair(folder.description("corpus"))
        return translate_segments(segments, language=language, translate=translate, align=align)

    translated = KINDS[kind](content, change)
    with open_output(output) as target:
        target.write(translated)
    cut = f"; {num_truncated:,} of them were too long and are cut off" if num_truncated else ""
    lacking = f"; wanted terms that they lack: {num_missing_terms:,}" if num_missing_terms else ""
    print_message(program, f"translated {num_sentences:,} sentences{cut}{lacking}")
