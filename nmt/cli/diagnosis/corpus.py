"""What a run's corpus is like: numbers of lines, words and pieces, cleaning, and sentences that two splits share."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from datasets import Dataset
from rich.table import Table

from nmt.cli.diagnosis.report import DoctorReport
from nmt.cli.training.preparation import PreparedRun
from nmt.cli.training.settings import TrainSettings
from nmt.cli.training.tokenizer import NewTokenizer
from nmt.cli.training.validation import remark_on_tokenizer
from nmt.data.encoding import encode_corpus
from nmt.data.loader import BatchLoader
from nmt.data.statistics import SideStatistics, count_leaks
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.evaluation import Metrics

MAX_PAIRS = 200_000
"""A training split with more pairs is sampled; the tokenizer then learns from the sample as well."""

SAMPLE_PAIRS = 50_000
"""Pairs of the sample."""

WARNING_SHARE = 0.01
"""The report warns of unknown pieces, unusable pairs, leaked sentences and changed lines above this share."""

MIN_SELF_SCORE = 99.995
"""BLEU of the references against themselves, which is 100 up to rounding if the tokenizer suits the language."""

MAX_CHECKED_LINES = 2_000
"""Lines of each side that are encoded and decoded again."""

CONTEXT_LENGTH = 20
"""Characters that an example shows before and after the place that changed."""


def sample_split(split: Dataset) -> Dataset:
    """The split; if it has more than MAX_PAIRS pairs, SAMPLE_PAIRS of them at equal distances."""
    if len(split) <= MAX_PAIRS:
        return split
    return split.select([number * len(split) // SAMPLE_PAIRS for number in range(SAMPLE_PAIRS)])


def report_corpus(report: DoctorReport, settings: TrainSettings, prepared: PreparedRun) -> None:
    """Reports sizes and lengths, the vocabulary, unknown pieces, cleaning, and leaks into the other splits."""
    corpus, tokenizer = prepared.corpus, prepared.tokenizer
    train_split, validation_split = settings.train_split, settings.validation_split
    full_train = corpus.split(train_split)
    languages = {"source": corpus.source, "target": corpus.target}
    summary = f"{corpus.source} to {corpus.target}, splits {', '.join(corpus.splits())}"
    if not corpus.main.is_translated:  # both sides are the same text
        languages = {"target": "+".join(corpus.main.languages)}
        summary = f"text in {' and '.join(corpus.main.languages)}, splits {', '.join(corpus.splits())}"
    if len(prepared.train_split) < len(full_train):
        summary += f"; of {len(full_train):,} training pairs, a sample of {len(prepared.train_split):,} is examined"
    report.print("corpus", summary)
    report.print(
        "pieces",
        f"{tokenizer.source_size:,} in the joint vocabulary"
        if tokenizer.shared
        else f"{tokenizer.source_size:,} of the source, {tokenizer.target_size:,} of the target",
    )
    statistics = {}
    for name, split in ((train_split, prepared.train_split), (validation_split, prepared.validation_split)):
        if split is None:
            continue
        encoded = encode_corpus(split, tokenizer, num_workers=settings.loader.num_workers)
        for side, language in languages.items():
            statistics[f"{name}.{language}"] = SideStatistics.of(encoded, side, unk_id=tokenizer.unk_id)
    report.print_table(statistics_table(statistics))
    # A vocabulary that is given cannot be changed, and a remark says what it lacks.
    if settings.init is None and isinstance(settings.tokenizer, NewTokenizer):
        warn_of_unknown_pieces(report, statistics, settings.tokenizer, num_pairs=len(full_train))
    for number, line in enumerate([*prepared.train_loader.report.lines(), *corpus.repairs(train_split)]):
        report.print("cleaning" if number == 0 else "", line)
    warn_of_unusable_pairs(report, train_split, prepared.train_loader)
    if validation_split is not None and prepared.validation_loader is not None:
        warn_of_unusable_pairs(report, validation_split, prepared.validation_loader)
    on_tokenizer = remark_on_tokenizer(prepared.metrics, settings, prepared.train_split)
    for remark in on_tokenizer:
        report.warn(remark)
    for remark in prepared.remarks:
        if remark.startswith("warning: "):
            report.warn(remark.removeprefix("warning: "))
        elif remark not in on_tokenizer:
            report.print("remark", remark)
    checked_name, checked_split = train_split, prepared.train_split
    if validation_split is not None and prepared.validation_split is not None:
        checked_name, checked_split = validation_split, prepared.validation_split
        if settings.objective is None:
            warn_of_low_self_score(report, checked_name, checked_split, prepared.metrics)
    for side in languages if tokenizer.shared else ("target",):  # only targets can be decoded
        warn_of_changed_text(report, f"{checked_name}.{languages[side]}", checked_split[side], tokenizer)
    for name in corpus.splits():
        if name != train_split:
            try:
                other = corpus.split(name)
            except UserError as error:  # training does not read it
                report.warn(f"the split {name} cannot be used: {error}")
            else:
                warn_of_leaks(report, name, full_train, other)


def statistics_table(statistics: dict[str, SideStatistics]) -> Table:
    """A row for each side of each split: counts, lengths in pieces, and the share of unknown pieces."""
    table = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False)
    for heading in ("", "lines", "words", "characters", "pieces", "mean", "50%", "95%", "99%", "max", "unknown"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, side in statistics.items():
        table.add_row(
            name,
            *(f"{count:,}" for count in (side.lines, side.words, side.characters, side.pieces)),
            f"{side.mean:.1f}",
            *map(str, (side.median, side.percentile_95, side.percentile_99, side.longest)),
            f"{unknown_share(side):.2%}",
        )
    return table


def unknown_share(side: SideStatistics) -> float:
    """The share of unknown pieces among all pieces."""
    return side.unknown / max(1, side.pieces)


def warn_of_unknown_pieces(
    report: DoctorReport, statistics: dict[str, SideStatistics], tokenizer: NewTokenizer, *, num_pairs: int
) -> None:
    """Warns of every text with pieces that the tokenizer does not know.

    A larger vocabulary would not know more characters: it has all that the coverage includes, or training is refused.

    Args:
        num_pairs: size of the training split.
    """
    remedies = ["set tokenizer.byte_fallback=true"]
    if tokenizer.character_coverage < 1:
        remedies.append("raise tokenizer.character_coverage")
    if tokenizer.max_pairs is not None and tokenizer.max_pairs < num_pairs:
        remedies.append("raise tokenizer.max_pairs")
    for name, side in statistics.items():
        if unknown_share(side) > WARNING_SHARE:
            report.warn(f"{unknown_share(side):.1%} of the pieces of {name} are unknown: {', or '.join(remedies)}")


def warn_of_unusable_pairs(report: DoctorReport, name: str, loader: BatchLoader) -> None:
    """Warns if cleaning leaves out many pairs of a split."""
    cleaning = loader.report
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in cleaning.dropped.items() if count)
    if cleaning.num_pairs - len(loader) > WARNING_SHARE * cleaning.num_pairs:
        report.warn(f"of {cleaning.num_pairs:,} pairs of {name}, {len(loader):,} can be used; dropped: {reasons}")


def warn_of_leaks(report: DoctorReport, name: str, train: Dataset, other: Dataset) -> None:
    """Warns if training sees sentences of another split: a score on that split would be too high."""
    num_pairs, num_sources = count_leaks(train, other)
    if num_sources > WARNING_SHARE * len(other):
        report.warn(
            f"{num_sources:,} of the {len(other):,} sources of {name} are also in the training split, {num_pairs:,} "
            f"of them with the same target: scores on {name} will be too high"
        )


def warn_of_low_self_score(report: DoctorReport, name: str, split: Dataset, metrics: Metrics) -> None:
    """Warns if even a perfect translation of a split would get less than 100 BLEU."""
    references = split["target"][:]
    score = metrics.bleu(references, references)
    if score < MIN_SELF_SCORE:
        report.warn(
            f"the targets of {name} get {score:.2f} BLEU against themselves, so no translation can get more: set "
            f"bleu_tokenizer={metrics.bleu_tokenizer} to one that suits the language, such as char"
        )


def warn_of_changed_text(report: DoctorReport, name: str, lines: Iterable[str], tokenizer: Tokenizer) -> None:
    """Warns of text that the tokenizer does not return as it was, so that a translation cannot match it."""
    lines = list(islice(lines, MAX_CHECKED_LINES))
    decoded = map(tokenizer.decode_target, tokenizer.encode_target(lines))
    changed = [(line, text) for line, text in zip(lines, decoded, strict=True) if line != text]
    if len(changed) > WARNING_SHARE * len(lines):
        line, text = changed[0]
        report.warn(
            f"{len(changed) / len(lines):.1%} of the lines of {name} change when the tokenizer encodes and decodes "
            f"them, for example {excerpt(line, text)} becomes {excerpt(text, line)}"
        )


def excerpt(text: str, other: str) -> str:
    """The part of a text, with its invisible characters escaped, around the place where it begins to differ."""
    differs = (index for index, pair in enumerate(zip(text, other, strict=False)) if pair[0] != pair[1])
    num_equal = next(differs, min(len(text), len(other)))
    start = max(0, num_equal - CONTEXT_LENGTH)
    part = text[start : start + 2 * CONTEXT_LENGTH]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in part)
    return f'"{"…" if start else ""}{escaped}{"…" if start + len(part) < len(text) else ""}"'
