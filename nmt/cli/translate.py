"""`nmt translate`: translates line by line.

Each input line gives exactly one output line, in order, whatever it contains. An input line ends at a line feed and
nowhere else; an output line contains no other character that a reader could take for a line end. Warnings about single
lines are printed to standard error. Memory holds only the lines of one batch, each up to MAX_LINE_BYTES.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count, islice, tee
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from omegaconf import DictConfig

from nmt.alignment.aligner import Aligner
from nmt.alignment.choice import find_choice
from nmt.checks import check_sizes
from nmt.cli.shell.engine import ExportedEngine, choose_engine
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.length_limit import TruncatedLines
from nmt.cli.shell.line_streams import (
    MAX_LINE_BYTES,
    decode_with_warnings,
    json_line,
    open_input,
    open_output,
    refuse_other_formats,
    write_lines,
)
from nmt.cli.shell.line_warnings import LineWarnings
from nmt.cli.shell.missing_text import MissingText
from nmt.cli.shell.output_file import prepare_output_file
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import SearchChanges, describe_search, load_translator, open_system
from nmt.cli.translation.document import translate_document
from nmt.cli.translation.given_text import open_lines, read_terms
from nmt.documents.kinds import find_kind
from nmt.errors import UserError
from nmt.run import RunFolder
from nmt.run.model_hash import hash_model
from nmt.threads import check_threads, limit_threads
from nmt.translator import Translation, Translator, check_kinds

PROGRAM = "nmt translate"


class TranslateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/translate.yaml, which describes each setting."""

    run: list[Path] | str
    input: str | None
    prefix: str | None
    terms: str | None
    output: Path | None
    format: str
    document: str | None
    n_best: int
    attention: list[str] | str | None
    links: bool
    copy: bool
    batch_size: int
    search: Component | SearchChanges
    device: str
    threads: str
    engine: str
    exported: Path | None
    precision: str
    heads_off: list[str]
    to: str | None

    def __post_init__(self) -> None:
        if self.format not in ("text", "jsonl", "document"):
            raise UserError(f"format={self.format} is unknown: use text, jsonl or document")
        if self.format != "jsonl" and (self.n_best != 1 or self.attention is not None or self.links):
            raise UserError("n_best, attention and links need format=jsonl: text has one translation per line")
        if self.format == "document":
            if self.prefix is not None:
                raise UserError("prefix has a line for each input line, which a document does not have: leave it out")
            find_kind(self.input, self.document)
        elif self.document is not None:
            raise UserError(f"document={self.document} needs format=document")
        if self.links and self.heads_off:
            raise UserError("links=true is for the whole model: leave heads_off out")
        check_kinds(self.attention or ())
        check_sizes(batch_size=self.batch_size)
        check_threads(self.threads)
        self.choose_engine()

    def choose_engine(self) -> ExportedEngine | None:
        """The engine that translates instead of torch; None for torch."""
        return choose_engine(self.engine, self.exported, self.precision)


@dataclass(frozen=True)
class LineTranslation:
    """Translates lines and writes the result, one line for each.

    Attributes:
        settings: of the command.
        translator: of the run.
        aligner: adds word links; None: without.
        warnings: about single lines.
    """

    settings: TranslateSettings
    translator: Translator
    aligner: Aligner | None
    warnings: LineWarnings

    def __call__(
        self, lines: Iterable[str], target: BinaryIO, *, prefixes: Iterable[str] | None = None, first: int = 0
    ) -> None:
        """Translates and writes lines; `first` is the index of the first one in the whole input."""
        settings, truncated, missing = self.settings, TruncatedLines(), MissingText()
        kinds = check_kinds(settings.attention or ())
        sources: Iterable[str] = ()
        if self.aligner is not None:
            lines, sources = tee(lines)  # read twice: to translate, and to link the words
        translations = self.translator.stream(
            lines,
            n_best=settings.n_best,
            batch_size=settings.batch_size,
            attention=kinds,
            copy=settings.copy,
            prefixes=prefixes,
            warn=lambda index, message: self.warnings.add_cut_off(first + index, message),
        )
        translations = missing.watch(truncated.watch(translations, first=first), first=first)
        translations = warn_of_missing(translations, settings.n_best, self.warnings, first=first)
        as_json = partial(format_json, n_best=settings.n_best, with_attention=bool(kinds))
        formatted: Iterable[str]
        if self.aligner is not None:
            linked = link_words(translations, sources, self.aligner, batch_size=settings.batch_size)
            formatted = (as_json(found, links=links) for found, links in linked)
        else:
            formatted = map(format_text if settings.format == "text" else as_json, translations)
        name = "standard output" if settings.output is None else f"output={settings.output}"
        write_lines(formatted, target, name=name, first=first)
        truncated.print_remark(PROGRAM)
        missing.print_remark(PROGRAM, copied=settings.copy)


def run(config: DictConfig) -> None:
    """Translates the input line by line."""
    settings = to_settings(config, TranslateSettings)
    folder = open_system(settings.run)
    warnings = LineWarnings(PROGRAM)
    with open_input(settings.input) as source:
        if settings.output is not None:
            prepare_output_file(settings.output, key="output")
        search = describe_search(folder, settings.search)
        translator = load_translator(
            folder,
            search,
            device=settings.device,
            batch_tokens=None,
            heads_off=settings.heads_off,
            to=settings.to,
            engine=settings.choose_engine(),
            precision=settings.precision,
        )
        if settings.terms is not None:
            translator.terms = read_terms(settings.terms, translator, PROGRAM)
        aligner = load_own_aligner(folder, translator) if settings.links else None
        translate_lines = LineTranslation(settings, translator, aligner, warnings)
        with limit_threads(settings.threads, translator.model.device) as translator.before_batch:
            if settings.format == "document":
                translate_document(
                    source,
                    settings.output,
                    kind=find_kind(settings.input, settings.document),
                    folder=folder,
                    translator=translator,
                    load_aligner=partial(load_own_aligner, folder, translator),
                    copy=settings.copy,
                    program=PROGRAM,
                )
            elif settings.input is None and sys.stdin.isatty():
                if settings.prefix is not None:
                    raise UserError("prefix=FILE has a line for each input line: name the input by input=FILE")
                translate_interactively(translate_lines, warnings, settings.output)
            else:
                refuse_other_formats(source, "standard input" if settings.input is None else f"input={settings.input}")
                with (
                    open_lines(source, warnings, translator, input=settings.input, prefix=settings.prefix) as (
                        lines,
                        prefixes,
                    ),
                    open_output(settings.output) as target,
                ):
                    translate_lines(lines, target, prefixes=prefixes)
    warnings.print_totals()


def load_own_aligner(folder: RunFolder, translator: Translator) -> Aligner:
    """An aligner with the model that translates.

    Raises:
        UserError: the model has no attention, or a choice is necessary and the run's corpus cannot be read.
    """
    remark = partial(print_message, PROGRAM)
    choice = find_choice(folder, translator, folder.corpus, model_hash=hash_model(folder), remark=remark)
    return Aligner(translator, choice.extraction)


def link_words(
    translations: Iterable[list[Translation]], lines: Iterable[str], aligner: Aligner, *, batch_size: int
) -> Iterator[tuple[list[Translation], list[str]]]:
    """Yields the translations of each line with the links of each of them, in Pharaoh format.

    Args:
        lines: what was translated.
        batch_size: number of lines that are aligned together.
    """
    pairs = zip(translations, lines, strict=False)  # translating a batch reads its lines ahead
    while batch := list(islice(pairs, batch_size)):
        links = iter(aligner.align([(line, each.text) for found, line in batch for each in found]))
        for found, _ in batch:
            yield found, [next(links).pharaoh for _ in found]


def warn_of_missing(
    translations: Iterable[list[Translation]], n_best: int, warnings: LineWarnings, *, first: int
) -> Iterator[list[Translation]]:
    """Passes on the translations of each line, and warns of those that have fewer than `n_best`, or lack a term.

    Args:
        first: the index of the first line in the whole input.
    """
    for number, found in enumerate(translations, start=first + 1):
        if len(found) < n_best and found[0].source_tokens:
            kind = "have fewer translations than n_best"
            warnings.add(kind, number, f"only {len(found)} of {n_best} different translations were found")
        if missing := found[0].missing_terms:
            warnings.add("lack a term", number, f"the translation lacks the term {', '.join(missing)}")
        yield found


def translate_interactively(translate_lines: Callable[..., None], warnings: LineWarnings, output: Path | None) -> None:
    """Translates each line that the user types on the terminal, until Ctrl-D."""
    from nmt.cli.translation.interactive import converse, terminal_as_standard_output  # not needed in a pipe

    numbers = count(1)
    with open_output(output) as file, terminal_as_standard_output() as standard_output:
        target = file if output is not None else standard_output

        def answer(content: bytes) -> None:
            number = next(numbers)
            num_skipped = max(0, len(content) - MAX_LINE_BYTES)
            line = decode_with_warnings(content[:MAX_LINE_BYTES], number, warnings, num_skipped=num_skipped)
            translate_lines([line], target, first=number - 1)

        converse(answer)


def format_text(translations: list[Translation]) -> str:
    """The best translation of a line."""
    return translations[0].text


def format_json(
    translations: list[Translation], *, n_best: int, with_attention: bool, links: list[str] | None = None
) -> str:
    """A JSON object with the best translation of a line; with the list `n_best` if several were requested.

    Every line gets the same keys, also one without words, whose only translation is empty.

    Args:
        links: of each translation, in Pharaoh format; None if they were not requested.
    """
    values = [_json_value(translation, with_attention=with_attention) for translation in translations]
    if links is not None:
        values = [value | {"links": each} for value, each in zip(values, links, strict=True)]
    value = {**values[0], "n_best": values} if n_best > 1 else values[0]
    return json_line(value)


def _json_value(translation: Translation, *, with_attention: bool) -> dict[str, Any]:
    value: dict[str, Any] = {
        "text": translation.text,
        "score": translation.score,
        "log_probability": translation.log_probability,
        "source_tokens": translation.source_tokens,
        "target_tokens": translation.target_tokens,
        "missing": [fragment.text for fragment in translation.missing],
    }
    if with_attention:
        value["attention"] = {kind: attention.to_json() for kind, attention in translation.attention.items()}
    return value
