"""A Transformer that reads pictures: patches of pixels beside words (Dosovitskiy et al., 2021).

https://arxiv.org/abs/2010.11929, §3.1. A picture is cut into P patches, each is projected to the size of the model, and
the encoder reads these vectors like those of words:

    z_0 = [x¹ E; x² E; … ; x^P E] + E_pos                                     (Eq. 1, without the class token)

Here E_pos is the sum of a vector for the row and one for the column: the few pictures of a small corpus do not teach
which patches are neighbours. The paper's 2-D variant (appendix D.4) concatenates two vectors of half the size instead.

The decoder attends to patches and words alike: its cross-attention shows where in the picture a word comes from.

A source line holds a picture as the symbols of its patches (`nmt.data.scenes.world`), so one source position is one
patch. The model draws the picture from them and reads nothing but the pixels. An object is not limited to the patch of
its symbol: a large one also covers parts of the patches around it, whose own symbols are empty.

Shapes: B batch, S source positions, P patches of a picture, D model size; a patch has 3 · PATCH_SIZE² numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nmt.data.scenes.drawing import PATCH_SIZE, PICTURE_SIZE, draw_sprites
from nmt.data.scenes.world import GRID
from nmt.errors import UserError
from nmt.models.embedding import PieceEmbedding
from nmt.models.transformer.model import Transformer

NUM_PATCHES = GRID * GRID
"""P."""

NUMBERS_PER_PATCH = 3 * PATCH_SIZE**2
"""Red, green and blue of each pixel."""


class PatchEmbedding(PieceEmbedding):
    """Embeds source pieces: words by a table, and patches by their pixels.

    A line has at most one picture. Of an incomplete one, the missing patches are empty.

    Args:
        num_pieces: number of source pieces; the rows of the table that belong to patches are not used.
        size: D.
        word_dropout: probability of dropping the whole vector of a word in training.
        first_patch_id: id of the first symbol of pictures; the others follow.
    """

    sprites: Tensor

    def __init__(self, num_pieces: int, size: int, *, word_dropout: float, first_patch_id: int) -> None:
        super().__init__(num_pieces, size, word_dropout=word_dropout)
        self.first_patch_id = first_patch_id
        self.register_buffer("sprites", torch.from_numpy(draw_sprites().copy()), persistent=False)
        self.projection = nn.Linear(NUMBERS_PER_PATCH, size)  # E
        self.rows = nn.Parameter(torch.empty(GRID, 1, size))
        self.columns = nn.Parameter(torch.empty(1, GRID, size))
        # All vectors have a length of about 1.
        nn.init.normal_(self.weight, std=size**-0.5)
        nn.init.normal_(self.projection.weight, std=(NUMBERS_PER_PATCH * size) ** -0.5)
        nn.init.zeros_(self.projection.bias)
        for positions in (self.rows, self.columns):
            nn.init.normal_(positions, std=size**-0.5)

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors (B, S, D) of ids (B, S)."""
        symbols = ids - self.first_patch_id  # (B, S)
        is_patch = (symbols >= 0) & (symbols < len(self.sprites))  # (B, S)
        patches = (is_patch.cumsum(1) - 1).clamp(0, NUM_PATCHES - 1)  # (B, S), which patch a position holds
        pixels = self.draw(symbols * is_patch, patches)  # (B, 3, PICTURE_SIZE, PICTURE_SIZE)
        cut = F.unfold(pixels, PATCH_SIZE, stride=PATCH_SIZE).transpose(1, 2)  # (B, P, 3 · PATCH_SIZE²)
        positions = (self.rows + self.columns).flatten(0, 1)  # (P, D), E_pos
        pictures = self.projection(cut) + positions  # (B, P, D), Eq. 1
        of_patches = pictures.gather(1, patches.unsqueeze(-1).expand(-1, -1, pictures.size(-1)))  # (B, S, D)
        return torch.where(is_patch.unsqueeze(-1), of_patches, super().forward(ids))

    def draw(self, symbols: Tensor, patches: Tensor) -> Tensor:
        """Draws pictures (B, 3, PICTURE_SIZE, PICTURE_SIZE); 0 is the background.

        Args:
            symbols: (B, S), the number of the symbol at each position; 0, the empty one, for words.
            patches: (B, S), the patch at each position.
        """
        cells = symbols.new_zeros(len(symbols), NUM_PATCHES).scatter_add(1, patches, symbols)  # (B, P)
        sprites = self.sprites[cells.clamp(max=len(self.sprites) - 1)]  # (B, P, 3, 3 · PATCH_SIZE, 3 · PATCH_SIZE)
        # A sprite covers the cells around its own, and is added to what others draw there.
        return F.fold(
            sprites.flatten(2).transpose(1, 2),  # (B, 3 · 9 · PATCH_SIZE², P)
            output_size=PICTURE_SIZE,
            kernel_size=3 * PATCH_SIZE,
            padding=PATCH_SIZE,
            stride=PATCH_SIZE,
        )


class PictureTransformer(Transformer):
    """A Transformer whose source may begin with a picture.

    Args:
        source_vocab_size, shared_vocab, model_size, word_dropout: as for `Transformer`.
        first_patch_id: id of the first symbol of pictures, which the tokenizer determines.
        others: the other arguments of `Transformer`.

    Raises:
        UserError: the vocabulary is shared, although the target has no pictures; or `Transformer` refuses an argument.
    """

    def __init__(
        self,
        *,
        source_vocab_size: int,
        shared_vocab: bool,
        model_size: int,
        word_dropout: float,
        first_patch_id: int,
        **others: Any,
    ) -> None:
        if shared_vocab:
            raise UserError("only the source has pictures, so its vocabulary is its own: set tokenizer.shared=false")
        super().__init__(
            source_vocab_size=source_vocab_size,
            shared_vocab=shared_vocab,
            model_size=model_size,
            word_dropout=word_dropout,
            **others,
        )
        self.vocabulary.source = PatchEmbedding(
            source_vocab_size, model_size, word_dropout=word_dropout, first_patch_id=first_patch_id
        )
