"""From piece ids to vectors and back: embeddings, and the output layer that may share their weights.

Press and Wolf (2017), https://arxiv.org/abs/1608.05859, tie the output layer to the target embedding and, with a
vocabulary shared by both languages, to the source embedding too.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from nmt.checks import check_probabilities, check_sizes
from nmt.errors import UserError
from nmt.models.dropout import Dropout


class PieceEmbedding(nn.Embedding):
    """An embedding that, in training, drops the whole vector of a piece with probability `word_dropout`."""

    def __init__(self, num_pieces: int, size: int, *, word_dropout: float) -> None:
        super().__init__(num_pieces, size)
        self.word_dropout = Dropout(word_dropout, shared_dim=-1)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (B, T, E) of ids (B, T)."""
        return self.word_dropout(super().forward(ids))


class Vocabulary(nn.Module):
    """The source embedding (V_source, E), the target embedding (V, E) and the output layer E -> V.

    Models call `source` and `target` to look pieces up: reading the weights would bypass word dropout and the token
    cutoff of SimCut. Only a decoding step, which needs neither, reads them.

    Args:
        source_vocab_size: number of source pieces, V_source.
        target_vocab_size: number of target pieces, V.
        shared_vocab: both languages use the same pieces and therefore one embedding.
        tie_output: the output layer uses the target embedding as its weights.
        embedding_size: E.
        word_dropout: probability of dropping the whole embedding of a piece in training.

    Raises:
        UserError: a size is not a positive integer, a probability is out of its range, or a shared vocabulary
            has two sizes.
    """

    def __init__(
        self,
        *,
        source_vocab_size: int,
        target_vocab_size: int,
        shared_vocab: bool,
        tie_output: bool,
        embedding_size: int,
        word_dropout: float,
    ) -> None:
        super().__init__()
        check_probabilities(word_dropout=word_dropout)
        check_sizes(
            source_vocab_size=source_vocab_size, target_vocab_size=target_vocab_size, embedding_size=embedding_size
        )
        if shared_vocab and source_vocab_size != target_vocab_size:
            raise UserError(f"a shared vocabulary has one size, not {source_vocab_size} and {target_vocab_size}")
        embedding = partial(PieceEmbedding, size=embedding_size, word_dropout=word_dropout)
        self.target = embedding(target_vocab_size)
        self.source = self.target if shared_vocab else embedding(source_vocab_size)
        self.output = nn.Linear(embedding_size, target_vocab_size)
        for table in (self.target, self.source):
            nn.init.normal_(table.weight, std=embedding_size**-0.5)
        nn.init.zeros_(self.output.bias)
        if tie_output:
            self.output.weight = self.target.weight
