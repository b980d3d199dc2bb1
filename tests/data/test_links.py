"""Word links as cells of attention matrices, for every segmentation of the words."""

from collections.abc import Sequence

import datasets
import numpy as np
import pytest
from numpy.typing import NDArray

from nmt.data.batch import Batch, mask_all_targets
from nmt.data.cleaning import Cleaning
from nmt.data.encoding import encode_corpus
from nmt.data.links import encode_links
from nmt.data.loader import BatchLoader
from nmt.data.tokenizer import Tokenizer
from nmt.data.words import group_pieces, separate_words, spaced_words
from nmt.errors import UserError

SOURCES = ["one two three", "seven", "four five", "", "one six nine"]
TARGETS = ["drei eins zwei", "sieben", "vier fünf", "", "neun sechs eins"]
ALIGNMENT = ["0-1 1-2 2-0", "0-0", "", "", "0-2 1p1 2-0"]


def encode(tokenizer: Tokenizer, alignment: Sequence[str] = ALIGNMENT) -> datasets.Dataset:
    text = {"source": SOURCES, "target": TARGETS, "alignment": list(alignment)}
    encoded = encode_corpus(datasets.Dataset.from_dict(text), tokenizer, num_workers=1)
    return encode_links(encoded, tokenizer, spaced_words, complete=False, split_name="train", num_workers=1)


def make_loader(
    dataset: datasets.Dataset,
    tokenizer: Tokenizer,
    *,
    alpha: float,
    max_length: int = 40,
    rank: int = 0,
    ranks: int = 1,
) -> BatchLoader:
    return BatchLoader(
        dataset,
        tokenizer,
        cleaning=Cleaning(drop_empty=False, max_ratio=None, drop_duplicates=False),
        max_length=max_length,
        batch_tokens=200,
        subword_alpha=alpha,
        seed=1,
        rank=rank,
        num_ranks=ranks,
        pin_memory=False,
    )


def gold(batch: Batch) -> NDArray[np.float32]:
    """The gold distributions (B, T, S) of a batch."""
    assert batch.link_cells is not None and batch.link_shares is not None
    shape = (*batch.target_input.shape, batch.source.size(1))
    matrices = np.zeros(shape, dtype=np.float32)
    np.put(matrices, batch.link_cells.numpy(), batch.link_shares.numpy())
    return matrices


@pytest.mark.parametrize("alpha", [0.0, 0.1], ids=["best", "sampled"])
def test_every_piece_of_a_target_word_shares_its_weight_among_the_pieces_of_its_source_words(
    tokenizer: Tokenizer, alpha: float
) -> None:
    """The expected cells come from the words that the pieces of the batch spell."""
    loader = make_loader(encode(tokenizer), tokenizer, alpha=alpha)
    segmentations = set()
    for epoch in range(6):
        indices = np.array([4, 0, 3, 1, 2])
        batch = loader.load_batch(indices, epoch)
        expected = np.zeros_like(gold(batch))
        for row, index in enumerate(indices):
            sources = group_pieces(tokenizer.source_pieces(batch.source[row].tolist()), spaced_words)
            targets = group_pieces(tokenizer.target_pieces(batch.target_output[row].tolist()), spaced_words)
            segmentations.add((index, str(targets)))
            for link in ALIGNMENT[index].replace("p", "-").split():
                source, target = map(int, link.split("-"))
                expected[row][np.ix_(targets[target][1], sources[source][1])] = 1
        expected /= np.maximum(expected.sum(-1, keepdims=True), 1)
        np.testing.assert_array_equal(gold(batch), expected)
    assert (len(segmentations) > len(SOURCES)) == (alpha > 0)


def test_cells_by_hand(tokenizer: Tokenizer) -> None:
    """A word of several pieces, a word with two links, an unlinked word, and a character that the tokenizer lacks."""
    source, target = "one ☃ twos", "eins zwei drei"
    text = {"source": [source], "target": [target], "alignment": ["0-0 1-0 2-2"]}
    encoded = encode_corpus(datasets.Dataset.from_dict(text), tokenizer, num_workers=1)
    linked = encode_links(encoded, tokenizer, separate_words, complete=False, split_name="train", num_workers=1)
    batch = make_loader(linked, tokenizer, alpha=0.0).load_batch(np.array([0]), 0)
    assert tokenizer.source_pieces(batch.source[0].tolist()) == ["▁one", "▁", "<unk>", "▁two", "s", "</s>"]
    assert tokenizer.target_pieces(batch.target_output[0].tolist()) == ["▁eins", "▁zwei", "▁drei", "</s>"]
    expected = [[1 / 3, 1 / 3, 1 / 3, 0.0, 0.0, 0.0], [0.0] * 6, [0.0, 0.0, 0.0, 0.5, 0.5, 0.0], [0.0] * 6]
    np.testing.assert_allclose(gold(batch)[0], expected, atol=1e-7)


def test_with_complete_links_the_other_words_are_linked_to_the_end(tokenizer: Tokenizer) -> None:
    """Neither the end of the target nor a pair without any links is a word without links."""
    text = {"source": ["one two six", "one"], "target": ["eins zwei drei", "eins"], "alignment": ["2-0", ""]}
    encoded = encode_corpus(datasets.Dataset.from_dict(text), tokenizer, num_workers=1)
    linked = encode_links(encoded, tokenizer, spaced_words, complete=True, split_name="train", num_workers=1)
    batch = make_loader(linked, tokenizer, alpha=0.0).load_batch(np.array([1, 0]), 0)
    assert tokenizer.source_pieces(batch.source[1].tolist()) == ["▁one", "▁two", "▁six", "</s>"]
    expected = np.zeros((2, 4, 4))
    expected[1, 0, 2] = expected[1, 1, 3] = expected[1, 2, 3] = 1
    np.testing.assert_array_equal(gold(batch), expected)


def test_a_nul_belongs_to_its_word(tokenizer: Tokenizer) -> None:
    """The tokenizer reads NUL as a space, but links count the words of the line, where a NUL is no white space."""
    text = {"source": ["one \0 two\0", "\0"], "target": ["\0 eins", "eins"], "alignment": ["2-1 0-0", "0-0"]}
    encoded = encode_corpus(datasets.Dataset.from_dict(text), tokenizer, num_workers=1)
    linked = encode_links(encoded, tokenizer, spaced_words, complete=False, split_name="train", num_workers=1)
    batch = make_loader(linked, tokenizer, alpha=0.0).load_batch(np.array([0]), 0)
    assert tokenizer.source_pieces(batch.source[0].tolist()) == ["▁one", "▁", "▁", "▁two", "▁", "</s>"]
    assert tokenizer.target_pieces(batch.target_output[0].tolist()) == ["▁", "▁", "▁eins", "</s>"]
    assert gold(batch)[0, 2].tolist() == pytest.approx([0, 0, 0, 0.5, 0.5, 0])


def test_links_of_pieces_that_were_cut_off_are_left_out(tokenizer: Tokenizer) -> None:
    """A sampled segmentation can be longer than allowed; the first pieces keep their links."""
    dataset, length = encode(tokenizer), len(tokenizer.encode_source(SOURCES[:1])[0])
    cut, whole = (make_loader(dataset, tokenizer, alpha=0.1, max_length=limit) for limit in (length, 100))
    num_cut = 0
    for epoch in range(6):
        short, long = cut.load_batch(np.arange(len(cut)), epoch), whole.load_batch(cut.kept, epoch)
        rows, columns = short.target_input.size(1) - 1, short.source.size(1) - 1
        expected = gold(long)[:, :rows, :columns]
        expected /= np.maximum(expected.sum(-1, keepdims=True), 1e-9)
        np.testing.assert_allclose(gold(short)[:, :rows, :columns], expected, atol=1e-6)
        num_cut += short.source.size(1) < long.source.size(1)
    assert num_cut > 0


def test_several_processes_get_the_links_of_their_pairs(tokenizer: Tokenizer) -> None:
    dataset, sampled = encode(tokenizer), np.arange(5)
    whole = make_loader(dataset, tokenizer, alpha=0.1).load_shard(sampled, 3)
    for rank in range(2):
        shard = make_loader(dataset, tokenizer, alpha=0.1, rank=rank, ranks=2).load_shard(sampled, 3)
        _, num_rows, num_columns = gold(shard).shape
        np.testing.assert_array_equal(gold(shard), gold(whole)[rank::2, :num_rows, :num_columns])


def test_a_batch_without_targets_has_no_links(tokenizer: Tokenizer) -> None:
    masked = mask_all_targets(make_loader(encode(tokenizer), tokenizer, alpha=0.0).load_batch(np.array([0]), 0))
    assert [len(tensor) for tensor in masked.tensors[5:]] == [0, 0]


@pytest.mark.parametrize(
    ("alignment", "message"),
    [
        (["0-0", "x", "", "", ""], "the alignment of train, pair 2: x is not a link"),
        (["0-0", "1-0", "", "", ""], "the alignment of train, pair 2: the link 1-0 needs word 1 on the left"),
        ([""] * 5, "the alignment of train has no links"),
    ],
)
def test_a_wrong_alignment_is_refused(tokenizer: Tokenizer, alignment: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        encode(tokenizer, alignment)
