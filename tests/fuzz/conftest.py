"""How many inputs each reader is given, and the record of what came of them.

pytest tests/fuzz                                     some hundreds for each reader, in seconds
NMT_FUZZ_EXAMPLES=20000 pytest tests/fuzz             a campaign; it ends in a table
"""

import os
import resource
from collections import Counter, defaultdict
from collections.abc import Callable

import hypothesis
import pytest

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
    """Reads one input: it is taken, or a ValueError whose message holds `named` refuses it; all else fails the test."""
    counts = OUTCOMES[request.node.name.removeprefix("test_")]

    def read(reader: Callable[[], object], named: str) -> None:
        counts["inputs"] += 1
        try:
            reader()
        except ValueError as error:
            if named not in str(error) or type(error) is UnicodeDecodeError:
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
