"""The translation of one line: its text, its score and its attention weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from nmt.copying import Fragment
from nmt.display import Displayed
from nmt.models.attention import Kind
from nmt.translator.attention import Attention, Matrix


@dataclass(frozen=True)
class Translation(Displayed):
    """One translation of one line. A notebook shows it with its alignment, if it has attention weights.

    Attributes:
        text: the detokenised translation, one line; empty for a line without words.
        score: the search ranks by it; higher is better.
        log_probability: log-probability of all target pieces together, in nats.
        source_tokens: the S pieces of the source; the last one is the end-of-sentence piece. An unknown piece is the
            text that it stands for.
        target_tokens: the T pieces of the translation; the last one is the end-of-sentence piece.
        attention: the attention weights of each kind that was asked for and that the model has.
        missing: numbers, URLs, words that the model does not know, and the like, which the text lacks.
        truncated: the search's length limit has cut the translation off; it probably lacks its end.
        source_truncated: the line had more pieces than the model takes; the rest of it was not translated.
        log_probabilities: of each of the T pieces, in nats, if the translation was given to the model (`force_decode`);
            empty if the search has found it, since the search keeps their sum alone.
    """

    text: str
    score: float
    log_probability: float
    source_tokens: list[str]
    target_tokens: list[str]
    attention: dict[Kind, Attention] = field(default_factory=dict, repr=False, compare=False)
    missing: tuple[Fragment, ...] = ()
    truncated: bool = False
    source_truncated: bool = False
    log_probabilities: list[float] = field(default_factory=list, repr=False)

    def alignment(self, *, layer: int | None = None) -> Matrix | None:
        """The cross-attention as one matrix (T, S) whose rows sum to one; None if the translation has none.

        Args:
            layer: the decoder layer, from 0, whose heads are averaged. None averages all layers: which layer aligns
                best depends on their number (docs/results/demo.md), and their mean is never far behind it.

        Raises:
            UserError: the model has no such layer.
        """
        cross = self.attention.get("cross")
        if cross is None:
            return None
        return (cross if layer is None else cross.layer(layer)).mean().matrix


EMPTY_TRANSLATION = Translation(text="", score=0.0, log_probability=0.0, source_tokens=[], target_tokens=[])
"""The translation of a line without words."""
