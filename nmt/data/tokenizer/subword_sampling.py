"""Segmentations drawn at random: subword regularization for unigram models, BPE-dropout for BPE models.

SentencePiece can draw too, but what it draws differs from process to process, whatever its seed. Here a draw is a
function of the sentence and of one number alone, so that a run that goes on in another process, or that is shared out
among several, learns from the very same pieces.

A sentence comes as its best pieces. A piece never reaches over the beginning of a word, so words are segmented one by
one. What can become of a word is worked out when it comes for the first time; from there on, all words of a batch are
drawn side by side (numpy), so that the thread that makes batches takes little from the one that trains. Nothing is
approximated: every occurrence is drawn from the whole distribution. What stands for characters that the model does not
know, `unk` or bytes, stays as it is.

References: Kudo (2018, https://arxiv.org/abs/1804.10959, §3.2); Provilkov et al. (2020,
https://arxiv.org/abs/1910.13267, Algorithm 1).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt.data.counter_rng import Numbers, as_fractions, nth

Ids = NDArray[np.int32]

MOST_NUMBERS = 2**24
"""When so many are remembered about words, 100 to 160 MB with the words themselves, all is forgotten, and begins anew
with the words that come. No draw depends on it."""

NO_PIECE, NO_MERGE = -1, 2**31 - 1

UNKNOWN, BYTES = "\ud800", 0xDC00
"""What spells `unk`, and the first of 256 that spell bytes: halves of surrogate pairs, which occur in no piece."""


class Subwords(ABC):
    """Draws the segmentations of one SentencePiece model.

    Args:
        processor: the model.
        alpha: how far the draws stray from the best segmentation; each kind of model has its own scale.
    """

    def __init__(self, processor: Any, *, alpha: float) -> None:
        self.alpha = alpha
        self.spelled: list[str] = []  # by id
        self.ids: dict[str, int] = {}
        self.scores: dict[str, float] = {}
        for id in range(processor.get_piece_size()):
            piece = processor.id_to_piece(id)
            if processor.is_byte(id):
                piece = chr(BYTES + int(piece[1:-1], 16))  # it reads <0x41>
            elif processor.is_control(id) or processor.is_unknown(id) or processor.is_unused(id):
                piece = UNKNOWN
            self.spelled.append(piece)
            self.scores[piece] = processor.get_score(id)
            self.ids[piece] = id
        self.ids[UNKNOWN] = processor.unk_id()
        self.opens = np.array([piece.startswith("▁") for piece in self.spelled])
        self.longest = max(map(len, self.ids))
        self.words: dict[bytes, int] = {}
        self.forget()

    def draw(self, sentences: Sequence[Ids], seeds: Numbers) -> list[Ids]:
        """Other pieces of the same sentences.

        Args:
            sentences: the ids of each in the best segmentation.
            seeds: (sentences,) names each one's random numbers.
        """
        lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))
        best = np.concatenate([np.zeros(0), *sentences]).astype(np.int32)
        ends = np.cumsum(lengths)
        opens = self.opens[best]
        opens[(ends - lengths)[lengths > 0]] = True
        begins = np.flatnonzero(opens)  # (words,)
        first = np.searchsorted(begins, ends - lengths)  # of each sentence, its first word's number in the batch
        num_words = np.searchsorted(begins, ends) - first
        places = np.arange(len(begins)) - np.repeat(first, num_words)  # of each word in its sentence
        keys = nth(np.repeat(seeds, num_words), places.astype(np.uint64))
        ids, counts = self.draw_words(self.known(best, begins), keys)
        bounds = np.append(0, np.cumsum(counts))[np.append(first, len(begins))]
        return [ids[begin:end] for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)]

    def known(self, best: Ids, begins: NDArray[np.int64]) -> NDArray[np.int64]:
        """What `learn` says of the words that begin at these places."""
        if self.is_full():
            self.words = {}
            self.forget()
        text = best.tobytes()
        cuts = (np.append(begins, len(best)) * best.itemsize).tolist()
        words = [text[begin:end] for begin, end in pairwise(cuts)]
        found = np.fromiter(map(self.words.get, words, repeat(-1)), dtype=np.int64, count=len(words))
        for number in np.flatnonzero(found < 0).tolist():
            word = words[number]
            if word not in self.words:
                self.words[word] = self.learn(np.frombuffer(word, dtype=np.int32).tolist())
            found[number] = self.words[word]
        return found

    @abstractmethod
    def learn(self, ids: list[int]) -> int:
        """Works out what can become of a word, given by its best ids, and returns where it is remembered."""

    @abstractmethod
    def draw_words(self, words: NDArray[np.int64], keys: Numbers) -> tuple[Ids, NDArray[np.int64]]:
        """The ids of all words, one after the other, and how many each has.

        Args:
            words: where each is remembered.
            keys: (words,) names each one's random numbers.
        """

    @abstractmethod
    def is_full(self) -> bool:
        """Whether no more should be remembered."""

    @abstractmethod
    def forget(self) -> None:
        """Begins with nothing remembered."""


class UnigramSubwords(Subwords):
    """Draws a segmentation x with a probability in proportion to P(x)^alpha, among all that there are.

    That is Kudo's Eq. 8 with l → ∞: by forward-filtering and backward-sampling, the other way round. An arc is a piece
    that may stand at a place of a word. The arcs of a place follow one another, and a number from 0 to below 1 takes
    the first one whose bound is above it. Arc 0 is the end of every word.
    """

    def __init__(self, processor: Any, *, alpha: float) -> None:
        super().__init__(processor, alpha=alpha)
        self.weighted = {piece: (alpha * self.scores[piece], id) for piece, id in self.ids.items()}

    def forget(self) -> None:
        self.bounds, self.arc_ids, self.next = array("d", [1.0]), array("i", [-1]), array("i", [0])

    def is_full(self) -> bool:
        return 4 * len(self.bounds) > MOST_NUMBERS

    def learn(self, ids: list[int]) -> int:
        word = "".join(map(self.spelled.__getitem__, ids))
        length = len(word)
        arcs = [0] * (length + 1)  # the first one of each place
        totals = [-math.inf] * length + [0.0]  # log Σ P(x)^alpha over the segmentations of the rest of the word
        for start in reversed(range(length)):
            found = []
            for end in range(start + 1, min(start + self.longest, length) + 1):
                if (piece := self.weighted.get(word[start:end])) is not None:
                    found.append((piece[0] + totals[end], end, piece[1]))
            found.sort(reverse=True)  # the likely ones are met first
            if not found or found[0][0] == -math.inf:
                continue  # from here on the word cannot be spelled
            sums = list(accumulate(math.exp(score - found[0][0]) for score, _, _ in found))
            totals[start] = found[0][0] + math.log(sums[-1])
            arcs[start] = len(self.bounds)
            self.bounds.extend([part / sums[-1] for part in sums[:-1]] + [1.0])
            self.arc_ids.extend([id for _, _, id in found])
            self.next.extend([arcs[end] for _, end, _ in found])
        return arcs[0]

    def draw_words(self, words: NDArray[np.int64], keys: Numbers) -> tuple[Ids, NDArray[np.int64]]:
        bounds, arc_ids, following = (np.asarray(numbers) for numbers in (self.bounds, self.arc_ids, self.next))
        columns = [np.zeros((len(words), 0), dtype=np.int32)]
        left, arcs = np.flatnonzero(words), words[words > 0]  # words that are not at their end yet
        while len(left):
            chances = as_fractions(nth(keys[left], np.uint64(len(columns))))
            while (later := chances >= bounds[arcs]).any():
                arcs = arcs + later
            column = np.full((len(words), 1), -1, dtype=np.int32)
            column[left, 0] = arc_ids[arcs]
            columns.append(column)
            arcs = following[arcs]
            left, arcs = left[arcs > 0], arcs[arcs > 0]
        table = np.concatenate(columns, axis=1)  # (words, most pieces), -1 behind those that have fewer
        return table[table >= 0], np.count_nonzero(table >= 0, axis=1)


class BpeSubwords(Subwords):
    """Leaves each merge out with probability alpha, and asks anew after every merge that is made.

    So a word goes through a row of decisions, the best merge first. What is drawn is the distances between those that
    leave one out: most words have none, and stay as they are. The others are merged side by side, one decision a turn.
    """

    def __init__(self, processor: Any, *, alpha: float) -> None:
        super().__init__(processor, alpha=alpha)
        scores = np.array([self.scores[piece] for piece in self.spelled])
        order = np.unique(-scores, return_inverse=True)[1]  # equal ones alike
        self.ranks = np.append(order, NO_MERGE).astype(np.int64)  # by id, the last one for no piece: [-1]
        self.upto = np.array([1.0])

    def forget(self) -> None:
        self.best, self.best_ends = array("i"), array("i", [0])  # the best ids of all words; word n's end at n + 1
        self.char_ends = array("i", [0])  # likewise for their characters
        self.pieces = array("i")  # (characters, longest + 2), the ids of the pieces of so many characters from there on

    def is_full(self) -> bool:
        return len(self.pieces) > MOST_NUMBERS

    def learn(self, ids: list[int]) -> int:
        word = "".join(map(self.spelled.__getitem__, ids))
        none = [NO_PIECE] * (self.longest + 2)
        for start in range(len(word)):
            ends = range(start + 1, min(start + self.longest, len(word)) + 1)
            found = [self.ids.get(word[start:end], NO_PIECE) for end in ends]
            if found[0] == NO_PIECE:
                found[0] = self.ids[UNKNOWN]
            self.pieces.extend([NO_PIECE, *found, *none[len(found) + 1 :]])
        self.best.extend(ids)
        self.best_ends.append(len(self.best))
        self.char_ends.append(self.char_ends[-1] + len(word))
        return len(self.char_ends) - 2

    def draw_words(self, words: NDArray[np.int64], keys: Numbers) -> tuple[Ids, NDArray[np.int64]]:
        ends, char_ends = np.asarray(self.best_ends), np.asarray(self.char_ends)
        begins, counts = ends[words], ends[words + 1] - ends[words]
        num_merges = char_ends[words + 1] - char_ends[words] - counts
        distances = self.distances(keys, np.zeros(len(keys), dtype=np.uint64), most=int(num_merges.max(initial=0)))
        changed = np.flatnonzero(distances < num_merges)
        if len(changed):
            ids, counts[changed] = self.merge(words[changed], keys[changed], distances[changed])
            begins[changed] = len(self.best) + np.cumsum(counts[changed]) - counts[changed]
        else:
            ids = np.zeros(0, dtype=np.int32)
        return np.concatenate([np.asarray(self.best), ids])[runs(begins, counts)], counts

    def distances(self, keys: Numbers, turns: Numbers, *, most: int) -> NDArray[np.int64]:
        """How many merges are made until one is left out, up to `most`: k or more with probability (1 - alpha)^k."""
        while len(self.upto) < most + 1:
            self.upto = np.append(self.upto, self.upto[-1] * (1 - self.alpha))
        falling: NDArray[np.float64] = 1 - self.upto[1:]
        return np.searchsorted(falling, as_fractions(nth(keys, turns)), side="right")

    def merge(
        self, words: NDArray[np.int64], keys: Numbers, distances: NDArray[np.int64]
    ) -> tuple[Ids, NDArray[np.int64]]:
        """What `draw_words` returns, of words whose first merge that is left out is at a certain distance.

        Of several possible merges the one with the best score comes first, of equal ones the leftmost.
        """
        pieces = np.asarray(self.pieces).reshape(-1, self.longest + 2)
        first, last = np.asarray(self.char_ends)[words], np.asarray(self.char_ends)[words + 1]
        # The places between the characters of all words one after the other, each word's begin and end included. A
        # piece is known by the place where it begins.
        sizes = last - first + 1
        rows = runs(first, sizes)
        ends = np.cumsum(sizes) - 1
        begins = ends - sizes + 1
        rows[ends] = 0
        is_end = np.zeros(len(rows), dtype=bool)
        is_end[ends] = True
        owners = np.repeat(np.arange(len(words)), sizes)
        before, behind = np.arange(len(rows)) - 1, np.arange(len(rows)) + 1
        before[0], behind[ends] = ends[-1], ends

        def merges(places: NDArray[np.int64]) -> NDArray[np.int64]:
            """For the pieces at these places, how good it is to merge each with the next one, and the place itself."""
            middles = behind[places]
            lengths = np.minimum(behind[middles] - places, self.longest + 1)
            found = np.where(is_end[middles], NO_PIECE, pieces[rows[places], lengths])
            return self.ranks[found] << 32 | places

        all_merges = merges(np.arange(len(rows)))
        possible = all_merges.copy()  # without those that were left out since the last one was made
        turns = np.zeros(len(words), dtype=np.uint64)
        most = int(sizes.max())
        while True:  # a turn is one decision for each word that has one left
            best = np.minimum.reduceat(possible, begins)
            left = np.flatnonzero(best < NO_MERGE << 32)
            if not len(left):
                break
            places = best[left] & 0xFFFFFFFF

            omits = distances[left] == 0
            possible[places[omits]] = NO_MERGE << 32
            omitting = left[omits]
            turns[omitting] += np.uint64(1)
            distances[omitting] = self.distances(keys[omitting], turns[omitting], most=most)

            made, places = left[~omits], places[~omits]
            distances[made] -= 1
            middles = behind[places]
            all_merges[middles] = NO_MERGE << 32
            behind[places] = behind[middles]
            before[behind[places]] = places
            for changed in (places, before[places]):
                all_merges[changed] = merges(changed)
            merged = np.zeros(len(words), dtype=bool)
            merged[made] = True
            np.copyto(possible, all_merges, where=merged[owners])
        # A place where a piece begins is the one before that where it ends.
        opens = (before[behind] == np.arange(len(rows))) & ~is_end
        places = np.flatnonzero(opens)
        return pieces[rows[places], behind[places] - places], np.bincount(owners[places], minlength=len(words))


def runs(begins: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """From each begin on so many whole numbers, one after the other: [5, 9], [3, 2] -> [5, 6, 7, 9, 10]."""
    shifts: NDArray[np.int64] = np.repeat(begins - (np.cumsum(counts) - counts), counts)
    return np.arange(len(shifts)) + shifts
