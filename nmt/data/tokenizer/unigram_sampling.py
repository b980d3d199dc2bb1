"""Subword regularization for unigram models: samples paths through a word's lattice of pieces."""

from __future__ import annotations

import math
from array import array
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor

from nmt.data.counter_rng import Bits, random_bits, to_unit_interval
from nmt.data.tokenizer.subword_sampling import Ids, SubwordSampler


class UnigramSampler(SubwordSampler):
    """Samples a segmentation x of a word with probability P(x)^alpha / Σ_x' P(x')^alpha, over all segmentations x'.

    This is the distribution of Kudo (2018, §3.3) with l → ∞. P(x) is the product of the probabilities p of its pieces.

    The lattice of a word of n characters has the positions 0 to n as nodes, and an arc from i to j for every piece that
    spells the characters i to j. A path from 0 to n is a segmentation:

        0 -▁- 1 -m- 2 -o- 3 -t- 4 -h- 5 -e- 6 -r- 7   and "▁mo" from 0 to 3, "th" from 3 to 5, "other" from 2 to 7 …

    Backward filtering, once per word: β(n) = 1 and β(i) = Σ_j p(i, j)^alpha β(j), the total weight of all paths from i
    to the end. Forward sampling, for every occurrence: at node i, take the arc to j with probability
    p(i, j)^alpha β(j) / β(i). Along a path, the β cancel, which leaves P(x)^alpha / β(0). (Kudo filters forward and
    samples backward, which is the same in the other direction.)

    The lattices of all words share three flat lists with one entry per arc. The arcs that leave a node are adjacent.
    Arc 0 stands for the end of every word. A word's index is its first arc.
    """

    def __init__(self, processor: SentencePieceProcessor, *, alpha: float) -> None:
        super().__init__(processor, alpha=alpha)
        self.log_weights = {piece: (alpha * self.scores[piece], id) for piece, id in self.ids.items()}  # alpha log p

    def clear(self) -> None:
        self.bounds = array("d", [1.0])  # the node's cumulative probability, up to and including this arc
        self.arc_ids = array("i", [-1])  # the id of the arc's piece
        self.next_arcs = array("i", [0])  # the first arc of the node to which the arc leads

    def count_numbers(self) -> int:
        return 4 * len(self.bounds)  # a bound is twice as large as the other two

    def prepare_word(self, ids: list[int]) -> int:
        word = self.spell(ids)
        length = len(word)
        first_arcs = [0] * (length + 1)  # of each node
        log_betas = [-math.inf] * length + [0.0]
        # Backward filtering, from the last node to the first.
        for start in reversed(range(length)):
            arcs = []  # (log p(start, end)^alpha β(end), end, id)
            for end in range(start + 1, min(start + self.max_piece_length, length) + 1):
                if (piece := self.log_weights.get(word[start:end])) is not None:
                    log_weight, id = piece
                    arcs.append((log_weight + log_betas[end], end, id))
            arcs.sort(reverse=True)  # sampling searches the arcs in order: put the likely ones first
            if not arcs or arcs[0][0] == -math.inf:
                continue  # no path leads from here to the end
            # Log-sum-exp: relative to the largest weight, nothing overflows.
            cumulative = list(accumulate(math.exp(log_weight - arcs[0][0]) for log_weight, _, _ in arcs))
            log_betas[start] = arcs[0][0] + math.log(cumulative[-1])
            first_arcs[start] = len(self.bounds)
            # The last bound is exactly 1, whatever the rounding.
            self.bounds.extend([weight / cumulative[-1] for weight in cumulative[:-1]] + [1.0])
            self.arc_ids.extend([id for _, _, id in arcs])
            self.next_arcs.extend([first_arcs[end] for _, end, _ in arcs])
        return first_arcs[0]

    def sample_words(self, words: NDArray[np.int64], seeds: Bits) -> tuple[Ids, NDArray[np.int64]]:
        bounds, arc_ids, next_arcs = (np.asarray(numbers) for numbers in (self.bounds, self.arc_ids, self.next_arcs))
        columns = [np.zeros((len(words), 0), dtype=np.int32)]  # one column per step
        # Forward sampling of all words at once: each step takes one arc in every word that is not at its end.
        active, arcs = np.flatnonzero(words), words[words > 0]  # (active,) the words, and the first arcs of their nodes
        while len(active):
            uniform = to_unit_interval(random_bits(seeds[active], np.uint64(len(columns))))  # (active,)
            # Choose the first arc whose bound is above the random number.
            while (is_above := uniform >= bounds[arcs]).any():
                arcs = arcs + is_above
            column = np.full((len(words), 1), -1, dtype=np.int32)  # (words, 1)
            column[active, 0] = arc_ids[arcs]
            columns.append(column)
            # Go to the next node, and drop the words that have reached their end.
            arcs = next_arcs[arcs]  # (active,)
            active, arcs = active[arcs > 0], arcs[arcs > 0]
        table = np.concatenate(columns, axis=1)  # (words, steps), -1 after the end of a word
        return table[table >= 0], np.count_nonzero(table >= 0, axis=1)
