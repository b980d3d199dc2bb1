"""The score of a given translation (forced decoding), by one pass of teacher forcing.

    log p(y | x) = Σ_t log p(y_t | y_<t, x),  with the log-probabilities of all positions t from one forward pass

The result is what a search reports if it finds the same tokens, up to rounding: a model's step equals teacher forcing.
A search may forbid tokens, but it takes the log-probabilities of the others as the model gives them, without
renormalising, so nothing that it forbids changes them.

Shapes: S source positions, T target positions, V target vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

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
    logits = model(source, source_mask, target_input.unsqueeze(0))[0]  # (T, V)
    of_tokens = logits.float().log_softmax(-1).gather(1, tokens.unsqueeze(1)).squeeze(1)  # (T,)
    log_probability = float(of_tokens.sum())
    return Hypothesis(
        tokens=tuple(target),
        log_probability=log_probability,
        score=log_probability / length_penalty(float(len(target))),
        truncated=False,
        log_probabilities=tuple(of_tokens.tolist()),
    )
