"""The training loop: updates, validations, checkpoints, and the ways in which a run ends."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch

from nmt.data.batch import Batch
from nmt.data.loader import BatchLoader
from nmt.errors import Failure
from nmt.models.seq2seq import Seq2Seq
from nmt.run import RunFolder
from nmt.run.weights import load_weights, save_weights
from nmt.training.checkpoint import Progress, average, read_checkpoint, restore, save_checkpoint
from nmt.training.distributed import Processes
from nmt.training.faults import out_of_memory, save_bad_update
from nmt.training.history import History
from nmt.training.loss_meter import LossMeter
from nmt.training.progress import ProgressBar, duration
from nmt.training.schedule import Schedule
from nmt.training.update import Outcome, Unread

if TYPE_CHECKING:
    from nmt.training.trainer import Trainer

Validate = Callable[[Seq2Seq], float]
"""BLEU of a model on the validation split, by the search that will be used in test."""

UNREAD = {"cpu": 0, "cuda": 1}
"""Updates whose outcome need not be known before the next one is given to the device: so a GPU never waits."""

INTERRUPTED = "interrupted; go on with resume=true"


@dataclass(frozen=True)
class Made:
    """An update that was given to the device, and what to tell of it should it have been left out."""

    step: int
    epoch: int
    rate: float
    group: Sequence[Batch]
    outcome: Unread


@dataclass(kw_only=True)
class Loop:
    """One call of `Trainer.fit`, whose docstring tells the parts.

    A run that is killed anywhere goes on from its last checkpoint as if nothing had happened, because a checkpoint is
    written only when all that belongs to its step is done, and everything behind it is made again alike: the order of
    the batches follows from the seed and the epoch, and dropout from the seed and the step.
    """

    settings: Trainer
    model: Seq2Seq
    pairs: BatchLoader
    validation: Sequence[Batch]
    validate: Validate
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    run: RunFolder
    history: History
    bar: ProgressBar
    stop: Callable[[], bool]
    processes: Processes
    seed: int

    def __post_init__(self) -> None:
        self.progress = Progress(order=self.pairs.sampler.order)
        self.go_on()
        self.updater = self.settings.updater(self.model, self.optimizer, processes=self.processes)
        self.unread: deque[Made] = deque()
        self.clock = time.monotonic() - self.progress.seconds
        self.saved_at = self.progress.seconds
        self.stopping = False
        self.batches_per_epoch = len(self.pairs.sampler.epoch(self.progress.epoch))
        mine = {} if self.processes.is_main else {"nll": 0.0, "num_tokens": 0}  # the leader holds all processes'
        self.window = LossMeter(self.progress.window | mine)

    def go_on(self) -> None:
        """Takes up the last checkpoint, if there is one."""
        found = read_checkpoint(self.run.last) if self.processes.is_main and self.run.last.is_file() else None
        found = self.processes.broadcast(found)
        if found is None:
            return
        self.progress, tensors = found
        restore(tensors, self.run.last, self.model, self.optimizer)
        self.schedule.restore(self.progress.schedule)
        if self.progress.order != self.pairs.sampler.order:
            self.bar.say(
                f"the corpus, its cleaning, the seed or loader.batch_tokens has changed: epoch "
                f"{self.progress.epoch + 1} begins again"
            )
            self.progress.order, self.progress.position = self.pairs.sampler.order, 0

    def run_to_the_end(self) -> Progress:
        settings, progress = self.settings, self.progress
        self.look_up()
        reason = self.why_end()
        if reason is not None and progress.averaged == progress.step > 0:
            self.bar.say(f"there is nothing left to do after step {progress.step}: {reason}")
            return progress
        while reason is None:
            batches = self.pairs.epoch(progress.epoch, start=progress.position)
            while reason is None and (group := list(islice(batches, settings.accumulate))):
                self.update(group)
                progress.position += len(group)
                self.look_up()
                if progress.step % settings.log_every == 0:
                    self.log()
                if progress.step % settings.validate_every == 0:
                    self.check()
                if self.is_due():
                    self.save()
                reason = self.why_end()
            if reason is None:
                progress.epoch, progress.position = progress.epoch + 1, 0
                reason = self.why_end()
        if reason == INTERRUPTED:
            self.save()
            if self.processes.is_main and not self.run.best.is_file():  # a folder that can translate, however badly
                save_weights(self.model.state_dict(), self.run.best, step=progress.step)
        else:
            if progress.validated < progress.step:
                self.check()
                self.save()
            self.try_average()
        self.bar.say(f"ended after step {progress.step}, {duration(progress.seconds)}: {reason}")
        return progress

    def look_up(self) -> None:
        """Looks at the clock, and whether somebody asks to stop: alike in all processes."""
        seconds = time.monotonic() - self.clock if self.processes.is_main else 0.0
        self.progress.seconds, stops = self.processes.sum(seconds, float(self.stop()))
        self.stopping = stops > 0

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
        if self.stopping:
            return INTERRUPTED
        return None

    def is_due(self) -> bool:
        """Whether the last checkpoint shall be written now."""
        settings, progress = self.settings, self.progress
        return (
            progress.validated == progress.step
            or (settings.save_every is not None and progress.step % settings.save_every == 0)
            or (settings.save_minutes is not None and progress.seconds - self.saved_at >= settings.save_minutes * 60)
        )

    def update(self, group: Sequence[Batch]) -> None:
        """One step of the optimizer on the mean loss over the tokens of all batches of the group."""
        began = time.monotonic()
        progress = self.progress
        progress.step += 1
        rate = self.schedule.rate(progress.step)
        self.seed_dropout()
        outcome = self.updater.update(group, rate=rate, step=progress.step)
        self.unread.append(Made(progress.step, progress.epoch, rate, group, outcome))
        self.settle(but=UNREAD[self.model.device.type])
        self.window.seconds += time.monotonic() - began

    def seed_dropout(self) -> None:
        """Makes chance a function of the run's seed, the step and the process, whatever was drawn before."""
        sequence = np.random.SeedSequence([self.seed, self.progress.step, self.processes.rank])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))

    def catch_up(self) -> None:
        """Settles all updates. The wait counts as theirs, whoever wants to know."""
        if self.unread:
            began = time.monotonic()
            self.settle(but=0)
            self.window.seconds += time.monotonic() - began

    def settle(self, *, but: int) -> None:
        """Looks at what the updates came to, all `but` the last so many.

        One that was left out is none of the run's if the settings allow so many in a row.

        Raises:
            Failure: they do not.
        """
        while len(self.unread) > but:
            made = self.unread.popleft()
            outcome = made.outcome.read()
            if outcome.made:
                self.progress.skipped = 0
                self.window.add(outcome.nll, sum(batch.num_tokens for batch in made.group), outcome.norm)
            else:
                self.progress.skipped += 1
                self.tell_left_out(made, outcome)

    def tell_left_out(self, made: Made, outcome: Outcome) -> None:
        facts = {
            "step": made.step,
            "epoch": made.epoch,
            "learning_rate": made.rate,
            "loss": repr(outcome.nll),  # JSON has no NaN
            "gradient_norm": repr(outcome.norm),
            "parameters": [name for name, norm in outcome.norms.items() if not math.isfinite(norm)],
        }
        path = save_bad_update(self.run.path, facts, made.group, self.pairs.tokenizer, self.processes)
        what = (
            f"step {made.step}, learning rate {made.rate:.2e}: the loss is {outcome.nll:g}, the gradient's norm "
            f"{outcome.norm:g}; the batch is in {path}"
        )
        skipped = self.progress.skipped
        if skipped > self.settings.skip_nonfinite:
            raise Failure(f"{what}. A lower schedule.learning_rate may help, or trainer.skip_nonfinite=K")
        self.bar.say(f"{what}; the update is left out ({skipped} in a row)")

    def log(self) -> None:
        """Records the training loss since the last record, unless every update since then was left out."""
        self.catch_up()
        if self.window.num_steps == 0:
            return
        progress = self.progress
        facts = self.window.close(self.processes)
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
        """Validates, and keeps the weights if they are the best so far."""
        self.catch_up()  # before anything is kept: the run may end here
        progress = self.progress
        loss, score = self.measure()
        progress.validated = progress.step
        self.schedule.observe(score)
        better = progress.best_score is None or score > progress.best_score
        if better:
            progress.best_score, progress.waited = score, 0
        else:
            progress.waited += 1
        self.report(loss, score, better=better, averaged=1)
        if self.processes.is_main:
            if better:
                save_weights(self.model.state_dict(), self.run.best, step=progress.step)
            if self.settings.average_checkpoints > 1:
                save_weights(self.model.state_dict(), self.run.step_path(progress.step), step=progress.step)
                for old in self.run.step_paths()[: -self.settings.average_checkpoints]:
                    old.unlink()

    @torch.no_grad()
    def measure(self) -> tuple[float, float]:
        """The validation loss, in nats per target token, and the score.

        Raises:
            Failure: the loss is not finite.
        """
        self.model.eval()
        sums, num_tokens = torch.zeros((), dtype=torch.float64, device=self.model.device), 0
        for batch in self.validation:
            with out_of_memory(self.progress.step, batch):
                sums += self.updater.loss(batch)[1]
            num_tokens += batch.num_tokens
        total, all_tokens = self.processes.sum(float(sums), num_tokens)
        if not math.isfinite(total):
            raise Failure(f"step {self.progress.step}: the validation loss is {total:g}")
        return total / all_tokens, self.validate(self.model)

    def report(self, loss: float, score: float, *, better: bool, averaged: int) -> None:
        progress = self.progress
        self.look_up()
        record = {"kind": "validation", "step": progress.step, "seconds": progress.seconds, "loss": loss, "bleu": score}
        self.history.record(record | ({"averaged": averaged} if averaged > 1 else {}))
        what = f"mean of the last {averaged} checkpoints" if averaged > 1 else f"step {progress.step}"
        mark = "  (best so far)" if better else ""
        self.bar.say(f"{what}, {duration(progress.seconds)}: validation loss {loss:.3f}, BLEU {score:.2f}{mark}")

    def save(self) -> None:
        """Writes the last checkpoint: all that belongs to this step has been done."""
        self.catch_up()
        progress = self.progress
        progress.schedule = self.schedule.state()
        progress.window = self.window.state(self.processes)
        progress.records = self.history.records
        self.saved_at = progress.seconds
        if self.processes.is_main:
            self.history.flush()  # first: a run that goes on does not make them again
            save_checkpoint(self.run.last, progress, self.model, self.optimizer)

    def try_average(self) -> None:
        """Puts the mean of the last checkpoints in the best one's place if it scores better."""
        progress, settings, leads = self.progress, self.settings, self.processes.is_main
        paths = [path for path in self.run.step_paths() if path <= self.run.step_path(progress.step)] if leads else []
        paths = self.processes.broadcast(paths[-settings.average_checkpoints :])
        if len(paths) > 1 and settings.average_checkpoints > 1:
            trained = [parameter.detach().clone() for parameter in self.model.parameters()]
            if leads:
                save_weights(average(paths), self.run.averaged, step=progress.step)
                load_weights(self.model, self.run.averaged)
            self.processes.broadcast_weights(self.model)
            loss, score = self.measure()
            better = progress.best_score is None or score > progress.best_score
            self.report(loss, score, better=better, averaged=len(paths))
            for parameter, before in zip(self.model.parameters(), trained, strict=True):
                parameter.data.copy_(before)  # what a longer run goes on from is not the mean
            if better:
                progress.best_score = score
            if leads and better:
                self.run.averaged.replace(self.run.best)
            elif leads:
                self.run.averaged.unlink()
        progress.averaged = progress.step
        self.save()
