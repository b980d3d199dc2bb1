"""Links the words of given sentence pairs with a trained model, or with two models of opposite directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Self

from nmt.alignment.choice import find_choice
from nmt.alignment.extraction import Extraction, Weights
from nmt.alignment.word_attention import WordAttention, attend_words, attention_shape
from nmt.data.pharaoh import Link, format_links
from nmt.data.words import Splitter, spaced_words
from nmt.errors import UserError
from nmt.run import RunFolder
from nmt.run.model_hash import hash_model
from nmt.translator import LineWarning, Translator
from nmt.translator.arguments import shift

DECIMALS = 5
"""Decimals of a weight in JSON."""

Pair = tuple[str, str]
"""A line and its translation."""


@dataclass(frozen=True, eq=False)
class WordAlignment:
    """The aligned words of one sentence pair.

    Attributes:
        source_words, target_words: the J and I words.
        links: the pairs of words that belong together, as (source, target).
        weights: (I, J) how much each target word attends to each source word, as the links were read from it.
        eos_weights: (I,) how much each target word attends to the end of the source.
    """

    source_words: list[str]
    target_words: list[str]
    links: set[Link]
    weights: Weights
    eos_weights: Weights

    @property
    def pharaoh(self) -> str:
        """The links in Pharaoh format, such as "0-0 1-2"."""
        return format_links(self.links)

    def to_json(self) -> dict[str, Any]:
        """The attributes as JSON values: the links in Pharaoh format, the weights as rounded lists of rows."""
        return {
            "links": self.pharaoh,
            "source_words": self.source_words,
            "target_words": self.target_words,
            "weights": self.weights.astype(float).round(DECIMALS).tolist(),
            "eos_weights": self.eos_weights.astype(float).round(DECIMALS).tolist(),
        }


@dataclass(frozen=True)
class Aligner:
    """Aligns sentence pairs.

    Attributes:
        translator: holds the model from source to target, which must have attention.
        extraction: how links are read from its attention.
        split: how words are counted.
        reverse: the aligner of a model from target to source. Links are then combined from both, so the method of the
            extraction must be one that combines two directions.
    """

    translator: Translator
    extraction: Extraction
    split: Splitter = spaced_words
    reverse: Aligner | None = None

    def __post_init__(self) -> None:
        attention_shape(self.translator.model)  # refuses a model without attention
        if self.reverse is not None and self.extraction.method in ("argmax", "threshold"):
            raise UserError(
                f"method={self.extraction.method} reads one direction: to combine it with reverse=, choose "
                "intersection, union or grow-diag-final-and"
            )

    @classmethod
    def load(
        cls,
        run: RunFolder | str | Path,
        *,
        device: str = "auto",
        split: Splitter = spaced_words,
        remark: Callable[[str], None] = lambda message: None,
    ) -> Self:
        """Loads the best model of a run folder, and how links are read from it; see `find_choice`.

        Raises:
            UserError: the folder is damaged, the model has no attention, or a choice is necessary and the run's corpus
                cannot be read.
        """
        folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
        translator = Translator.load(folder, device=device)
        choice = find_choice(folder, translator, folder.corpus, model_hash=hash_model(folder), remark=remark)
        return cls(translator, choice.extraction, split)

    def align(self, pairs: Sequence[Pair], *, warn: LineWarning | None = None) -> list[WordAlignment]:
        """Aligns each pair.

        Args:
            pairs: lines and their translations. If a side has no words, the pair has no links.
            warn: called for each line that is too long for the model and cut off; its last words are left out.
        """
        forward = self._attend(pairs, warn)
        if self.reverse is None:
            return [self._extract(each, None) for each in forward]

        def warn_of_reverse(index: int, message: str) -> None:
            if warn is not None:
                warn(index, f"in the reverse direction, {message}")

        swapped = [(target, source) for source, target in pairs]
        backward = [each.select(self.reverse.extraction) for each in self.reverse._attend(swapped, warn_of_reverse)]
        # The model of one direction may take longer lines: without `eos`, and without words that the other lacks.
        cut = [
            weights[: len(each.source_words), :-1][:, : len(each.target_words)]  # (J, I)
            for each, weights in zip(forward, backward, strict=True)
        ]
        return [self._extract(each, weights) for each, weights in zip(forward, cut, strict=True)]

    def stream(self, pairs: Iterable[Pair], *, batch_size: int, warn: LineWarning) -> Iterator[WordAlignment]:
        """Aligns pairs as they arrive, `batch_size` at a time, and keeps only these in memory.

        `warn` gets indices from the start of the stream.
        """
        iterator, offset = iter(pairs), 0
        while batch := list(islice(iterator, batch_size)):
            yield from self.align(batch, warn=shift(warn, offset))
            offset += len(batch)

    def _attend(self, pairs: Sequence[Pair], warn: LineWarning | None) -> list[WordAttention]:
        return attend_words(self.translator, pairs, split=self.split, layer=self.extraction.layer, warn=warn)

    def _extract(self, attention: WordAttention, reverse: Weights | None) -> WordAlignment:
        """The alignment of a pair by its attention and, if given, the weights (J, I) of the other direction."""
        weights = attention.select(self.extraction)  # (I, J + 1)
        return WordAlignment(
            source_words=attention.source_words,
            target_words=attention.target_words,
            links=self.extraction.links(weights[:, :-1], reverse=reverse),
            weights=weights[:, :-1],
            eos_weights=weights[:, -1],
        )
