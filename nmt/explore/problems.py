"""Every error as one line: {"detail": …}, or {"error": …} where LibreTranslate's clients expect it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from nmt.errors import UserError
from nmt.explore.batching import QueueFullError

LIBRETRANSLATE_PATHS = {
    "/languages",
    "/translate",
    "/translate_file",
    "/suggest",
    "/detect",
    "/health",
    "/frontend/settings",
}
"""The calls of `nmt.explore.libretranslate`."""

RETRY_SECONDS = 1
"""When a client may try again if the queue is full: most batches take less."""

MAX_FIELD_CHARACTERS = 40
"""Maximum length of the name of a field in a message; a client can send any name."""


class TextTooLongError(Exception):
    """A request has more lines or characters than one may have."""


def answer_error(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that is refused, or that cannot be computed because of what it asks for."""
    is_libretranslate = request.scope["path"] in LIBRETRANSLATE_PATHS
    match error:
        case HTTPException():
            return error_response(request, error.status_code, error.detail, error.headers)
        case RequestValidationError():
            return error_response(request, 422, explain(error.errors()))
        case TextTooLongError():
            return error_response(request, 413, str(error))
        case QueueFullError():
            headers = {"Retry-After": str(RETRY_SECONDS)}
            return error_response(request, 429, "too many requests are waiting: try again later", headers)
        case UserError():
            return error_response(request, 400 if is_libretranslate else 422, str(error))
    raise error


ANSWERED = (HTTPException, RequestValidationError, TextTooLongError, QueueFullError, UserError)
"""The errors that `answer_error` answers. Any other one is a defect of the program."""


def error_response(
    request: Request, status: int, message: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """An error in one line."""
    key = "error" if request.scope["path"] in LIBRETRANSLATE_PATHS else "detail"
    return JSONResponse({key: " ".join(message.split())}, status, headers)


def explain(errors: Sequence[Any]) -> str:
    """The first of pydantic's errors in one line, such as "n_best: Input should be greater than or equal to 1"."""
    if errors[0]["type"] == "json_invalid":
        return "the body is not valid JSON"
    field = next((str(part) for part in errors[0]["loc"] if part not in ("body", "query")), "body")
    message = errors[0]["msg"].removeprefix("Value error, ")  # pydantic puts it before the text of a ValueError
    return f"{field[:MAX_FIELD_CHARACTERS]}: {message}"
