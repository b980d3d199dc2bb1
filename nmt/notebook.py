"""How a notebook shows a translation, its attention and a run: as HTML, drawn like the report.

The HTML is self-contained and runs no code. Its size is bounded, so that a notebook stays small when it is saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from nmt.errors import UserError
from nmt.report.curves import learning_curves
from nmt.report.exhibits import Exhibit, build_figure
from nmt.report.figure import layout_lines
from nmt.report.formatting import format_duration, format_number, format_score
from nmt.report.rendering import render
from nmt.run import RunFolder
from nmt.run.history import RunHistory, read_history
from nmt.translator import Attention, Translation

MAX_SHOWN_LABELS = 60
"""Maximum number of rows and of columns of a matrix; a matrix of this size takes at most a megabyte."""

MAX_SHOWN_HEADS = 24
"""Maximum number of matrices."""


def render_html(shown: Any) -> str:
    """The HTML of a `Translation`, an `Attention` or a `RunFolder`."""
    if isinstance(shown, Translation):
        return render_translation(shown)
    if isinstance(shown, Attention):
        return render_attention(shown)
    assert isinstance(shown, RunFolder)
    return render_run(shown)


def render_translation(translation: Translation) -> str:
    """The text, the mean cross-attention between words if there are attention weights, and the scores."""
    remarks = []
    if translation.source_tokens:
        remarks.append(f"Score {translation.score:.3f}, log-probability {translation.log_probability:.3f}")
    if translation.truncated:
        remarks.append("The translation was cut at the length limit of the search.")
    if translation.source_truncated:
        remarks.append("The source was too long for the model: its end was not translated.")
    if "cross" in translation.attention:
        cross = translation.attention["cross"]
        is_only = cross.weights.shape[:2] == (1, 1)
        return render_attention(cross.mean().words(), text=translation.text, is_only=is_only, remarks=remarks)
    if translation.source_tokens:
        remarks.insert(0, "No attention weights: the model has none, or they were not requested.")
    return render("notebook_translation.html.j2", text=translation.text, figure=None, remarks=remarks)


def render_attention(
    attention: Attention, *, text: str | None = None, is_only: bool = False, remarks: Sequence[str] = ()
) -> str:
    """A matrix for each layer and head.

    Args:
        attention: between pieces or words.
        text: written above.
        is_only: see `Exhibit`.
        remarks: written below.
    """
    template = "notebook_translation.html.j2"
    if not attention.weights.size:
        return render(template, text=text, figure=None, remarks=["There is nothing to attend to.", *remarks])
    num_layers, num_heads, num_rows, num_columns = attention.weights.shape
    labels, heads = slice(MAX_SHOWN_LABELS), slice(MAX_SHOWN_HEADS)
    layers = slice(max(1, MAX_SHOWN_HEADS // num_heads))
    part = replace(
        attention,
        weights=attention.weights[layers, heads, labels, labels],
        rows=attention.rows[labels],
        columns=attention.columns[labels],
        layers=attention.layers and attention.layers[layers],
        heads=attention.heads and attention.heads[heads],
    )
    figure = build_figure([Exhibit("", part, is_only=is_only)])
    remarks = [f"{figure.explanation} Point at a cell to see its weight.", *remarks]
    if max(num_rows, num_columns) > MAX_SHOWN_LABELS:
        remarks.append(
            f"Only the first {MAX_SHOWN_LABELS} of {num_columns} columns and {num_rows} rows are shown; "
            f"nmt plot draws all of them."
        )
    if len(figure.panels) < num_layers * num_heads:
        remarks.append(f"Only the first {len(figure.panels)} of {num_layers * num_heads} heads are shown.")
    return render(template, text=text, figure=figure, heat_maps=layout_lines(figure.lines), remarks=remarks)


def render_run(run: RunFolder) -> str:
    """The name of the run, its model, how far it has come, and its learning curves over steps."""
    try:
        history = read_history(run.history)
        remarks = [f"{run.description('model')['class']}, {_describe_progress(history)}", str(run.path)]
    except UserError as error:  # a notebook would show a traceback
        return render("notebook_run.html.j2", name=run.name, remarks=[str(error)], charts=[])
    charts = learning_curves({run.name: history})
    by_step = [chart for chart in charts if chart.x_label == charts[0].x_label]  # the others: over minutes
    return render("notebook_run.html.j2", name=run.name, remarks=remarks, charts=by_step)


def _describe_progress(history: RunHistory) -> str:
    if history.steps is None:
        return "no record of its training yet"
    best = history.best_validation
    score = ""
    if best is not None:  # a pre-trained run has a loss alone
        figure = f"loss {best.loss:.2f}" if best.loss and best.bleu is None else f"BLEU {format_score(best.bleu)}"
        score = f", best validation {figure} at step {best.step:,}"
    return f"{format_number(history.steps)} steps in {format_duration(history.seconds)}{score}"
