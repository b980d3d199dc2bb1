"""Compares the translations of another program with ours: how many agree, and why the others differ.

Two comparisons tell different things:

1. Both programs score the same translations, piece by piece. The log-probabilities must be the same up to rounding, or
   the model was converted wrongly.
2. Both programs translate. With greedy search, only ties between two pieces and length limits explain a difference.
   With a beam, programs rank by different length penalties and stop at different moments.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import msgspec
import torch

from nmt.data.batch import pad
from nmt.errors import Failure
from nmt.export.system import System
from nmt.search.scoring import LengthPenalty
from nmt.translator.batch import list_banned_ids

TOLERANCE = 1e-3
"""Maximum difference of log-probabilities, in nats, that counts as rounding. Right conversions reach 1e-5."""

MAX_EXAMPLES = 5
"""Maximum number of different translations that the record quotes."""

Reason = Literal["tokenizer", "length limit", "tie", "length penalty", "search", "unexplained"]
"""Why two translations differ:

tokenizer       the programs cut the source into different pieces
length limit    one of the programs stopped at its maximum length
tie             both are equally probable up to rounding
length penalty  each is the better one by its own program's length penalty
search          the same one is better by both penalties: a program pruned it, or stopped before it found it
unexplained     none of these, which means a wrong model
"""


class Output(NamedTuple):
    """A translation of either program.

    Attributes:
        text: the detokenised translation.
        ids: of its pieces in our vocabulary, with `eos` unless a length limit cut it off.
    """

    text: str
    ids: list[int]


class Engine(Protocol):
    """Another program with the exported model."""

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """The source pieces of each line as ids of our vocabulary, without `eos`."""
        ...

    def translate(self, lines: Sequence[str], *, beam_size: int, exponent: float, max_tokens: int) -> list[Output]:
        """Translates each line; hypotheses are ranked by log-probability / length^`exponent`.

        A translation has at most `max_tokens` tokens, `eos` included.
        """
        ...

    def score(self, lines: Sequence[str], targets: Sequence[Sequence[int]]) -> list[list[float]]:
        """The log-probability of each id of a given target, which ends with `eos`, for each line."""
        ...


class Difference(msgspec.Struct, frozen=True):
    """A line that the programs translate differently."""

    source: str
    ours: str
    theirs: str
    reason: Reason


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The translations of both programs by one search.

    Attributes:
        beam_size: 1 is greedy search.
        length_penalty: of our search.
        exponent: of the other program's length penalty.
        same: number of lines with the same translation.
        different: number of the others by reason.
        examples: some of them.
    """

    beam_size: int
    length_penalty: float
    exponent: float
    same: int
    different: dict[str, int]
    examples: list[Difference]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The comparison of an exported model with ours.

    Attributes:
        lines: number of lines that both programs translated.
        pieces: number of target pieces that both programs scored.
        largest_difference: between the log-probabilities of such a piece, in nats.
        comparisons: with greedy search, and with the run's beam if it has one.
    """

    lines: int
    pieces: int
    largest_difference: float
    comparisons: list[Comparison]


@dataclass(frozen=True)
class OwnTranslations:
    """Our translations of the lines with which an export is verified.

    Attributes:
        lines: each has words, and no more pieces than the model takes.
        greedy: by greedy search.
        beam: by the run's search.
        exponent: the other programs' length penalty that is closest to ours, see `closest_exponent`.
        mean_length: of `beam`, in tokens.
        max_tokens: the largest length limit of a line, and one more: the other program need not go on.
    """

    lines: list[str]
    greedy: list[Output]
    beam: list[Output]
    exponent: float
    mean_length: float
    max_tokens: int


def translate_lines(system: System, lines: Sequence[str]) -> OwnTranslations:
    """Translates the lines, of which there is at least one, with our program."""
    beam = _translate(system, lines, beam_size=system.search.beam_size)
    mean_length = sum(len(output.ids) for output in beam) / len(beam)
    exponent = closest_exponent(system.search.length_penalty, mean_length)
    limit, limit_of_model = system.search.length_limit(), system.translator.max_length
    max_tokens = max(limit(len(ids) + 1, limit_of_model) for ids in system.tokenizer.encode_source(lines))
    return OwnTranslations(
        lines=list(lines),
        greedy=_translate(system, lines, beam_size=1),
        beam=beam,
        exponent=exponent,
        mean_length=mean_length,
        max_tokens=min(max_tokens + 1, limit_of_model),
    )


def closest_exponent(alpha: float, mean_length: float) -> float:
    """The p for which length^p grows most like our ((5 + length) / 6)^alpha around a mean length.

    Both are powers, so their slopes in a log-log plot are compared: α · L / (5 + L) at length L.
    """
    return round(alpha * mean_length / (5 + mean_length), 3)


def verify(system: System, engine: Engine, own: OwnTranslations) -> Verification:
    """Compares an exported model with ours.

    Raises:
        Failure: the log-probabilities differ by more than rounding, or a greedy translation without a reason.
    """
    sources = system.tokenizer.encode_source(own.lines)
    is_encoded_alike = [ours == theirs for ours, theirs in zip(sources, engine.encode(own.lines), strict=True)]
    alike = [index for index, is_alike in enumerate(is_encoded_alike) if is_alike]
    if not alike:
        raise Failure("the exported tokenizer cuts every line into other pieces than ours; nothing was written")
    targets = {index: with_end(own.greedy[index].ids, system.tokenizer.eos_id) for index in alike}
    scores = engine.score([own.lines[index] for index in alike], list(targets.values()))
    difference = 0.0
    for index, theirs in zip(alike, scores, strict=True):
        ours = score_target(system, sources[index], targets[index])
        largest = max(abs(one - other) for one, other in zip(ours, theirs, strict=True))
        difference = max(difference, largest if math.isfinite(largest) else math.inf)
    if difference > TOLERANCE:
        raise Failure(
            f"the exported model differs from the run: log-probabilities by up to {difference:.2g} nats, and rounding "
            f"explains only {TOLERANCE:g}; nothing was written"
        )
    searches = [(1, own.greedy)] + [(system.search.beam_size, own.beam)] * (system.search.beam_size > 1)
    comparisons = [
        compare(system, engine, own, outputs, is_encoded_alike, beam_size=beam_size) for beam_size, outputs in searches
    ]
    if unexplained := comparisons[0].different.get("unexplained"):
        raise Failure(
            f"the exported model translates {unexplained} of {len(own.lines)} lines differently without a reason, such "
            f"as {comparisons[0].examples[0].source!r:.80}; nothing was written"
        )
    return Verification(
        lines=len(own.lines),
        pieces=sum(map(len, targets.values())),
        largest_difference=difference,
        comparisons=comparisons,
    )


def compare(
    system: System,
    engine: Engine,
    own: OwnTranslations,
    outputs: Sequence[Output],
    is_encoded_alike: Sequence[bool],
    *,
    beam_size: int,
) -> Comparison:
    """Translates the lines with the other program, and finds out why its translations differ from ours.

    Args:
        outputs: our translations by this search.
        is_encoded_alike: of each line, whether both programs cut it into the same pieces.
    """
    alpha, exponent = (system.search.length_penalty, own.exponent) if beam_size > 1 else (0.0, 0.0)
    theirs = engine.translate(own.lines, beam_size=beam_size, exponent=exponent, max_tokens=own.max_tokens)
    differences = []
    for line, our, their, is_alike in zip(own.lines, outputs, theirs, is_encoded_alike, strict=True):
        if our.text == their.text:
            continue
        is_greedy = beam_size == 1
        reason = explain(system, line, our, their, alpha, exponent, is_greedy) if is_alike else "tokenizer"
        differences.append(Difference(line, our.text, their.text, reason))
    differences.sort(key=lambda difference: difference.reason != "unexplained")
    return Comparison(
        beam_size=beam_size,
        length_penalty=alpha,
        exponent=exponent,
        same=len(own.lines) - len(differences),
        different=dict(Counter(difference.reason for difference in differences)),
        examples=differences[:MAX_EXAMPLES],
    )


def explain(
    system: System, line: str, ours: Output, theirs: Output, alpha: float, exponent: float, is_greedy: bool
) -> Reason:
    """Why two translations of a line differ.

    Args:
        alpha: of our length penalty.
        exponent: of the other program's length penalty.
        is_greedy: whether both programs searched greedily, so that the first different piece decides.
    """
    eos_id = system.tokenizer.eos_id
    if ours.ids[-1:] != [eos_id] or theirs.ids[-1:] != [eos_id]:
        return "length limit"
    [source] = system.tokenizer.encode_source([line])
    our_scores, their_scores = (score_target(system, source, output.ids) for output in (ours, theirs))
    if is_greedy:
        pairs = zip(ours.ids, theirs.ids, strict=False)  # neither is a prefix of the other, since both end with `eos`
        first = next((index for index, (one, other) in enumerate(pairs) if one != other), None)
        is_tie = first is not None and abs(our_scores[first] - their_scores[first]) <= TOLERANCE
        return "tie" if is_tie else "unexplained"
    penalty = LengthPenalty(alpha)
    by_ours = sum(our_scores) / penalty(len(our_scores)) - sum(their_scores) / penalty(len(their_scores))
    by_theirs = sum(our_scores) / len(our_scores) ** exponent - sum(their_scores) / len(their_scores) ** exponent
    if abs(by_ours) <= TOLERANCE:
        return "tie"
    return "length penalty" if by_ours > 0 > by_theirs else "search"


@torch.inference_mode()
def score_target(system: System, source: Sequence[int], target: Sequence[int]) -> list[float]:
    """Our log-probability of each of the T ids of a target, among the pieces that a translation may contain.

    Args:
        source: the S - 1 ids of a source, without `eos`.
        target: ends with `eos`.
    """
    tokenizer, model = system.tokenizer, system.model
    ids, mask = pad([source], tokenizer.pad_id, last=tokenizer.eos_id)  # (1, S)
    target_input = torch.tensor([[tokenizer.bos_id, *target[:-1]]])  # (1, T)
    logits = model(ids, mask, target_input)[0]  # (T, V)
    logits[:, list_banned_ids(tokenizer)] = -math.inf
    log_probabilities = logits.log_softmax(-1)  # (T, V)
    scores: list[float] = log_probabilities.gather(1, torch.tensor([target]).T).squeeze(1).tolist()  # (T,)
    return scores


def with_end(ids: Sequence[int], eos_id: int) -> list[int]:
    """The ids with `eos` at their end, which those of a translation that was cut lack."""
    return [*ids] if ids and ids[-1] == eos_id else [*ids, eos_id]


def _translate(system: System, lines: Sequence[str], *, beam_size: int) -> list[Output]:
    """Our translations; those that were cut at the length limit have no `eos`."""
    translations = system.translator.translate(lines, beam_size=beam_size)
    ids = [system.tokenizer.target_ids(translation.target_tokens) for translation in translations]
    return [
        Output(translation.text, own[:-1] if translation.truncated else own)
        for translation, own in zip(translations, ids, strict=True)
    ]
