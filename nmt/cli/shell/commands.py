"""The table of commands.

To add a command, add a line to COMMANDS, its configuration `conf/NAME.yaml`, and a module `nmt/cli/NAME.py` with
`run(config: DictConfig) -> None`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One subcommand of `nmt`.

    Attributes:
        name: the word after `nmt`; the module and the YAML file have the same name.
        summary: its line in `nmt --help`.
        verbatim_keys: keys whose values are sentences or file names. They are used exactly as typed: commas, brackets,
            quotes and `${…}` have no special meaning in them.
        output_key: the key of the folder or file that the command writes; None if it writes none of its own.
        sweep_results: a module for the results of `-m`. Its function `score(config)` returns the score of a run, the
            higher the better; `check_score(config)` refuses a run that will have none; `print_results(runs)` prints
            those of all runs. None: the command has no scores.
    """

    name: str
    summary: str
    verbatim_keys: tuple[str, ...] = ()
    output_key: str | None = None
    sweep_results: str | None = None

    @property
    def module(self) -> str:
        return f"nmt.cli.{self.name}"


COMMANDS = (
    Command(
        "train",
        "train one system and write its run folder",
        output_key="run",
        sweep_results="nmt.cli.training.sweep_results",
    ),
    Command("doctor", "check in a minute whether nmt train would work"),
    Command("evaluate", "score a trained system on a split: BLEU, chrF, TER"),
    Command(
        "translate",
        "translate a file, standard input, or what you type",
        verbatim_keys=("input", "prefix", "terms", "output"),
        output_key="output",
    ),
    Command(
        "align",
        "link the words of sentence pairs",
        verbatim_keys=("source", "target", "reverse", "output"),
        output_key="output",
    ),
    Command(
        "score",
        "score given translations, or rank n-best lists",
        verbatim_keys=("source", "target", "n_best", "output"),
        output_key="output",
    ),
    Command("compare", "compare trained systems side by side in a report", output_key="out"),
    Command("heads", "measure what each attention head of an encoder has learned", output_key="out"),
    Command("plot", "draw the attention of a sentence", verbatim_keys=("source", "target", "gold"), output_key="out"),
    Command("export", "write a trained system for CTranslate2, transformers or Argos", output_key="out"),
    Command("push", "upload a trained system to the Hugging Face hub", output_key="out"),
    Command("explore", "serve a page that shows attention and beams, and an API"),
    Command("benchmark", "measure how fast a configuration trains and translates", output_key="out"),
    Command("demo", "train and compare four systems on the built-in corpus", output_key="out"),
)


def find_command(name: str) -> Command | None:
    """Returns the command of that name, or None if there is none."""
    return next((command for command in COMMANDS if command.name == name), None)
