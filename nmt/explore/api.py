"""The endpoints of the page: translate, score a given translation, and look into attention and beam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator

from nmt.errors import UserError
from nmt.explore.analysis import Analysis, analyse
from nmt.explore.beam_tree import BeamTree, beam_tree
from nmt.explore.calls import MAX_BEAM_SIZE, AnyCall, Options, TextOrTexts, check_length
from nmt.explore.examples import Example
from nmt.explore.systems import System, SystemInfo
from nmt.models.attention import KINDS, Kind
from nmt.translator.arguments import change_search

MAX_ANALYSED_CHARACTERS = 1_000
"""Maximum length of a source and its target, or the prefix of it, together whose attention or beam is shown. The number
of weights grows with its square: four layers of four heads then have a million, which are eight megabytes of JSON."""


class Problem(BaseModel):
    """Why a request was refused, in one line."""

    detail: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "the body is not UTF-8"},
    403: {"model": Problem, "description": "a page of another site has sent the request"},
    413: {"model": Problem, "description": "the request or its text is too large"},
    422: {"model": Problem, "description": "a field is missing or wrong"},
    429: {"model": Problem, "description": "too many requests are waiting: try again after `Retry-After` seconds"},
}

router = APIRouter(prefix="/api", responses=PROBLEMS)

BeamSize = Annotated[int, Field(ge=1, le=MAX_BEAM_SIZE)]

Target = TextOrTexts
"""A translation, or the beginning of one, as text or as pieces."""


class SystemRequest(BaseModel):
    """Fields of every request about one system. Unknown fields are refused: they may be misspelt."""

    model_config = ConfigDict(extra="forbid", strict=True)

    system: str
    heads_off: list[str] = []

    @field_validator("*")
    @classmethod
    def check_characters(cls, value: Any) -> Any:
        """Refuses half of a surrogate pair, such as "\\ud800" in JSON: no answer could contain it."""
        try:
            "".join(value if isinstance(value, str | list) else "").encode()
        except UnicodeEncodeError:
            raise ValueError("half of a surrogate pair is no character") from None
        return value


class TranslateRequest(SystemRequest):
    """What to translate: a text, or several. Each translation begins with the prefix.

    null leaves a setting of the search as the command line has it.
    """

    text: TextOrTexts
    n_best: BeamSize = 1
    beam_size: BeamSize | None = None
    length_penalty: Annotated[float, Field(ge=0, le=10)] | None = None
    prefix: Target = []


class ForceRequest(SystemRequest):
    """A source and the translation whose probability is asked for."""

    source: str
    target: Target


class AttentionRequest(SystemRequest):
    """A source, and the translation to analyse: null is the system's own, which begins with the prefix."""

    source: str
    target: Target | None = None
    prefix: Target = []
    kinds: list[Kind] = list(KINDS)


class BeamRequest(SystemRequest):
    """A source whose beam search is shown, and what its translation must begin with."""

    source: str
    prefix: Target = []
    beam_size: BeamSize | None = None


@dataclass(frozen=True)
class OneTranslation:
    """One translation of a line, see `Translation`."""

    text: str
    score: float
    log_probability: float
    pieces: list[str]
    truncated: bool


@dataclass(frozen=True)
class TranslateResponse:
    """The n best translations of each line, best first, and the milliseconds that the batch took."""

    milliseconds: float
    translations: list[list[OneTranslation]]


@dataclass(frozen=True)
class ForceResponse:
    """A given translation with the log-probability of each of its pieces, see `Translation`."""

    text: str
    score: float
    log_probability: float
    pieces: list[str]
    log_probabilities: list[float]


@router.get("/systems")
async def systems(call: AnyCall) -> list[SystemInfo]:
    """The systems, in the order of the command line."""
    return [system.info for system in call.systems.values()]


@router.get("/examples")
async def examples(call: AnyCall) -> list[Example]:
    """Sentences to begin with."""
    return call.examples


@router.post("/translate")
async def translate(body: TranslateRequest, call: AnyCall) -> TranslateResponse:
    """Translates a text, or several."""
    lines = [body.text] if isinstance(body.text, str) else body.text
    options = Options(
        n_best=body.n_best,
        beam_size=body.beam_size,
        length_penalty=body.length_penalty,
        prefix=body.prefix if isinstance(body.prefix, str) else tuple(body.prefix),
        heads_off=tuple(body.heads_off),
    )
    system = call.system(body.system)
    check_n_best(system, options)
    found, milliseconds = await call.translate(system, lines, options)
    fields = [
        [OneTranslation(t.text, t.score, t.log_probability, t.target_tokens, t.truncated) for t in translations]
        for translations in found
    ]
    return TranslateResponse(milliseconds, fields)


@router.post("/force")
async def force(body: ForceRequest, call: AnyCall) -> ForceResponse:
    """The log-probability of each piece of a given translation."""
    system = call.system(body.system)
    check_analysed(body.source, body.target)

    def compute() -> ForceResponse:
        found = system.translator(body.heads_off).force_decode(body.source, body.target, attention=())
        return ForceResponse(
            found.text, found.score, found.log_probability, found.target_tokens, found.log_probabilities
        )

    return await call.compute(compute)


@router.post("/attention", response_model=Analysis)
async def attention(body: AttentionRequest, call: AnyCall) -> Response:
    """Everything about one translation: pieces, words, log-probabilities, attention weights, gold links."""
    system = call.system(body.system)
    check_analysed(body.source, body.prefix if body.target is None else body.target)

    def compute() -> bytes:
        found = analyse(
            system, body.source, body.target, prefix=body.prefix, kinds=body.kinds, heads_off=body.heads_off
        )
        return msgspec.json.encode(found)  # here, not on the event loop: there may be a million weights

    return Response(await call.compute(compute), media_type="application/json")


@router.post("/beam", response_model=BeamTree)
async def beam(body: BeamRequest, call: AnyCall) -> Response:
    """The beam search of a source as a tree."""
    system = call.system(body.system)
    check_analysed(body.source, body.prefix)
    search = Options(n_best=1, beam_size=body.beam_size).search

    def compute() -> bytes:
        return msgspec.json.encode(
            beam_tree(system, body.source, prefix=body.prefix, heads_off=body.heads_off, **search)
        )

    return Response(await call.compute(compute), media_type="application/json")


def check_n_best(system: System, options: Options) -> None:
    """Raises UserError if more translations are asked for than the beam holds."""
    search = change_search(system.translator().search, options.search)
    if search.has_beam and options.n_best > search.beam_size:
        raise UserError(
            f"n_best={options.n_best} must be at most beam_size={search.beam_size}: set beam_size={options.n_best}, too"
        )


def check_analysed(source: str, target: Target) -> None:
    """Raises TextTooLongError if the attention between a source and a target, or its prefix, would be too large."""
    check_length([source, target if isinstance(target, str) else "".join(target)], MAX_ANALYSED_CHARACTERS)
