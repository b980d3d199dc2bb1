"""The settings of a training run; the YAML files of conf/ describe each of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nmt.cli.shell.settings import Component
from nmt.errors import UserError
from nmt.training.settings import TrainerSettings


class LoaderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration group `loader`; conf/loader/default.yaml describes each setting."""

    batch_tokens: int
    max_length: int
    subword_alpha: float
    num_workers: int | None


class TokenizerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration group `tokenizer`; conf/tokenizer/unigram.yaml describes each setting."""

    model_type: str
    vocab_size: int
    max_pairs: int | None
    shared: bool
    character_coverage: float
    byte_fallback: bool


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of `nmt train` and `nmt doctor`; conf/train.yaml describes each setting."""

    name: str
    run: Path
    resume: str
    seed: int
    device: str
    tensorboard: bool
    train_split: str
    validation_split: str
    data: Component
    cleaning: Component
    tokenizer: TokenizerSettings
    model: Component
    optimizer: Component
    schedule: Component
    search: Component
    loader: LoaderSettings
    trainer: TrainerSettings

    def __post_init__(self) -> None:
        if self.resume not in ("true", "false", "auto"):
            raise UserError(f"resume={self.resume} must be true, false or auto")
