"""The loss: cross-entropy with label smoothing, computed together with the output layer.

For one decoder output h (E,) with the correct next piece y, the plain formula is

    z = W h + b                                   logits (V,)
    p = softmax(z)
    nll  = -log p_y                               negative log-likelihood
    loss = -Σ_v q_v log p_v                       q = (1 - ε) onehot(y) + ε / V

that is, in torch:

    logits = output(decoder_outputs)
    loss = F.cross_entropy(logits, target, label_smoothing=ε, reduction="sum")

`linear_cross_entropy` computes the same numbers and the same gradients faster. The logits of a batch (tokens, V) are
by far the largest tensor of a training step, and the plain formula writes or reads them in memory seven times. Here
they exist for a few rows at a time, and those rows are turned into gradients while they are still in the cache.

Label smoothing: Szegedy et al. (2016, https://arxiv.org/abs/1512.00567, §7), used by Vaswani et al. (2017, §5.4).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from nmt.checks import check_probabilities
from nmt.models.attention import NO_RECORD, AttentionRecord
from nmt.models.autocast import to_autocast_format
from nmt.models.seq2seq import Seq2Seq

MAX_CHUNK_LOGITS = {"cpu": 2**20, "cuda": 2**28}
"""Maximum number of logits that exist at a time, by device type. On a CPU they fit into its cache; on a GPU a batch is
usually one chunk."""

MAX_BLOCK_LOGITS = {"cpu": 2**23, "cuda": 2**28}
"""Maximum number of bf16 logits that one matrix product computes. Larger products run faster, and each of them adds a
gradient of all weights to the float32 sum, which takes time too."""


def choose_sizes(hidden: Tensor, vocab_size: int) -> tuple[int, int]:
    """The maximum number of rows of a block and of a chunk of decoder outputs (N, E). In fp32 a block is one chunk."""
    num_rows, device_type = len(hidden), hidden.device.type
    chunk_size = max(1, min(num_rows, MAX_CHUNK_LOGITS[device_type] // vocab_size))
    if hidden.dtype in (torch.float32, torch.float64):
        return chunk_size, chunk_size
    return max(chunk_size, min(num_rows, MAX_BLOCK_LOGITS[device_type] // vocab_size)), chunk_size


class _LinearCrossEntropy(Function):
    """Output layer and loss of N decoder outputs, summed over them; the gradients are computed in the forward pass.

    The gradient of the logits is ∂loss/∂z = p - q, which is known as soon as p is. Split q into its two terms:

        ∂loss/∂z = (p - (1 - ε) onehot(y))  -  ε / V

    The first term is computed chunk by chunk. The second is the same for every piece v, so its part of each gradient is
    added once at the end. Likewise, with Z = Σ_v exp z_v, the smoothed part of the loss needs no pass over the logits:

        -1/V Σ_v log p_v  =  log Z - (h · mean_v W_v + mean_v b_v)
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, target: Tensor, label_smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """The loss () and the nll (), from hidden (N, E), weight (V, E), bias (V,) and target (N,)."""
        num_rows, vocab_size = hidden.size(0), weight.size(0)  # N, V
        need_gradient = any(ctx.needs_input_grad)
        # Products run in the number format of the decoder outputs (bf16 under autocast), sums at least in fp32.
        sum_dtype = torch.promote_types(hidden.dtype, torch.float32)
        cast_weight, cast_bias = weight.to(hidden.dtype), bias.to(hidden.dtype)  # (V, E), (V,)

        hidden_gradient = torch.empty_like(hidden)  # (N, E)
        weight_gradient = torch.zeros_like(weight, dtype=sum_dtype)  # (V, E)
        bias_gradient = torch.zeros_like(bias, dtype=sum_dtype)  # (V,)
        nll, log_z_sum = hidden.new_zeros((), dtype=sum_dtype), hidden.new_zeros((), dtype=sum_dtype)

        # One product computes the logits of a block of b rows. Chunks of n rows are turned into gradients, all in the
        # same buffer, which therefore stays in the cache.
        block_size, chunk_size = choose_sizes(hidden, vocab_size)
        logits_buffer = hidden.new_empty(block_size, vocab_size)
        probabilities_buffer = hidden.new_empty(chunk_size, vocab_size, dtype=sum_dtype)
        ones = hidden.new_ones(chunk_size, dtype=sum_dtype)

        for start in range(0, num_rows, block_size):
            block = slice(start, start + block_size)
            rows = hidden[block]  # (b, E)
            block_logits = torch.mm(rows, cast_weight.t(), out=logits_buffer[: len(rows)]).add_(cast_bias)  # (b, V)
            chunks = zip(torch.split(block_logits, chunk_size), torch.split(target[block], chunk_size), strict=True)
            for logits, chunk_target in chunks:  # (n, V), (n,)
                n, targets = len(chunk_target), chunk_target.unsqueeze(1)  # (n, 1)

                # 1. The loss, and the probabilities p (n, V).
                p = probabilities_buffer[:n]
                chunk_nll, chunk_log_z = losses_and_probabilities(logits, targets, probabilities=p)
                nll += chunk_nll
                log_z_sum += chunk_log_z

                # 2. The gradients of the first term, p - (1 - ε) onehot(y), which overwrite the logits.
                if need_gradient:
                    gradient = p.scatter_add_(1, targets, p.new_full(targets.shape, label_smoothing - 1))  # (n, V)
                    bias_gradient.addmv_(gradient.t(), ones[:n])  # the sum over rows, as a product: faster than sum(0)
                    logits.copy_(gradient)

            if need_gradient:
                torch.mm(block_logits, cast_weight, out=hidden_gradient[block])  # (b, E)
                if sum_dtype == hidden.dtype:
                    weight_gradient.addmm_(block_logits.t(), rows)  # (V, E)
                else:
                    weight_gradient += block_logits.t() @ rows  # (V, E), accumulated in sum_dtype

        # 3. The smoothed part of the loss, and the gradients of the second term, -ε / V.
        mean_weight = weight.to(sum_dtype).mean(0)  # (E,)
        hidden_sum = hidden.sum(0, dtype=sum_dtype)  # (E,)
        uniform_loss = log_z_sum - hidden_sum @ mean_weight - num_rows * bias.to(sum_dtype).mean()
        if need_gradient:
            hidden_gradient -= label_smoothing * mean_weight
            weight_gradient -= label_smoothing / vocab_size * hidden_sum
            bias_gradient -= label_smoothing / vocab_size * num_rows
            ctx.save_for_backward(hidden_gradient, weight_gradient.to(weight.dtype), bias_gradient.to(bias.dtype))
        ctx.mark_non_differentiable(nll)
        return (1 - label_smoothing) * nll + label_smoothing * uniform_loss, nll

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Scales the gradients that the forward pass computed by the gradient of the loss ()."""
        hidden, weight, bias = (saved * gradients[0].to(saved.dtype) for saved in ctx.saved_tensors)
        return hidden, weight, bias, None, None


def losses_and_probabilities(logits: Tensor, targets: Tensor, *, probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The nll () and the sum of log Z () of logits (n, V) with targets (n, 1).

    Args:
        probabilities: (n, V), receives the softmax of the logits.
    """
    torch.softmax(logits, -1, dtype=probabilities.dtype, out=probabilities)
    # As log p = z - log Z holds for the largest logit too, log Z needs no exponentials of its own.
    log_z = logits.amax(-1, keepdim=True).to(probabilities.dtype) - probabilities.amax(-1, keepdim=True).log()  # (n, 1)
    return (log_z - logits.gather(1, targets)).sum(), log_z.sum()


def linear_cross_entropy(
    decoder_outputs: Tensor, output: nn.Linear, target: Tensor, target_indices: Tensor, *, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """The loss to minimise () and the negative log-likelihood (), both summed over real target tokens, in nats.

    Args:
        decoder_outputs: (B, T, E), the input of the output layer. Under autocast the products run in its number format.
        output: the output layer, E -> V.
        target: (B, T) ids.
        target_indices: (N,) indices of the real tokens among the B · T positions, each once. Nothing is computed
            for the other positions.
        label_smoothing: ε, from 0 to below 1.

    Raises:
        UserError: ε is out of its range.
    """
    check_probabilities(label_smoothing=label_smoothing)
    layer: list[Tensor] = [output.weight, output.bias]
    if not torch.is_grad_enabled():  # `ctx.needs_input_grad` is True for parameters even under no_grad
        layer = [parameter.detach() for parameter in layer]
    rows = select_rows(decoder_outputs, target_indices)  # (N, E)
    with torch.autocast(rows.device.type, enabled=False):
        return _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
            rows,
            *layer,
            target.flatten().index_select(0, target_indices),  # (N,)
            label_smoothing,
        )


def select_rows(decoder_outputs: Tensor, target_indices: Tensor) -> Tensor:
    """The rows (N, E) of real target tokens among decoder outputs (B, T, E), in autocast's number format."""
    return to_autocast_format(decoder_outputs).flatten(0, 1).index_select(0, target_indices)  # (N, E)


class Objective(nn.Module):
    """A model and its loss as one module, so that `DistributedDataParallel` can wrap both."""

    def __init__(self, model: Seq2Seq, *, label_smoothing: float) -> None:
        super().__init__()
        self.model = model
        self.label_smoothing = label_smoothing

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
        """The loss () and the negative log-likelihood () of `Batch.tensors`; see `linear_cross_entropy`.

        Args:
            record: receives the attention weights that it asks for.
        """
        decoder_outputs = self.model.decoder_outputs(source, source_mask, target_input, record=record)  # (B, T, E)
        return linear_cross_entropy(
            decoder_outputs,
            self.model.vocabulary.output,
            target_output,
            target_indices,
            label_smoothing=self.label_smoothing,
        )
