"""`nmt demo`: trains, evaluates and compares four systems on the built-in corpus by running the other commands."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.cli.shell.errors import print_message
from nmt.cli.shell.main import main
from nmt.cli.shell.settings import to_settings
from nmt.files import reading

EXPERIMENTS = {
    "lstm": "demo_recurrent",
    "lstm_bahdanau": "demo_recurrent",
    "lstm_luong": "demo_recurrent",
    "transformer": "demo_transformer",
}
"""Model → the experiment that trains it, from the simplest model to the most recent."""

PLOTTED_SENTENCE = "The animal did not cross the street because it was too tired."


class DemoSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/demo.yaml, which describes each setting."""

    out: Path
    minutes: float
    seed: int
    device: str


def run(config: DictConfig) -> None:
    """Trains the systems that are not finished yet, compares them on two splits, and plots one sentence."""
    settings = to_settings(config, DemoSettings)
    device = f"device={settings.device}"
    folders = {model: settings.out / model for model in EXPERIMENTS}
    for model, folder in folders.items():
        with reading(f"out={settings.out}"):
            resume = ["resume=true"] if (folder / "model.json").is_file() else []
        run_command(
            "train",
            f"experiment={EXPERIMENTS[model]}",
            f"model={model}",
            f"run={folder}",
            f"seed={settings.seed}",
            f"trainer.max_minutes={settings.minutes}",
            device,
            *resume,
        )
    runs = f"runs=[{','.join(map(str, folders.values()))}]"
    reports = settings.out / "report"
    for split in ("test_long", "test"):
        run_command("compare", runs, f"split={split}", f"out={reports / split}", device)
    picture = reports / "alignment.png"
    run_command("plot", f"run={folders['lstm_bahdanau']}", f"source={PLOTTED_SENTENCE}", f"out={picture}", device)
    print_message("nmt demo", f"the report is {reports / 'test' / 'report.html'}")


def run_command(*arguments: str) -> None:
    """Prints a command line as a user would type it, and runs it.

    Raises:
        SystemExit: the command failed; with its exit code.
    """
    print(f"\n$ nmt {shlex.join(arguments)}", file=sys.stderr, flush=True)
    code = main(arguments)
    if code != 0:
        raise SystemExit(code)
