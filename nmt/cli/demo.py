"""`nmt demo`: trains, evaluates and compares four systems on the built-in corpus by running the other commands."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.checks import check_sizes
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.main import main
from nmt.cli.shell.settings import to_settings
from nmt.cli.training.parallel import ParallelTraining, TrainingCommand
from nmt.console import MessageConsole
from nmt.explore.analysis import analyse
from nmt.explore.beam_tree import beam_tree
from nmt.explore.page import render_page
from nmt.explore.systems import open_systems
from nmt.files import reading, write_text
from nmt.run import RunFolder
from nmt.threads import num_usable_cores
from nmt.translator import Translator

SYSTEMS = {
    "lstm": ["experiment=demo_recurrent", "model=lstm"],
    "lstm_bahdanau": ["experiment=demo_recurrent", "model=lstm_bahdanau", "model.score.attention_size=64"],
    "lstm_luong": ["experiment=demo_recurrent", "model=lstm_luong"],
    "transformer": ["experiment=demo_transformer"],
}
"""Name of the system → what selects it, from the simplest model to the most recent."""

LONGEST_FIRST = ["transformer", "lstm_bahdanau", "lstm_luong", "lstm"]
"""The order of training: if the longest ones start first, several cores are busy to the end."""

PLOTTED_SENTENCES = {
    "tired": "The animal did not cross the street because it was too tired.",
    "wide": "The animal did not cross the street because it was too wide.",
}
"""Name of the picture → the sentence. German must say whether "it" is the animal (es) or the street (sie)."""

MAX_WIDTH = 80
"""Columns of a terminal that a printed command line may take."""


class DemoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/demo.yaml, which describes each setting."""

    out: Path
    steps: int
    parallel: int | None
    seed: int
    device: str

    def __post_init__(self) -> None:
        check_sizes(steps=self.steps)
        if self.parallel is not None:
            check_sizes(parallel=self.parallel)


def run(config: DictConfig) -> None:
    """Trains the systems that are not finished yet, compares them, and shows their attention on two sentences."""
    settings = to_settings(config, DemoSettings)
    train_systems(settings)
    device = f"device={settings.device}"
    runs = f"runs=[{','.join(str(settings.out / system) for system in SYSTEMS)}]"
    reports = settings.out / "report"
    page = reports / "attention.html"
    for split in ("test_long", "test"):
        run_command("compare", runs, f"split={split}", f"out={reports / split}", device, "threads=1")
    for name, sentence in PLOTTED_SENTENCES.items():
        run_folder, picture = settings.out / "transformer", reports / f"{name}.png"
        run_command("plot", f"run={run_folder}", f"source={sentence}", f"out={picture}", device)
    write_page(page, settings)
    print_message("nmt demo", f"the attention of all systems is {page}")
    print_message("nmt demo", f"the report is {reports / 'test' / 'report.html'}")
    print_message("nmt demo", "to try sentences of your own:")
    print_command(["explore", runs])


def train_systems(settings: DemoSettings) -> None:
    """Trains all systems, as many at the same time as there are cores. One thread each: so the result is always equal.

    Raises:
        SystemExit: a command failed; with its exit code.
        KeyboardInterrupt: the user interrupted.
    """
    commands = [
        TrainingCommand(system, train_arguments(system, settings), settings.out / system) for system in LONGEST_FIRST
    ]
    num_parallel = min(len(commands), settings.parallel or num_usable_cores())
    try:
        with ParallelTraining(
            commands, num_steps=[settings.steps] * len(commands), num_parallel=num_parallel, announce=print_command
        ) as training:
            code = training.run()
    except KeyboardInterrupt:
        print_message("nmt demo", "interrupted; the same command continues")
        raise
    if code != 0:
        raise SystemExit(code)


def train_arguments(system: str, settings: DemoSettings) -> list[str]:
    """The words after `nmt` that train a system, or continue its training."""
    folder = settings.out / system
    with reading(f"out={settings.out}"):
        resume = ["resume=true"] if (folder / "model.json").is_file() else []
    return [
        "train",
        *SYSTEMS[system],
        f"run={folder}",
        f"trainer.max_steps={settings.steps}",
        f"seed={settings.seed}",
        f"device={settings.device}",
        *resume,
    ]


def write_page(path: Path, settings: DemoSettings) -> None:
    """Writes how all systems translate the plotted sentences as one page, with the attention and the beam of each."""
    folders = [RunFolder.open(settings.out / system) for system in SYSTEMS]

    def load(folder: RunFolder, heads_off: Sequence[str]) -> Translator:
        return Translator.load(folder, device=settings.device, heads_off=heads_off)

    systems = open_systems(folders, load=load)
    pairs = [(system, sentence) for sentence in PLOTTED_SENTENCES.values() for system in systems]
    analyses = [analyse(system, sentence) for system, sentence in pairs]
    beams = [beam_tree(system, sentence) for system, sentence in pairs]
    write_text(path, render_page(analyses, beams, state={"system": "transformer"}))


def run_command(*arguments: str) -> None:
    """Prints a command line as a user would type it, and runs it.

    Raises:
        SystemExit: the command failed; with its exit code.
    """
    print_command(arguments)
    code = main(arguments)
    if code != 0:
        raise SystemExit(code)


def print_command(arguments: Sequence[str]) -> None:
    """Prints a command line, broken as a shell allows it."""
    lines = ["$ nmt"]
    for word in map(shlex.quote, arguments):
        if len(lines[-1]) + len(word) + 3 > MAX_WIDTH:  # with a space before it, and a backslash behind it
            lines.append("   ")
        lines[-1] += f" {word}"
    MessageConsole().print("\n" + " \\\n".join(lines), markup=False, soft_wrap=True)
