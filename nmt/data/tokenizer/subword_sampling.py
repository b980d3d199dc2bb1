"""Random segmentations: subword regularization for unigram models, BPE-dropout for BPE models.

SentencePiece can sample too, but its samples differ from process to process, whatever the seed. Here, a sample is a
function of the sentence and one 64-bit seed, so a resumed run and all processes of a distributed run train on the same
pieces as a single uninterrupted process.

A sentence is given by its best segmentation. No piece extends across the start of a word, so words are segmented
independently. The possible segmentations of a word are prepared when the word first occurs, and kept. After that, numpy
samples all words of a batch at once, which leaves most of the CPU to the training thread. The sampling is exact: every
occurrence of a word is drawn from the full distribution. Pieces for characters outside the model (`unk` or bytes) and
user-defined pieces are never changed.

References: Kudo (2018, https://arxiv.org/abs/1804.10959, §3.3); Provilkov et al. (2020,
https://arxiv.org/abs/1910.13267, Algorithm 1).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import count, pairwise, repeat

import numpy as np
from numpy.typing import NDArray
from sentencepiece import SentencePieceProcessor

from nmt.data.counter_rng import Bits, random_bits
from nmt.data.tokenizer.description import ModelType
from nmt.data.tokenizer.model_file import find_user_defined_pieces
from nmt.errors import UserError

Ids = NDArray[np.int32]
"""Piece ids, (pieces,)."""

MAX_CACHED_NUMBERS = 2**24
"""Limit for the prepared words, in stored numbers: 100 to 160 MB including the words themselves. When it is reached,
the cache starts again from empty. No sample depends on it."""

MAX_UNIGRAM_ALPHA = 1000
"""Maximum of subword_alpha for unigram models: such a value already samples nothing but the best segmentation."""

UNKNOWN, FIRST_STAND_IN = "\ud800", 0xD801
"""The character that spells `unk`, and the first code of those that spell other whole pieces. The codes begin with the
halves of surrogate pairs, which occur in no real piece."""


def check_alpha(alpha: float, model_type: ModelType) -> None:
    """Raises UserError if this kind of model cannot sample with `alpha`."""
    maximum = 1 if model_type == "bpe" else MAX_UNIGRAM_ALPHA
    if not isinstance(alpha, int | float) or not 0 <= alpha <= maximum:
        number = "a probability" if model_type == "bpe" else "a number"
        raise UserError(f"subword_alpha={alpha} must be {number} from 0 to {maximum} for model_type={model_type}")


def spell_pieces(processor: SentencePieceProcessor) -> list[str]:
    """The characters that each piece spells, by id.

    One character stands for `unk`, one for each byte, and one for each tag or user-defined piece: none of these is ever
    divided.
    """
    spellings = [processor.id_to_piece(id) for id in range(processor.get_piece_size())]
    user_defined = find_user_defined_pieces(processor.serialized_model_proto())
    alphabet = set().union(*spellings)
    stand_ins = (chr(code) for code in count(FIRST_STAND_IN) if chr(code) not in alphabet)
    for id in range(len(spellings)):
        if processor.is_unknown(id) or processor.is_unused(id):
            spellings[id] = UNKNOWN
        elif processor.is_byte(id) or processor.is_control(id) or id in user_defined:
            spellings[id] = next(stand_ins)
    return spellings


class SubwordSampler(ABC):
    """Samples segmentations with one SentencePiece model.

    Args:
        processor: the SentencePiece model.
        alpha: how much samples deviate from the best segmentation; the scale depends on the kind of model.
    """

    def __init__(self, processor: SentencePieceProcessor, *, alpha: float) -> None:
        self.alpha = alpha
        self.spellings = spell_pieces(processor)  # by id
        self.ids = {spelling: id for id, spelling in enumerate(self.spellings)}
        self.scores = {spelling: processor.get_score(id) for id, spelling in enumerate(self.spellings)}
        self.ids[UNKNOWN] = processor.unk_id()
        self.starts_word = np.array([spelling.startswith("▁") for spelling in self.spellings])  # (vocabulary,)
        self.max_piece_length = max(map(len, self.ids))  # in characters
        self.words: dict[bytes, int] = {}  # the best ids of a word, as bytes → its index among the prepared words
        self.clear()

    def sample(self, sentences: Sequence[Ids], seeds: Bits) -> list[Ids]:
        """Samples a segmentation of each of B sentences.

        Args:
            sentences: the best segmentation of each.
            seeds: (B,) a random stream for each sentence.
        """
        # Lay the sentences end to end, and split them into words. Every sentence starts a word.
        lengths = np.fromiter(map(len, sentences), dtype=np.int64, count=len(sentences))  # (B,)
        ids = np.concatenate([np.zeros(0), *sentences]).astype(np.int32)  # (all pieces,)
        ends = np.cumsum(lengths)  # (B,)
        starts_word = self.starts_word[ids]  # (all pieces,)
        starts_word[(ends - lengths)[lengths > 0]] = True
        word_starts = np.flatnonzero(starts_word)  # (words,)

        # Give each word a random stream of its own, by its index in its sentence.
        first_words = np.searchsorted(word_starts, ends - lengths)  # (B,) the index of each sentence's first word
        num_words = np.searchsorted(word_starts, ends) - first_words  # (B,)
        index_in_sentence = np.arange(len(word_starts)) - np.repeat(first_words, num_words)  # (words,)
        word_seeds = random_bits(np.repeat(seeds, num_words), index_in_sentence.astype(np.uint64))  # (words,)

        # Sample all words, and cut the result at the sentences' ends.
        sampled, counts = self.sample_words(self._prepare_words(ids, word_starts), word_seeds)
        piece_ends = np.append(0, np.cumsum(counts))  # (words + 1,)
        bounds = piece_ends[np.append(first_words, len(word_starts))]  # (B + 1,)
        return [sampled[start:end] for start, end in pairwise(bounds.tolist())]

    def _prepare_words(self, ids: Ids, word_starts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The index among the prepared words, (words,), of the words that start at these positions of `ids`."""
        if self.count_numbers() > MAX_CACHED_NUMBERS:
            self.words = {}
            self.clear()
        text = ids.tobytes()
        cuts = (np.append(word_starts, len(ids)) * ids.itemsize).tolist()
        words = [text[start:end] for start, end in pairwise(cuts)]
        prepared = np.fromiter(map(self.words.get, words, repeat(-1)), dtype=np.int64, count=len(words))  # (words,)
        for position in np.flatnonzero(prepared < 0).tolist():
            word = words[position]
            if word not in self.words:
                self.words[word] = self.prepare_word(np.frombuffer(word, dtype=np.int32).tolist())
            prepared[position] = self.words[word]
        return prepared

    def spell(self, ids: list[int]) -> str:
        """The characters of a word that is given by piece ids."""
        return "".join(map(self.spellings.__getitem__, ids))

    @abstractmethod
    def prepare_word(self, ids: list[int]) -> int:
        """Stores the possible segmentations of a word, given by its best ids, and returns the word's index."""

    @abstractmethod
    def sample_words(self, words: NDArray[np.int64], seeds: Bits) -> tuple[Ids, NDArray[np.int64]]:
        """Samples a segmentation of each word.

        Args:
            words: (words,) indices that `prepare_word` returned.
            seeds: (words,) a random stream for each.

        Returns:
            the ids of all words, end to end, and the number of ids of each word, (words,).
        """

    @abstractmethod
    def count_numbers(self) -> int:
        """How many numbers the prepared words take up, of 4 bytes each."""

    @abstractmethod
    def clear(self) -> None:
        """Removes all prepared words."""
