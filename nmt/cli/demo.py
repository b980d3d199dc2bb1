"""`nmt demo`: the whole story on the built-in corpus, told by the other commands."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from omegaconf import DictConfig

from nmt.cli import main
from nmt.cli.shell.errors import say

SYSTEMS = {
    "lstm": "demo_recurrent",
    "lstm_bahdanau": "demo_recurrent",
    "lstm_luong": "demo_recurrent",
    "transformer": "demo_transformer",
}
"""Each model, from the simplest, and the experiment that trains it."""

SENTENCE = "The animal did not cross the street because it was too tired."


def run(config: DictConfig) -> None:
    """Tells the story as `config` (conf/demo.yaml) says."""
    out = Path(str(config.out))
    runs = {model: out / model for model in SYSTEMS}
    for model, folder in runs.items():
        resume = ["resume=true"] if (folder / "model.json").is_file() else []
        call(
            "train",
            f"experiment={SYSTEMS[model]}",
            f"model={model}",
            f"run={folder}",
            f"seed={config.seed}",
            f"trainer.max_minutes={float(config.minutes)}",
            f"device={config.device}",
            *resume,
        )
    listed = f"runs=[{','.join(map(str, runs.values()))}]"
    for split in ("test_long", "test"):
        call("compare", listed, f"split={split}", f"out={out / 'report' / split}", f"device={config.device}")
    picture = out / "report" / "alignment.png"
    call("plot", f"run={runs['lstm_bahdanau']}", f"source={SENTENCE}", f"out={picture}", f"device={config.device}")
    say("nmt demo", f"the report is {out / 'report' / 'test' / 'report.html'}")


def call(*words: str) -> None:
    """Shows a command and does it.

    Raises:
        SystemExit: it failed, with its exit code.
    """
    print(f"\n$ nmt {shlex.join(words)}", file=sys.stderr, flush=True)
    code = main(words)
    if code != 0:
        raise SystemExit(code)
