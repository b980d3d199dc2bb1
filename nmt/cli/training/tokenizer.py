"""The tokenizer of a run: a new one, that of another run, or a SentencePiece model from a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from datasets import Dataset

from nmt.data.tokenizer import MASK, Tokenizer
from nmt.data.tokenizer.description import ModelType
from nmt.data.tokenizer.given_models import add_special_pieces, usable_type
from nmt.data.tokenizer.training import train_tokenizer
from nmt.errors import UserError
from nmt.files import read_bytes
from nmt.run import RunFolder
from nmt.training.progress import spinner


class NewTokenizer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """A tokenizer that is trained on the training split; conf/tokenizer/unigram.yaml describes each setting."""

    model_type: str
    vocab_size: int
    exact_size: bool
    max_pairs: int | None
    shared: bool
    character_coverage: float
    byte_fallback: bool
    normalization: str
    user_defined_symbols: list[str]
    split_digits: bool

    def make(self, split: Dataset, *, tags: Sequence[str], symbols: Sequence[str]) -> Tokenizer:
        """Trains it; the arguments are those of `build_tokenizer`."""
        settings = msgspec.structs.asdict(self)
        with spinner(f"learning up to {self.vocab_size:,} pieces from {len(split):,} pairs"):
            return train_tokenizer(split, tags=tuple(tags), symbols=tuple(symbols), **settings)


class RunTokenizer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The tokenizer of another run; conf/tokenizer/run.yaml describes each setting.

    Other settings have no effect: an experiment may have some for a new tokenizer.
    """

    run: Path

    def make(self, split: Dataset, *, tags: Sequence[str], symbols: Sequence[str]) -> Tokenizer:
        """Loads it, and checks that it has the pieces for the tags and the symbols."""
        tokenizer = RunFolder.open(self.run, key="tokenizer.run").tokenizer()
        check_pieces(tokenizer, f"tokenizer.run={self.run}", tags=tags, symbols=symbols)
        return tokenizer


class FileTokenizer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """SentencePiece models from files; conf/tokenizer/file.yaml describes each setting.

    Other settings have no effect: an experiment may have some for a new tokenizer.
    """

    path: Path
    target_path: Path | None

    def make(self, split: Dataset, *, tags: Sequence[str], symbols: Sequence[str]) -> Tokenizer:
        """Loads it, and checks that it has the pieces for the tags and the symbols."""
        source, model_type = read_model("path", self.path)
        models = [source]
        if self.target_path is not None:
            target, target_type = read_model("target_path", self.target_path)
            if target_type != model_type:
                raise UserError(
                    f"tokenizer.path is a {model_type} model, and target_path {target_type}: use two of one type"
                )
            models.append(target)
        source, *targets = add_special_pieces(models)
        tokenizer = Tokenizer(source_model=source, target_model=targets[0] if targets else None, model_type=model_type)
        check_pieces(tokenizer, f"tokenizer.path={self.path}", tags=tags, symbols=symbols)
        return tokenizer


TokenizerSettings = RunTokenizer | FileTokenizer | NewTokenizer
"""The configuration group `tokenizer`."""


def build_tokenizer(
    settings: TokenizerSettings, split: Dataset, *, tags: Sequence[str] = (), symbols: Sequence[str] = ()
) -> Tokenizer:
    """Makes the tokenizer.

    Args:
        split: the training split, on which a new one is trained.
        tags: names of the tags that source lines may have; and `MASK`, for pre-training.
        symbols: of the pictures in source lines.

    Raises:
        UserError: a setting is wrong, the split does not allow the vocabulary size, or a given tokenizer is missing,
            damaged, or lacks a piece.
    """
    return settings.make(split, tags=tags, symbols=symbols)


def read_model(key: str, path: Path) -> tuple[bytes, ModelType]:
    """Reads a SentencePiece model and its type.

    Raises:
        UserError: there is no such file, or it is no model that can be used.
    """
    if not path.is_file():
        raise UserError(f"tokenizer.{key}={path} is not a file: name a model of SentencePiece, such as spm.model")
    model = read_bytes(path)
    try:
        return model, usable_type(model)
    except UserError as error:
        raise UserError(f"tokenizer.{key}={path}: {error}") from None


def check_pieces(tokenizer: Tokenizer, name: str, *, tags: Sequence[str], symbols: Sequence[str]) -> None:
    """Raises UserError if a given tokenizer, called `name`, lacks a piece that the corpus or the objective needs."""
    for tag in tags:
        if tag == MASK and (tokenizer.mask_id is None or not tokenizer.shared):
            raise UserError(
                f"{name} lacks the piece <mask>, which objective=… needs: take the tokenizer of a run with one"
            )
        if tag != MASK and tag not in tokenizer.tags:
            known = f"has {', '.join(tokenizer.tags)}" if tokenizer.tags else "has no tags"
            raise UserError(f"{name} {known}, but not {tag}: give the part one that it has, or train a new tokenizer")
    ids = [ids[-1] for ids in tokenizer.encode_source(symbols)]
    if ids and (tokenizer.unk_id in ids or ids != list(range(ids[0], ids[0] + len(ids)))):
        raise UserError(f"{name} lacks pieces for the pictures of this corpus: train a new tokenizer")


def is_given(settings: TokenizerSettings) -> bool:
    """Whether the vocabulary exists before the corpus is read, so that it may lack a part of the text."""
    return not isinstance(settings, NewTokenizer)


def remark_on_vocabulary(settings: TokenizerSettings, tokenizer: Tokenizer) -> list[str]:
    """Says how many pieces there are if the corpus allowed fewer than the settings ask for."""
    if not isinstance(settings, NewTokenizer):
        return []
    if min(tokenizer.source_size, tokenizer.target_size) >= settings.vocab_size:
        return []
    sizes = (
        f"{tokenizer.source_size:,}"
        if tokenizer.shared
        else f"{tokenizer.source_size:,} source and {tokenizer.target_size:,} target"
    )
    return [
        f"the vocabulary has {sizes} pieces: this corpus allows no more (tokenizer.vocab_size={settings.vocab_size})"
    ]
