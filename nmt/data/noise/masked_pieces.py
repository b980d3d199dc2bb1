"""Masked pieces: some pieces of a text are hidden, and an encoder predicts each at its own position.

Shapes: B texts, N pieces of all texts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nmt.data.counter_rng import Bits, to_unit_interval
from nmt.data.noise.noise import (
    KIND,
    PIECE,
    Noise,
    NoisyTexts,
    check_shares,
    choose,
    count_hidden,
    draw,
    lay_end_to_end,
)
from nmt.data.tokenizer import Ids, Tokenizer
from nmt.errors import UserError


class MaskedPieces(Noise):
    """Masked pieces (Devlin et al., 2019, https://arxiv.org/abs/1810.04805, §3.1, "Masked LM").

    A random `share` of the pieces of a text, at least one, must be predicted. Of these, `mask_share` become <mask>,
    `random_share` become a random piece, and the others stay. So the model never knows whether the piece that it reads
    is the right one, and must understand every position.

    Args:
        tokenizer: see `Noise`.
        share, mask_share, random_share: probabilities, see above.

    Raises:
        UserError: a share is out of its range.
    """

    def __init__(self, *, tokenizer: Tokenizer, share: float, mask_share: float, random_share: float) -> None:
        super().__init__(tokenizer)
        check_shares(share=share, mask_share=mask_share, random_share=random_share)
        if mask_share + random_share > 1:
            raise UserError(f"mask_share={mask_share} and random_share={random_share} are more than 1 together")
        self.share = share
        self.mask_share = mask_share
        self.random_share = random_share
        special_ids = [tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id, self.mask_id]
        self.pieces = np.setdiff1d(np.arange(tokenizer.source_size, dtype=np.int32), [*special_ids, *self.tag_ids])

    def apply(self, sources: Sequence[Ids], targets: Sequence[Ids], seeds: Bits) -> NoisyTexts:
        # 1. Choose the pieces to predict.
        ids, owners = lay_end_to_end(sources)  # (N,), (N,)
        is_text = ~np.isin(ids, self.tag_ids)  # (N,)
        counts = count_hidden(np.bincount(owners[is_text], minlength=len(sources)), self.share)  # (B,)
        predicted = choose(counts, owners, seeds, can_be_chosen=is_text)  # (N,)

        # 2. Replace most of them.
        kinds = to_unit_interval(draw(seeds, KIND, owners))  # (N,)
        becomes_mask = predicted & (kinds < self.mask_share)  # (N,)
        becomes_random = predicted & ~becomes_mask & (kinds < self.mask_share + self.random_share)  # (N,)
        random_pieces = self.pieces[draw(seeds, PIECE, owners) % np.uint64(len(self.pieces))]  # (N,)
        noisy = np.where(becomes_random, random_pieces, ids)  # (N,)
        noisy[becomes_mask] = self.mask_id
        ends = np.cumsum(list(map(len, sources)))[:-1]
        return NoisyTexts(np.split(noisy, ends), list(sources), np.split(predicted, ends))
