"""What `nmt heads` writes: tables of what each head has learned, as Markdown and data, and a picture of one head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from nmt.data.words import Splitter
from nmt.evaluation.head_report import HeadName, HeadReport
from nmt.evaluation.heads import RELATIONS
from nmt.files import make_folder, write_json, write_text
from nmt.report.alignment_plot import write_figure
from nmt.report.figure import Figure, Panel
from nmt.report.rendering import render
from nmt.report.tables import Cell, Table
from nmt.translator import Translation

ALL_HEADS, CHANCE, DISTANCE, AT_DISTANCE = "all heads", "chance", "distance", "at distance"
"""The first cells of the rows that are not about a head."""

EXAMPLES = {
    "en": [f"The animal did not cross the street because it was too {adjective}." for adjective in ("tired", "wide")],
    "de": [f"Das Tier überquerte die Straße nicht, weil {rest} war." for rest in ("es zu müde", "sie zu breit")],
}
"""The sentences of the figure, by source language: one word decides to which noun the pronoun refers."""

EXAMPLE_PRONOUN, EXAMPLE_NOUNS = 8, {"en": (1, 6), "de": (1, 4)}
"""Word indices in these sentences: of the pronoun, and of the noun to which it refers in each."""


def write_heads(report: HeadReport, out: Path) -> None:
    """Writes heads.json and heads.md into the folder `out`, created if necessary; older ones there are replaced."""
    make_folder(out)
    write_json(out / "heads.json", msgspec.to_builtins(report))
    text = render(
        "heads.md.j2",
        report=report,
        summary=summarize_heads(report),
        best=best_table(report),
        relations=relation_table(report),
        relation_names=RELATIONS,
        pronouns=pronoun_table(report),
        silenced=silencing_table(report),
    )
    write_text(out / "heads.md", text)


def draw_heads(
    report: HeadReport, translations: Sequence[Translation], words: Splitter, out: Path, *, warn: Callable[[str], None]
) -> None:
    """Draws what every head attends to from the pronouns of the examples into out/coreference.png.

    Args:
        report: names the heads.
        translations: of the two examples, with the encoder's attention.
        words: splits a line as the corpus does.
        out: the folder.
        warn: called with a remark if a character cannot be drawn.
    """
    panels = []
    examples = zip(EXAMPLES[report.source], EXAMPLE_NOUNS[report.source], translations, strict=True)
    for sentence, noun, translation in examples:
        attention = translation.attention["encoder"].without_special().words(words)
        rows = attention.weights[:, :, EXAMPLE_PRONOUN].reshape(len(report.without), -1)  # (L·H, words)
        panels.append(
            Panel(
                title=sentence,
                remark=translation.text,
                columns=attention.columns,
                rows=list(report.without),
                matrix=rows,
                outlines=[(0, noun, len(rows), 1)],
            )
        )
    pronouns = " and ".join(dict.fromkeys(panel.columns[EXAMPLE_PRONOUN] for panel in panels))
    figure = Figure(
        title=f"What each head of the encoder attends to from the pronoun: {pronouns}",
        lines=[panels],
        caption="Each row is a head; its weights sum to 1. Outlined: the noun to which the pronoun refers.",
    )
    write_figure(out / "coreference.png", figure, warn=warn)


def relation_table(report: HeadReport) -> Table:
    """How often each head follows each relation, in percent; bold: the head that was selected on other sentences."""
    scores = report.relations
    rows = [
        [Cell(head), *(Cell(f"{each.accuracy[head]:.1f}", is_best=head == each.best) for each in scores)]
        for head in report.without
    ]
    rows += [
        [Cell(CHANCE), *(Cell(f"{each.chance:.1f}") for each in scores)],
        [Cell(DISTANCE), *(Cell(f"{each.distance:+d}") for each in scores)],
        [Cell(AT_DISTANCE), *(Cell(f"{each.distance_accuracy:.1f}") for each in scores)],
    ]
    return Table(["head", *(each.name for each in scores)], rows)


def best_table(report: HeadReport) -> Table:
    """The head that was selected for each relation, beside chance and the most frequent distance."""
    rows = [
        [
            RELATIONS[each.name],
            each.best,
            f"{each.accuracy[each.best]:.1f}",
            f"{each.weight[each.best]:.1f}",
            f"{each.chance:.1f}",
            f"{each.distance_accuracy:.1f} at {each.distance:+d}",
        ]
        for each in report.relations
    ]
    columns = ["relation", "best head", "accuracy", "weight", CHANCE, "fixed distance"]
    return Table(columns, [[Cell(text) for text in row] for row in rows])


def pronoun_table(report: HeadReport) -> Table:
    """What each head attends to from a pronoun, in percent of all words; bold: the head that was selected for it."""
    rows = []
    for head, attention in report.pronouns.items():
        figures = (attention.antecedent, attention.distractor, attention.antecedent_alone)
        rows.append(_make_row(head, figures, is_best=head == report.attending_head))
    return Table(["head", "noun, with distractor", "distractor", "noun, without distractor"], rows)


def silencing_table(report: HeadReport) -> Table:
    """The translations when each head is silenced; bold: the head that pronouns need most, selected on others."""
    rows = []
    for head, each in [(ALL_HEADS, report.with_all_heads), *report.without.items()]:
        counts = (each.pronouns.all, each.pronouns.with_distractor, each.pronouns.without_distractor)
        figures = [*(some.accuracy for some in counts), each.bleu, each.bleu_without_pronouns]
        rows.append(_make_row(head, figures, is_best=head == report.needed_head))
    columns = ["head off", "pronouns", "with distractor", "without", "BLEU", "BLEU, no pronoun"]
    return Table(columns, rows)


def summarize_heads(report: HeadReport) -> str:
    """What the heads do that matter most for pronouns."""
    best, needed = report.attending_head, report.needed_head
    attention = report.pronouns[best]
    sentences = [
        f"From a pronoun, {best} attends to its noun most often: its weight there is {attention.antecedent:.0f}% if "
        f"there is a distractor, which gets {attention.distractor:.0f}%, and {attention.antecedent_alone:.0f}% if not.",
        _describe_silencing(report, best),
    ]
    if needed == best:
        sentences.append("No other head is needed more.")
    else:
        sentences += [f"Pronouns need {needed} most.", _describe_silencing(report, needed)]
    return " ".join(sentences)


def _make_row(name: str, figures: Sequence[float], *, is_best: bool) -> list[Cell]:
    return [Cell(text, is_best) for text in (name, *(f"{figure:.1f}" for figure in figures))]


def _describe_silencing(report: HeadReport, head: HeadName) -> str:
    whole, without = report.with_all_heads, report.without[head]
    return (
        f"Without it, {without.pronouns.all.accuracy:.1f}% of the pronouns are correct instead of "
        f"{whole.pronouns.all.accuracy:.1f}%, {without.pronouns.with_distractor.accuracy:.1f}% instead of "
        f"{whole.pronouns.with_distractor.accuracy:.1f}% with a distractor, and the BLEU of test sentences without a "
        f"pronoun is {without.bleu_without_pronouns:.1f} instead of {whole.bleu_without_pronouns:.1f}."
    )
