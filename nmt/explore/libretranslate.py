"""The HTTP calls of LibreTranslate 1.9, so that its clients can use any run.

LibreTranslate (https://docs.libretranslate.com) chooses a model by the languages; here the first system that translates
from `source` to `target` answers. Each line of a text is translated by itself: unlike LibreTranslate, nothing splits a
line into sentences, and nothing detects a language. Errors are answered as {"error": "one line"} with LibreTranslate's
status codes.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field, Tag, ValidationError

from nmt.data.languages import LANGUAGE_NAMES
from nmt.explore.calls import BY_TYPE, MAX_TEXT_CHARACTERS, AnyCall, Call, Options
from nmt.explore.problems import TextTooLongError, explain
from nmt.explore.systems import System
from nmt.translator import Translation
from nmt.translator.n_best import merge_segmentations

FORM = "application/x-www-form-urlencoded"

MAX_ALTERNATIVES = 9
"""Maximum number of translations besides the best one."""


class LibreTranslateError(BaseModel):
    """Why a request was refused, in one line."""

    error: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": LibreTranslateError, "description": "a field is missing or wrong"},
    403: {"model": LibreTranslateError, "description": "not possible here"},
    413: {"model": LibreTranslateError, "description": "the request is too large"},
    429: {"model": LibreTranslateError, "description": "too many requests are waiting"},
}

router = APIRouter(responses=PROBLEMS)

Fields = TypeVar("Fields", bound=BaseModel)


class Language(BaseModel):
    """A language, and those to which a system translates from it."""

    code: str
    name: str
    targets: list[str]


class Detection(BaseModel):
    """A language that a text may have, with a confidence from 0 to 100."""

    confidence: float
    language: str


Query = Annotated[
    Annotated[str, Field(min_length=1), Tag("text")] | Annotated[list[str], Field(min_length=1), Tag("texts")], BY_TYPE
]
"""A text, or a list of texts; neither is empty."""


class TextRequest(BaseModel):
    """A text, or a list of texts; other fields, such as api_key, are ignored."""

    q: Query
    source: str
    target: str
    format: Literal["text"] = "text"
    alternatives: Annotated[int, Field(ge=0, le=MAX_ALTERNATIVES)] = 0


class DetectRequest(BaseModel):
    """A text, or a list of texts."""

    q: Query


class TextResponse(BaseModel):
    """Each field is a list with one item per text if `q` was a list."""

    translatedText: str | list[str]  # noqa: N815  # LibreTranslate's name
    alternatives: list[str] | list[list[str]] | None = None
    detectedLanguage: Detection | list[Detection] | None = None  # noqa: N815


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """The description of a body that may be JSON or a form, for OpenAPI."""
    schema = {"schema": model.model_json_schema()}
    return {"requestBody": {"required": True, "content": {"application/json": schema, FORM: schema}}}


@router.get("/languages")
async def languages(call: AnyCall) -> list[Language]:
    """The languages of the systems. As in LibreTranslate, those that are only translated to have no targets."""
    systems = [system.info for system in call.systems.values()]
    codes = dict.fromkeys([*(info.source for info in systems), *(info.target for info in systems)])
    targets = {code: dict.fromkeys(info.target for info in systems if info.source == code) for code in codes}
    return [Language(code=code, name=LANGUAGE_NAMES.get(code, code), targets=list(targets[code])) for code in codes]


@router.get("/health")
async def health() -> dict[str, str]:
    """Says that the server answers."""
    return {"status": "ok"}


@router.get("/frontend/settings")
async def frontend_settings(call: AnyCall) -> dict[str, Any]:
    """What clients ask before they show a page."""
    first = next(iter(call.systems.values())).info
    return {
        "charLimit": MAX_TEXT_CHARACTERS,
        "frontendTimeout": 500,  # milliseconds between typing and translating, LibreTranslate's default
        "apiKeys": False,
        "keyRequired": False,
        "suggestions": False,
        "filesTranslation": False,
        "supportedFilesFormat": [],
        "language": {
            side: {"code": code, "name": LANGUAGE_NAMES.get(code, code)}
            for side, code in (("source", first.source), ("target", first.target))
        },
    }


@router.post("/translate", openapi_extra=documented_body(TextRequest), response_model_exclude_none=True)
async def translate(call: AnyCall) -> TextResponse:
    """Translates a text, or each of several."""
    body = await read_fields(call, TextRequest)
    system = choose_system(call, body.source, body.target)
    texts = body.q if isinstance(body.q, list) else [body.q]
    found = await translate_texts(call, system, texts, num_alternatives=body.alternatives)
    best, others = [first for first, *_ in found], [rest for _, *rest in found]
    detected = [Detection(confidence=0, language=system.info.source)] * len(texts)
    is_list = isinstance(body.q, list)
    return TextResponse(
        translatedText=best if is_list else best[0],
        alternatives=None if body.alternatives == 0 else others if is_list else others[0],
        detectedLanguage=None if body.source != "auto" else detected if is_list else detected[0],
    )


@router.post("/detect", openapi_extra=documented_body(DetectRequest))
async def detect(call: AnyCall) -> list[Detection]:
    """The source languages of the systems, with a confidence of 0, since nothing looks at the text."""
    await read_fields(call, DetectRequest)
    codes = dict.fromkeys(system.info.source for system in call.systems.values())
    return [Detection(confidence=0, language=code) for code in codes]


@router.post("/translate_file")
async def translate_file() -> None:
    """Is refused, as by a LibreTranslate server that does not translate files."""
    raise HTTPException(403, "Files translation is not possible on this server: use nmt translate input=FILE")


@router.post("/suggest")
async def suggest() -> None:
    """Is refused, as by a LibreTranslate server that collects no better translations."""
    raise HTTPException(403, "Suggestions are disabled on this server")


async def read_fields(call: Call, model: type[Fields]) -> Fields:
    """The fields of a request, from JSON or from a form.

    Raises:
        HTTPException: the body is neither, or a field is missing or wrong.
    """
    content_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    content = await call.request.body()
    try:
        if content_type == FORM:
            return model.model_validate(dict(parse_qsl(content.decode(errors="replace"), keep_blank_values=True)))
        if content_type == "application/json":
            return model.model_validate_json(content)
    except ValidationError as error:
        raise HTTPException(400, f"Invalid request: {explain(error.errors())}") from None
    raise HTTPException(400, f"Invalid request: send JSON (application/json) or a form ({FORM})")


def choose_system(call: Call, source: str, target: str) -> System:
    """The first system that translates between two languages, whose codes may be in upper or lower case.

    Raises:
        HTTPException: there is none.
    """
    for system in call.systems.values():
        fits = source == "auto" or source.lower() == system.info.source.lower()
        if fits and target.lower() == system.info.target.lower():
            return system
    pairs = dict.fromkeys(f"{system.info.source} to {system.info.target}" for system in call.systems.values())
    raise HTTPException(400, f"no system translates from {source:.40} to {target:.40}: there is {', '.join(pairs)}")


async def translate_texts(call: Call, system: System, texts: list[str], *, num_alternatives: int) -> list[list[str]]:
    """The translation of each text, followed by at most `num_alternatives` others. A text may have several lines.

    The translation is that of the system's own search. A wider beam supplies others if that search finds too few.

    Raises:
        HTTPException: the texts are too long.
    """
    lines = [text.replace("\r\n", "\n").split("\n") for text in texts]  # as many in the answer
    all_lines = [line for each in lines for line in each]
    n_best = num_alternatives + 1
    is_wide = n_best > system.info.beam_size
    try:
        found, _ = await call.translate(system, all_lines, Options(1 if is_wide else n_best))
        if is_wide:
            wider, _ = await call.translate(system, all_lines, Options(n_best, beam_size=n_best))
            pairs = zip(found, wider, strict=True)
            found = [merge_segmentations([*best, *others])[:n_best] for best, others in pairs]
    except TextTooLongError as error:
        raise HTTPException(400, f"Invalid request: {error}") from None
    remaining = iter(found)
    return [join_lines([next(remaining) for _ in each]) for each in lines]


def join_lines(lines: list[list[Translation]]) -> list[str]:
    """Translations of a whole text, best first, from those of its lines; a line that has fewer repeats its last one."""
    count = max(map(len, lines))
    return ["\n".join(found[min(rank, len(found) - 1)].text for found in lines) for rank in range(count)]
