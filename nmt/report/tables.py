"""The tables of a comparison, the same for HTML and Markdown, and what their figures mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nmt.report.page import count, duration, millions, points, probability, signed, words

Report = dict[str, Any]  # the value of report.json
System = dict[str, Any]  # one of its "systems"

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Cell:
    """A figure as it is written; `best` where no other system's is better as written."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Columns named at the top; the first cell of a row is the system's name."""

    columns: list[str]
    rows: list[list[Cell]]


def quality_table(report: Report) -> Table:
    """BLEU, chrF, TER and lower-cased BLEU."""
    return _table(
        report,
        [
            ("BLEU ↑", _score("bleu"), points, max),
            ("chrF ↑", _score("chrf"), points, max),
            ("TER ↓", _score("ter"), points, min),
            ("BLEU ↑ (lower-cased, tokenised)", _score("bleu_lowercase_tokenized"), points, max),
        ],
    )


def _score(metric: str) -> Callable[[System], float]:
    return lambda system: float(system["metrics"][metric]["score"])


def significance_table(report: Report) -> Table:
    """BLEU with its interval, and the difference from the baseline with its interval and p-value."""
    baseline = report["baseline"]
    columns = [
        "System",
        "BLEU (mean ± 95 % interval)",
        f"difference from {baseline}",
        "its 95 % interval",
        "p",
        "verdict",
    ]
    rows = []
    for system in report["systems"]:
        figures = system["significance"]
        row = [f"{points(figures['bleu'])} ({points(figures['mean'])} ± {points(figures['margin'])})"]
        if system["name"] == baseline:
            row += ["–", "–", "–", "the baseline"]
        else:
            low, high = figures["difference_interval"]
            row += [
                signed(figures["difference"]),
                f"{signed(low)} to {signed(high)}",
                probability(figures["p_value"]),
                verdict(figures),
            ]
        rows.append([Cell(system["name"]), *map(Cell, row)])
    return Table(columns, rows)


def verdict(figures: dict[str, Any]) -> str:
    """What the test says of a difference from the baseline."""
    if figures["p_value"] >= _SIGNIFICANT:
        return "no difference shown"
    return "better" if figures["difference"] > 0 else "worse"


def length_table(report: Report) -> Table:
    """BLEU by the number of words of the source; the head says how many sentences there are of each length."""

    def bleu(start: int) -> Callable[[System], float | None]:
        return lambda system: next((b["bleu"] for b in system["bleu_by_length"] if b["from"] == start), None)

    buckets = report["systems"][0]["bleu_by_length"]
    return _table(report, [(f"{words(b)} words ({b['sentences']:,})", bleu(b["from"]), points, max) for b in buckets])


def cost_table(report: Report) -> Table:
    """Size, training and decoding."""
    return _table(
        report,
        [
            ("model", lambda s: s["class"], str, None),
            ("parameters", lambda s: s["parameters"], millions, None),
            ("steps", lambda s: s["training"]["steps"], count, None),
            ("training time", lambda s: s["training"]["seconds"], duration, None),
            ("training tokens/s", lambda s: s["training"]["tokens_per_second"], count, max),
            ("best validation BLEU", lambda s: s["training"]["best_validation_bleu"], points, max),
            ("at step", lambda s: s["training"]["best_validation_step"], count, None),
            ("decoded sentences/s", lambda s: s["decoding"]["sentences_per_second"], count, max),
            ("on", _device, str, None),
        ],
    )


def _device(system: System) -> str:
    decoding = system["decoding"]
    if decoding["device"] != "cpu":
        return str(decoding["device"])
    return f"cpu, {decoding['threads']} thread" + ("" if decoding["threads"] == 1 else "s")


_Column = tuple[str, Callable[[System], Any], Callable[[Any], str], Callable[[list[float]], float] | None]


def _table(report: Report, columns: Sequence[_Column]) -> Table:
    """One row a system; a column is its name, its value, how to write it, and which value is best, if any is."""
    systems = report["systems"]
    rows = [[Cell(system["name"])] for system in systems]
    for _, value, write, best in columns:
        values = [value(system) for system in systems]
        known = [v for v in values if v is not None]
        # Compared as written: 31.24 and 31.18 both read 31.2, and both are marked.
        winner = write(best(known)) if best and known and len(systems) > 1 else None
        for row, v in zip(rows, values, strict=True):
            row.append(Cell(write(v), best=v is not None and write(v) == winner))
    return Table(["System", *(name for name, *_ in columns)], rows)


MEANINGS = [
    (
        "BLEU",
        "how many of the translation's words, and runs of two, three and four words, also stand in the reference; "
        "0 to 100, and translations that are too short lose points. Compare it only on the same test set and with the "
        "same signature.",
    ),
    (
        "chrF",
        "the same idea with characters instead of words, so that an almost right ending still earns something; "
        "0 to 100.",
    ),
    (
        "TER",
        "how many words one would have to change, insert, delete or move to turn the translation into the reference, "
        "for every 100 words of the reference; lower is better, and it can exceed 100.",
    ),
    (
        "BLEU (lower-cased, tokenised)",
        "the figure that older papers on Multi30k give, in which capital letters do not count. Compare it only with "
        "its own kind; it is near to what multi-bleu.perl says of text that Moses has tokenised, not equal to it.",
    ),
    (
        "95 % interval",
        "draw a thousand new test sets from the sentences of this one: the BLEU of 95 in 100 of them lies in here, "
        "and their mean in its middle. A smaller test set makes it wider.",
    ),
    (
        "p",
        "how often chance alone would make a difference at least this large between two equally good systems; under "
        "0.05 one says that the systems differ. It does not say how much the difference matters, and nothing about "
        "the luck of the seed that a system was trained with.",
    ),
    (
        "BLEU by source length",
        "a system without attention must squeeze the whole sentence into one vector, and longer sentences suffer from "
        "it; with attention the line should fall less.",
    ),
    (
        "parameters",
        "how many numbers training had to find; more of them can say more, and cost more time and data.",
    ),
    (
        "training tokens/s",
        "target tokens that went through training in a second, the median; depends on the machine and the batches.",
    ),
    (
        "best validation BLEU",
        "the highest BLEU on sentences that are neither trained nor tested on; it chooses the weights that are tested.",
    ),
    (
        "decoded sentences/s",
        "how fast the split was translated; depends on the machine, the batches and the beam.",
    ),
]
"""What each figure means, in a sentence for a student."""
