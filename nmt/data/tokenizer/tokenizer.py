"""The tokenizer: SentencePiece, with one model for both languages or one per language.

A model is trained on raw text (without tokenizing it first), and decoding returns raw text, so that BLEU is measured
against the untouched reference. Encoding and decoding change text in three ways:

- The rules of `normalization` are applied; by default they only compose letters with their marks. See
  `nmt.data.tokenizer.normalization`.
- Line separators and NUL become spaces, halves of surrogate pairs become "\ufffd", and a text that prints nothing
  (only white space, control and formatting characters) has no pieces.
- A character that training did not see becomes one `unk` piece, which decodes to "⁇". With `byte_fallback` it becomes
  its UTF-8 bytes instead, and decodes to itself.

A tag such as 2de is a piece `<2de>` before the pieces of a source line. It tells a model of several languages into
which one to translate (Johnson et al., 2017). As a control piece it occurs in no encoded text, not even in "<2de>".
The same holds for the piece `<mask>`, which only tokenizers for pre-training have (`nmt.data.noise`).

References: Kudo & Richardson (2018), SentencePiece; Kudo (2018), subword regularization; Provilkov et al. (2020),
BPE-dropout.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nmt.data.counter_rng import Bits
from nmt.data.tokenizer.bpe_dropout import BpeDropout
from nmt.data.tokenizer.description import ModelType, PerSide, checksum, read_models, write_models
from nmt.data.tokenizer.normalization import LINE_SEPARATORS, Normalization
from nmt.data.tokenizer.sentencepiece_model import (
    MASK,
    common_special_ids,
    encode_texts,
    list_tags,
    load_processor,
    name_pieces,
    piece_ids,
    piece_spans,
    train_models,
)
from nmt.data.tokenizer.subword_sampling import Ids, SubwordSampler, check_alpha, spell_pieces
from nmt.data.tokenizer.unigram_sampling import UnigramSampler
from nmt.data.words import NO_TEXT, Span
from nmt.errors import UserError

TO_SPACES = str.maketrans(dict.fromkeys(LINE_SEPARATORS, " "))


class Tokenizer:
    """Converts text of both sides to piece ids and back.

    The ids are those of the SentencePiece models. Both sides have the same ids for pad, bos, eos and unk.

    Args:
        source_model: a serialized SentencePiece model.
        target_model: the target's own model, or None if both sides share `source_model`.
        model_type: "unigram" or "bpe".
        source_tag: the tag of source lines that are encoded without naming one; None for no tag.

    Attributes:
        tags: the ids of all tags that the source model knows, by name.
        mask_id: the id of the piece <mask>, in the source model; None if the tokenizer was not made for pre-training.

    Raises:
        UserError: the bytes are not a SentencePiece model, the models lack a special piece or disagree about one, or
            there is no such tag.
    """

    def __init__(
        self, *, source_model: bytes, target_model: bytes | None, model_type: ModelType, source_tag: str | None = None
    ) -> None:
        self.shared = target_model is None
        self.model_type: ModelType = model_type
        self._source = load_processor(source_model)
        self._target = self._source if target_model is None else load_processor(target_model)
        self.pad_id, self.bos_id, self.eos_id, self.unk_id = common_special_ids(self._source, self._target)
        self.tags = list_tags(self._source)
        self.mask_id = self.tags.pop(MASK, None)
        self.source_tag = source_tag
        self._tag_id(source_tag)  # checks it
        # Kept to be saved unchanged: another version of the library might serialize a loaded model differently.
        self._models = [source_model] if target_model is None else [source_model, target_model]
        self._samplers: dict[tuple[str, float], SubwordSampler] = {}  # by (side, alpha)
        self.fingerprint = checksum("".join([*map(checksum, self._models), source_tag or ""]).encode())
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
        tags: Sequence[str] = (),
        symbols: Sequence[str] = (),
        user_defined_symbols: Sequence[str] = (),
        split_digits: bool = False,
    ) -> Tokenizer:
        """Trains a tokenizer on raw lines. The same lines give the same model, byte for byte.

        Args:
            vocab_size: maximum number of pieces, including the special ones, in the shared vocabulary, or on each side.
                A small text has fewer: `source_size` and `target_size` tell.
            model_type: "unigram" or "bpe".
            shared: train one model for both languages.
            character_coverage: fraction of the text's characters that get a piece, 0.98 to 1; the rarest become `unk`.
            byte_fallback: encode unknown characters as UTF-8 bytes; takes 256 pieces of the vocabulary.
            normalization: "compose", "none" or "nmt_nfkc".
            tags: names of the tags that source lines may have; and `MASK`, for pre-training.
            symbols: strings that are pieces of their own wherever source lines have them; their ids are consecutive.
            user_defined_symbols: the same, in lines of both sides.
            split_digits: every decimal digit, of any script, is a piece of its own.

        Raises:
            UserError: an argument is out of range, there is no text, or the vocabulary is too small for its characters.
        """
        source_model, target_model = train_models(
            source_lines,
            target_lines,
            shared=shared,
            tags=tags,
            symbols=symbols,
            vocab_size=vocab_size,
            model_type=model_type,
            character_coverage=character_coverage,
            byte_fallback=byte_fallback,
            normalization=normalization,
            user_defined_symbols=user_defined_symbols,
            split_digits=split_digits,
        )
        return cls(source_model=source_model, target_model=target_model, model_type=model_type)

    @property
    def source_size(self) -> int:
        """Size of the source vocabulary, including the special pieces."""
        return self._source.get_piece_size()

    @property
    def target_size(self) -> int:
        """Size of the target vocabulary, including the special pieces."""
        return self._target.get_piece_size()

    def with_source_tag(self, tag: str | None) -> Self:
        """A tokenizer with the same pieces that puts another tag before source lines.

        Raises:
            UserError: there is no such tag.
        """
        source, target = self._models[0], None if self.shared else self._models[1]
        return type(self)(source_model=source, target_model=target, model_type=self.model_type, source_tag=tag)

    def _tag_id(self, tag: str | None) -> list[int]:
        """The id of the piece of a tag, in a list; an empty list for no tag (None or "")."""
        if not tag:
            return []
        if tag not in self.tags:
            known = f"choose one of {', '.join(self.tags)}" if self.tags else "there are none"
            raise UserError(f"tag={tag}: the tokenizer has no such tag; {known}")
        return [self.tags[tag]]

    def encode_source(self, texts: Sequence[str], *, tags: Sequence[str] | None = None) -> list[list[int]]:
        """The piece ids of each text in its best segmentation, without bos and eos; none for empty text.

        Args:
            tags: the tag of each text, "" for none; None: `source_tag` for all of them.
        """
        prefixes = map(self._tag_id, repeat(self.source_tag, len(texts)) if tags is None else tags)
        encoded = encode_texts(self._source, texts)
        return [prefix + ids if ids else ids for prefix, ids in zip(prefixes, encoded, strict=True)]

    def encode_target(self, texts: Sequence[str]) -> list[list[int]]:
        """Like `encode_source`, for the target side."""
        return encode_texts(self._target, texts)

    def source_spans(self, text: str, *, tag: str | None = None) -> list[Span]:
        """The range of characters of `text`, start and end, that each piece of `encode_source` stands for.

        Args:
            tag: the tag of the text, "" for none; None: `source_tag`. It stands for `NO_TEXT`.
        """
        spans = piece_spans(self._source, text)
        has_tag = self.source_tag if tag is None else tag
        return [NO_TEXT, *spans] if spans and has_tag else spans

    def target_spans(self, text: str) -> list[Span]:
        """Like `source_spans`, for the target side."""
        return piece_spans(self._target, text)

    def piece_lengths(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The number of characters that each source and each target piece spells; 1 for `unk`, bytes, tags and symbols.

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
        check_alpha(alpha, self.model_type)

    def _sampler(self, side: str, alpha: float) -> SubwordSampler:
        """Returns the sampler of one side, created at its first use."""
        self.check_alpha(alpha)
        key = ("source" if self.shared else side, alpha)
        if key not in self._samplers:
            sampler_class = BpeDropout if self.model_type == "bpe" else UnigramSampler
            self._samplers[key] = sampler_class(self._source if side == "source" else self._target, alpha=alpha)
        return self._samplers[key]

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
        num_tags = int(bool(len(ids)) and int(ids[0]) in self.tags.values())
        return [*name_pieces(self._source, ids[:num_tags], None), *name_pieces(self._source, ids[num_tags:], text)]

    def target_pieces(self, ids: Sequence[int], *, text: str | None = None) -> list[str]:
        """Like `source_pieces`, for the target side."""
        return name_pieces(self._target, ids, text)

    def target_ids(self, pieces: Sequence[str]) -> list[int]:
        """The ids of pieces as `target_pieces` returns them. Raises UserError for a piece that does not exist."""
        return piece_ids(self._target, pieces)

    def save(self, folder: Path) -> None:
        """Writes tokenizer.json and the models it names: tokenizer.model, or source.model and target.model."""
        sizes = PerSide(self.source_size, self.target_size)
        write_models(folder, self._models, model_type=self.model_type, sizes=sizes, source_tag=self.source_tag)

    @classmethod
    def load(cls, folder: Path) -> Tokenizer:
        """Reads what `save` wrote. Everything is checked, because a run folder is not trusted.

        Raises:
            UserError: a file is missing, damaged or of a newer format, or does not belong to the others.
        """
        path = folder / "tokenizer.json"
        description, source, target = read_models(path)
        kind, tag = description.model_type, description.source_tag
        try:
            tokenizer = cls(source_model=source, target_model=target, model_type=kind, source_tag=tag)
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
