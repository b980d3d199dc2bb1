"""The beam search of one sentence as a tree: which continuations it kept, which it pruned, and which path won.

A `TreeRecorder` observes the search that also translates. After each step it adds, below each unfinished hypothesis,
the continuations that the search kept, and a few more of those that the model finds most probable.

Shapes: K hypotheses before a step, K' after it, V target vocabulary. There is one sentence, so A = 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from typing_extensions import Unpack

from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError
from nmt.explore.systems import System
from nmt.search.backtrace import BeamStep
from nmt.search.protocol import SearchArguments
from nmt.search.scoring import LengthPenalty
from nmt.translator.arguments import Prefix, change_search, sanitize
from nmt.translator.batch import Sentence, translate_batch
from nmt.translator.given_target import encode_prefix

MIN_CHILDREN = 5
"""Number of continuations that are shown of each hypothesis, the most probable ones; fewer if fewer are possible, and
more if the search kept more."""

State = Literal["kept", "pruned", "finished"]


@dataclass(frozen=True)
class BeamNode:
    """One piece of a hypothesis; the path from the root to it is the hypothesis so far.

    Attributes:
        id: the index of the node in its tree; parents come before their children.
        parent: the id of the node before it; None for the root, the piece "<s>".
        piece: a target piece; "</s>" ends a hypothesis.
        log_probability: of this piece after those before it, in nats.
        total: the log-probability of all pieces from the root to this one.
        score: the total divided by the length penalty, if the hypothesis is finished; None otherwise.
        state: whether the search kept the hypothesis to continue it, kept it as finished, or pruned it: better ones of
            the same length took its place.
    """

    id: int
    parent: int | None
    piece: str
    log_probability: float
    total: float
    score: float | None
    state: State


@dataclass(frozen=True)
class BeamTree:
    """The beam search of one sentence.

    Attributes:
        system: the name of the system.
        source: the source line.
        prefix: the target pieces that were given; they are the trunk of the tree.
        nodes: all nodes; the root comes first, and the children of a node by descending probability.
        best: the ids from the root to the end of the best translation.
        text: the best translation.
    """

    system: str
    source: str
    prefix: list[str]
    nodes: list[BeamNode]
    best: list[int]
    text: str


def beam_tree(
    system: System,
    source: str,
    *,
    prefix: Prefix | None = None,
    heads_off: Sequence[str] = (),
    **search: Unpack[SearchArguments],
) -> BeamTree:
    """Records the search that translates a source line.

    Args:
        system: translates.
        source: the line.
        prefix: what the translation must begin with, see `Translator.translate`.
        heads_off: names of heads to switch off.
        search: arguments of the search that replace the system's own, such as `beam_size`.

    Raises:
        UserError: the source has no words, the search has no beam, or see `Translator.translate`.
    """
    translator = system.translator(heads_off)
    model, tokenizer = translator.model, translator.tokenizer
    searcher = change_search(translator.search, search)
    if not searcher.has_beam:
        raise UserError(f"the search of {system.name} has no beam that a tree could show: set beam_size, such as 5")
    [source_ids], _ = translator.encode_sources([sanitize(source)], warn=None)
    if not source_ids:
        raise UserError("the source has no words")
    sentence = Sentence(source_ids, encode_prefix(tokenizer, prefix or "", max_pieces=translator.max_length - 1))
    recorder = TreeRecorder(tokenizer, searcher.penalty())
    translator.before_batch()
    [[translation]] = translate_batch(model, tokenizer, [sentence], searcher, 1, observer=recorder)
    return BeamTree(
        system=system.name,
        source=source,
        prefix=tokenizer.target_pieces(sentence.prefix),
        nodes=recorder.nodes,
        best=recorder.path(tokenizer.target_ids(translation.target_tokens)),
        text=translation.text,
    )


class TreeRecorder:
    """Builds the tree of one sentence while a search observes it; see `StepObserver`.

    Args:
        tokenizer: names the pieces.
        length_penalty: of the search.

    Attributes:
        nodes: the tree so far.
    """

    def __init__(self, tokenizer: Tokenizer, length_penalty: LengthPenalty) -> None:
        self._tokenizer = tokenizer
        self._length_penalty = length_penalty
        self._num_steps = 0
        self._slots: list[int | None] = [0]  # K, the node of each hypothesis; None for a slot without an unfinished one
        self._ids: dict[tuple[int, int], int] = {}  # by parent and token
        root = tokenizer.target_pieces([tokenizer.bos_id])[0]
        self.nodes = [BeamNode(0, None, root, log_probability=0.0, total=0.0, score=None, state="kept")]

    def __call__(self, log_probabilities: Tensor, step: BeamStep) -> None:
        """Adds the continuations of every hypothesis: log-probabilities (K, V), and what the step kept of them."""
        self._num_steps += 1
        [parents], [tokens], [totals] = step.parents.tolist(), step.tokens.tolist(), step.totals.tolist()  # K' each
        kept = {
            (parent, token): (slot, total)
            for slot, (parent, token, total) in enumerate(zip(parents, tokens, totals, strict=True))
            if total > -math.inf
        }
        most_probable = log_probabilities.topk(min(MIN_CHILDREN, log_probabilities.size(1))).indices.tolist()  # (K, …)
        slots: list[int | None] = [None] * len(tokens)
        for parent, parent_id in enumerate(self._slots):
            if parent_id is None:
                continue
            shown = {*most_probable[parent], *(token for slot, token in kept if slot == parent)}
            values = {token: float(log_probabilities[parent, token]) for token in shown}
            for token, value in sorted(values.items(), key=lambda item: -item[1]):
                if value == -math.inf:
                    continue  # the search forbids it
                slot, total = kept.get((parent, token), (None, self.nodes[parent_id].total + value))
                state = self._add(parent_id, token, value, total, is_kept=slot is not None)
                if slot is not None and state == "kept":
                    slots[slot] = len(self.nodes) - 1
        self._slots = slots

    def _add(self, parent: int, token: int, log_probability: float, total: float, *, is_kept: bool) -> State:
        """Adds a node, and returns its state."""
        is_end = token == self._tokenizer.eos_id
        state: State = "pruned" if not is_kept else "finished" if is_end else "kept"
        score = total / self._length_penalty(float(self._num_steps)) if state == "finished" else None
        [piece] = self._tokenizer.target_pieces([token])
        self._ids[parent, token] = len(self.nodes)
        self.nodes.append(BeamNode(len(self.nodes), parent, piece, log_probability, total, score, state))
        return state

    def path(self, tokens: Sequence[int]) -> list[int]:
        """The ids of the nodes from the root along the tokens of a hypothesis."""
        ids = [0]
        for token in tokens:
            ids.append(self._ids[ids[-1], token])
        return ids
