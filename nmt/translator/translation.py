"""The translation of one line: its text, its score and its attention weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from nmt.copying import Fragment
from nmt.display import Displayed
from nmt.errors import UserError


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
        attention: the attention weights of each target piece, see `Hypothesis.attention`.
        missing: numbers, URLs, words that the model does not know, and the like, which the text lacks.
        truncated: the search's length limit has cut the translation off; it probably lacks its end.
        source_truncated: the line had more pieces than the model takes; the rest of it was not translated.
    """

    text: str
    score: float
    log_probability: float
    source_tokens: list[str]
    target_tokens: list[str]
    attention: Tensor | None = field(repr=False, compare=False)
    missing: tuple[Fragment, ...] = ()
    truncated: bool = False
    source_truncated: bool = False

    def alignment(self, *, layer: int | None = None) -> Tensor | None:
        """The attention weights as one matrix (T, S) whose rows sum to one; None without attention.

        Args:
            layer: the decoder layer of a Transformer, from 0, whose heads are averaged. None averages all layers: which
                layer aligns best depends on their number (docs/results/demo.md), and their mean is never far behind it.

        Raises:
            UserError: the model has no such layer.
        """
        if self.attention is None:
            return None
        if self.attention.dim() == 2:  # one matrix already
            if layer is not None:
                raise UserError(f"layer={layer}: only a Transformer attends in several layers; leave layer out")
            return self.attention
        if layer is None:
            return self.attention.mean((1, 2))  # (T, layers, H, S) -> (T, S)
        num_layers = self.attention.size(1)
        if not 0 <= layer < num_layers:
            numbers = f"{num_layers} layers, 0 to {num_layers - 1}" if num_layers > 1 else "one layer, 0"
            raise UserError(f"layer={layer} does not exist: the decoder has {numbers}")
        return self.attention[:, layer].mean(1)  # (T, H, S) -> (T, S)


EMPTY_TRANSLATION = Translation(
    text="", score=0.0, log_probability=0.0, source_tokens=[], target_tokens=[], attention=None
)
"""The translation of a line without words."""
