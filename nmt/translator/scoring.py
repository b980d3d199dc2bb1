"""The scores of given translations, in batches of similar lengths, and the perplexity of all of them together.

A target is scored in the tokenizer's best segmentation, whatever the run was trained with: then its score depends on
its text alone. `Translator.force_decode` first looks for the segmentation that the search would find, which takes a
search per pair.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from nmt.data.batch import make_batch
from nmt.data.words import spaced_words
from nmt.errors import UserError
from nmt.search.forced import score_batch
from nmt.search.scoring import LengthPenalty
from nmt.translator.arguments import LineWarning, sanitize, shift
from nmt.translator.batch import batches_by_length, cut_off, label_source
from nmt.translator.translation import EMPTY_TRANSLATION, Translation
from nmt.translator.translator import Translator

Pair = tuple[str, str]
"""A line and its translation."""


def score_pairs(
    translator: Translator,
    pairs: Sequence[Pair],
    *,
    length_penalty: float | None = None,
    warn: LineWarning | None = None,
) -> list[Translation]:
    """The given translations with their scores, and with the log-probability of each piece.

    A pair without words gets an empty translation. If only one side has no words, the model scores the pair as it is:
    an empty target is the piece that ends a sentence.

    Args:
        translator: its model gives the probabilities.
        pairs: lines and their translations. A line that is too long for the model is cut off.
        length_penalty: α of the scores, see `LengthPenalty`; None: that of the translator's search.
        warn: called for each line that is cut off, with the index of its pair.

    Raises:
        UserError: the length penalty is out of range, or the model's scores are not finite.
    """
    tokenizer, model = translator.tokenizer, translator.model
    penalty = translator.search.penalty() if length_penalty is None else LengthPenalty(length_penalty)
    lines, texts = [sanitize(line) for line, _ in pairs], [sanitize(text) for _, text in pairs]
    sources, truncated = translator.encode_sources(lines, warn)
    targets = tokenizer.encode_target(texts)
    for index in cut_off(targets, translator.max_length - 1, warn, side="target"):  # one position is left for `eos`
        texts[index] = tokenizer.decode_target(targets[index])  # what is scored
    results = [EMPTY_TRANSLATION] * len(pairs)
    longer = [max(len(source), len(target)) for source, target in zip(sources, targets, strict=True)]
    lengths = [length + 1 if length else 0 for length in longer]  # with `eos`
    for indices in batches_by_length(lengths, lambda longest: translator.batch_tokens // longest):
        translator.before_batch()
        batch = make_batch(
            [sources[index] for index in indices],
            [targets[index] for index in indices],
            pad_id=tokenizer.pad_id,
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
        ).to(model.device)
        for index, log_probabilities in zip(indices, score_batch(model, batch), strict=True):
            total = math.fsum(log_probabilities)
            if not math.isfinite(total):
                raise UserError("the model's scores are not finite numbers: train it again")
            results[index] = Translation(
                text=texts[index],
                score=total / penalty(float(len(log_probabilities))),
                log_probability=total,
                source_tokens=label_source(tokenizer, sources[index], lines[index]),
                target_tokens=tokenizer.target_pieces([*targets[index], tokenizer.eos_id], text=texts[index]),
                source_truncated=index in truncated,
                log_probabilities=log_probabilities,
            )
    return results


def stream_scores(
    translator: Translator,
    pairs: Iterable[Pair],
    *,
    batch_size: int,
    length_penalty: float | None,
    warn: LineWarning,
) -> Iterator[Translation]:
    """Scores pairs as they arrive, `batch_size` at a time, and keeps only these in memory; see `score_pairs`.

    `warn` gets indices from the start of the stream.
    """
    iterator, offset = iter(pairs), 0
    while batch := list(islice(iterator, batch_size)):
        yield from score_pairs(translator, batch, length_penalty=length_penalty, warn=shift(warn, offset))
        offset += len(batch)


@dataclass
class Perplexity:
    """How well a model predicts a text: exp(-1/N Σ log p), over all pieces, or over all words.

    The end of a line counts as a piece and as a word. Systems with different tokenizers can only be compared per word.

    Attributes:
        num_pairs: how many pairs were added.
        num_pieces: N per piece, those that end a line included.
        num_words: N per word: words of the target as they stand between white space (in scripts without spaces, every
            character), and one for the end of each line.
        log_probability: Σ log p of all pieces, in nats.
    """

    num_pairs: int = 0
    num_pieces: int = 0
    num_words: int = 0
    log_probability: float = 0.0

    def add(self, translation: Translation) -> None:
        """Adds a pair; one without words has nothing to predict."""
        self.num_pairs += 1
        if translation.log_probabilities:
            self.num_pieces += len(translation.log_probabilities)
            self.num_words += len(spaced_words(translation.text)) + 1
            self.log_probability += translation.log_probability

    def watch(self, translations: Iterable[Translation]) -> Iterator[Translation]:
        """Passes on translations, and adds each of them."""
        for translation in translations:
            self.add(translation)
            yield translation

    @property
    def per_piece(self) -> float:
        """Perplexity per piece; 1 if there is none."""
        return exp_or_infinity(-self.log_probability / max(1, self.num_pieces))

    @property
    def per_word(self) -> float:
        """Perplexity per word; 1 if there is none."""
        return exp_or_infinity(-self.log_probability / max(1, self.num_words))


def exp_or_infinity(exponent: float) -> float:
    """exp of a number, infinity where it exceeds every float."""
    try:
        return math.exp(exponent)
    except OverflowError:
        return math.inf
