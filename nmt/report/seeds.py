"""Groups runs that differ in nothing but their seed, with the mean and deviation of their scores."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile

import msgspec

from nmt.report.record import MeanScore, SeedGroup
from nmt.report.runs import ComparedSystem, EvaluatedRun
from nmt.report.scores import SCORES

IGNORED_SETTINGS = {"seed", "run", "name", "resume", "device", "threads", "tracker"}
"""Settings of config.yaml in which the runs of a group may differ: the seed, and what does not change the result."""

SEED_NUMBER = re.compile(r"seed\d+")
"""The seed in the name of a run folder."""

SEED_SUFFIX = re.compile(r"[\W_]*(?:seed\d*)?[\W_]*$")
"""The end of what names have in common that does not name the system: the "-seed" of transformer-seed1 and -seed2."""


def group_seeds(systems: Sequence[ComparedSystem]) -> list[SeedGroup]:
    """Groups the systems, in the order of their first one. A system whose seed is not known is a group by itself."""
    members: dict[tuple[str, int], list[ComparedSystem]] = {}
    earlier: Counter[tuple[str, int | None]] = Counter()
    for system in systems:
        seed = system_seed(system)
        setup = _describe_setup(system) if isinstance(system, EvaluatedRun) and seed is not None else system.name
        repetition = earlier[setup, seed]  # runs with the same setup and seed go to different groups
        earlier[setup, seed] += 1
        members.setdefault((setup, repetition), []).append(system)
    names = [name_group([system.name for system in group]) for group in members.values()]
    return [
        SeedGroup(
            name=name if names.count(name) == 1 else ", ".join(system.name for system in group),
            systems=[system.name for system in group],
            seeds=[seed for system in group if (seed := system_seed(system)) is not None],
            scores=_mean_scores(group),
        )
        for name, group in zip(names, members.values(), strict=True)
    ]


def _describe_setup(run: EvaluatedRun) -> str:
    """Everything that the runs of a group must have in common.

    Each run of a group may start with a run of its own: init: runs/both-seed1, init: runs/both-seed2.
    """
    settings, is_ignored = [], False
    for line in run.config.splitlines():
        if not line.startswith(" "):  # else it belongs to the key above
            is_ignored = line.split(":")[0] in IGNORED_SETTINGS
        if not is_ignored:
            settings.append(line)
    settings = [SEED_NUMBER.sub("seed", line) if line.startswith("init: ") else line for line in settings]
    description = msgspec.json.encode([run.model, run.evaluation.search, run.evaluation.precision]).decode()
    return "\n".join([*settings, description])


def system_seed(system: ComparedSystem) -> int | None:
    """The seed with which a run was trained; None if it is not known, and for another program."""
    return find_seed(system.config) if isinstance(system, EvaluatedRun) else None


def find_seed(config: str) -> int | None:
    """The seed in the text of config.yaml, which `nmt train` writes with one setting per line; None without one."""
    match = re.search(r"^seed: (\d{1,18})$", config, flags=re.MULTILINE)
    return int(match[1]) if match else None


def name_group(names: Sequence[str]) -> str:
    """The name of a group: what all names start with, or else what they end with, or else all names."""
    if len(names) == 1:
        return names[0]
    common = _common_start(names)
    if any(name[len(common) : len(common) + 1].isdigit() for name in names):
        common = common.rstrip("0123456789")  # else the name ends inside a number
    start = SEED_SUFFIX.sub("", common)
    end = _common_start([name[::-1] for name in names])[::-1].lstrip("0123456789/_-. ")
    return start or end or ", ".join(names)


def _common_start(names: Sequence[str]) -> str:
    """The characters with which all names start."""
    equal = takewhile(lambda characters: len(set(characters)) == 1, zip(*names, strict=False))
    return "".join(characters[0] for characters in equal)


def mean_score(scores: Sequence[float]) -> MeanScore:
    """The mean of some scores and their sample standard deviation, which divides by n - 1."""
    return MeanScore(statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else None)


def _mean_scores(group: Sequence[ComparedSystem]) -> dict[str, MeanScore]:
    """The mean of each score that all systems of a group have, by its key."""
    means = {}
    for score in SCORES:
        values = [value for system in group if (value := score.get_value(system)) is not None]
        if len(values) == len(group):
            means[score.key] = mean_score(values)
    return means
