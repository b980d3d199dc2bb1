"""`nmt doctor`: checks whether `nmt train` with the same arguments would work, and reports what to expect.

Corpus, tokenizer, model, optimizer and batches are made exactly as for training, but nothing is written. Whatever would
stop the run stops this command with the same message. Settings that work but are probably a mistake give a warning. The
report goes to standard output, because it is the result.
"""

from __future__ import annotations

import msgspec
from omegaconf import DictConfig

from nmt.cli.diagnosis.corpus import report_corpus, sample_split
from nmt.cli.diagnosis.report import DoctorReport
from nmt.cli.diagnosis.system import describe_device, describe_run_folder, describe_versions
from nmt.cli.diagnosis.training import (
    describe_decoding,
    describe_duration,
    describe_memory,
    describe_model,
    estimate_duration,
    measure_validation,
)
from nmt.cli.shell.configuration import plain_values
from nmt.cli.shell.settings import to_settings
from nmt.cli.training.mix import expand_mix
from nmt.cli.training.preparation import PreparedRun, prepare_run
from nmt.cli.training.resume import find_start
from nmt.cli.training.settings import TrainSettings
from nmt.device import subnormals_as_zero
from nmt.threads import limit_threads
from nmt.training.distributed import Processes
from nmt.training.dry_run import DryRun
from nmt.training.progress import duration, spinner

MAX_OVERFIT_SECONDS = 15.0
"""Maximum duration of the training on a few sentences."""

MAX_SPEED_SECONDS = 6.0
"""Maximum duration of the measurement of speed."""

MAX_REGAINED_SHARE = 0.1
"""If the loss regains more than this share of its drop, the learning rate is too high."""

MAX_VALIDATION_SHARE = 0.5
"""The report warns if validations take more than this share of the time."""


@subnormals_as_zero()
def run(config: DictConfig) -> None:
    """Tries out the run that `config` (conf/train.yaml) describes.

    Raises:
        UserError: the run would not work; the message says why, and what to change.
    """
    settings = expand_mix(to_settings(config, TrainSettings))
    report = DoctorReport()
    start = find_start(settings, plain_values(config))
    if start.finished is not None:
        report.finish(f"{start.finished}.")
        return
    settings = msgspec.structs.replace(settings, resume="true" if start.resume else "false")
    report.print("versions", describe_versions())
    prepared = prepare_run(settings, Processes(), sample=sample_split)
    with limit_threads(settings.threads, prepared.model.device):
        report.print("device", describe_device(prepared.model.device, settings.trainer))
        report_corpus(report, settings, prepared)
        report.print("model", describe_model(prepared.model))
        try_training(report, settings, prepared)


def try_training(report: DoctorReport, settings: TrainSettings, prepared: PreparedRun) -> None:
    """Makes some updates and some translations, and reports memory, learning, speed, and the duration of the run.

    Raises:
        UserError: the memory or the disk is too small, or the model does not learn.
    """
    dry_run = DryRun(
        settings=settings.trainer,
        model=prepared.model,
        optimizer=prepared.optimizer,
        schedule=prepared.schedule,
        train_loader=prepared.train_loader,
        objective=prepared.objective,
    )
    with spinner("training on the largest batch"):
        memory = dry_run.measure_memory()
    report.print("memory", describe_memory(memory, prepared.model.device))
    average_checkpoints = settings.trainer.average_checkpoints
    report.print("run folder", describe_run_folder(settings.run, memory, average_checkpoints=average_checkpoints))
    try_overfitting(report, dry_run)
    with spinner("measuring the speed"):
        speed = dry_run.measure_speed(seconds=MAX_SPEED_SECONDS)
    # The batches of a sample stand for those of the full split.
    full_size = len(prepared.corpus.split(settings.train_split))
    batches_per_epoch = len(prepared.train_loader.sampler.epoch(0)) * full_size / len(prepared.train_split)
    report.print(
        "speed",
        f"{speed.tokens_per_second:,.0f} target tokens per second; an epoch of {batches_per_epoch:,.0f} batches takes "
        f"{duration(batches_per_epoch * speed.seconds_per_batch)}",
    )
    validation_seconds = 0.0
    if settings.objective is None:
        report.print("decoding", describe_decoding(prepared))
        with spinner("measuring a validation"):
            validation_seconds = measure_validation(prepared)
    if validation_seconds:
        report.print("validation", f"takes up to {duration(validation_seconds)}, by the translation of some sentences")
    expected = estimate_duration(
        settings.trainer,
        batches_per_epoch=batches_per_epoch,
        speed=speed,
        validation_seconds=validation_seconds,
    )
    if expected is not None and expected.validation > MAX_VALIDATION_SHARE * expected.seconds:
        report.warn(
            f"validations take {expected.validation / expected.seconds:.0%} of the time: raise trainer.validate_every, "
            f"or lower max_validation_pairs"
        )
    report.finish(f"This run will work: {describe_duration(expected, settings.trainer)}.")


def try_overfitting(report: DoctorReport, dry_run: DryRun) -> None:
    """Trains on a few sentences, and warns if the loss rises again with the learning rate.

    Raises:
        UserError: the loss does not fall.
    """
    with spinner("overfitting a few sentences"):
        result = dry_run.overfit(seconds=MAX_OVERFIT_SECONDS)
    rate = dry_run.schedule.learning_rate
    report.print(
        "learning",
        f"overfitting a few sentences: the loss falls from {result.first:.2f} to {result.last:.2f} nats per token in "
        f"{result.steps} updates, with learning rates up to {rate:g}; every parameter gets a gradient",
    )
    if result.last - result.lowest > MAX_REGAINED_SHARE * (result.first - result.lowest):
        report.warn(
            f"the loss on a few sentences fell to {result.lowest:.2f} and rose again to {result.last:.2f} as the "
            f"learning rate grew: lower schedule.learning_rate={rate:g}"
        )
