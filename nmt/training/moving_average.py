"""The exponential moving average of the weights, which is validated and translates; training uses the weights.

After update t, with the weights w_t and the decay β,

    average_t = β_t average_{t-1} + (1 - β_t) w_t        β_t = min(β, (1 + t) / (10 + t))

Polyak and Juditsky (1992), https://doi.org/10.1137/0330046, average the iterates of stochastic gradient descent. Early
in training β_t is smaller than β, so that the average soon forgets the initial weights. The formula of β_t is that of
TensorFlow, https://www.tensorflow.org/api_docs/python/tf/train/ExponentialMovingAverage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nmt.models.seq2seq import Seq2Seq


class MovingAverage:
    """The moving average of a model's weights. Several processes that train together compute the same one.

    Args:
        model: its present weights are the first average.
        decay: β, above 0 and below 1.

    Attributes:
        weights: the average of each parameter, by its name in `named_parameters`, where tied weights have one name.
    """

    def __init__(self, model: Seq2Seq, *, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    @torch.no_grad()
    def update(self, step: int, *, applied: Tensor) -> None:
        """Includes the weights after update `step`. The host does not wait for a GPU.

        Args:
            applied: (), 1 if the update was applied; 0 if it was skipped, which leaves the average as it is.
        """
        share = (1 - min(self.decay, (1 + step) / (10 + step))) * applied  # 1 - β_t, or 0, ()
        averages = list(self.weights.values())
        # All parameters at once: one launch per parameter would cost a GPU more time than the sums.
        differences = torch._foreach_sub(list(self.model.parameters()), averages)  # w_t - average_{t-1}
        torch._foreach_mul_(differences, share)
        torch._foreach_add_(averages, differences)


@contextmanager
def restoring_weights(model: nn.Module) -> Iterator[None]:
    """Inside, the caller may change the weights of the model; afterwards, it has those from before."""
    own_weights = [parameter.detach().clone() for parameter in model.parameters()]
    try:
        yield
    finally:
        for parameter, weights in zip(model.parameters(), own_weights, strict=True):
            parameter.detach().copy_(weights)


@contextmanager
def averaged_weights(average: MovingAverage | None) -> Iterator[None]:
    """Inside, the model has its moving average if there is one; afterwards, it has its own weights again."""
    if average is None:
        yield
        return
    with restoring_weights(average.model):
        for name, parameter in average.model.named_parameters():
            parameter.detach().copy_(average.weights[name])
        yield
