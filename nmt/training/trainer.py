"""The training loop: updates, validations, checkpoints, and the reasons to stop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import torch

from nmt.data.batch import Batch
from nmt.errors import UserError
from nmt.run.weights import save_weights
from nmt.training.averaging import keep_for_averaging, validate_average
from nmt.training.checkpoint import Progress, read_checkpoint, restore, save_checkpoint
from nmt.training.limits import checkpoint_is_due, fraction_done, reached_limit
from nmt.training.loss_meter import LossMeter
from nmt.training.moving_average import MovingAverage, averaged_weights
from nmt.training.parts import TrainingParts
from nmt.training.pending_updates import PendingUpdates
from nmt.training.progress import duration
from nmt.training.selection import Validation
from nmt.training.settings import TrainerSettings
from nmt.training.update import Updater
from nmt.training.validation import validate_model

INTERRUPTED = "interrupted; continue with resume=true"


class Trainer:
    """Trains a model until a limit is reached, the validations stop improving, or the user interrupts.

    A run that is killed at any moment resumes from its last checkpoint as if nothing had happened. A checkpoint is
    written only after everything that belongs to its step, and everything after it is repeated identically: the order
    of the batches follows from seed and epoch, and dropout from seed and step.
    """

    updater: Updater  # created by `fit`, because with several processes it connects to the others

    def __init__(self, settings: TrainerSettings, parts: TrainingParts) -> None:
        self.settings = settings
        self.parts = parts
        self.progress = Progress(order=parts.train_loader.sampler.order, selected_by=settings.measure)
        self.moving_average = MovingAverage(parts.model, decay=settings.ema_decay) if settings.ema_decay > 0 else None
        self.pending = PendingUpdates(parts, skip_nonfinite=settings.skip_nonfinite)
        self.clock_start = 0.0  # time at which `progress.seconds` was 0, on the monotonic clock
        self.saved_seconds = 0.0  # `progress.seconds` at the last checkpoint
        self.batches_per_epoch = 0
        self.learning_rate, self.fraction_done = 0.0, 0.0  # of the last update; of the run after it
        self.interrupted = False

    # The training loop, after `resume` has restored the last checkpoint if there is one:
    #
    #     for each epoch:
    #         for each group of batches, from the position of the checkpoint on:
    #             update the weights
    #             every `log_every` steps: record the training loss
    #             every `validate_every` steps: validate, and keep the weights if they are the best so far
    #             write a checkpoint if one is due
    #             stop if a limit is reached or the user interrupts
    #     validate the final weights, then try the mean of the last checkpoints

    def fit(self) -> Progress:
        """Trains the model, and leaves weights in the run folder with which `Translator` can translate.

        Raises:
            Failure: loss or gradient are not finite, the memory ran out, the disk fails, or another process ended.
        """
        settings, parts, progress = self.settings, self.parts, self.progress
        progress.number_format = settings.number_format(parts.model.device)
        self.updater = Updater.from_settings(
            settings,
            parts.model,
            parts.optimizer,
            processes=parts.processes,
            objective=parts.objective,
            moving_average=self.moving_average,
        )
        self.batches_per_epoch = len(parts.train_loader.sampler.epoch(0))
        parts.history.start(num_records=progress.num_records, last_step=progress.step)
        self.clock_start = time.monotonic() - progress.seconds
        self.sync_clock()
        # A resumed run that had reached its end, and that no higher limit continues.
        if (reason := self.stop_reason()) and progress.averaged_step == progress.step > 0:
            parts.bar.print(f"there is nothing left to do after step {progress.step}: {reason}")
            return progress

        while self.stop_reason() is None:
            epoch = parts.train_loader.epoch(progress.epoch, start=progress.position)
            while batches := list(islice(epoch, settings.accumulate)):
                self.train_step(batches)
                self.sync_clock()
                if progress.step % settings.log_every == 0:
                    self.log()
                if progress.step % settings.validate_every == 0:
                    self.validate()
                if checkpoint_is_due(settings, progress, saved_seconds=self.saved_seconds):
                    self.save()
                if self.stop_reason() is not None:
                    break
            else:  # the epoch has no more batches
                progress.epoch, progress.position = progress.epoch + 1, 0

        self.finish()
        return progress

    def resume(self) -> None:
        """Restores the last checkpoint, if there is one. Call this before `fit`.

        Raises:
            UserError: the checkpoint is damaged, or belongs to another model, optimizer, schedule or `select`.
        """
        parts, path = self.parts, self.parts.run_folder.last
        checkpoint = read_checkpoint(path) if parts.processes.is_main and path.is_file() else None
        checkpoint = parts.processes.broadcast(checkpoint)
        if checkpoint is None:
            return
        progress, tensors = checkpoint
        if progress.selected_by != self.settings.measure:
            raise UserError(f"the run was started with trainer.select={progress.selected_by}: resume it with the same")
        restore(tensors, path, parts.model, parts.optimizer, self.moving_average)
        parts.schedule.restore(progress.schedule)
        if progress.order != self.progress.order:
            parts.bar.print(
                f"the corpus, its cleaning, the seed or loader.batch_tokens has changed: epoch {progress.epoch + 1} "
                f"starts again"
            )
            progress.order, progress.position = self.progress.order, 0
        if not parts.processes.is_main:
            progress.loss_meter.drop_tokens()  # the main process keeps those of all processes
        number_format = self.settings.number_format(parts.model.device)
        if self.settings.precision == "auto" and progress.number_format not in (None, number_format):
            self.settings = msgspec.structs.replace(self.settings, precision=progress.number_format)
            parts.bar.print(
                f"training continues in {progress.number_format}, as it was started; "
                f"a new run would use {number_format} on this machine"
            )
        self.progress = progress
        self.saved_seconds = progress.seconds

    def train_step(self, batches: Sequence[Batch]) -> None:
        """Makes one update on a group of batches, and reads the results of earlier ones.

        Raises:
            Failure: the memory ran out, or too many updates in a row were not finite.
        """
        parts, progress = self.parts, self.progress
        start = time.monotonic()
        progress.step, progress.position = progress.step + 1, progress.position + len(batches)
        # Dropout depends on seed, step and process only, so a resumed run draws the same numbers.
        seeds = np.random.SeedSequence([parts.seed, progress.step, parts.processes.rank])
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))
        self.fraction_done = fraction_done(self.settings, progress, batches_per_epoch=self.batches_per_epoch)
        self.learning_rate = parts.schedule.rate(progress.step, fraction_done=self.fraction_done)
        update = self.updater.update(batches, rate=self.learning_rate, step=progress.step)
        self.pending.add(update, progress)
        progress.loss_meter.seconds += time.monotonic() - start
        parts.adapt_threads()

    def sync_clock(self) -> None:
        """Makes all processes agree on the training time, and on whether a stop was requested."""
        processes = self.parts.processes
        seconds = time.monotonic() - self.clock_start if processes.is_main else 0.0
        self.progress.seconds, num_requests = processes.sum(seconds, float(self.parts.stop_requested()))
        self.interrupted = num_requests > 0

    def stop_reason(self) -> str | None:
        """The reason to stop training now, in words; None if it continues."""
        return reached_limit(self.settings, self.progress) or (INTERRUPTED if self.interrupted else None)

    def log(self) -> None:
        """Records the training loss since the last record, unless all updates since then were skipped."""
        parts, progress = self.parts, self.progress
        self.pending.read_all(progress)
        if progress.loss_meter.num_steps == 0:
            return
        means = progress.loss_meter.means(parts.processes)
        progress.loss_meter = LossMeter()
        parts.history.record({**self.new_record("train"), "learning_rate": self.learning_rate, **means})
        parts.bar.update(
            fraction=self.fraction_done,
            loss=means["loss"],
            tokens_per_second=means["tokens_per_second"],
            seconds_left=progress.seconds * (1 - self.fraction_done) / max(self.fraction_done, 1e-9),
        )

    def new_record(self, kind: str) -> dict[str, Any]:
        """The beginning of a history record: its kind, and how far the run has come."""
        progress = self.progress
        return {"kind": kind, "step": progress.step, "epoch": progress.epoch, "seconds": progress.seconds}

    def validate(self) -> None:
        """Validates the weights, or their moving average, and keeps them if they are the best so far.

        Without a validation split, the present weights always count as the best.
        """
        parts, progress = self.parts, self.progress
        self.pending.read_all(progress)  # first, because a non-finite update may end the run before anything is kept
        progress.validated_step, is_best = progress.step, True
        with averaged_weights(self.moving_average):
            if parts.validation_split is not None:
                validation = validate_model(self.updater, parts.validation_split, step=progress.step)
                parts.schedule.observe(validation.rank(self.settings.measure))
                is_best = self.record_validation(validation)
                progress.validations_since_best = 0 if is_best else progress.validations_since_best + 1
            if parts.processes.is_main and is_best:
                save_weights(parts.model.state_dict(), parts.run_folder.best, step=progress.step)
            if parts.processes.is_main and self.num_averaged > 1:
                keep_for_averaging(parts.model, parts.run_folder, step=progress.step, count=self.num_averaged)

    def record_validation(self, validation: Validation) -> bool:
        """Adds a validation to the history and prints it. Returns whether it is the best so far."""
        self.sync_clock()
        progress, measure = self.progress, self.settings.measure
        is_best = progress.best is None or validation.rank(measure) > progress.best.rank(measure)
        if is_best:
            progress.best = validation
        self.parts.history.record(validation.record(progress.seconds, selected_by=measure, is_best=is_best))
        self.parts.bar.print(validation.line(progress.seconds, is_best=is_best))
        return is_best

    @property
    def num_averaged(self) -> int:
        """Number of checkpoints that are averaged at the end; 1 without validation, which alone can judge the mean."""
        return 1 if self.parts.validation_split is None else self.settings.average_checkpoints

    def save(self) -> None:
        """Writes a checkpoint of this step, to resume from. Call it after everything else that belongs to the step."""
        parts, progress = self.parts, self.progress
        self.pending.read_all(progress)
        progress.schedule = parts.schedule.state()
        progress.num_records = parts.history.num_records
        loss_meter = progress.loss_meter.total(parts.processes)
        self.saved_seconds = progress.seconds
        if parts.processes.is_main:
            parts.history.flush()  # first, because a resumed run does not write these records again
            saved = msgspec.structs.replace(progress, loss_meter=loss_meter)
            save_checkpoint(parts.run_folder.last, saved, parts.model, parts.optimizer, self.moving_average)

    def finish(self) -> None:
        """Ends the run with a checkpoint and, unless it was interrupted, with a validation and averaging."""
        parts, progress, reason = self.parts, self.progress, self.stop_reason()
        if reason == INTERRUPTED:
            self.save()
            without_best = parts.validation_split is None or not parts.run_folder.best.is_file()
            if parts.processes.is_main and without_best:
                with averaged_weights(self.moving_average):
                    save_weights(parts.model.state_dict(), parts.run_folder.best, step=progress.step)
        else:
            end = {**self.new_record("end"), "reason": reason}
            if progress.validated_step < progress.step:
                self.validate()
                self.save()
            parts.history.record(end)  # behind that checkpoint: a run that is killed here makes the record when resumed
            self.average_checkpoints()
        parts.bar.print(f"ended after step {progress.step}, {duration(progress.seconds)}: {reason}")

    def average_checkpoints(self) -> None:
        """Makes the mean of the last checkpoints' weights the best weights, if it is validated as the best."""
        split, folder, progress = self.parts.validation_split, self.parts.run_folder, self.progress
        if split is not None:
            count = self.settings.average_checkpoints
            validation = validate_average(self.updater, split, folder, step=progress.step, count=count)
            is_best = validation is not None and self.record_validation(validation)
            if self.parts.processes.is_main and is_best:
                folder.averaged.replace(folder.best)
            elif self.parts.processes.is_main:
                folder.averaged.unlink(missing_ok=True)
        progress.averaged_step = progress.step
        self.save()
