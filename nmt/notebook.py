"""How a notebook shows a translation and a run: as HTML, drawn like the report.

The HTML is self-contained and runs no code. Its size is bounded, so that a notebook stays small when it is saved.
"""

from __future__ import annotations

from typing import Any

from nmt.errors import UserError
from nmt.report.curves import learning_curves
from nmt.report.formatting import format_duration, format_number, format_score
from nmt.report.heat_map import layout_heat_map
from nmt.report.rendering import render
from nmt.run import RunFolder
from nmt.run.history import RunHistory, read_history
from nmt.translator import Translation

MAX_SHOWN_PIECES = 60
"""Maximum number of rows and of columns of an alignment matrix; a matrix of this size takes at most a megabyte."""


def render_html(shown: Any) -> str:
    """The HTML of a `Translation` or a `RunFolder`."""
    if isinstance(shown, Translation):
        return render_translation(shown)
    assert isinstance(shown, RunFolder)
    return render_run(shown)


def render_translation(translation: Translation) -> str:
    """The text, the alignment matrix if there are attention weights, and the scores."""
    source, target = translation.source_tokens, translation.target_tokens
    remarks, heat_map = [], None
    alignment = translation.alignment()
    if alignment is not None:
        shown = slice(MAX_SHOWN_PIECES)
        heat_map = layout_heat_map(source[shown], target[shown], alignment[shown, shown])
        remarks.append("Columns: source pieces. Rows: target pieces. Point at a cell to see its weight.")
        if max(len(source), len(target)) > MAX_SHOWN_PIECES:
            remarks.append(
                f"Only the first {MAX_SHOWN_PIECES} of {len(source)} source and {len(target)} target pieces are shown; "
                f"nmt plot draws all of them."
            )
    elif source:
        remarks.append("No attention weights: the model has none, or they were not requested.")
    if source:
        remarks.append(f"Score {translation.score:.3f}, log-probability {translation.log_probability:.3f}")
    if translation.truncated:
        remarks.append("The translation was cut at the length limit of the search.")
    if translation.source_truncated:
        remarks.append("The source was too long for the model: its end was not translated.")
    return render("notebook_translation.html.j2", text=translation.text, heat_map=heat_map, remarks=remarks)


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
    score = "" if best is None else f", best validation BLEU {format_score(best.bleu)} at step {best.step:,}"
    return f"{format_number(history.steps)} steps in {format_duration(history.seconds)}{score}"
