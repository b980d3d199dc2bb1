"""What endpoints have in common: they find a system by its name, and wait for the thread that computes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, HTTPException, Request
from pydantic import Discriminator, Tag

from nmt.errors import UserError
from nmt.explore.batching import BatchingQueue
from nmt.explore.examples import Example
from nmt.explore.problems import TextTooLongError
from nmt.explore.systems import System
from nmt.search.protocol import SearchArguments
from nmt.translator import Translation

MAX_TEXT_CHARACTERS = 20_000
"""Maximum length of the lines of one request together: some minutes of computing on a CPU."""

MAX_LINES = 256
"""Maximum number of lines of one request."""

MAX_BEAM_SIZE = 32
"""Maximum of beam_size and n_best: memory and time grow with it."""

CLIENT_CLOSED_REQUEST = 499
"""The status, named by nginx, of a request whose client has gone; nobody reads it."""

Result = TypeVar("Result")


def name_type(value: Any) -> str | None:
    """Which of the two a value is: "text", "texts" (a list of strings), or None for neither."""
    is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return "text" if isinstance(value, str) else "texts" if is_list else None


BY_TYPE = Discriminator(
    name_type, custom_error_type="no_text", custom_error_message="Input should be a string or a list of strings"
)
"""Lets an error speak of both types, not only of the first."""

TextOrTexts = Annotated[Annotated[str, Tag("text")] | Annotated[list[str], Tag("texts")], BY_TYPE]
"""A string or a list of strings."""


@dataclass(frozen=True)
class Options:
    """How to translate. Requests with the same options can share a batch.

    Attributes:
        n_best: number of translations of each line.
        beam_size, length_penalty: of the search; None: as the command line has them.
        prefix: the text or the pieces with which each translation must begin.
        heads_off: names of attention heads to silence.
    """

    n_best: int
    beam_size: int | None = None
    length_penalty: float | None = None
    prefix: str | tuple[str, ...] = ()
    heads_off: tuple[str, ...] = ()

    @property
    def search(self) -> SearchArguments:
        """The arguments of the search that differ from the command line's."""
        changes: SearchArguments = {}
        if self.beam_size is not None:
            changes["beam_size"] = self.beam_size
        if self.length_penalty is not None:
            changes["length_penalty"] = self.length_penalty
        return changes


class Call:
    """One request, with the systems that it may name.

    Attributes:
        systems: by their names, in the order of the command line.
        examples: sentences to begin with.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.systems: dict[str, System] = request.app.state.systems
        self.examples: list[Example] = request.app.state.examples
        self.queue: BatchingQueue = request.app.state.queue

    def system(self, name: str) -> System:
        """The system with this name.

        Raises:
            UserError: there is none.
        """
        if name not in self.systems:
            raise UserError(f"system: there is no {name:.40}; there are {', '.join(self.systems)}")
        return self.systems[name]

    async def translate(
        self,
        system: System,
        lines: Sequence[str],
        options: Options,
    ) -> tuple[list[list[Translation]], float]:
        """Translates lines, perhaps in one batch with those of other requests.

        Returns:
            The n best translations of each line; and the milliseconds that the batch took.
        """
        check_length(lines, MAX_TEXT_CHARACTERS)

        def compute(batch: list[str]) -> list[tuple[list[Translation], float]]:
            translator = system.translator(options.heads_off)
            start = time.perf_counter()
            found = translator.translate(
                batch,
                n_best=options.n_best,
                prefix=[options.prefix] * len(batch) if options.prefix else None,
                **options.search,
            )
            milliseconds = 1000 * (time.perf_counter() - start)
            return [(translations, milliseconds) for translations in found]

        results = await self.wait_for(self.queue.submit(compute, lines, key=(system.name, options)))
        return [found for found, _ in results], max((milliseconds for _, milliseconds in results), default=0.0)

    async def compute(self, compute: Callable[[], Result]) -> Result:
        """Computes something by itself, in the same thread."""
        [result] = await self.wait_for(self.queue.submit_alone(compute))
        return result

    async def wait_for(self, future: Future[Result]) -> Result:
        """Waits for a result. If the client disconnects before that, the work is not done unless it has begun."""
        result = asyncio.wrap_future(future)
        # After the body, the only message is that the client has disconnected.
        disconnect: asyncio.Future[Any] = asyncio.ensure_future(self.request.receive())
        try:
            await asyncio.wait([result, disconnect], return_when=asyncio.FIRST_COMPLETED)
            if not result.done():
                raise HTTPException(CLIENT_CLOSED_REQUEST, "the client has gone")
            return result.result()
        finally:
            result.cancel()
            disconnect.cancel()


AnyCall = Annotated[Call, Depends(Call)]
"""The parameter by which an endpoint receives its `Call`."""


def check_length(lines: Sequence[str], max_characters: int) -> None:
    """Raises TextTooLongError if the lines of a request are too many, or too long together."""
    num_characters = sum(map(len, lines))
    if len(lines) > MAX_LINES:
        raise TextTooLongError(f"the text has {len(lines):,} lines, but one request may have {MAX_LINES}")
    if num_characters > max_characters:
        raise TextTooLongError(
            f"the text has {num_characters:,} characters, but one request may have {max_characters:,}"
        )
