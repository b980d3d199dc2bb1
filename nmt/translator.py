"""Text in, translations out.

from nmt import Translator
translator = Translator.load("runs/x", device="cpu")
translator.translate(["A dog runs."])[0].text
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from nmt import search as searches
from nmt.data.batch import make_batch, pad
from nmt.data.tokenizer import Tokenizer
from nmt.device import pick_device
from nmt.errors import UserError
from nmt.models.seq2seq import Seq2Seq
from nmt.run import RunFolder
from nmt.run.registry import build
from nmt.search.hypothesis import Hypothesis

LONGEST = 1024
"""The most pieces of a line for a model without a limit of its own: it would take a megabyte without line ends too, but
every line behind it would wait for minutes."""

BATCH_TOKENS = {"cpu": 768, "cuda": 16384}
"""The most positions of a batch: on a CPU so few that they stay in its cache (a narrow Transformer was fastest at 512,
recurrent models from 768 on); on a GPU many more, a number that has not been measured."""

Warn = Callable[[int, str], None]
"""Is told the index of a line, from 0, and what is the matter with it."""


@dataclass(frozen=True)
class Translation:
    """One translation of one line.

    Attributes:
        text: the detokenised translation, one line; empty for a line without words.
        score: by which the search ranked it; more is better.
        log_probability: of the whole translation, in nats.
        source_tokens: the pieces of the source, closed by the end-of-sentence piece.
        target_tokens: the pieces of the translation, closed likewise.
        attention: what each target piece looked at, as `Hypothesis.attention`; None without attention.
    """

    text: str
    score: float
    log_probability: float
    source_tokens: list[str]
    target_tokens: list[str]
    attention: Tensor | None

    def alignment(self, *, layer: int | None = None) -> Tensor | None:
        """The attention as one matrix (T, S) whose rows sum to one; None without attention.

        Args:
            layer: of a Transformer: the decoder layer whose heads are averaged, from 0. None = all layers: which one
                aligns best depends on how many there are (docs/results/demo.md), and their mean is never far behind.

        Raises:
            ValueError: there is no such layer.
        """
        if self.attention is None or self.attention.dim() == 2:
            return self.attention
        if layer is None:
            return self.attention.mean((1, 2))  # (T, layers, H, S) -> (T, S)
        num_layers = self.attention.size(1)
        if not 0 <= layer < num_layers:
            raise UserError(f"layer={layer} must be from 0 to {num_layers - 1}")
        return self.attention[:, layer].mean(1)  # (T, S)


EMPTY = Translation(text="", score=0.0, log_probability=0.0, source_tokens=[], target_tokens=[], attention=None)
"""The translation of a line without words."""


class Translator:
    """A model, its tokenizer and a search.

    Args:
        model: on the device where it shall run.
        tokenizer: the one that the model was trained with.
        search: `GreedySearch` or `BeamSearch`.
        batch_tokens: the most sentences × pieces of the longest source sentence in one batch; None = what suits the
            model's device.
    """

    def __init__(self, model: Seq2Seq, tokenizer: Tokenizer, search: Any, *, batch_tokens: int | None) -> None:
        if batch_tokens is None:
            batch_tokens = BATCH_TOKENS[model.device.type]
        if batch_tokens < 1:
            raise UserError(f"batch_tokens={batch_tokens} must be at least 1")
        self.model = model
        self.tokenizer = tokenizer
        self.search = search
        self.batch_tokens = batch_tokens

    @property
    def max_length(self) -> int:
        """The most pieces that are translated of a line, the end-of-sentence piece included."""
        return LONGEST if self.model.max_length is None else self.model.max_length

    @classmethod
    def load(
        cls, run: str | Path, *, search: Any | None = None, device: str = "auto", batch_tokens: int | None = None
    ) -> Self:
        """The best model of a run folder, with the run's own search unless another is given.

        Raises:
            ValueError: the folder is missing, incomplete or damaged, or the device is not there.
        """
        folder = RunFolder.open(run)
        place = pick_device(device)
        chosen = search if search is not None else build(folder.description("search"), searches)
        model = folder.model().to(place)
        model.prepare_for_decoding()
        return cls(model, folder.tokenizer(), chosen, batch_tokens=batch_tokens)

    def translate(
        self, lines: Sequence[str], *, need_attention: bool = False, warn: Warn | None = None
    ) -> list[Translation]:
        """The best translation of each line, in order."""
        return [best[0] for best in self.n_best(lines, n_best=1, need_attention=need_attention, warn=warn)]

    def n_best(
        self, lines: Sequence[str], *, n_best: int, need_attention: bool = False, warn: Warn | None = None
    ) -> list[list[Translation]]:
        """The best translations of each line, best first, in the order of the lines.

        A line without words has one empty translation. A line over the model's limit is cut, and `warn` is told which.
        """
        sources = self.tokenizer.encode_source([clean(line) for line in lines])
        limit = self.max_length - 1  # room for `eos`
        for number, ids in enumerate(sources):
            if len(ids) > limit:
                if warn is not None:
                    warn(number, f"{len(ids)} pieces, the model takes {limit}: the rest is cut off")
                del ids[limit:]
        results: list[list[Translation]] = [[EMPTY]] * len(lines)
        by_length = sorted((number for number, ids in enumerate(sources) if ids), key=lambda n: -len(sources[n]))
        while by_length:
            size = max(1, self.batch_tokens // (len(sources[by_length[0]]) + 1))
            numbers, by_length = by_length[:size], by_length[size:]
            found = self._search([sources[number] for number in numbers], n_best, need_attention)
            for number, hypotheses in zip(numbers, found, strict=True):
                results[number] = [self._translation(sources[number], hypothesis) for hypothesis in hypotheses]
        return results

    def stream(
        self, lines: Iterable[str], *, n_best: int, batch_size: int, need_attention: bool, warn: Warn
    ) -> Iterator[list[Translation]]:
        """Translates lines as they come, `batch_size` at a time, and keeps no more than these in memory."""
        iterator = iter(lines)
        first = 0
        while batch := list(islice(iterator, batch_size)):
            warn_here = partial(_shifted, warn, first)
            yield from self.n_best(batch, n_best=n_best, need_attention=need_attention, warn=warn_here)
            first += len(batch)

    def force(self, source: str, target: str) -> Translation:
        """The given target as if the model had written it: its log-probability, and its attention.

        Raises:
            ValueError: a side has no words, or more pieces than the model takes.
        """
        tokenizer, model = self.tokenizer, self.model
        source_ids = tokenizer.encode_source([clean(source)])[0]
        target_ids = tokenizer.encode_target([clean(target)])[0]
        limit = self.max_length
        for side, ids in (("source", source_ids), ("target", target_ids)):
            if not ids:
                raise UserError(f"the {side} has no words")
            if len(ids) >= limit:
                raise UserError(f"the {side} has {len(ids)} pieces, the model takes {limit - 1}")
        batch = make_batch(
            [source_ids], [target_ids], pad_id=tokenizer.pad_id, bos_id=tokenizer.bos_id, eos_id=tokenizer.eos_id
        ).to(model.device)
        total, attention = 0.0, []
        with torch.inference_mode():
            memory = model.encode(batch.source, batch.source_mask)
            state = model.start(memory)
            for given, expected in zip(batch.target_input[0], batch.target_output[0], strict=True):
                output = model.step(given.view(1), state, memory, need_attention=True)
                total += float(output.logits[0].float().log_softmax(-1)[expected])
                state = output.state
                if output.attention_weights is not None:
                    attention.append(output.attention_weights[0].cpu())
        weights = torch.stack(attention) if attention else None
        tokens = tuple(batch.target_output[0].tolist())
        return self._translation(source_ids, Hypothesis(tokens, total, total, weights))

    def _search(self, sources: list[list[int]], n_best: int, need_attention: bool) -> list[list[Hypothesis]]:
        tokenizer, model = self.tokenizer, self.model
        source, source_mask = pad([[*ids, tokenizer.eos_id] for ids in sources], tokenizer.pad_id)
        found: list[list[Hypothesis]] = self.search(
            model,
            source.to(model.device),
            source_mask.to(model.device),
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
            banned_ids=[tokenizer.pad_id, tokenizer.bos_id, tokenizer.unk_id],
            n_best=n_best,
            need_attention=need_attention,
        )
        if not all(found):
            raise UserError("no translation was found: the model's scores are no finite numbers; train it anew")
        return found

    def _translation(self, source_ids: list[int], hypothesis: Hypothesis) -> Translation:
        return Translation(
            text=self.tokenizer.decode_target(hypothesis.tokens),
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            source_tokens=self.tokenizer.source_pieces([*source_ids, self.tokenizer.eos_id]),
            target_tokens=self.tokenizer.target_pieces(hypothesis.tokens),
            attention=hypothesis.attention,
        )


def clean(line: str) -> str:
    """The line as the tokenizer takes it: without NUL, and without surrogates, which UTF-8 cannot hold."""
    return line.replace("\0", " ").encode("utf-8", errors="replace").decode("utf-8")


def _shifted(warn: Warn, first: int, number: int, message: str) -> None:
    warn(first + number, message)
