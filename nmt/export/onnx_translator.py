"""Translates with the ONNX model of a folder. It needs numpy, onnxruntime and sentencepiece, but neither nmt nor torch.

    python translate.py < lines.en

Every export holds this file as translate.py, beside the model. It is beam search as in nmt: the K best beginnings of a
translation are continued by one token per step of the decoder.

Shapes: B sentences, K hypotheses of each, N = B · K rows of the decoder, S source positions, V target vocabulary, L
layers and H heads that attend to the source.
"""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SETTINGS_FILE = "model.json"
"""What a program has to know of the model."""

BATCH_SIZE = 32
"""Number of lines that are translated together."""

TO_SPACES = dict.fromkeys(map(ord, "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"), " ")
"""A translation is one line, although pieces of bytes can spell line ends."""

Tensors = Mapping[str, NDArray[Any]]
"""Inputs or outputs of a graph by their names."""


class Hypothesis(NamedTuple):
    """A translation, or the beginning of one.

    Attributes:
        before: the hypothesis without its last token; None before the first token.
        token: the last token.
        weights: the attention of this token to the source, (L, H, S); None without attention.
        log_probability: of all tokens.
    """

    before: Hypothesis | None
    token: int
    weights: NDArray[np.float32] | None
    log_probability: float

    def steps(self) -> list[Hypothesis]:
        """The hypothesis after its first token, after the second one, and so on."""
        steps, last = [], self
        while last.before is not None:
            steps.append(last)
            last = last.before
        return steps[::-1]


class Beam:
    """The hypotheses of one sentence.

    A finished hypothesis keeps its slot, so a beam of size 1 is greedy search.

    Args:
        size: K.
        limit: maximum number of tokens.
        length_penalty: α; a hypothesis of n tokens is ranked by log p / ((5 + n) / 6)^α.
        bos_id, eos_id: of the tokens that begin and end a translation.

    Attributes:
        open: the hypotheses to be continued, at most K.
        parents: for each of them, the number of the open hypothesis before, which it continues.
        best: the best finished hypothesis, and its score.
    """

    def __init__(self, size: int, limit: int, length_penalty: float, *, bos_id: int, eos_id: int) -> None:
        self.limit = limit
        self.length_penalty = length_penalty
        self.eos_id = eos_id
        self.num_free = size
        self.open = [Hypothesis(None, bos_id, None, 0.0)]
        self.parents = [0]
        self.best, self.best_score = self.open[0], -math.inf

    def penalty(self, length: int) -> float:
        """What the log-probability of a hypothesis of this length is divided by."""
        return ((5 + length) / 6) ** self.length_penalty

    def extend(self, length: int, log_probabilities: NDArray[np.float32], weights: NDArray[np.float32] | None) -> None:
        """Replaces the open hypotheses by their best continuations, which have `length` tokens.

        Args:
            log_probabilities: of the next token, (rows, V); one row for each open hypothesis.
            weights: of the attention, (rows, L, H, S).
        """
        before = [hypothesis.log_probability for hypothesis in self.open]
        totals = np.array(before, np.float32)[:, None] + log_probabilities  # (rows, V)
        if length == self.limit:  # only `eos` is possible
            ends = totals[:, self.eos_id].copy()
            totals[:] = -np.inf
            totals[:, self.eos_id] = ends
        flat = totals.ravel()
        count = min(self.num_free, flat.size)  # one for each free slot
        best = np.argpartition(flat, -count)[-count:]  # in any order
        best = best[np.argsort(-flat[best])]
        continued, parents = [], []
        for parent, token in zip(*map(np.ndarray.tolist, np.divmod(best, totals.shape[1])), strict=True):
            total = float(totals[parent, token])
            hypothesis = Hypothesis(self.open[parent], token, None if weights is None else weights[parent], total)
            if total == -math.inf:
                break
            if token != self.eos_id:
                continued.append(hypothesis)
                parents.append(parent)
                continue
            self.num_free -= 1
            if total / self.penalty(length) > self.best_score:
                self.best, self.best_score = hypothesis, total / self.penalty(length)
        self.open, self.parents = continued, parents

    @property
    def is_done(self) -> bool:
        """Whether no open hypothesis can become better than the best finished one: more tokens only cost."""
        return not self.open or self.best_score >= self.open[0].log_probability / self.penalty(self.limit)


class OnnxTranslator:
    """Translates with the model of a folder.

    Args:
        folder: of the model.
        num_threads: threads on the CPU; 0: one for each core.

    Attributes:
        settings: the content of model.json.
    """

    def __init__(self, folder: Path, *, num_threads: int = 0) -> None:
        import onnxruntime
        from sentencepiece import SentencePieceProcessor

        self.settings: dict[str, Any] = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 3  # errors only
        graphs = (str(folder / self.settings[name]) for name in ("encoder", "step"))
        self.encoder, self.step = (
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in graphs
        )
        self.source, self.target = (
            SentencePieceProcessor(model_file=str(folder / self.settings["tokenizer"][side]))
            for side in ("source", "target")
        )

    def translate(self, lines: Sequence[str]) -> list[str]:
        """The translation of each line, by the search of the run."""
        return [self.decode([step.token for step in steps]) for steps in self.search(lines)]

    def search(self, lines: Sequence[str], **changes: Any) -> Iterator[list[Hypothesis]]:
        """Yields the steps of the best translation of each line; none for an empty line.

        Args:
            changes: other arguments of `translate_batch` than those of the run.
        """
        arguments = {name: self.settings[name] for name in ("beam_size", "length_penalty")} | changes
        for start in range(0, len(lines), BATCH_SIZE):
            sources = [self.encode(line) for line in lines[start : start + BATCH_SIZE]]
            found = iter(self.translate_batch([ids for ids in sources if ids], **arguments))
            yield from (next(found) if ids else [] for ids in sources)

    def encode(self, line: str) -> list[int]:
        """The ids of the source pieces, cut off at the limit of the model, without `eos`."""
        return self.encode_whole(line)[: self.settings["max_source_length"] - 1]

    def encode_whole(self, line: str) -> list[int]:
        """The ids of all source pieces, without `eos`."""
        if all(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp", "Zs") for character in line):
            return []  # nothing of it is printed
        line = line.replace("\0", " ").encode("utf-8", errors="replace").decode("utf-8").strip(" ")
        ids: list[int] = self.source.encode(line)
        return self.settings["prefix_ids"] + ids if ids else []

    def decode(self, ids: Sequence[int]) -> str:
        """The text of target pieces."""
        special = {self.settings[name] for name in ("pad_id", "bos_id", "eos_id")}
        text: str = self.target.decode([id for id in ids if id not in special])
        return text.translate(TO_SPACES)

    def start(self, sources: Sequence[Sequence[int]]) -> dict[str, NDArray[Any]]:
        """Runs the encoder on the ids of B sentences, and returns the inputs of the first step."""
        ids = [[*source, self.settings["eos_id"]] for source in sources]
        length = max(map(len, ids))
        source = np.full((len(ids), length), self.settings["pad_id"], np.int64)  # (B, S)
        for row, each in zip(source, ids, strict=True):
            row[: len(each)] = each
        mask = np.arange(length) < np.array([[len(each)] for each in ids])  # (B, S)
        encoded = run(self.encoder, {"source": source, "source_mask": mask})
        return {"token": np.full(len(ids), self.settings["bos_id"], np.int64), "source_mask": mask, **encoded}

    def advance(self, inputs: Tensors) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, Tensors]:
        """Runs a step: log-probabilities (N, V) of the next token, attention (N, L, H, S) if any, and the state."""
        outputs = run(self.step, inputs)
        logits = outputs["logits"]  # (N, V)
        logits[:, self.settings["banned_ids"]] = -np.inf
        shifted = logits - logits.max(1, keepdims=True)  # (N, V)
        state = {name.removeprefix("next."): each for name, each in outputs.items() if name.startswith("next.")}
        return shifted - np.log(np.exp(shifted).sum(1, keepdims=True)), outputs.get("weights"), state

    def translate_batch(
        self, sources: Sequence[Sequence[int]], *, beam_size: int, length_penalty: float
    ) -> list[list[Hypothesis]]:
        """The steps of the best translation of each of B sentences.

        Args:
            sources: the ids of each, without `eos`; none is empty.
            beam_size: K; 1 is greedy search.
            length_penalty: see `Beam`.
        """
        if not sources:
            return []
        special = {name: self.settings[name] for name in ("bos_id", "eos_id")}
        beams = [Beam(beam_size, self.limit(len(source) + 1), length_penalty, **special) for source in sources]
        # The rows of a sentence's hypotheses follow each other. Those without a hypothesis compute something unused.
        inputs = {name: each.repeat(beam_size, axis=0) for name, each in self.start(sources).items()}
        first_rows = range(0, len(sources) * beam_size, beam_size)
        for length in range(1, max(beam.limit for beam in beams) + 1):
            log_probabilities, weights, state = self.advance(inputs)  # (N, V), (N, L, H, S)
            rows, tokens = np.arange(len(log_probabilities)), inputs["token"].copy()  # (N,)
            for beam, first in zip(beams, first_rows, strict=True):
                if beam.is_done:
                    continue
                own = slice(first, first + len(beam.open))
                beam.extend(length, log_probabilities[own], None if weights is None else weights[own])
                own = slice(first, first + len(beam.open))
                rows[own] = first + np.array(beam.parents, np.int64)
                tokens[own] = [hypothesis.token for hypothesis in beam.open]
            if all(beam.is_done for beam in beams):
                break
            inputs |= {name: each[rows] for name, each in state.items()} | {"token": tokens}
        return [beam.best.steps() for beam in beams]

    def score(self, line: str, target: Sequence[int]) -> list[float]:
        """The log-probability of each id of a given translation, which ends with `eos`."""
        inputs, scores = self.start([self.encode(line)]), []
        for token in target:
            log_probabilities, _, state = self.advance(inputs)  # (1, V)
            scores.append(float(log_probabilities[0, token]))
            inputs |= {**state, "token": np.array([token])}
        return scores

    def limit(self, source_length: int) -> int:
        """The maximum number of target tokens of a sentence; both lengths count `eos`."""
        settings = self.settings
        limit = int(source_length * settings["max_length_factor"]) + settings["max_length_margin"]
        return min(limit, settings["max_target_length"] or limit)


def run(session: Any, inputs: Tensors) -> dict[str, NDArray[Any]]:
    """The outputs of a graph by their names."""
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    translator = OnnxTranslator(Path(__file__).parent)
    for number, content in enumerate(sys.stdin.buffer, start=1):
        line = content.decode("utf-8", errors="replace").rstrip("\r\n")
        if len(translator.encode_whole(line)) >= translator.settings["max_source_length"]:
            print(f"line {number} is too long for the model: its end is not translated", file=sys.stderr)
        print(*translator.translate([line]), flush=True)
