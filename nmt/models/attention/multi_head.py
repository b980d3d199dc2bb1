"""Multi-head attention (Vaswani et al., 2017, §3.2.2, https://arxiv.org/abs/1706.03762).

Heads may share keys and values: all of them in multi-query attention (Shazeer, 2019, https://arxiv.org/abs/1911.02150),
groups of them in grouped-query attention (Ainslie et al., 2023, https://arxiv.org/abs/2305.13245).

Shapes: B batch, T queries, S key positions, D model size, H heads, G heads of keys and values, d = D / H.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nmt.checks import check_probabilities, check_sizes
from nmt.errors import UserError
from nmt.models.attention.kernels import attention_with_weights, fused_attention
from nmt.models.attention.sparse import SparseAttention
from nmt.models.dropout import Dropout
from nmt.models.positions import UNORDERED, Order, rotate


class MultiHeadAttention(nn.Module):
    """H attentions side by side, each in its own d = D / H dimensions.

        Q = X W_Q,  K = M W_K,  V = M W_V                    split into H heads
        head_i = softmax(Q_i K_iᵀ / √d) V_i                  Eq. 1
        output = [head_1; …; head_H] W_O                     §3.2.2

    With G < H, there are G heads of keys and values, and head_i uses number ⌊i · G / H⌋ of them (Ainslie et al., §2.2).
    X are the inputs. M is a memory: the encoder's outputs in cross-attention, the inputs themselves in self-attention.

    Args:
        model_size: D.
        num_heads: H, must divide D.
        num_key_value_heads: G, must divide H; 1 is multi-query attention.
        dropout: probability of dropping an element of the output while training.
        attention_dropout: probability of dropping an attention weight while training.

    Raises:
        UserError: a size is not a positive integer, a probability is out of its range, H does not divide D, or G
            does not divide H.
    """

    def __init__(
        self, *, model_size: int, num_heads: int, num_key_value_heads: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        check_sizes(model_size=model_size, num_heads=num_heads, num_key_value_heads=num_key_value_heads)
        check_probabilities(attention_dropout=attention_dropout)
        if model_size % num_heads:
            raise UserError(f"model_size={model_size} must be a multiple of num_heads={num_heads}")
        if num_heads % num_key_value_heads:
            raise UserError(f"num_heads={num_heads} must be a multiple of num_key_value_heads={num_key_value_heads}")
        self.num_heads = num_heads
        self.num_key_value_heads = num_key_value_heads
        self.head_size = model_size // num_heads
        self.query_projection = nn.Linear(model_size, model_size)  # W_Q
        self.key_value_projection = nn.Linear(model_size, 2 * num_key_value_heads * self.head_size)  # [W_K, W_V]
        self.output_projection = nn.Linear(model_size, model_size)  # W_O
        self.dropout = Dropout(dropout)
        self.attention_dropout = Dropout(attention_dropout)

    def forward(
        self,
        inputs: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Tensor | None = None,
        causal: bool = False,
        order: Order = UNORDERED,
        pattern: SparseAttention | None = None,
        record: list[Tensor] | None = None,
    ) -> Tensor:
        """Attends from inputs (B, T, D) and returns (B, T, D).

        Args:
            memory: (B, S, D), the vectors to attend to; None for self-attention.
            mask: broadcastable to (B, H, T, S), True where a query may attend.
            causal: position t attends to 0 … t only.
            order: of the positions, for self-attention.
            pattern: which pairs of positions attend; needs a mask (B, 1, 1, S), and an order without bias.
            record: receives the attention weights (B, H, T, S); None: they are not computed.
        """
        queries = self.split_heads(self.query_projection(inputs))  # (B, H, T, d)
        keys, values = self.keys_values(inputs if memory is None else memory)  # 2 × (B, G, S, d)
        if order.rotation is not None:
            queries, keys = rotate(queries, order.rotation), rotate(keys, order.rotation)
        if pattern is not None and record is not None:  # the formula, for all pairs that the pattern allows
            mask, pattern = pattern.visible(mask_of_keys(mask)), None  # (B, 1, S, S)
        dropout = self.attention_dropout.p if self.training else 0.0
        # torch has no fused CPU kernel with dropout, so there the formula applies the masks of `Dropout`.
        if pattern is not None:
            heads = pattern(queries, keys, values, mask_of_keys(mask), self.attention_dropout)  # (B, H, S, d)
        elif record is None and (dropout == 0.0 or queries.device.type != "cpu"):
            heads = fused_attention(
                queries, keys, values, mask=mask, causal=causal, bias=order.bias, dropout=dropout
            )  # (B, H, T, d)
        else:
            heads, weights = attention_with_weights(
                queries, keys, values, mask=mask, causal=causal, bias=order.bias, dropout=self.attention_dropout
            )  # (B, H, T, d), (B, H, T, S)
            if record is not None:
                record.append(weights)
        joined = heads.transpose(1, 2).flatten(2)  # (B, T, D)
        return self.dropout(self.output_projection(joined))  # (B, T, D)

    def keys_values(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (B, G, S, d), of a memory (B, S, D)."""
        keys, values = self.key_value_projection(memory).chunk(2, dim=-1)  # 2 × (B, S, G·d), views
        return self.split_heads(keys), self.split_heads(values)

    def split_heads(self, vectors: Tensor) -> Tensor:
        """Cuts each vector into its heads: (B, T, H·d) to (B, H, T, d)."""
        batch_size, num_positions, _ = vectors.shape
        return vectors.view(batch_size, num_positions, -1, self.head_size).transpose(1, 2)  # (B, H, T, d)

    @torch.no_grad()
    def silence(self, head: int) -> None:
        """Sets head_i to zero in the formula above, for good: the columns of W_O by which it is multiplied become zero.

        Fast kernels and decoding steps read the same W_O, so they need no mask.
        """
        weight = self.output_projection.weight  # (D, D)
        weight.view(len(weight), self.num_heads, -1)[:, head] = 0  # of (D, H, d), a view


def mask_of_keys(mask: Tensor | None) -> Tensor:
    """The mask (B, S) of which (B, 1, 1, S) is a view."""
    assert mask is not None and mask.shape[1:3] == (1, 1), "all queries must have the same mask"
    return mask[:, 0, 0]
