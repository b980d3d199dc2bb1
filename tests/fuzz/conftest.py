"""How many inputs each reader is given, and a table of the outcomes.

pytest tests/fuzz                                     150 inputs for each reader, in seconds
NMT_FUZZ_EXAMPLES=20000 pytest tests/fuzz             a campaign, which ends with a table
"""

import os
import resource
from collections import Counter, defaultdict
from collections.abc import Callable

import hypothesis
import pytest

from nmt.errors import UserError

EXAMPLES = int(os.environ.get("NMT_FUZZ_EXAMPLES", "0"))
OUTCOMES: dict[str, Counter[str]] = defaultdict(Counter)

hypothesis.settings.register_profile(
    "fuzz",
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=EXAMPLES or 150,
    phases=[hypothesis.Phase.generate, hypothesis.Phase.shrink],
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture
def outcome(request: pytest.FixtureRequest) -> Callable[[Callable[[], object], str], None]:
    """Reads one input. It is accepted, or refused by a UserError whose message holds `named`; any other error fails."""
    counts = OUTCOMES[request.node.name.removeprefix("test_")]

    def read(reader: Callable[[], object], named: str) -> None:
        counts["inputs"] += 1
        try:
            reader()
        except UserError as error:
            if named not in str(error):
                counts["other"] += 1
                raise AssertionError(f"the message does not name {named}: {error}") from error
            counts["refused"] += 1
        except BaseException:
            counts["other"] += 1
            raise
        else:
            counts["accepted"] += 1

    return read


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of a campaign."""
    if not EXAMPLES or not OUTCOMES:
        return
    terminalreporter.write_sep("=", "fuzzing")
    columns = ("inputs", "refused", "accepted", "other")
    terminalreporter.write_line(f"{'reader':<28}" + "".join(f"{column:>10}" for column in columns))
    total: Counter[str] = sum(OUTCOMES.values(), Counter())
    for name, counts in [*OUTCOMES.items(), ("all", total)]:
        terminalreporter.write_line(f"{name:<28}" + "".join(f"{counts[column]:>10,}" for column in columns))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    terminalreporter.write_line(f"peak memory of the process: {peak:,.0f} MiB")
