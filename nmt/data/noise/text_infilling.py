"""Text infilling: spans of words are hidden, each behind one mask, and a decoder writes the whole text.

Shapes: B texts, N pieces and W words of all texts, R slots of all noisy texts, K spans of a text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nmt.data.counter_rng import Bits, random_bits, to_unit_interval
from nmt.data.noise.noise import LENGTH, Noise, NoisyTexts, check_shares, choose, count_hidden, lay_end_to_end
from nmt.data.tokenizer import Ids, Tokenizer
from nmt.data.tokenizer.bpe_dropout import concatenate_ranges
from nmt.data.words import UNSPACED_CHARACTERS, WORD_START
from nmt.errors import UserError

MAX_MEAN_LENGTH = 100
"""Maximum of λ, in words: no span of such a length fits into a sentence."""


class TextInfilling(Noise):
    """Text infilling (Lewis et al., 2020, https://arxiv.org/abs/1910.13461, §2.2), the noise of BART and mBART.

    Spans of words are hidden until they cover a `share` of the words of a text. Their lengths come from a Poisson
    distribution, and each span becomes one <mask>, so the model must also predict how many words are missing. A span of
    length 0 is a <mask> that hides nothing. A text of n words has at most `share` · n spans.

    A piece that begins with a character of a script without spaces, such as Chinese, is a word of its own. In any other
    text without spaces, which would be a single word, each piece counts as a word.

    Args:
        tokenizer: see `Noise`.
        share: of the words.
        mean_length: λ, the mean number of words of a span.

    Raises:
        UserError: `share` or `mean_length` is out of its range.
    """

    def __init__(self, *, tokenizer: Tokenizer, share: float, mean_length: float) -> None:
        super().__init__(tokenizer)
        check_shares(share=share)
        if not isinstance(mean_length, int | float) or not 0 < mean_length <= MAX_MEAN_LENGTH:
            raise UserError(f"mean_length={mean_length} must be a number above 0, at most {MAX_MEAN_LENGTH}")
        self.share = share
        pieces = tokenizer.source_pieces(range(tokenizer.source_size))
        self.is_unspaced = np.array([bool(UNSPACED_CHARACTERS.match(piece.lstrip(WORD_START))) for piece in pieces])
        starts_word = np.array([piece.startswith(WORD_START) for piece in pieces])
        self.starts_word = starts_word | self.is_unspaced  # (vocabulary,), as the array above
        # P(length ≤ l) for l = 0, 1, …; a longer span than the last of these has negligible probability.
        lengths = range(int(10 * mean_length) + 20)
        log_probabilities = [n * math.log(mean_length) - mean_length - math.lgamma(n + 1) for n in lengths]
        self.length_distribution = np.cumsum(np.exp(log_probabilities))

    def apply(self, sources: Sequence[Ids], targets: Sequence[Ids], seeds: Bits) -> NoisyTexts:
        # 1. Divide the texts into words. A tag is a word of its own.
        ids, owners = lay_end_to_end(sources)  # (N,), (N,)
        is_first = np.diff(owners, prepend=-1) > 0  # (N,)
        is_tag = np.isin(ids, self.tag_ids)  # (N,)
        follows_word = np.append(False, is_tag | self.is_unspaced[ids])[: len(ids)]  # (N,)
        starts_word = self.starts_word[ids] | is_first | follows_word  # (N,)
        num_words = np.bincount(owners[starts_word & ~is_tag], minlength=len(sources))  # (B,)
        starts_word |= (num_words <= 1)[owners]  # no spaces
        num_words = np.bincount(owners[starts_word & ~is_tag], minlength=len(sources))  # (B,)
        word_starts = np.append(np.flatnonzero(starts_word), len(ids))  # (W + 1,)

        # 2. Draw the spans of each text: as many as it takes to hide `counts` words, the last one cut to fit.
        counts = count_hidden(num_words, self.share)  # (B,)
        lengths, num_spans = self.draw_spans(counts, seeds)  # (B, K), (B,)
        num_hidden = lengths.sum(1)  # (B,)

        # 3. Put the spans and the other words of each text in random order. Each is a slot of the noisy text.
        has_tag = np.bincount(owners[is_tag], minlength=len(sources))  # (B,) 1 or 0
        num_slots = has_tag + num_words - num_hidden + num_spans  # (B,)
        slot_owners = np.repeat(np.arange(len(sources)), num_slots)  # (R,)
        is_tag_slot = (np.diff(slot_owners, prepend=-1) > 0) & (has_tag > 0)[slot_owners]  # (R,)
        is_span = choose(num_spans, slot_owners, seeds, can_be_chosen=~is_tag_slot)  # (R,)

        # 4. Find the words that each slot stands for, and write its pieces: those of one word, or <mask>.
        num_covered = np.ones(len(slot_owners), dtype=np.int64)  # (R,) words
        num_covered[is_span] = lengths[np.arange(lengths.shape[1]) < num_spans[:, None]]
        words = np.cumsum(num_covered) - num_covered  # (R,) the first word of each slot
        starts = np.where(is_span, len(ids), word_starts[words])  # (R,) <mask> stands behind all pieces
        sizes = np.where(is_span, 1, np.diff(word_starts, append=len(ids))[words])  # (R,) pieces
        noisy = np.append(ids, np.int32(self.mask_id))[concatenate_ranges(starts, sizes)]
        ends = np.cumsum(np.bincount(slot_owners, weights=sizes, minlength=len(sources)).astype(np.int64))[:-1]
        return NoisyTexts(np.split(noisy, ends), list(targets), None)

    def draw_spans(self, counts: NDArray[np.int64], seeds: Bits) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draws spans that hide `counts` (B,) words of B texts.

        Returns:
            lengths (B, K), 0 behind the spans of a text, and the number of spans (B,).
        """
        numbers = np.arange(int(counts.max(initial=0)), dtype=np.uint64)  # (K,)
        uniform = to_unit_interval(random_bits(random_bits(seeds, LENGTH)[:, None], numbers))  # (B, K)
        lengths = np.searchsorted(self.length_distribution, uniform, side="right")  # (B, K)
        covered = np.minimum(np.cumsum(lengths, axis=1), counts[:, None])  # (B, K) words, after each span
        num_spans = np.minimum(counts, 1 + np.count_nonzero(covered < counts[:, None], axis=1))  # (B,)
        lengths = np.diff(covered, axis=1, prepend=0)  # (B, K), cut to fit
        return np.where(numbers < num_spans[:, None], lengths, 0), num_spans
