"""The masked-pieces objective: an encoder predicts hidden pieces of its source, each at its own position.

Devlin et al. (2019), https://arxiv.org/abs/1810.04805, §3.1, "Task #1: Masked LM". `nmt.data.noise.MaskedPieces` hides
the pieces. For the encoder's output h (D,) at the position of a hidden piece y,

    h' = LayerNorm(GELU(W h + b))         the head (E,)
    loss = cross-entropy of y             given softmax(O h'), O: the output layer, which the decoder uses, too

The paper leaves the head out, but its program has it. The head is made for this task, and dropped after pre-training.
The decoder takes no part, so its parameters are frozen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.models.attention import NO_RECORD, AttentionRecord
from nmt.models.seq2seq import Seq2Seq
from nmt.training.loss import Objective, linear_cross_entropy

HEAD = "masked_head"
"""The name of the head among the parts of a model. As a part of it, the head is in the optimizer and checkpoints."""


class MaskedObjective(Objective):
    """The loss of the predicted pieces; `add_head` has prepared the model."""

    def forward(
        self,
        source: Tensor,
        source_mask: Tensor,
        target_input: Tensor,
        target_output: Tensor,
        target_indices: Tensor,
        *,
        record: AttentionRecord = NO_RECORD,
    ) -> tuple[Tensor, Tensor]:
        """The loss () and the negative log-likelihood () of `Batch.tensors`.

        Args:
            source: (B, S), of which some pieces are hidden.
            source_mask: (B, S).
            target_input: not used.
            target_output: (B, S), the original pieces.
            target_indices: (N,) indices of the predicted pieces in the flattened (B · S,) source.
            record: stays empty, since there is no decoder.
        """
        outputs = self.model.encoder_outputs(source, source_mask)  # (B, S, D)
        predictions = self.model.get_submodule(HEAD)(outputs)  # (B, S, E)
        return linear_cross_entropy(
            predictions,
            self.model.vocabulary.output,
            target_output,
            target_indices,
            label_smoothing=self.label_smoothing,
        )


def add_head(model: Seq2Seq) -> None:
    """Adds the head to a model, and freezes the parameters that take no part in the objective.

    Raises:
        UserError: the model has no encoder of its own.
    """
    trained = encoder_parameters(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained)
    hidden_size, embedding_size = _encode_token(model).size(-1), model.vocabulary.output.in_features  # D, E
    head = nn.Sequential(nn.Linear(hidden_size, embedding_size), nn.GELU(), nn.LayerNorm(embedding_size))
    model.add_module(HEAD, head.to(model.device))


def encoder_parameters(model: Seq2Seq) -> set[str]:
    """The names of the parameters that this objective trains, without the head's: those of encoder and output layer.

    Raises:
        UserError: the model has no encoder of its own.
    """
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    gradients = torch.autograd.grad(_encode_token(model).sum(), list(parameters.values()), allow_unused=True)
    used = {name for name, gradient in zip(parameters, gradients, strict=True) if gradient is not None}
    layer = {id(parameter) for parameter in model.vocabulary.output.parameters()}
    return used | {name for name, parameter in parameters.items() if id(parameter) in layer}


def _encode_token(model: Seq2Seq) -> Tensor:
    """The encoder's output (1, 1, D) for a source of any one token."""
    token = torch.zeros(1, 1, dtype=torch.int64, device=model.device)  # (1, 1)
    return model.encoder_outputs(token, torch.ones_like(token, dtype=torch.bool))
