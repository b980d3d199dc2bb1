"""Segmentations drawn at random: subword regularization for unigram models, BPE-dropout for BPE models.

SentencePiece can draw too, but what it draws differs from process to process, whatever its seed. Here a draw is a
function of the text and of one seed alone, so that a run that goes on in another process, or that is shared out among
several, learns from the very same pieces.

A piece never reaches over the beginning of a word, so words are segmented one by one, and what is known about a word is
kept for its next occurrence. Nothing is approximated: every occurrence is drawn from the whole distribution. Characters
that the model does not know come out as the library has them: one `unk` a run of them, or their UTF-8 bytes.

References: Kudo (2018, https://arxiv.org/abs/1804.10959, §3.2); Provilkov et al. (2020,
https://arxiv.org/abs/1910.13267, Algorithm 1).
"""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from bisect import bisect
from collections.abc import Callable, Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import groupby
from typing import Any

WORDS = 2**15
"""Words that are remembered, at up to 4 KB each; the one that was asked for longest ago goes first."""

LONG = 100
"""Words of more characters are not remembered: they hardly come back, and they take much memory."""

Chance = Callable[[], float]
"""The next number of a random sequence, from 0 to below 1."""

Arcs = tuple[list[float], list[int], list[tuple[int, ...]]]
"""The pieces that may begin at a character: upper bounds of their chances but the last one's, their ends, their ids."""


class Subwords(ABC):
    """Draws the segmentations of one SentencePiece model.

    Args:
        processor: the model.
        alpha: how far the draws stray from the best segmentation; each kind of model has its own scale.
    """

    def __init__(self, processor: Any, *, alpha: float) -> None:
        self.alpha = alpha
        self.unk_id: int = processor.unk_id()
        self.pieces: dict[str, tuple[tuple[int], float]] = {}  # the id, as what a word's ids are put together from
        self.bytes: dict[int, int] = {}
        for id in range(processor.get_piece_size()):
            piece = processor.id_to_piece(id)
            if processor.is_byte(id):
                self.bytes[int(piece[1:-1], 16)] = id  # it reads <0x41>
            elif not (processor.is_control(id) or processor.is_unknown(id) or processor.is_unused(id)):
                self.pieces[piece] = (id,), processor.get_score(id)

    def draw(self, text: str, seed: str) -> list[int]:
        """The piece ids of a text that SentencePiece has normalized ("▁The▁dog.")."""
        chance = random.Random(seed).random
        ids: list[int] = []
        for word in text.split("▁")[1:]:
            ids += self.draw_word("▁" + word, chance)
        if self.unk_id in ids:
            ids = [id for id, run in groupby(ids) for id in ([id] if id == self.unk_id else run)]
        return ids

    @abstractmethod
    def draw_word(self, word: str, chance: Chance) -> Sequence[int]:
        """The piece ids of a word, its "▁" included."""

    def ids_of(self, piece: str) -> tuple[int, ...]:
        """The id of a piece, or what stands for a character that is none."""
        if piece in self.pieces:
            return self.pieces[piece][0]
        if self.bytes:
            return tuple(self.bytes[byte] for byte in piece.encode())
        return (self.unk_id,)


class UnigramSubwords(Subwords):
    """Draws a segmentation x with a probability in proportion to P(x)^alpha, among all that there are.

    That is Kudo's Eq. 8 with l → ∞: by forward-filtering and backward-sampling, the other way round.
    """

    def __init__(self, processor: Any, *, alpha: float) -> None:
        super().__init__(processor, alpha=alpha)
        self.longest = max(map(len, self.pieces), default=1)
        self._remembered = lru_cache(maxsize=WORDS)(self.lattice)

    def draw_word(self, word: str, chance: Chance) -> Sequence[int]:
        lattice = self._remembered(word) if len(word) <= LONG else self.lattice(word)
        ids: list[int] = []
        position = 0
        while position < len(word):
            bounds, ends, pieces = lattice[position]
            choice = bisect(bounds, chance()) if bounds else 0
            ids += pieces[choice]
            position = ends[choice]
        return ids

    def lattice(self, word: str) -> list[Arcs]:
        """For each character the pieces that may begin there, with the chance of each."""
        length = len(word)
        lattice: list[Arcs] = [([], [], [])] * length
        totals = [0.0] * (length + 1)  # log Σ P(x)^alpha over the segmentations of the rest of the word from here on
        for start in reversed(range(length)):
            found: list[tuple[int, float]] = []
            for end in range(start + 1, min(start + self.longest, length) + 1):
                if (piece := self.pieces.get(word[start:end])) is not None:
                    found.append((end, self.alpha * piece[1] + totals[end]))
            if word[start] not in self.pieces:  # nothing else can stand there, so that its score does not matter
                found = [(start + 1, totals[start + 1])]
            best = max(score for _, score in found)
            weights = [math.exp(score - best) for _, score in found]
            total = math.fsum(weights)
            totals[start] = best + math.log(total)
            ends = [end for end, _ in found]
            bounds = [math.fsum(weights[: index + 1]) / total for index in range(len(weights) - 1)]
            lattice[start] = bounds, ends, [self.ids_of(word[start:end]) for end in ends]
        return lattice


class BpeSubwords(Subwords):
    """Leaves each merge out with probability alpha, and asks anew after every merge that is made."""

    def __init__(self, processor: Any, *, alpha: float) -> None:
        super().__init__(processor, alpha=alpha)
        self._remembered = lru_cache(maxsize=WORDS)(self.best)

    def draw_word(self, word: str, chance: Chance) -> Sequence[int]:
        ids, num_merges = self._remembered(word) if len(word) <= LONG else self.best(word)
        # How many merges are made before one is left out for the first time: for most words, all of them.
        kept = self.draw_kept(chance)
        return ids if kept >= num_merges else self.merge(word, kept, chance)[0]

    def draw_kept(self, chance: Chance) -> float:
        """k or more with probability (1 - alpha)^k."""
        if self.alpha <= 0:
            return math.inf
        return 0 if self.alpha >= 1 else int(math.log(1 - chance()) / math.log1p(-self.alpha))

    def best(self, word: str) -> tuple[list[int], int]:
        """The ids where no merge is left out, and the number of merges."""
        return self.merge(word, math.inf, lambda: 1.0)

    def merge(self, word: str, kept: float, chance: Chance) -> tuple[list[int], int]:
        """The ids after all merges, and their number: `kept` are made for sure, the next one in line is left out.

        From there on `chance` decides. Of several possible merges the one with the best score comes first, of equal
        ones the leftmost.
        """
        parts: list[str | None] = list(word)
        before, behind = list(range(-1, len(parts) - 1)), list(range(1, len(parts) + 1))

        def candidate(left: int, right: int) -> list[tuple[float, int, int, str]]:
            if left < 0 or right >= len(parts):
                return []
            merged = f"{parts[left]}{parts[right]}"
            return [(-self.pieces[merged][1], left, right, merged)] if merged in self.pieces else []

        queue = [found for left in range(len(parts) - 1) for found in candidate(left, left + 1)]
        heapify(queue)
        num_merges = 0
        omitted: list[tuple[float, int, int, str]] = []
        while queue:
            entry = heappop(queue)
            _, left, right, merged = entry
            if parts[right] is None or parts[left] is None or f"{parts[left]}{parts[right]}" != merged:
                continue  # an earlier merge has taken one of them
            if num_merges == kept or (num_merges > kept and chance() < self.alpha):
                omitted.append(entry)
                kept = -1  # from now on by chance
                continue
            parts[left], parts[right] = merged, None
            behind[left] = behind[right]
            if behind[left] < len(parts):
                before[behind[left]] = left
            num_merges += 1
            for entry in (*omitted, *candidate(before[left], left), *candidate(left, behind[left])):
                heappush(queue, entry)
            omitted = []
        return [id for part in parts if part is not None for id in self.ids_of(part)], num_merges
