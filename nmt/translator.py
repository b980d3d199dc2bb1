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
from typing import Self

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
from nmt.search.protocol import Search

DEFAULT_MAX_PIECES = 1024
"""Maximum number of pieces per line for a model without a limit of its own. Without a limit,
a megabyte without line ends would delay all lines after it by minutes."""

DEFAULT_BATCH_TOKENS = {"cpu": 768, "cuda": 16384}
"""Maximum number of source positions per batch, by device type. On a CPU the batch should fit into the cache: a narrow
Transformer was fastest at 512, recurrent models from 768 on. The value for GPUs has not been measured."""

LineWarning = Callable[[int, str], None]
"""Called with the index of a line, from 0, and a warning about this line."""


@dataclass(frozen=True)
class Translation:
    """One translation of one line.

    Attributes:
        text: the detokenised translation, one line; empty for a line without words.
        score: the search ranks by it; higher is better.
        log_probability: log-probability of all target pieces together, in nats.
        source_tokens: the S pieces of the source; the last one is the end-of-sentence piece.
        target_tokens: the T pieces of the translation; the last one is the end-of-sentence piece.
        attention: the attention weights of each target piece, see `Hypothesis.attention`.
    """

    text: str
    score: float
    log_probability: float
    source_tokens: list[str]
    target_tokens: list[str]
    attention: Tensor | None

    def alignment(self, *, layer: int | None = None) -> Tensor | None:
        """The attention weights as one matrix (T, S) whose rows sum to one; None without attention.

        Args:
            layer: the decoder layer of a Transformer, from 0, whose heads are averaged. None averages all layers: which
                layer aligns best depends on their number (docs/results/demo.md), and their mean is never far behind it.

        Raises:
            UserError: the model has no such layer.
        """
        if self.attention is None:
            return None
        if self.attention.dim() == 2:  # one matrix already
            if layer is not None:
                raise UserError(f"layer={layer}: only a Transformer attends in several layers; leave layer out")
            return self.attention
        if layer is None:
            return self.attention.mean((1, 2))  # (T, layers, H, S) -> (T, S)
        num_layers = self.attention.size(1)
        if not 0 <= layer < num_layers:
            numbers = f"{num_layers} layers, 0 to {num_layers - 1}" if num_layers > 1 else "one layer, 0"
            raise UserError(f"layer={layer} does not exist: the decoder has {numbers}")
        return self.attention[:, layer].mean(1)  # (T, H, S) -> (T, S)


EMPTY_TRANSLATION = Translation(
    text="", score=0.0, log_probability=0.0, source_tokens=[], target_tokens=[], attention=None
)
"""The translation of a line without words."""


class Translator:
    """Translates lines of text with a model, its tokenizer and a search.

    Args:
        model: on the device where it runs.
        tokenizer: the tokenizer that the model was trained with.
        search: finds the translations.
        batch_tokens: maximum size of a batch, in sentences × pieces of its longest source sentence; None takes
            `DEFAULT_BATCH_TOKENS` for the model's device.

    Raises:
        UserError: `batch_tokens` is not positive.
    """

    def __init__(self, model: Seq2Seq, tokenizer: Tokenizer, search: Search, *, batch_tokens: int | None) -> None:
        if batch_tokens is None:
            batch_tokens = DEFAULT_BATCH_TOKENS[model.device.type]
        if batch_tokens < 1:
            raise UserError(f"batch_tokens={batch_tokens} must be at least 1")
        self.model = model
        self.tokenizer = tokenizer
        self.search = search
        self.batch_tokens = batch_tokens

    @property
    def max_length(self) -> int:
        """Maximum number of pieces of a line, the end-of-sentence piece included; the rest of a line is cut off."""
        return DEFAULT_MAX_PIECES if self.model.max_length is None else self.model.max_length

    @classmethod
    def load(
        cls,
        run: RunFolder | str | Path,
        *,
        search: Search | None = None,
        device: str = "auto",
        batch_tokens: int | None = None,
    ) -> Self:
        """Loads the best model of a run folder, with the search of the run unless another one is given.

        Raises:
            UserError: the folder is missing, incomplete or damaged, or this machine has no such device.
        """
        folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
        torch_device = pick_device(device)
        if search is None:
            search = build(folder.description("search"), searches)
        model = folder.model().to(torch_device)
        model.prepare_for_decoding()
        return cls(model, folder.tokenizer(), search, batch_tokens=batch_tokens)

    def translate(
        self, lines: Sequence[str], *, need_attention: bool = False, warn: LineWarning | None = None
    ) -> list[Translation]:
        """The best translation of each line, in the order of the lines; see `n_best`."""
        return [best[0] for best in self.n_best(lines, n_best=1, need_attention=need_attention, warn=warn)]

    def n_best(
        self, lines: Sequence[str], *, n_best: int, need_attention: bool = False, warn: LineWarning | None = None
    ) -> list[list[Translation]]:
        """The best translations of each line, best first, in the order of the lines.

        A line without words gets one empty translation. A line that is too long for the model is cut off.

        Args:
            lines: each is translated by itself.
            n_best: number of translations per line.
            need_attention: also return the attention weights.
            warn: called for each line that is cut off.

        Raises:
            UserError: the search cannot return `n_best` translations, or the model's scores are not finite.
        """
        sources = self.tokenizer.encode_source([sanitize(line) for line in lines])
        limit = self.max_length - 1  # one position is left for `eos`
        for index, ids in enumerate(sources):
            if len(ids) > limit:
                if warn is not None:
                    warn(index, f"{len(ids)} pieces, but the model takes at most {limit}: the rest is cut off")
                del ids[limit:]
        # Lines of similar length share a batch, so that little of it is padding; the longest come first.
        by_length = sorted((index for index, ids in enumerate(sources) if ids), key=lambda index: -len(sources[index]))
        results: list[list[Translation]] = [[EMPTY_TRANSLATION]] * len(lines)
        while by_length:
            longest = len(sources[by_length[0]]) + 1  # with `eos`
            batch_size = max(1, self.batch_tokens // longest)
            indices, by_length = by_length[:batch_size], by_length[batch_size:]
            n_best_lists = self._find_hypotheses([sources[index] for index in indices], n_best, need_attention)
            for index, hypotheses in zip(indices, n_best_lists, strict=True):
                results[index] = [self._to_translation(sources[index], hypothesis) for hypothesis in hypotheses]
        return results

    def stream(
        self, lines: Iterable[str], *, n_best: int, batch_size: int, need_attention: bool, warn: LineWarning
    ) -> Iterator[list[Translation]]:
        """Translates lines as they arrive, `batch_size` lines at a time, and keeps only these in memory.

        Yields the `n_best` translations of each line; see `n_best`. `warn` gets indices from the start of the stream.
        """
        iterator = iter(lines)
        offset = 0
        while batch := list(islice(iterator, batch_size)):
            warn_in_batch = partial(_warn_with_offset, warn, offset)
            yield from self.n_best(batch, n_best=n_best, need_attention=need_attention, warn=warn_in_batch)
            offset += len(batch)

    def force_decode(self, source: str, target: str) -> Translation:
        """Treats a given target as the model's own translation: returns its log-probability and its attention weights.

        Decodes step by step with the given tokens (forced decoding), since only `Seq2Seq.step` returns the weights. The
        score is the log-probability, without a length penalty.

        Raises:
            UserError: the source or the target has no words, or more pieces than the model takes.
        """
        tokenizer, model = self.tokenizer, self.model
        source_ids = tokenizer.encode_source([sanitize(source)])[0]
        target_ids = tokenizer.encode_target([sanitize(target)])[0]
        limit = self.max_length - 1  # one position is left for `eos`
        for side, ids in (("source", source_ids), ("target", target_ids)):
            if not ids:
                raise UserError(f"the {side} has no words")
            if len(ids) > limit:
                raise UserError(f"the {side} has {len(ids)} pieces, but the model takes at most {limit}")
        batch = make_batch(
            [source_ids], [target_ids], pad_id=tokenizer.pad_id, bos_id=tokenizer.bos_id, eos_id=tokenizer.eos_id
        ).to(model.device)
        log_probability, attention = 0.0, []
        with torch.inference_mode():
            memory = model.encode(batch.source, batch.source_mask)
            state = model.start(memory)
            for token, next_token in zip(batch.target_input[0], batch.target_output[0], strict=True):
                output = model.step(token.view(1), state, memory, need_attention=True)
                log_probability += float(output.logits[0].float().log_softmax(-1)[next_token])
                state = output.state
                if output.attention_weights is not None:
                    attention.append(output.attention_weights[0].cpu())  # (S,) or (layers, H, S)
        weights = torch.stack(attention) if attention else None  # (T, S) or (T, layers, H, S)
        tokens = tuple(batch.target_output[0].tolist())
        return self._to_translation(source_ids, Hypothesis(tokens, log_probability, log_probability, weights))

    def _find_hypotheses(self, sources: list[list[int]], n_best: int, need_attention: bool) -> list[list[Hypothesis]]:
        """Translates one batch of source ids (without `eos`): the n best hypotheses of each sentence.

        Raises:
            UserError: a sentence has no hypothesis, since the model's scores are not finite.
        """
        tokenizer, device = self.tokenizer, self.model.device
        source, source_mask = pad(sources, tokenizer.pad_id, last=tokenizer.eos_id)  # (B, S)
        n_best_lists = self.search(
            self.model,
            source.to(device),
            source_mask.to(device),
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
            banned_ids=[tokenizer.pad_id, tokenizer.bos_id, tokenizer.unk_id],
            n_best=n_best,
            need_attention=need_attention,
        )
        if not all(n_best_lists):  # a list is empty if every score is NaN
            raise UserError("no translation was found, since the model's scores are not finite numbers: train it again")
        return n_best_lists

    def _to_translation(self, source_ids: list[int], hypothesis: Hypothesis) -> Translation:
        return Translation(
            text=self.tokenizer.decode_target(hypothesis.tokens),
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            source_tokens=self.tokenizer.source_pieces([*source_ids, self.tokenizer.eos_id]),
            target_tokens=self.tokenizer.target_pieces(hypothesis.tokens),
            attention=hypothesis.attention,
        )


def sanitize(line: str) -> str:
    """Replaces characters that the tokenizer cannot take: NUL by a space; surrogates, which UTF-8 lacks, by "?"."""
    return line.replace("\0", " ").encode("utf-8", errors="replace").decode("utf-8")


def _warn_with_offset(warn: LineWarning, offset: int, index: int, message: str) -> None:
    warn(offset + index, message)
