"""The embedding of pictures: it draws what the corpus draws, and projects patches as Dosovitskiy et al. do (Eq. 1)."""

from itertools import islice
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt.data.scenes.drawing import PAPER, draw
from nmt.data.scenes.world import PICTURE, SYMBOLS, generate_scenes
from nmt.errors import UserError
from nmt.models.transformer import PictureTransformer
from nmt.models.transformer.pictures import PatchEmbedding

FIRST = 4
"""Id of the first symbol."""

WORDS = [80, 90, 81]
PICTURES = [PICTURE.findall(scene.picture) for scene in islice(generate_scenes(Random(2)), 3)]


@pytest.fixture
def embedding() -> PatchEmbedding:
    torch.manual_seed(1)
    return PatchEmbedding(100, 6, word_dropout=0.0, first_patch_id=FIRST).double()


def line(symbols: list[str]) -> list[int]:
    """A picture between words, as ids."""
    return [WORDS[0], *(FIRST + SYMBOLS.index(symbol) for symbol in symbols), *WORDS[1:]]


def embed_by_loops(embedding: PatchEmbedding, symbols: list[str]) -> Tensor:
    """The vectors (P, D) of the patches of a picture, from the equation."""
    pixels = draw(symbols) - np.array(PAPER)  # (height, width, 3)
    vectors = []
    for row in range(7):
        for column in range(7):
            patch = pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]  # (8, 8, 3)
            x = torch.tensor([patch[y, x, color] for color in range(3) for y in range(8) for x in range(8)])  # (192,)
            position = embedding.rows[row, 0] + embedding.columns[0, column]
            vectors.append(embedding.projection.weight @ x.double() + embedding.projection.bias + position)
    return torch.stack(vectors)


@torch.no_grad()
def test_patches_are_projected_pixels_and_words_come_from_the_table(embedding: PatchEmbedding) -> None:
    torch.nn.init.normal_(embedding.projection.bias)
    vectors = embedding(torch.tensor(list(map(line, PICTURES))))  # (B, S, D)
    for picture, embedded in zip(PICTURES, vectors, strict=True):
        torch.testing.assert_close(embedded[1:50], embed_by_loops(embedding, picture), rtol=0, atol=1e-6)
        assert torch.equal(embedded[[0, 50, 51]], embedding.weight[WORDS])


@torch.no_grad()
def test_nothing_but_the_pixels_is_read(embedding: PatchEmbedding) -> None:
    ids = torch.tensor([line(PICTURES[0])])
    before = embedding(ids)
    embedding.weight[FIRST : FIRST + len(SYMBOLS)] = torch.nan
    assert torch.equal(embedding(ids), before)


@torch.no_grad()
def test_missing_patches_are_empty_and_surplus_ones_do_no_harm(embedding: PatchEmbedding) -> None:
    picture = PICTURES[0]
    half = embedding(torch.tensor([line(picture[:20])]))
    empty = embedding(torch.tensor([line([*picture[:20], *["<.>"] * 29])]))
    assert torch.equal(half[:, :21], empty[:, :21])
    assert embedding(torch.tensor([line(picture + picture)])).isfinite().all()


def test_a_shared_vocabulary_is_refused() -> None:
    sizes: dict[str, Any] = {"source_vocab_size": 90, "model_size": 8, "word_dropout": 0.0, "first_patch_id": FIRST}
    with pytest.raises(UserError, match=r"set tokenizer\.shared=false"):
        PictureTransformer(shared_vocab=True, **sizes)
