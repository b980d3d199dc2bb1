"""Sampling: translations drawn from the model's distribution, for all sentences of a batch at once.

    for each of n samples of each sentence:
        tokens, state = bos, model.start(memory)
        until eos:
            p = softmax(log_softmax(model.step(tokens, state, memory)) / temperature)
            keep the top_k most probable tokens; of these, the most probable ones that together reach top_p
            token = the first one at which the cumulative probability exceeds a uniform random number

The random number depends on nothing but the seed, the ids of the source, the number of the sample and the position. So
the samples of a sentence are the same in any batch and in any order, and the first samples of many are those of few.

Shapes: B sentences in the batch, A sentences still active, K samples of each, S source positions, V target vocabulary;
N = A·K. Row a·K + k of a tensor (A·K, …) is sample k of sentence a.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Unpack

from nmt.checks import check_counts, check_nonnegative, check_sizes
from nmt.data.counter_rng import Bits, random_bits, to_unit_interval
from nmt.errors import UserError
from nmt.models.seq2seq import Memory, TranslationModel
from nmt.search.backtrace import BeamStep, histories_by_sentence
from nmt.search.beam import MIN_FINISHED_SHARE, BeamSearch
from nmt.search.candidates import masked_log_softmax
from nmt.search.constraints import ForcedPrefixes, constrain
from nmt.search.drawing import draw_tokens
from nmt.search.hypothesis import Hypothesis
from nmt.search.protocol import SearchArguments, SearchRequest, StepObserver
from nmt.search.scoring import LengthLimit, LengthPenalty

MAX_ROWS = 1024
"""Maximum number of samples that are drawn at the same time; a batch with more sentences draws one of each."""


@dataclass(frozen=True)
class SamplingBatch:
    """What all samples of a batch have in common."""

    model: TranslationModel
    memory: Memory  # of B sentences
    max_lengths: list[int]  # B, length limit of each sentence, in tokens
    forced: ForcedPrefixes | None
    banned: Tensor  # ids that are never produced
    bos_id: int
    eos_id: int
    observer: StepObserver | None


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Draws translations at random, each token with the probability that the model gives it.

    Without `top_k` and `top_p`, and with a temperature of 1, a translation is drawn with the probability that the model
    gives it as a whole. The best known ways to leave out the many improbable tokens are top-k (Fan et al., 2018, §5.1)
    and nucleus sampling, top-p (Holtzman et al., 2020, §3.1). Log-probabilities are those of the model in any case, and
    so is the score.

    Args:
        temperature: divides the log-probabilities before they are normalised again; below 1 samples are less diverse.
        top_k: draw from this many most probable tokens; None: from all.
        top_p: draw from the most probable tokens, as few of them as have this probability together; None: from all.
        seed: another seed gives other samples.
        max_length_factor: see `LengthLimit`.
        max_length_margin: see `LengthLimit`.
        min_length: see `BeamSearch`.
        no_repeat_ngram: see `BeamSearch`.

    Raises:
        UserError: an argument is out of range.
    """

    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int
    max_length_factor: float
    max_length_margin: int
    min_length: int = 0
    no_repeat_ngram: int | None = None

    def __post_init__(self) -> None:
        check_nonnegative(temperature=self.temperature, top_p=self.top_p or 0.0)
        check_sizes(top_k=1 if self.top_k is None else self.top_k)
        check_counts(seed=self.seed)
        if self.temperature == 0:
            raise UserError("temperature=0 must be above 0: use search=greedy for the most probable tokens")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UserError(f"top_p={self.top_p} must be above 0 and at most 1")
        if self.seed >= 2**64:
            raise UserError(f"seed={self.seed} must be below 2^64")
        self.as_beam_search()

    def as_beam_search(self) -> BeamSearch:
        """The beam search of size 1 with the same constraints."""
        return BeamSearch(
            beam_size=1,
            length_penalty=0.0,
            max_length_factor=self.max_length_factor,
            max_length_margin=self.max_length_margin,
            min_length=self.min_length,
            no_repeat_ngram=self.no_repeat_ngram,
        )

    @property
    def beam_size(self) -> int:
        """One hypothesis per sentence, unless more are asked for."""
        return 1

    @property
    def has_beam(self) -> bool:
        """There is no beam: the number of samples is `n_best`."""
        return False

    def penalty(self) -> LengthPenalty:
        """No length penalty: samples are not ranked."""
        return LengthPenalty(0.0)

    def changed(self, **changes: Unpack[SearchArguments]) -> Sampling | BeamSearch:
        """The same search with some arguments changed; one that only a beam search has makes it a beam search."""
        arguments: dict[str, Any] = {**changes}
        if {"beam_size", "length_penalty"} & arguments.keys():
            return replace(self.as_beam_search(), **arguments)
        return replace(self, **arguments)

    @torch.inference_mode()
    def __call__(self, model: TranslationModel, request: SearchRequest) -> list[list[Hypothesis]]:
        """Draws `n_best` samples of each sentence, in the order of their numbers; see `Search`."""
        source, n_best = request.source, request.n_best
        check_sizes(n_best=n_best)
        lengths = request.source_mask.sum(1).tolist()  # B
        limit = LengthLimit(factor=self.max_length_factor, margin=self.max_length_margin, min_length=self.min_length)
        batch = SamplingBatch(
            model=model,
            memory=model.encode(source, request.source_mask),
            max_lengths=limit.of_batch(lengths, model.max_length, request.prefixes),
            forced=None if request.prefixes is None else ForcedPrefixes(request.prefixes, source.device),
            banned=torch.tensor(request.banned_ids, dtype=torch.int64, device=source.device),
            bos_id=request.bos_id,
            eos_id=request.eos_id,
            observer=request.observer,
        )
        of_sentences = name_streams(
            self.seed, [row[:n] for row, n in zip(source.tolist(), lengths, strict=True)]
        )  # (B,)
        of_samples = random_bits(of_sentences[:, None], np.arange(n_best, dtype=np.uint64))  # (B, n_best)
        num_together = max(1, MAX_ROWS // len(lengths))
        results: list[list[Hypothesis]] = [[] for _ in lengths]
        for start in range(0, n_best, num_together):
            steps = self._draw_samples(batch, of_samples[:, start : start + num_together])
            for hypotheses, drawn in zip(results, collect_samples(steps, len(lengths), request.eos_id), strict=True):
                hypotheses += drawn
        return results

    def _draw_samples(self, batch: SamplingBatch, streams: Bits) -> list[BeamStep]:
        """Draws K samples of each sentence, with the random numbers of the streams (B, K)."""
        model, memory, device = batch.model, batch.memory, batch.banned.device
        sentences, width = list(range(len(streams))), streams.shape[1]
        max_lengths = torch.tensor(batch.max_lengths, device=device)  # (A,)
        slots = torch.arange(width, device=device)  # (K,)
        rows = torch.arange(len(sentences), device=device).repeat_interleave(width)  # (A·K,)
        state = model.start(memory).select(rows.view(-1, width), None)
        tokens = torch.full_like(rows, batch.bos_id)  # (A·K,)
        history = tokens.new_empty((len(tokens), 0))  # (A·K, t), all tokens so far; empty unless they are needed
        totals = torch.zeros(len(sentences), width, device=device)  # (A, K), -inf for a finished sample
        steps: list[BeamStep] = []
        for length in range(1, max(batch.max_lengths) + 1):
            # 1. The probabilities of the next token, and what it may be.
            logits, state = model.step(tokens, state, memory)
            log_probabilities = masked_log_softmax(logits, batch.banned)  # (A·K, V)
            is_cut = constrain(
                log_probabilities,
                history,
                length=length,
                min_length=self.min_length,
                no_repeat_ngram=self.no_repeat_ngram,
                forced=None if batch.forced is None else batch.forced.tokens(length - 1, sentences, width),
                at_limit=(max_lengths == length).repeat_interleave(width) if length in batch.max_lengths else None,
                eos_id=batch.eos_id,
            )  # (A·K,)
            # 2. A token of each sample.
            uniforms = to_unit_interval(random_bits(streams[sentences].ravel(), np.uint64(length)))  # (A·K,)
            tokens = draw_tokens(
                log_probabilities,
                torch.from_numpy(uniforms).to(device, non_blocking=True),
                temperature=self.temperature,
                top_k=self.top_k,
                top_p=self.top_p,
            )  # (A·K,)
            totals = totals + log_probabilities.gather(1, tokens.unsqueeze(1)).view_as(totals)  # (A, K)
            step = BeamStep(
                sentences,
                slots.expand(len(sentences), -1),
                tokens.view_as(totals),
                totals,
                None if is_cut is None else is_cut.view_as(totals),
            )
            steps.append(step)
            if batch.observer is not None:
                batch.observer(log_probabilities, step)
            totals = totals.masked_fill(step.tokens == batch.eos_id, -math.inf)
            # 3. The sentences whose samples are finished: the only thing that the host reads in a step.
            finished = (totals == -math.inf).all(1).tolist()
            if all(finished):
                break
            if self.no_repeat_ngram:
                history = torch.cat([history, tokens.unsqueeze(1)], dim=1)  # (A·K, t + 1)
            if sum(finished) >= MIN_FINISHED_SHARE * len(finished):
                kept = torch.tensor([row for row, is_finished in enumerate(finished) if not is_finished], device=device)
                sentences = [sentence for sentence, done in zip(sentences, finished, strict=True) if not done]
                rows = (kept * width).unsqueeze(1) + slots  # (A', K)
                state, memory = state.select(rows, kept), memory.select(kept)
                tokens, history = tokens[rows.flatten()], history[rows.flatten()]  # (A'·K,), (A'·K, t + 1)
                totals, max_lengths = totals[kept], max_lengths[kept]  # (A', K), (A',)
        return steps


def name_streams(seed: int, sentences: Sequence[Sequence[int]]) -> Bits:
    """The stream of random numbers (B,) of each sentence, by its ids."""
    digests = [hashlib.blake2b(np.array(ids, dtype="<i8").tobytes(), digest_size=8).digest() for ids in sentences]
    return random_bits(np.uint64(seed), np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64))


def collect_samples(steps: Sequence[BeamStep], num_sentences: int, eos_id: int) -> list[list[Hypothesis]]:
    """The samples of each of B sentences, in the order of their numbers; those with scores of NaN are left out."""
    is_cut = [None if step.is_cut is None else step.is_cut.tolist() for step in steps]
    results = []
    for history in histories_by_sentence(steps, num_sentences):
        hypotheses = []
        for slot in range(len(history[0].tokens)):
            tokens = [step.tokens[slot] for step in history]
            if eos_id not in tokens:
                continue
            end = tokens.index(eos_id)
            total, cut_slots = history[end].totals[slot], is_cut[end]
            truncated = cut_slots is not None and cut_slots[history[end].row][slot]
            if math.isfinite(total):
                hypotheses.append(Hypothesis(tuple(tokens[: end + 1]), total, total, truncated))
        results.append(hypotheses)
    return results
