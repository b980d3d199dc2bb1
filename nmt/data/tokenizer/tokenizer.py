"""The tokenizer: SentencePiece, with one model for both languages or one per language.

A model is trained on raw text (without tokenizing it first), and decoding returns raw text, so that BLEU is measured
against the untouched reference. Encoding and decoding change text in three ways:

- The rules of `normalization` are applied; by default they only compose letters with their marks. See
  `nmt.data.tokenizer.normalization`.
- Line separators and NUL become spaces, halves of surrogate pairs become "\ufffd", and a text that prints nothing
  (only white space, control and formatting characters) has no pieces.
- A character that training did not see becomes one `unk` piece, which decodes to "⁇". With `byte_fallback` it becomes
  its UTF-8 bytes instead, and decodes to itself.

References: Kudo & Richardson (2018), SentencePiece; Kudo (2018), subword regularization; Provilkov et al. (2020),
BPE-dropout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from nmt.checks import check_sizes
from nmt.data.counter_rng import Bits
from nmt.data.tokenizer.bpe_dropout import BpeDropout
from nmt.data.tokenizer.description import (
    FORMAT,
    ModelType,
    PerSide,
    TokenizerDescription,
    checksum,
    read_model,
    read_tokenizer_description,
)
from nmt.data.tokenizer.normalization import LINE_SEPARATORS, Normalization
from nmt.data.tokenizer.sentencepiece_model import (
    encode_texts,
    load_processor,
    name_pieces,
    piece_ids,
    piece_spans,
    special_ids,
    train_model,
)
from nmt.data.tokenizer.subword_sampling import Ids, SubwordSampler, spell_pieces
from nmt.data.tokenizer.unigram_sampling import UnigramSampler
from nmt.errors import UserError
from nmt.files import atomic_write, write_json

TO_SPACES = str.maketrans(dict.fromkeys(LINE_SEPARATORS, " "))

MAX_UNIGRAM_ALPHA = 1000
"""Maximum of subword_alpha for unigram models: such a value already samples nothing but the best segmentation."""


class Tokenizer:
    """Converts text of both sides to piece ids and back.

    The ids are those of the SentencePiece models. Both sides have the same ids for pad, bos, eos and unk.

    Args:
        source_model: a serialized SentencePiece model.
        target_model: the target's own model, or None if both sides share `source_model`.
        model_type: "unigram" or "bpe".

    Raises:
        UserError: the bytes are not a SentencePiece model, or the models lack a special piece or disagree about one.
    """

    def __init__(self, *, source_model: bytes, target_model: bytes | None, model_type: ModelType) -> None:
        self.shared = target_model is None
        self.model_type: ModelType = model_type
        self._source = load_processor(source_model)
        self._target = self._source if target_model is None else load_processor(target_model)
        ids = special_ids(self._source)
        if ids != special_ids(self._target) or min(ids) < 0 or len(set(ids)) < len(ids):
            raise UserError(
                f"the SentencePiece models need pad, bos, eos and unk, with the same ids on both sides; "
                f"source has {ids}, target {special_ids(self._target)}"
            )
        self.pad_id, self.bos_id, self.eos_id, self.unk_id = ids
        # Kept to be saved unchanged: another version of the library might serialize a loaded model differently.
        self._models = [source_model] if target_model is None else [source_model, target_model]
        self._samplers: dict[tuple[str, float], SubwordSampler] = {}  # by (side, alpha)
        self.fingerprint = checksum("".join(map(checksum, self._models)).encode())
        """Identifies the content: equal for equal models, whether trained or loaded."""

    @classmethod
    def train(
        cls,
        source_lines: Iterable[str],
        target_lines: Iterable[str],
        *,
        vocab_size: int,
        model_type: ModelType,
        shared: bool,
        character_coverage: float,
        byte_fallback: bool,
        normalization: Normalization,
    ) -> Tokenizer:
        """Trains a tokenizer on raw lines. The same lines give the same model, byte for byte.

        Args:
            vocab_size: maximum number of pieces, including the special ones, in the shared vocabulary, or on each side.
                A small text has fewer: `source_size` and `target_size` tell.
            model_type: "unigram" or "bpe".
            shared: train one model for both languages.
            character_coverage: fraction of the characters of the text that get a piece, 0.98 to 1; the rarest
                characters, which make up the rest, become `unk`.
            byte_fallback: encode unknown characters as UTF-8 bytes; takes 256 pieces of the vocabulary.
            normalization: "compose", "none" or "nmt_nfkc".

        Raises:
            UserError: an argument is out of range, there is no text, or the vocabulary is too small for its characters.
        """
        for key, value, choices in (
            ("model_type", model_type, get_args(ModelType)),
            ("normalization", normalization, get_args(Normalization)),
        ):
            if value not in choices:
                raise UserError(f"tokenizer.{key}={value} is unknown; choose one of {', '.join(choices)}")
        check_sizes(**{"tokenizer.vocab_size": vocab_size})
        if not isinstance(character_coverage, int | float) or not 0.98 <= character_coverage <= 1:
            raise UserError(f"tokenizer.character_coverage={character_coverage} must lie between 0.98 and 1")

        def train_on(lines: Iterable[str], text_name: str) -> bytes:
            return train_model(
                lines,
                text_name=text_name,
                vocab_size=vocab_size,
                model_type=model_type,
                character_coverage=character_coverage,
                byte_fallback=byte_fallback,
                normalization=normalization,
            )

        if shared:
            model = train_on(chain(source_lines, target_lines), "this corpus")
            return cls(source_model=model, target_model=None, model_type=model_type)
        source_model = train_on(source_lines, "the source side of this corpus")
        target_model = train_on(target_lines, "the target side of this corpus")
        return cls(source_model=source_model, target_model=target_model, model_type=model_type)

    @property
    def source_size(self) -> int:
        """Size of the source vocabulary, including the special pieces."""
        return self._source.get_piece_size()

    @property
    def target_size(self) -> int:
        """Size of the target vocabulary, including the special pieces."""
        return self._target.get_piece_size()

    # Encoding

    def encode_source(self, texts: Sequence[str]) -> list[list[int]]:
        """The piece ids of each text in its best segmentation, without bos and eos; none for empty text."""
        return encode_texts(self._source, texts)

    def encode_target(self, texts: Sequence[str]) -> list[list[int]]:
        """Like `encode_source`, for the target side."""
        return encode_texts(self._target, texts)

    def source_spans(self, text: str) -> list[tuple[int, int]]:
        """The range of characters of `text`, start and end, that each piece of `encode_source` stands for."""
        return piece_spans(self._source, text)

    def target_spans(self, text: str) -> list[tuple[int, int]]:
        """Like `source_spans`, for the target side."""
        return piece_spans(self._target, text)

    def piece_lengths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number of characters that each source piece and each target piece spells; `unk` and bytes count as one.

        Their sum over a text is the same for all its segmentations, whether they are the best one or sampled.
        """
        source, target = (np.array(list(map(len, spell_pieces(side)))) for side in (self._source, self._target))
        return source, target

    def unknown_spans(self, text: str, ids: Sequence[int]) -> list[tuple[int, int]]:
        """The ranges of a source text that the vocabulary lacks (`unk` or bytes), from its ids or the first of them."""
        unknown = [index for index, id in enumerate(ids) if id == self.unk_id or self._source.is_byte(id)]
        spans = self.source_spans(text) if unknown else []
        return [spans[index] for index in unknown]

    def resample_source(self, sentences: Sequence[Ids], *, alpha: float, seeds: Bits) -> list[Ids]:
        """Samples another segmentation of each sentence: subword regularization or BPE-dropout.

        A sample depends on its sentence, its seed and alpha only, not on the batch or the process. Not thread-safe,
        because the possible segmentations of words are cached.

        Args:
            sentences: the ids of each of B sentences in its best segmentation, as from `encode_source`.
            alpha: for unigram models, how strongly likely segmentations are preferred (0.1 to 0.5 are usual; a large
                value samples the best one almost always). For BPE, the probability of skipping a merge (0.1 is usual).
            seeds: (B,) names a random stream for each sentence, see `nmt.data.counter_rng`.

        Raises:
            UserError: alpha is out of range, see `check_alpha`.
        """
        return self._sampler("source", alpha).sample(sentences, seeds)

    def resample_target(self, sentences: Sequence[Ids], *, alpha: float, seeds: Bits) -> list[Ids]:
        """Like `resample_source`, for the target side."""
        return self._sampler("target", alpha).sample(sentences, seeds)

    def check_alpha(self, alpha: float) -> None:
        """Raises UserError if this kind of model cannot sample with `alpha`."""
        maximum = 1 if self.model_type == "bpe" else MAX_UNIGRAM_ALPHA
        if not isinstance(alpha, int | float) or not 0 <= alpha <= maximum:
            number = "a probability" if self.model_type == "bpe" else "a number"
            raise UserError(
                f"subword_alpha={alpha} must be {number} from 0 to {maximum} for model_type={self.model_type}"
            )

    def _sampler(self, side: str, alpha: float) -> SubwordSampler:
        """Returns the sampler of one side, created at its first use."""
        self.check_alpha(alpha)
        key = ("source" if self.shared else side, alpha)
        if key not in self._samplers:
            sampler_class = BpeDropout if self.model_type == "bpe" else UnigramSampler
            self._samplers[key] = sampler_class(self._source if side == "source" else self._target, alpha=alpha)
        return self._samplers[key]

    # Decoding

    def decode_target(self, ids: Sequence[int]) -> str:
        """The text of some pieces, in one line. pad, bos and eos are left out; unk becomes "⁇".

        Byte pieces can spell line separators; each of them becomes a space.
        """
        text = self._target.decode([id for id in map(int, ids) if id not in (self.pad_id, self.bos_id, self.eos_id)])
        return text.translate(TO_SPACES)

    def source_pieces(self, ids: Sequence[int], *, text: str | None = None) -> list[str]:
        """The pieces as strings: "▁" marks the start of a word, special pieces look like "</s>".

        Args:
            text: what the ids, or the first ones of them, were encoded from: an unknown piece is then the part of the
                text that it stands for. Without a text, it is "<unk>".
        """
        return name_pieces(self._source, ids, text)

    def target_pieces(self, ids: Sequence[int], *, text: str | None = None) -> list[str]:
        """Like `source_pieces`, for the target side."""
        return name_pieces(self._target, ids, text)

    def target_ids(self, pieces: Sequence[str]) -> list[int]:
        """The ids of pieces as `target_pieces` returns them. Raises UserError for a piece that does not exist."""
        return piece_ids(self._target, pieces)

    # Saving and loading

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json and the models it names: tokenizer.model, or source.model and target.model."""
        names = ["tokenizer.model"] if self.shared else ["source.model", "target.model"]
        for name, model in zip(names, self._models, strict=True):
            with atomic_write(folder / name) as file:
                file.write(model)
        description = TokenizerDescription(
            format=FORMAT,
            shared=self.shared,
            model_type=self.model_type,
            files=PerSide(names[0], names[-1]),
            sizes=PerSide(self.source_size, self.target_size),
            sha256=PerSide(checksum(self._models[0]), checksum(self._models[-1])),
        )
        write_json(folder / "tokenizer.json", msgspec.to_builtins(description))  # last: it marks the models as complete

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Reads what `save` wrote. Everything is checked, because a run folder is not trusted.

        Raises:
            UserError: a file is missing, damaged or of a newer format, or does not belong to the others.
        """
        path = folder / "tokenizer.json"
        description = read_tokenizer_description(path)
        files, sha256 = description.files, description.sha256
        source_model = read_model(folder / files.source, sha256=sha256.source)
        target_model = None if description.shared else read_model(folder / files.target, sha256=sha256.target)
        try:
            tokenizer = cls(source_model=source_model, target_model=target_model, model_type=description.model_type)
        except UserError as error:
            raise UserError(f"{path} names models that cannot be used: {error}") from None
        if PerSide(tokenizer.source_size, tokenizer.target_size) != description.sizes:
            raise UserError(
                f"{path} disagrees with the models that it names: they have {tokenizer.source_size} source and "
                f"{tokenizer.target_size} target pieces"
            )
        return tokenizer

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_samplers": {}}  # worker processes need not get the cached words
