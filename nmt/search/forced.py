"""The score of given translations: of one, step by step as a search works, or of a batch at once.

    tokens, state = bos, model.start(memory)
    for each given token:
        log p += log_softmax(model.step(tokens, state, memory))[token]
        tokens, state = the given token, the state after the step

The result is what a search reports if it finds the same tokens. A search may forbid tokens, but it takes the
log-probabilities of the others as the model gives them, without renormalising, so nothing that it forbids changes them.

A model that is trained by teacher forcing computes all positions of a batch at once. `score_batch` does that: the same
numbers up to rounding, many times faster.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nmt.data.batch import Batch
from nmt.models.seq2seq import TranslationModel
from nmt.search.hypothesis import Hypothesis
from nmt.search.scoring import LengthPenalty


@torch.inference_mode()
def force_decode(
    model: TranslationModel,
    source: Tensor,
    source_mask: Tensor,
    target: Sequence[int],
    *,
    bos_id: int,
    length_penalty: LengthPenalty,
) -> Hypothesis:
    """Treats the given tokens as the model's own translation of one sentence.

    Args:
        model: in evaluation mode.
        source: (1, S) ids that end with `eos`.
        source_mask: (1, S), all True.
        target: the T tokens; the last one is `eos`.
        bos_id: id that the decoder reads before the first token.
        length_penalty: of the search whose score is wanted.
    """
    memory = model.encode(source, source_mask)
    state = model.start(memory)
    tokens = torch.tensor(target, device=source.device)  # (T,)
    inputs = torch.cat([tokens.new_tensor([bos_id]), tokens[:-1]])  # (T,)
    log_probabilities = []
    for token, next_token in zip(inputs.unsqueeze(1), tokens, strict=True):  # (1,), ()
        logits, state = model.step(token, state, memory)
        log_probabilities.append(logits[0].float().log_softmax(-1)[next_token])  # ()
    of_tokens = torch.stack(log_probabilities)  # (T,)
    log_probability = float(of_tokens.sum())
    return Hypothesis(
        tokens=tuple(target),
        log_probability=log_probability,
        score=log_probability / length_penalty(float(len(target))),
        truncated=False,
        log_probabilities=tuple(of_tokens.tolist()),
    )


@torch.inference_mode()
def score_batch(model: TranslationModel, batch: Batch) -> list[list[float]]:
    """The log-probability of every target token of each of B pairs, `eos` included, in nats.

    Args:
        model: in evaluation mode.
        batch: B pairs, on the device of the model.
    """
    logits = model(batch.source, batch.source_mask, batch.target_input).float()  # (B, T, V)
    of_tokens = logits.gather(2, batch.target_output.unsqueeze(2)).squeeze(2)  # (B, T)
    log_probabilities = of_tokens - logits.logsumexp(2)  # (B, T), without a second (B, T, V) tensor
    lengths = batch.target_mask.sum(1).tolist()  # B
    return [row[:length] for row, length in zip(log_probabilities.tolist(), lengths, strict=True)]
