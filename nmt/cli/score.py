"""`nmt score`: scores given translations, or ranks n-best lists that another run has found.

Each pair of input lines, or each n-best list, gives exactly one output line, in order. The perplexity of the whole text
and warnings about single lines are printed to standard error. Memory holds only the pairs of one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig

from nmt.checks import check_sizes
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.line_streams import (
    MAX_LINE_BYTES,
    STANDARD_INPUT,
    json_line,
    open_file_or_input,
    open_output,
    read_pairs,
    refuse_other_formats,
    write_lines,
)
from nmt.cli.shell.line_warnings import LineWarnings
from nmt.cli.shell.output_file import prepare_output_file
from nmt.cli.shell.settings import to_settings
from nmt.cli.shell.trained_run import load_translator, open_system
from nmt.errors import UserError
from nmt.threads import check_threads, limit_threads
from nmt.translator import Translation, Translator
from nmt.translator.scoring import Perplexity, score_pairs, stream_scores

PROGRAM = "nmt score"


class ScoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/score.yaml, which describes each setting."""

    run: list[Path] | str
    source: str
    target: str | None
    n_best: str | None
    own_weight: float
    output: Path | None
    format: str
    length_penalty: float | None
    batch_size: int
    device: str
    threads: str
    to: str | None

    def __post_init__(self) -> None:
        if (self.target is None) == (self.n_best is None):
            raise UserError("name the translations to score by target=FILE, or n-best lists by n_best=FILE")
        if self.source == self.given == STANDARD_INPUT:
            raise UserError("only one of source and target, or n_best, can be standard input")
        if self.format not in ("text", "jsonl"):
            raise UserError(f"format={self.format} is unknown: use text or jsonl")
        if self.n_best is not None and self.format != "text":
            raise UserError("format is for target=FILE: ranked n-best lists have the format of their file")
        if not 0 <= self.own_weight <= 1:
            raise UserError(f"own_weight={self.own_weight:g} must be from 0 to 1")
        if self.own_weight and self.n_best is None:
            raise UserError("own_weight is for n_best=FILE: given translations have no score of their own")
        check_sizes(batch_size=self.batch_size)
        check_threads(self.threads)

    @property
    def given(self) -> str:
        """The file with the translations."""
        return self.target if self.target is not None else str(self.n_best)

    @property
    def given_key(self) -> str:
        """The key that names this file."""
        return "target" if self.target is not None else "n_best"


MAX_LIST_BYTES = 2**28
"""Maximum bytes of an n-best list: with all attention, one of a long sentence has many megabytes."""


class Candidate(msgspec.Struct):
    """What is read of a translation in an n-best list."""

    text: str
    score: float


class CandidateList(Candidate):
    """What is read of a line that `nmt translate format=jsonl` has written: the best translation, and all of them."""

    n_best: list[Candidate] | None = None


def run(config: DictConfig) -> None:
    """Scores each pair, or ranks each n-best list."""
    settings = to_settings(config, ScoreSettings)
    folder = open_system(settings.run)
    warnings = LineWarnings(PROGRAM)
    files = ((settings.source, "source"), (settings.given, settings.given_key))
    names = [f"{key}={path}" if path != STANDARD_INPUT else "standard input" for path, key in files]
    opened = [open_file_or_input(path, key=key) for path, key in files]
    with opened[0] as source, opened[1] as given:
        for file, name in zip((source, given), names, strict=True):
            refuse_other_formats(file, name)
        if settings.output is not None:
            prepare_output_file(settings.output, key="output")
        search = folder.description("search")
        translator = load_translator(folder, search, device=settings.device, batch_tokens=None, to=settings.to)
        sides = (LineWarnings(PROGRAM, text="source, "), LineWarnings(PROGRAM, text=f"{settings.given_key}, "))
        max_bytes = MAX_LINE_BYTES if settings.n_best is None else MAX_LIST_BYTES
        pairs = read_pairs(source, given, sides, names=(names[0], names[1]), max_bytes=max_bytes)
        perplexity = Perplexity()
        if settings.n_best is None:
            scored = stream_scores(
                translator,
                pairs,
                batch_size=settings.batch_size,
                length_penalty=settings.length_penalty,
                warn=warnings.add_cut_off,
            )
            format_line = format_json if settings.format == "jsonl" else format_text
            lines: Iterator[str] = map(format_line, perplexity.watch(scored))
        else:
            lines = rank_lists(translator, pairs, settings, warnings, name=names[1])
        name = "standard output" if settings.output is None else f"output={settings.output}"
        with (
            limit_threads(settings.threads, translator.model.device) as translator.before_batch,
            open_output(settings.output) as output,
        ):
            write_lines(lines, output, name=name)
    if settings.n_best is None:
        print_message(PROGRAM, describe_perplexity(perplexity))
    warnings.print_totals()


def format_text(translation: Translation) -> str:
    """The log-probability of a pair, in nats."""
    return f"{translation.log_probability:.4f}"


def format_json(translation: Translation) -> str:
    """Scores, pieces and their log-probabilities as a JSON object."""
    return json_line(
        {
            "text": translation.text,
            "score": translation.score,
            "log_probability": translation.log_probability,
            "source_tokens": translation.source_tokens,
            "target_tokens": translation.target_tokens,
            "log_probabilities": translation.log_probabilities,
        }
    )


def describe_perplexity(perplexity: Perplexity) -> str:
    """The perplexity of a text in one line."""
    return (
        f"{perplexity.num_pairs:,} pairs, log-probability {perplexity.log_probability:,.2f}: perplexity "
        f"{perplexity.per_piece:.3f} per piece ({perplexity.num_pieces:,}), "
        f"{perplexity.per_word:.3f} per word ({perplexity.num_words:,})"
    )


def rank_lists(
    translator: Translator,
    lines: Iterable[tuple[str, str]],
    settings: ScoreSettings,
    warnings: LineWarnings,
    *,
    name: str,
) -> Iterator[str]:
    """Yields each n-best list, ranked by the scores of the translator's model.

    Args:
        translator: scores the translations.
        lines: each source line, and its n-best list as JSON.
        settings: of the command.
        warnings: receive the lines that are cut off.
        name: of the file with the lists, for messages.
    """
    numbered = enumerate(lines)
    while batch := list(islice(numbered, settings.batch_size)):
        lists = [read_list(line, name=f"{name}, line {index + 1}") for index, (_, line) in batch]
        # All translations of the batch, each with the index of its line.
        owners = [index for (index, _), (candidates, _) in zip(batch, lists, strict=True) for _ in candidates]
        pairs = [
            (source, candidate.text)
            for (_, (source, _)), (candidates, _) in zip(batch, lists, strict=True)
            for candidate in candidates
        ]

        def warn(number: int, message: str, owners: list[int] = owners) -> None:
            warnings.add_cut_off(owners[number], message)

        scored = iter(score_pairs(translator, pairs, length_penalty=settings.length_penalty, warn=warn))
        for candidates, value in lists:
            weight = settings.own_weight
            scores = [weight * each.score + (1 - weight) * next(scored).score for each in candidates]
            yield json_line(rank(value, scores))


def read_list(line: str, *, name: str) -> tuple[list[Candidate], dict[str, Any]]:
    """The candidates of an n-best list, and the whole JSON object.

    Raises:
        UserError: the line is not one that `nmt translate format=jsonl` has written.
    """
    try:
        read = msgspec.json.decode(line, type=CandidateList)
        value: dict[str, Any] = msgspec.json.decode(line)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise UserError(f"{name} is no line of nmt translate format=jsonl: {error}") from None
    return [read] if not read.n_best else read.n_best, value


def rank(value: dict[str, Any], scores: list[float]) -> dict[str, Any]:
    """An n-best list, as `nmt translate` writes it, in the order of new scores, best first; earlier ones win ties.

    A translation keeps its score as `previous_score`, and all its other keys.
    """
    listed = value.pop("n_best", None)
    candidates = [
        {**each, "score": score, "previous_score": each["score"]}
        for each, score in zip(listed or [value], scores, strict=True)
    ]
    candidates.sort(key=lambda each: -each["score"])
    return candidates[0] if listed is None else {**candidates[0], "n_best": candidates}
