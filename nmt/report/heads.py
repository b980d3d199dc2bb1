"""What `nmt heads` writes: tables of what each head has learned, as Markdown and data, and a picture of one head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from nmt.evaluation.head_report import HeadReport, Translations
from nmt.evaluation.heads import RELATIONS
from nmt.files import make_folder, write_json, write_text
from nmt.report.rendering import render
from nmt.report.tables import Cell, Table

ALL_HEADS = "all heads on"
CHANCE, FIXED_DISTANCE = "chance", "fixed distance"
"""The first cells of the rows that are not about a head."""


def write_heads(report: HeadReport, out: Path) -> None:
    """Writes heads.json and heads.md into the folder `out`, created if necessary; older ones there are replaced."""
    make_folder(out)
    write_json(out / "heads.json", msgspec.to_builtins(report))
    text = render(
        "heads.md.j2",
        report=report,
        summary=summarize_heads(report),
        relations=relation_table(report),
        silenced=silencing_table(report),
    )
    write_text(out / "heads.md", text)


def relation_table(report: HeadReport) -> Table:
    """How often each head follows each relation, in percent; bold: the head that was selected on other sentences."""
    rows = [
        [
            Cell(head),
            *(Cell(f"{scores.accuracy[head]:.1f}", is_best=head == scores.best) for scores in report.relations),
        ]
        for head in report.without
    ]
    rows.append([Cell(CHANCE), *(Cell(f"{scores.chance:.1f}") for scores in report.relations)])
    distances = (f"{scores.distance_accuracy:.1f} ({scores.distance:+d})" for scores in report.relations)
    rows.append([Cell(FIXED_DISTANCE), *map(Cell, distances)])
    return Table(["head", *(RELATIONS[scores.name] for scores in report.relations)], rows)


def silencing_table(report: HeadReport) -> Table:
    """What each head attends to from a pronoun, and the translations when it is silenced; bold: the coreference head."""
    columns: dict[str, Callable[[Translations], float]] = {
        "pronouns": lambda each: each.pronouns.all.accuracy,
        "with a distractor": lambda each: each.pronouns.with_distractor.accuracy,
        "without": lambda each: each.pronouns.without_distractor.accuracy,
        "BLEU": lambda each: each.bleu,
        "BLEU, no pronoun": lambda each: each.bleu_without_pronouns,
    }
    whole = report.with_all_heads
    rows = [[Cell(ALL_HEADS), Cell(""), Cell(""), *(Cell(f"{get(whole):.1f}") for get in columns.values())]]
    for head, translations in report.without.items():
        attention = report.pronouns[head]
        texts = [head, f"{attention.antecedent:.1f}", f"{attention.distractor:.1f}"]
        texts += [f"{get(translations):.1f} ({get(translations) - get(whole):+.1f})" for get in columns.values()]
        rows.append([Cell(text, is_best=head == report.coreference_head) for text in texts])
    return Table(["head", "on the noun", "on the distractor", *columns], rows)


def summarize_heads(report: HeadReport) -> str:
    """What silencing the coreference head does, in one sentence."""
    head = report.coreference_head
    whole, without = report.with_all_heads, report.without[head]
    return (
        f"{head} follows pronouns to their nouns best: {report.pronouns[head].antecedent:.0f}% of its weight on the "
        f"noun, {report.pronouns[head].distractor:.0f}% on a distractor. Without it, correct pronouns fall from "
        f"{whole.pronouns.all.accuracy:.1f}% to {without.pronouns.all.accuracy:.1f}% (with a distractor from "
        f"{whole.pronouns.with_distractor.accuracy:.1f}% to {without.pronouns.with_distractor.accuracy:.1f}%), and the "
        f"BLEU of sentences without such a pronoun goes from {whole.bleu_without_pronouns:.1f} to "
        f"{without.bleu_without_pronouns:.1f}."
    )
