"""Any words on the command line of `nmt train` become settings, or are refused with a `UserError`."""

from collections.abc import Callable

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from nmt.cli.shell.command_line import CommandLine
from nmt.cli.shell.commands import COMMANDS
from nmt.cli.shell.completion import complete
from nmt.cli.shell.configuration import complete_config, hydra_initialized
from nmt.cli.shell.overrides import configure
from nmt.cli.shell.settings import to_settings
from nmt.cli.shell.sweep import expand_sweep
from nmt.cli.training.settings import TrainSettings

Outcome = Callable[[Callable[[], object], str], None]

fuzz = hypothesis.settings.get_profile("fuzz")
slow_fuzz = hypothesis.settings(fuzz, max_examples=max(1, fuzz.max_examples // 5))
"""Composing a configuration takes a tenth of a second."""

TRAIN = next(command for command in COMMANDS if command.name == "train")
WORDS = [
    "model=lstm", "model.dropout=0.1", "trainer.max_steps=10", "data=files", "data.path=a", "+x=1", "~tokenizer",
    "seed=1", "model@a=b", "schedule.learning_rate=1e-3", "run=${name}", "data.path=[a,b]", "name={a: 1}", "seed=???",
    "model=a,b", "run=\"'x'\"", "device=cpu", "experiment=null", "resume=true", "--cfg", "-m", "--resolve",
    "x" * 300 + "=1", "model=" + "x" * 300, "tokenizer=", "loader={}", "optimizer.betas=[1,x]", "trainer=null",
    "data=null", "~data", "search=null", "model=null", "~model", "model._target_=3", "data=run", "loader=3",
]  # fmt: skip

characters = st.text(alphabet="=.,[]{}()'\"\\$~+@:#% \n\té0aτ\ud800", max_size=4)
positions = st.integers(0, 2**20)
edits = st.tuples(st.sampled_from(WORDS), positions, st.integers(0, 3), characters)


def edited(word: str, position: int, num_removed: int, inserted: str) -> str:
    """Removes some characters of a word, and inserts others in their place."""
    start = position % (len(word) + 1)
    return word[:start] + inserted + word[start + num_removed :]


def test_overrides(outcome: Outcome) -> None:
    def read(words: list[str]) -> None:
        overrides = CommandLine.parse(words).overrides
        with hydra_initialized() as folder:
            for line in [overrides, *(run.overrides for run in expand_sweep(TRAIN, overrides)[:2])]:
                to_settings(complete_config(configure(TRAIN, folder, line)), TrainSettings)

    @slow_fuzz
    @given(st.lists(edits, min_size=1, max_size=3))
    def check(words: list[tuple[str, int, int, str]]) -> None:
        outcome(lambda: read([edited(*word) for word in words]), "")

    check()


def test_completion(outcome: Outcome) -> None:
    @slow_fuzz
    @given(st.lists(edits, min_size=1, max_size=3), st.sampled_from(["nmt train ", "nmt ", ""]))
    def check(words: list[tuple[str, int, int, str]], start: str) -> None:
        line = start + " ".join(edited(*word) for word in words)
        outcome(lambda: complete(line), "")

    check()
