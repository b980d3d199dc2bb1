"""The training loop: batches, updates, validations, checkpoints, and the ways in which a run ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice

import torch
from torch import Tensor, nn

from nmt.data.batch import Batch
from nmt.models.seq2seq import Seq2Seq, check_sizes
from nmt.run import RunFolder, load_weights, save_weights
from nmt.training.checkpoint import Progress, average, load_checkpoint, save_checkpoint
from nmt.training.history import History
from nmt.training.loss import cross_entropy
from nmt.training.pairs import Pairs
from nmt.training.progress import ProgressBar, duration
from nmt.training.schedule import Schedule

Validate = Callable[[Seq2Seq], float]
"""BLEU of a model on the validation split, by the search that will be used in test."""


class Trainer:
    """Trains a model until a limit is reached, the score stops rising, or somebody asks it to stop.

    Args:
        max_steps: updates; None = no limit.
        max_epochs: passes over the training split; None = no limit.
        max_minutes: of training, validation included; None = no limit.
        accumulate: batches whose gradients make one update.
        clip_norm: gradients with a larger norm are scaled down to it; None = never.
        label_smoothing: ε of the loss.
        precision: "fp32", "bf16" (autocast) or "auto" (bf16 on a GPU that has it).
        log_every: steps between records of the training loss.
        validate_every: steps between validations.
        patience: validations without a better score after which the run ends; None = never.
        average_checkpoints: at the end the weights of so many last validations are averaged, and kept if they score
            better; 1 = no averaging.
    """

    def __init__(
        self,
        *,
        max_steps: int | None,
        max_epochs: int | None,
        max_minutes: float | None,
        accumulate: int,
        clip_norm: float | None,
        label_smoothing: float,
        precision: str,
        log_every: int,
        validate_every: int,
        patience: int | None,
        average_checkpoints: int,
    ) -> None:
        check_sizes(
            accumulate=accumulate,
            log_every=log_every,
            validate_every=validate_every,
            average_checkpoints=average_checkpoints,
        )
        limits = {"max_steps": max_steps, "max_epochs": max_epochs, "max_minutes": max_minutes}
        for name, limit in {**limits, "clip_norm": clip_norm, "patience": patience}.items():
            whole = name not in ("max_minutes", "clip_norm")
            if limit is not None and not _is_positive(limit, whole=whole):
                raise ValueError(f"{name}={limit} must be {'a whole number ' * whole}above 0, or null for none")
        if all(limit is None for limit in limits.values()) and patience is None:
            raise ValueError("the run would never end: set one of max_steps, max_epochs, max_minutes or patience")
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"label_smoothing={label_smoothing} must be a probability from 0 to below 1")
        if precision not in ("auto", "fp32", "bf16"):
            raise ValueError(f"precision={precision} is unknown: use auto, fp32 or bf16")
        self.max_steps = max_steps
        self.max_epochs = max_epochs
        self.max_minutes = max_minutes
        self.accumulate = accumulate
        self.clip_norm = clip_norm
        self.label_smoothing = label_smoothing
        self.precision = precision
        self.log_every = log_every
        self.validate_every = validate_every
        self.patience = patience
        self.average_checkpoints = average_checkpoints

    def fit(
        self,
        model: Seq2Seq,
        *,
        pairs: Pairs,
        validation: Sequence[Batch],
        validate: Validate,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        run: RunFolder,
        history: History,
        bar: ProgressBar,
        stop: Callable[[], bool],
    ) -> Progress:
        """Trains `model` and leaves the run folder with a best checkpoint, whichever way it ends.

        Args:
            pairs: to learn from.
            validation: the batches of the validation loss.
            validate: the score by which the best checkpoint is chosen.
            optimizer: of the model's parameters.
            schedule: of the learning rate.
            run: where checkpoints go; if it has a last checkpoint, training goes on from there.
            history: takes the records.
            bar: shows them.
            stop: is asked after each update whether to end tidily now.
        """
        loop = _Loop(self, model, pairs, validation, validate, optimizer, schedule, run, history, bar, stop)
        return loop.run_to_the_end()

    def share_done(self, progress: Progress, batches_per_epoch: int) -> float:
        """How much of the run is behind, from 0 to 1, by the limit that will be reached first."""
        shares = [0.0]
        if self.max_steps is not None:
            shares.append(progress.step / self.max_steps)
        if self.max_epochs is not None:
            shares.append((progress.epoch + progress.position / batches_per_epoch) / self.max_epochs)
        if self.max_minutes is not None:
            shares.append(progress.seconds / 60 / self.max_minutes)
        return min(1.0, max(shares))

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """bf16 where it was asked for and where it helps, else nothing."""
        if self.precision == "bf16" or (
            self.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()
        ):
            return torch.autocast(device.type, torch.bfloat16)
        return nullcontext()


def _is_positive(value: object, *, whole: bool) -> bool:
    """Whether `value` is a number above 0."""
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and value > 0


class _Loop:
    """One call of `Trainer.fit`."""

    def __init__(
        self,
        settings: Trainer,
        model: Seq2Seq,
        pairs: Pairs,
        validation: Sequence[Batch],
        validate: Validate,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        run: RunFolder,
        history: History,
        bar: ProgressBar,
        stop: Callable[[], bool],
    ) -> None:
        self.settings, self.model, self.pairs = settings, model, pairs
        self.validation, self.validate = validation, validate
        self.optimizer, self.schedule = optimizer, schedule
        self.run, self.history, self.bar, self.stop = run, history, bar, stop
        self.progress = Progress()
        if run.last.is_file():
            self.progress = load_checkpoint(run.last, model, optimizer)
            schedule.restore(self.progress.schedule)
        self.clock = time.monotonic() - self.progress.seconds
        self.batches_per_epoch = len(pairs.sampler.epoch(self.progress.epoch))
        self.window = _Window(model.device, self.progress.window)

    def run_to_the_end(self) -> Progress:
        settings, progress = self.settings, self.progress
        reason = self.why_end()
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


INTERRUPTED = "interrupted; go on with resume=true"


class _Window:
    """Sums over the steps since the last record; they stay on the device until then, so that no step waits.

    Args:
        device: the model's.
        state: of the window of the run that goes on; empty for a new one.
    """

    def __init__(self, device: torch.device, state: dict[str, float]) -> None:
        self.device = device
        self.restore(state)

    def restore(self, state: dict[str, float]) -> None:
        self.likelihood = torch.tensor(state.get("likelihood", 0.0), device=self.device)
        self.norm = torch.tensor(state.get("norm", 0.0), device=self.device)
        self.num_tokens = state.get("num_tokens", 0)
        self.num_steps = state.get("num_steps", 0)
        self.seconds = state.get("seconds", 0.0)

    def state(self) -> dict[str, float]:
        """What `restore` takes up exactly, as JSON values."""
        return {
            "likelihood": float(self.likelihood),
            "norm": float(self.norm),
            "num_tokens": self.num_tokens,
            "num_steps": self.num_steps,
            "seconds": self.seconds,
        }

    def add(self, likelihood: Tensor, num_tokens: int, norm: Tensor, seconds: float) -> None:
        self.likelihood += likelihood
        self.norm += norm
        self.num_tokens += num_tokens
        self.num_steps += 1
        self.seconds += seconds

    def close(self) -> dict[str, float]:
        """Means since the last call: the loss in nats per token, the gradient's norm, target tokens per second."""
        facts = {
            "loss": float(self.likelihood) / self.num_tokens,
            "gradient_norm": float(self.norm) / self.num_steps,
            "tokens_per_second": self.num_tokens / self.seconds,
        }
        self.restore({})
        return facts
