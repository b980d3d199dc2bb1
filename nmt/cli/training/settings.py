"""The settings of a training run; the YAML files of conf/ describe each of them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from nmt.checks import check_sizes
from nmt.cli.shell.settings import Component
from nmt.cli.training.tokenizer import NewTokenizer, TokenizerSettings
from nmt.errors import UserError
from nmt.threads import check_threads
from nmt.training.settings import TrainerSettings


class LoaderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration group `loader`; conf/loader/default.yaml describes each setting."""

    batch_tokens: int
    max_length: int
    subword_alpha: float
    num_workers: int | None


class TrainSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of `nmt train` and `nmt doctor`; conf/train.yaml describes each setting.

    Raises:
        UserError: `threads` is out of its range.
    """

    name: str
    run: Path
    init: Path | None
    init_parts: str
    resume: str
    seed: int
    device: str
    threads: str
    train_split: str
    validation_split: str | None
    max_validation_pairs: int | None
    hold_out: int | None
    bleu_tokenizer: str
    objective: Component | None
    tracker: Component | None
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
        check_threads(self.threads)
        for name in ("max_validation_pairs", "hold_out"):
            if getattr(self, name) is not None:
                check_sizes(**{name: getattr(self, name)})
        if self.init_parts not in ("all", "encoder"):
            raise UserError(f"init_parts={self.init_parts} must be all or encoder")
        if self.init_parts != "all" and self.init is None:
            raise UserError(f"init_parts={self.init_parts} needs a run of which it takes a part: add init=RUN")
        if self.objective is not None:
            self._check_pretraining()
        if self.validation_split is not None:
            return
        if self.hold_out is not None:
            raise UserError("hold_out makes a split for validation, which needs a name, such as validation_split=val")
        trainer = self.trainer
        if trainer.max_steps is trainer.max_epochs is trainer.max_minutes is None:
            raise UserError(
                "validation_split=null: without validation only trainer.max_steps, max_epochs or "
                "max_minutes can end the run, so set one of them"
            )

    def _check_pretraining(self) -> None:
        """Raises UserError if another setting does not fit an objective that restores text."""
        remedies = {
            "trainer.select": (self.trainer.select != "loss", "set it to loss, since nothing is translated"),
            "trainer.alignment_weight": (
                self.trainer.alignment_weight > 0,
                "set it to 0, since there are no word links",
            ),
            "trainer.consistency": (self.trainer.consistency > 0, "set it to 0"),
            "trainer.simcut": (self.trainer.simcut > 0, "set it to 0"),
            "tokenizer.shared": (
                isinstance(self.tokenizer, NewTokenizer) and not self.tokenizer.shared,
                "set it to true, since both sides are the same text",
            ),
        }
        for key, (is_wrong, remedy) in remedies.items():
            if is_wrong:
                raise UserError(f"{key} does not go together with objective=…: {remedy}")
