"""The training loop: updates, validations, checkpoints, and the ways in which a run ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nmt.data.batch import Batch
from nmt.models.seq2seq import Seq2Seq
from nmt.run import RunFolder
from nmt.training.checkpoint import Progress, average, load_checkpoint, save_checkpoint
from nmt.training.history import History
from nmt.training.loss import cross_entropy
from nmt.training.pairs import Pairs
from nmt.training.progress import ProgressBar, duration
from nmt.training.schedule import Schedule
from nmt.training.window import Window
from nmt.weights import load_weights, save_weights

if TYPE_CHECKING:
    from nmt.training.trainer import Trainer

Validate = Callable[[Seq2Seq], float]
"""BLEU of a model on the validation split, by the search that will be used in test."""

INTERRUPTED = "interrupted; go on with resume=true"


@dataclass(kw_only=True)
class Loop:
    """One call of `Trainer.fit`, whose docstring tells the parts."""

    settings: Trainer
    model: Seq2Seq
    pairs: Pairs
    validation: Sequence[Batch]
    validate: Validate
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    run: RunFolder
    history: History
    bar: ProgressBar
    stop: Callable[[], bool]

    def __post_init__(self) -> None:
        self.progress = Progress()
        if self.run.last.is_file():
            self.progress = load_checkpoint(self.run.last, self.model, self.optimizer)
            self.schedule.restore(self.progress.schedule)
        self.clock = time.monotonic() - self.progress.seconds
        self.batches_per_epoch = len(self.pairs.sampler.epoch(self.progress.epoch))
        self.window = Window(self.model.device, self.progress.window)

    def run_to_the_end(self) -> Progress:
        settings, progress = self.settings, self.progress
        reason = self.why_end()
        if reason is not None and self.run.best.is_file():
            self.bar.say(f"there is nothing left to do after step {progress.step}: {reason}")
            return progress
        while reason is None:
            batches = self.pairs.epoch(progress.epoch, start=progress.position)
            while reason is None and (group := list(islice(batches, settings.accumulate))):
                self.update(group)
                progress.position += len(group)
                progress.seconds = time.monotonic() - self.clock
                if progress.step % settings.log_every == 0:
                    self.log()
                if progress.step % settings.validate_every == 0:
                    self.check()
                reason = self.why_end()
            if reason is None:
                progress.epoch, progress.position = progress.epoch + 1, 0
                reason = self.why_end()
        if reason == INTERRUPTED:
            self.save()
            if not self.run.best.is_file():  # a folder that can translate, however badly
                save_weights(self.model.state_dict(), self.run.best, step=progress.step)
        else:
            if progress.validated < progress.step:
                self.check()
            self.try_average()
        self.bar.say(f"ended after step {progress.step}, {duration(progress.seconds)}: {reason}")
        return progress

    def why_end(self) -> str | None:
        """The reason to end now, if there is one."""
        settings, progress = self.settings, self.progress
        if settings.max_steps is not None and progress.step >= settings.max_steps:
            return f"max_steps={settings.max_steps}"
        if settings.max_epochs is not None and progress.epoch >= settings.max_epochs:
            return f"max_epochs={settings.max_epochs}"
        if settings.max_minutes is not None and progress.seconds >= settings.max_minutes * 60:
            return f"max_minutes={settings.max_minutes:g}"
        if settings.patience is not None and progress.waited >= settings.patience:
            return f"no better score in patience={settings.patience} validations"
        if self.stop():
            return INTERRUPTED
        return None

    def update(self, group: Sequence[Batch]) -> None:
        """One step of the optimizer on the mean loss over the tokens of all batches of the group."""
        began = time.monotonic()
        model, settings = self.model, self.settings
        self.progress.step += 1
        rate = self.schedule.rate(self.progress.step)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = rate
        model.train()
        self.optimizer.zero_grad(set_to_none=True)
        num_tokens = sum(batch.num_tokens for batch in group)
        likelihood = torch.zeros((), device=model.device)
        for batch in group:
            loss, batch_likelihood = self.loss(batch.to(model.device))
            (loss / num_tokens).backward()  # type: ignore[no-untyped-call]
            likelihood += batch_likelihood
        limit = settings.clip_norm if settings.clip_norm is not None else float("inf")
        norm = nn.utils.clip_grad_norm_(model.parameters(), limit)
        if not bool(norm.isfinite()):
            raise FloatingPointError(
                f"step {self.progress.step}, learning rate {rate:.2e}: the gradient is not finite; "
                f"the last checkpoint is good, a lower schedule.learning_rate may help"
            )
        self.optimizer.step()
        self.window.add(likelihood, num_tokens, norm, time.monotonic() - began)

    def loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        with self.settings.autocast(self.model.device):
            logits = self.model(batch.source, batch.source_mask, batch.target_input)  # (B, T, V)
        return cross_entropy(
            logits, batch.target_output, batch.target_mask, label_smoothing=self.settings.label_smoothing
        )

    def log(self) -> None:
        """Records the training loss since the last record."""
        progress = self.progress
        facts = self.window.close()
        self.history.record(
            {
                "kind": "train",
                "step": progress.step,
                "epoch": progress.epoch,
                "seconds": progress.seconds,
                "learning_rate": self.schedule.rate(progress.step),
                **facts,
            }
        )
        share = self.settings.share_done(progress, self.batches_per_epoch)
        self.bar.update(
            share=share,
            loss=facts["loss"],
            tokens_per_second=facts["tokens_per_second"],
            seconds_left=progress.seconds * (1 - share) / max(share, 1e-9),
        )

    def check(self) -> None:
        """Validates, keeps the best weights, and saves all that a resumed run needs."""
        progress = self.progress
        loss, score = self.measure()
        progress.validated = progress.step
        self.schedule.observe(score)
        better = progress.best_score is None or score > progress.best_score
        if better:
            progress.best_score, progress.waited = score, 0
            save_weights(self.model.state_dict(), self.run.best, step=progress.step)
        else:
            progress.waited += 1
        self.report(loss, score, better=better, averaged=1)
        if self.settings.average_checkpoints > 1:
            save_weights(self.model.state_dict(), self.run.step_path(progress.step), step=progress.step)
            for old in self.run.step_paths()[: -self.settings.average_checkpoints]:
                old.unlink()
        self.save()

    @torch.no_grad()
    def measure(self) -> tuple[float, float]:
        """The validation loss, in nats per target token, and the score."""
        self.model.eval()
        total, num_tokens = 0.0, 0
        for batch in self.validation:
            total += float(self.loss(batch.to(self.model.device))[1])
            num_tokens += batch.num_tokens
        return total / num_tokens, self.validate(self.model)

    def report(self, loss: float, score: float, *, better: bool, averaged: int) -> None:
        progress = self.progress
        progress.seconds = time.monotonic() - self.clock
        record = {"kind": "validation", "step": progress.step, "seconds": progress.seconds, "loss": loss, "bleu": score}
        self.history.record(record | ({"averaged": averaged} if averaged > 1 else {}))
        what = f"mean of the last {averaged} checkpoints" if averaged > 1 else f"step {progress.step}"
        mark = "  (best so far)" if better else ""
        self.bar.say(f"{what}, {duration(progress.seconds)}: validation loss {loss:.3f}, BLEU {score:.2f}{mark}")

    def save(self) -> None:
        """Writes the last checkpoint."""
        self.progress.schedule = self.schedule.state()
        self.progress.window = self.window.state()
        self.history.flush()  # first: a resumed run does not make them again
        save_checkpoint(self.run.last, self.progress, self.model, self.optimizer)

    def try_average(self) -> None:
        """Puts the mean of the last checkpoints in the best one's place if it scores better."""
        paths = self.run.step_paths()[-self.settings.average_checkpoints :]
        if len(paths) < 2 or self.settings.average_checkpoints < 2:
            return
        save_weights(average(paths), self.run.averaged, step=self.progress.step)
        load_weights(self.model, self.run.averaged)
        loss, score = self.measure()
        better = self.progress.best_score is None or score > self.progress.best_score
        self.report(loss, score, better=better, averaged=len(paths))
        load_checkpoint(self.run.last, self.model, self.optimizer)  # what a longer run goes on from is not the mean
        if better:
            self.run.averaged.replace(self.run.best)
            self.progress.best_score = score
            self.save()
        else:
            self.run.averaged.unlink()
