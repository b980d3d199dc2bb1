"""BPE-dropout: segments words by merging pieces, where each merge is skipped at random."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor

from nmt.data.counter_rng import Bits, random_bits, to_unit_interval
from nmt.data.tokenizer.subword_sampling import UNKNOWN, Ids, SubwordSampler

NO_PIECE = -1
"""The id of a string that is not a piece."""

NO_MERGE_RANK = 2**31 - 1
"""The rank of two neighbours that cannot be merged: worse than every real rank."""

NO_MERGE = NO_MERGE_RANK << 32
"""Merges are compared by (rank << 32 | slot): the best one first, and of equal ones the leftmost."""

SLOT_MASK = 0xFFFFFFFF
"""Bit mask that selects the slot of such a number."""


class BpeDropout(SubwordSampler):
    """BPE-dropout (Provilkov et al., 2020, Algorithm 1): every merge is skipped with probability alpha.

    A word starts as single characters. In each step, every possible merge of two neighbours is skipped with probability
    alpha, and the best remaining merge is applied; the word is finished when none remains. That is the same as going
    through the possible merges from the best one on, and deciding for each one whether it is applied or skipped. After
    each applied merge, the skipped ones are considered again.

    The number of applied merges before the next skip is geometrically distributed: at least k with probability
    (1 - alpha)^k. So a single random number tells how many merges a word applies before it skips one. For most words
    with a small alpha, that is more than all of their merges, and they keep their best segmentation. Only the other
    words are merged step by step, all of them at once.
    """

    def __init__(self, processor: SentencePieceProcessor, *, alpha: float) -> None:
        super().__init__(processor, alpha=alpha)
        scores = np.array([self.scores[spelling] for spelling in self.spellings])
        order = np.unique(-scores, return_inverse=True)[1]  # (vocabulary,), equal for equal scores
        self.ranks = np.append(order, NO_MERGE_RANK).astype(np.int64)  # by id; NO_PIECE, -1, is the last one
        self.survival = np.array([1.0])  # (1 - alpha)^k for k = 0, 1, …, as far as needed

    def clear(self) -> None:
        self.best_ids = array("i")  # of all words, end to end
        self.best_ends = array("i", [0])  # (words + 1,) word w has best_ids[best_ends[w] : best_ends[w + 1]]
        self.char_ends = array("i", [0])  # (words + 1,) the same for the rows of `piece_table`
        # (characters, max_piece_length + 2), flattened; [c, n] is the id of the piece of n characters from c on.
        self.piece_table = array("i")

    def count_numbers(self) -> int:
        return len(self.piece_table)  # the other lists are short

    def prepare_word(self, ids: list[int]) -> int:
        word = self.spell(ids)
        no_pieces = [NO_PIECE] * (self.max_piece_length + 2)
        # For each character, a row of the table: the ids of the pieces of 0, 1, 2, … characters that start there.
        for start in range(len(word)):
            ends = range(start + 1, min(start + self.max_piece_length, len(word)) + 1)
            pieces = [self.ids.get(word[start:end], NO_PIECE) for end in ends]
            if pieces[0] == NO_PIECE:
                pieces[0] = self.ids[UNKNOWN]  # every single character is a piece
            self.piece_table.extend([NO_PIECE, *pieces, *no_pieces[len(pieces) + 1 :]])
        self.best_ids.extend(ids)
        self.best_ends.append(len(self.best_ids))
        self.char_ends.append(self.char_ends[-1] + len(word))
        return len(self.char_ends) - 2

    def sample_words(self, words: NDArray[np.int64], seeds: Bits) -> tuple[Ids, NDArray[np.int64]]:
        ends, char_ends = np.asarray(self.best_ends), np.asarray(self.char_ends)  # (prepared words + 1,)
        # Draw how many merges each word applies before its first skip.
        starts, counts = ends[words], ends[words + 1] - ends[words]  # (words,)
        num_merges = char_ends[words + 1] - char_ends[words] - counts  # (words,) without any skip
        draws = np.zeros(len(seeds), dtype=np.uint64)
        num_until_skip = self._count_until_skip(seeds, draws, max_count=int(num_merges.max(initial=0)))  # (words,)
        # Words that skip no merge keep their best segmentation; the others are merged step by step.
        changed = np.flatnonzero(num_until_skip < num_merges)  # (changed,) word indices
        if len(changed):
            changed_ids, changed_counts = self._merge(words[changed], seeds[changed], num_until_skip[changed])
            # Their ids are appended to the best ids of all words, so both are selected by the same ranges.
            counts[changed] = changed_counts
            starts[changed] = len(self.best_ids) + np.cumsum(changed_counts) - changed_counts
        else:
            changed_ids = np.zeros(0, dtype=np.int32)
        return np.concatenate([np.asarray(self.best_ids), changed_ids])[concatenate_ranges(starts, counts)], counts

    def _count_until_skip(self, seeds: Bits, draws: Bits, *, max_count: int) -> NDArray[np.int64]:
        """Draws how many merges each word applies before its next skip, (words,).

        It is at least k with probability (1 - alpha)^k.

        Args:
            seeds: (words,) a random stream for each word.
            draws: (words,) how many numbers of the stream have been used.
            max_count: the largest number that makes a difference.
        """
        while len(self.survival) < max_count + 1:
            self.survival = np.append(self.survival, self.survival[-1] * (1 - self.alpha))
        distribution = 1 - self.survival[1:]  # (max_count or more,) P(fewer than k merges) for k = 1, 2, …
        uniform = to_unit_interval(random_bits(seeds, draws))  # (words,)
        return np.searchsorted(distribution, uniform, side="right")  # the inverse of the distribution function

    def _merge(
        self, words: NDArray[np.int64], seeds: Bits, num_until_skip: NDArray[np.int64]
    ) -> tuple[Ids, NDArray[np.int64]]:
        """Segments words that skip at least one merge; arguments and result as in `sample_words`.

        Args:
            num_until_skip: (words,) the number of merges that each word applies before its first skip.
        """
        char_ends = np.asarray(self.char_ends)
        table = np.asarray(self.piece_table).reshape(-1, self.max_piece_length + 2)  # (characters of all words, …)
        pieces = MergedPieces(table, self.ranks, char_ends[words], char_ends[words + 1])
        candidates = pieces.merges.copy()  # (slots,), without the merges that were skipped since the last applied one
        draws = np.zeros(len(words), dtype=np.uint64)  # (words,)
        max_count = int(pieces.sizes.max())
        # The merge loop: in each round, every unfinished word decides about its best candidate.
        while True:
            best = np.minimum.reduceat(candidates, pieces.starts)  # (words,)
            unfinished = np.flatnonzero(best < NO_MERGE)  # (unfinished,) word indices
            if not len(unfinished):
                return pieces.ids_and_counts()
            slots = best[unfinished] & SLOT_MASK  # (unfinished,)
            skips = num_until_skip[unfinished] == 0  # (unfinished,)

            # Skip the candidate, and draw how many merges are applied before the next skip.
            skipping = unfinished[skips]
            candidates[slots[skips]] = NO_MERGE
            draws[skipping] += np.uint64(1)
            num_until_skip[skipping] = self._count_until_skip(seeds[skipping], draws[skipping], max_count=max_count)

            # Or apply it, and consider all merges of the word again.
            applying = unfinished[~skips]
            num_until_skip[applying] -= 1
            pieces.merge_with_next(slots[~skips])
            has_changed = np.zeros(len(words), dtype=bool)  # (words,)
            has_changed[applying] = True
            np.copyto(candidates, pieces.merges, where=has_changed[pieces.owners])


class MergedPieces:
    """The pieces of several words while they are merged: a doubly linked list for each word, in flat arrays.

    A word of n characters has n + 1 slots: one for each character, and one for its end. A piece is identified by the
    slot of its first character. The words "abc" and "de", after "a" and "b" were merged (slot 1 is unused now):

        slot       0  1  2  3    4  5  6
        character  a  b  c  ·    d  e  ·
        next       2  2  3  3    5  6  6
        previous   6  0  0  2    3  4  5      (of a word's first slot: an end slot, which never merges)

    Args:
        table: (characters, lengths) the id of the piece of each length at each character, or `NO_PIECE`.
        ranks: (vocabulary + 1,) the rank of each piece, the best first; the last entry is for `NO_PIECE`.
        first, last: (words,) each word's range of rows in the table.
    """

    def __init__(
        self, table: NDArray[np.int32], ranks: NDArray[np.int64], first: NDArray[np.int32], last: NDArray[np.int32]
    ) -> None:
        self.table = table
        self.ranks = ranks
        self.sizes = last - first + 1  # (words,) slots
        ends = np.cumsum(self.sizes) - 1  # (words,) end slots
        self.starts = ends - self.sizes + 1  # (words,) first slots
        self.rows = concatenate_ranges(first, self.sizes)  # (slots,) row in the table
        self.rows[ends] = 0  # any row: nothing is looked up for an end slot
        self.is_end = np.zeros(len(self.rows), dtype=bool)  # (slots,)
        self.is_end[ends] = True
        self.owners = np.repeat(np.arange(len(first)), self.sizes)  # (slots,) index of the word
        self.previous, self.next = np.arange(len(self.rows)) - 1, np.arange(len(self.rows)) + 1  # (slots,)
        self.previous[0], self.next[ends] = ends[-1], ends
        self.merges = self._rate_merges(np.arange(len(self.rows)))  # (slots,) rank << 32 | slot

    def _rate_merges(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """For pieces at `slots` (N,), the merge of each with its next piece as rank << 32 | slot, (N,).

        It is at least `NO_MERGE` if the two cannot be merged.
        """
        next_slots = self.next[slots]  # (N,)
        lengths = np.minimum(self.next[next_slots] - slots, self.table.shape[1] - 1)  # (N,) of both, in characters
        ids = np.where(self.is_end[next_slots], NO_PIECE, self.table[self.rows[slots], lengths])  # (N,) of the merged
        return self.ranks[ids] << 32 | slots

    def merge_with_next(self, slots: NDArray[np.int64]) -> None:
        """Merges the pieces at `slots` (N,), at most one per word, each with its next piece."""
        middles = self.next[slots]  # (N,) the slots that are no longer used
        self.merges[middles] = NO_MERGE
        self.next[slots] = self.next[middles]
        self.previous[self.next[slots]] = slots
        for changed in (slots, self.previous[slots]):
            self.merges[changed] = self._rate_merges(changed)

    def ids_and_counts(self) -> tuple[Ids, NDArray[np.int64]]:
        """The ids of all words, end to end, and the number of ids of each word, (words,)."""
        # A slot is in use if it is the previous one of its next.
        is_piece = (self.previous[self.next] == np.arange(len(self.rows))) & ~self.is_end  # (slots,)
        slots = np.flatnonzero(is_piece)  # (pieces,)
        ids = self.table[self.rows[slots], self.next[slots] - slots]  # (pieces,)
        return ids, np.bincount(self.owners[slots], minlength=len(self.starts))


def concatenate_ranges(starts: NDArray[np.integer], counts: NDArray[np.integer]) -> NDArray[np.int64]:
    """Concatenates ranges of `counts` whole numbers from `starts` on: [5, 9], [3, 2] → [5, 6, 7, 9, 10]."""
    shifts = np.repeat(starts - (np.cumsum(counts) - counts), counts)  # (sum of counts,)
    return np.arange(len(shifts)) + shifts
