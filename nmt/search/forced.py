"""The scores of given translations (forced decoding), by one pass of teacher forcing.

    log p(y | x) = Σ_t log p(y_t | y_<t, x),  with the log-probabilities of all positions t from one forward pass

The result is what a search reports if it finds the same tokens, up to rounding: a model's step equals teacher forcing.
A search may forbid tokens, but it takes the log-probabilities of the others as the model gives them, without
renormalising, so nothing that it forbids changes them.

Shapes: B sentence pairs, S source positions, T target positions, V target vocabulary.
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
    tokens = torch.tensor(target, device=source.device)  # (T,)
    target_input = torch.cat([tokens.new_tensor([bos_id]), tokens[:-1]])  # (T,)
    [of_tokens] = score_tokens(model, source, source_mask, target_input.unsqueeze(0), tokens.unsqueeze(0))  # (T,)
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
    table = score_tokens(model, batch.source, batch.source_mask, batch.target_input, batch.target_output)  # (B, T)
    lengths = batch.target_mask.sum(1).tolist()  # B
    return [row[:length] for row, length in zip(table.tolist(), lengths, strict=True)]


def score_tokens(
    model: TranslationModel, source: Tensor, source_mask: Tensor, target_input: Tensor, target_output: Tensor
) -> Tensor:
    """The log-probabilities (B, T) of `target_output` (B, T); arguments as for `TranslationModel.forward`."""
    logits = model(source, source_mask, target_input).float()  # (B, T, V)
    of_tokens = logits.gather(2, target_output.unsqueeze(2)).squeeze(2)  # (B, T)
    return of_tokens - logits.logsumexp(2)  # (B, T), without a second (B, T, V) tensor
