"""Requests that schemathesis derives from the OpenAPI schema: no server error, and every response fits the schema."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode

WITHOUT_FIELDS = ("/translate_file", "/suggest")
"""Calls that are always refused."""

CALLS = {
    "GET": ("/api/systems", "/api/examples", "/languages", "/health", "/frontend/settings"),
    "POST": (
        *("/api/translate", "/api/force", "/api/attention", "/api/beam"),
        *("/translate", "/translate_file", "/suggest", "/detect"),
    ),
}


@pytest.fixture(scope="module")
def schema(address: str) -> schemathesis.BaseSchema:
    """The schema by which a real server describes itself."""
    return schemathesis.openapi.from_url(f"{address}openapi.json")


def test_every_call_is_described(schema: schemathesis.BaseSchema) -> None:
    assert {path: list(schema[path]) for path in schema} == {
        path: [method.lower()] for method, paths in CALLS.items() for path in paths
    }


@pytest.mark.parametrize(
    ("method", "path", "mode"),
    [
        *((method, path, GenerationMode.POSITIVE) for method, paths in CALLS.items() for path in paths),
        *(("POST", path, GenerationMode.NEGATIVE) for path in CALLS["POST"] if path not in WITHOUT_FIELDS),
    ],
)
def test_every_response_conforms_to_the_schema(
    schema: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    """Requests that fit the schema, and requests that do not."""

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=12, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):  # names that exist, to reach the models
            case.body |= {"source": "en", "target": "de"} if path == "/translate" else {"system": "luong"}
        # The schema does not know which heads and pieces there are, so a request that fits it may still be refused.
        case.call_and_validate(excluded_checks=[schemathesis.checks.positive_data_acceptance])

    check()
