"""Noise for pre-training: what is hidden, how often, and that it depends on nothing but the seed of a text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch

from nmt.data.batch import Batch
from nmt.data.cleaning import Cleaning
from nmt.data.counter_rng import random_bits, to_unit_interval
from nmt.data.encoding import encode_corpus
from nmt.data.loader import BatchLoader
from nmt.data.noise import MaskedPieces, Noise, TextInfilling
from nmt.data.noise.noise import CHOICE, KIND, LENGTH, PIECE
from nmt.data.tokenizer import MASK, Ids, Tokenizer
from nmt.errors import UserError

NUM_WORDS = 1000
"""Words of the artificial texts, whose pieces are consecutive numbers from FIRST on, so that none occurs twice."""

FIRST = 100


@pytest.fixture(scope="module")
def mask_tokenizer(corpus_folder: Path) -> Tokenizer:
    """A tokenizer for pre-training, with two tags."""
    english, german = ((corpus_folder / f"train.{name}").read_text().splitlines() for name in ("en", "de"))
    return Tokenizer.train(
        english,
        german,
        vocab_size=60,
        model_type="unigram",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
        normalization="compose",
        tags=["2en", "2de", MASK],
    )


def masked(tokenizer: Tokenizer, **shares: float) -> MaskedPieces:
    return MaskedPieces(tokenizer=tokenizer, **({"share": 0.15, "mask_share": 0.8, "random_share": 0.1} | shares))


def infilling(tokenizer: Tokenizer, *, share: float = 0.35, mean_length: float = 3.5) -> TextInfilling:
    """Text infilling for artificial texts, in which every second piece starts a word."""
    noise = TextInfilling(tokenizer=tokenizer, share=share, mean_length=mean_length)
    noise.starts_word = np.arange(FIRST + 4 * NUM_WORDS) % 2 == 0
    noise.is_unspaced = np.zeros_like(noise.starts_word)
    return noise


def seeds_of(count: int) -> Any:
    return random_bits(np.uint64(7), np.arange(count, dtype=np.uint64))


def text_of(num_pieces: int) -> Ids:
    return np.arange(FIRST, FIRST + num_pieces, dtype=np.int32)


def test_no_text_has_the_mask(mask_tokenizer: Tokenizer, tokenizer: Tokenizer) -> None:
    assert mask_tokenizer.mask_id is not None and tokenizer.mask_id is None
    assert list(mask_tokenizer.tags) == ["2en", "2de"]
    for text in ("<mask>", "one <mask> two", "<mask><mask>"):
        assert mask_tokenizer.mask_id not in mask_tokenizer.encode_source([text])[0]
    assert mask_tokenizer.decode_target([mask_tokenizer.mask_id]) == ""
    # A copy with another tag, and one that was saved, have it too.
    assert mask_tokenizer.with_source_tag("2de").mask_id == mask_tokenizer.mask_id
    with pytest.raises(UserError, match="no piece <mask>"):
        masked(tokenizer)


def test_masked_pieces_have_the_shares_of_the_paper(mask_tokenizer: Tokenizer) -> None:
    noise = masked(mask_tokenizer)
    ids = noise.pieces
    special = ["<pad>", "<unk>", "<s>", "</s>", "<2en>", "<2de>", "<mask>"]
    assert not set(mask_tokenizer.source_pieces(ids.tolist())) & set(special)
    assert len(ids) == mask_tokenizer.source_size - len(special)
    texts = [np.resize(ids, 100) for _ in range(400)]
    noisy, targets, predicted = noise.apply(texts, [], seeds_of(400))
    assert predicted is not None
    assert all(flags.sum() == 15 for flags in predicted)  # 15% of 100 pieces, exactly
    before, after, chosen = np.concatenate(texts), np.concatenate(noisy), np.concatenate(predicted)
    np.testing.assert_array_equal(np.concatenate(targets), before)
    np.testing.assert_array_equal(after[~chosen], before[~chosen])
    # Of 6,000 predicted pieces: standard deviations 0.5%, 0.4% and 0.4%. A random piece may be the right one.
    is_mask, is_same = after[chosen] == noise.mask_id, after[chosen] == before[chosen]
    assert is_mask.mean() == pytest.approx(0.8, abs=0.015)
    assert is_same.mean() == pytest.approx(0.1 + 0.1 / len(ids), abs=0.012)
    # Every piece of a text can be the random one, and no other; all positions are equally likely.
    others = after[chosen][~is_mask & ~is_same]
    assert set(others) == set(ids)
    assert np.sum(predicted, axis=0).min() > 60 - 4 * 7.2  # 60 of 400 texts on average, standard deviation 7.2


def test_at_least_one_piece_is_predicted_and_never_a_tag(mask_tokenizer: Tokenizer) -> None:
    tag = mask_tokenizer.tags["2de"]
    noise = masked(mask_tokenizer, mask_share=1.0, random_share=0.0)
    for num_pieces, num_predicted in ((0, 0), (1, 1), (2, 1), (9, 1), (10, 2), (17, 3)):
        text = np.concatenate([np.full(int(num_pieces > 0), tag), text_of(num_pieces)]).astype(np.int32)
        noisy, _, predicted = noise.apply([text] * 20, [], seeds_of(20))
        assert predicted is not None
        for sentence, flags in zip(noisy, predicted, strict=True):
            assert flags.sum() == num_predicted == (sentence == noise.mask_id).sum()
            assert num_pieces == 0 or (sentence[0] == tag and not flags[0])


def plainly_masked(noise: MaskedPieces, text: Ids, seed: np.uint64) -> Ids:
    """The definition, piece by piece; for a text without a tag."""
    keys = [(int(random_bits(random_bits(seed, CHOICE), np.uint64(i))), i) for i in range(len(text))]
    noisy = text.copy()
    for _, i in sorted(keys)[: max(1, round(noise.share * len(text)))]:
        kind = to_unit_interval(random_bits(random_bits(seed, KIND), np.uint64(i)))
        if kind < noise.mask_share:
            noisy[i] = noise.mask_id
        elif kind < noise.mask_share + noise.random_share:
            noisy[i] = noise.pieces[int(random_bits(random_bits(seed, PIECE), np.uint64(i))) % len(noise.pieces)]
    return noisy


def plainly_infilled(noise: TextInfilling, text: Ids, seed: np.uint64, *, tag: int | None = None) -> Ids:
    """The definition, word by word; for a text that has spaces."""
    words: list[list[int]] = []
    for piece in text.tolist():
        if not words or noise.starts_word[piece]:
            words.append([])
        words[-1].append(piece)
    budget = max(1, round(noise.share * len(words)))
    spans: list[int] = []
    while sum(spans) < budget and len(spans) < budget:
        uniform = to_unit_interval(random_bits(random_bits(seed, LENGTH), np.uint64(len(spans))))
        length = 0
        while length < len(noise.length_distribution) and noise.length_distribution[length] <= uniform:
            length += 1
        spans.append(min(length, budget - sum(spans)))
    first = 0 if tag is None else 1
    num_slots = len(words) - sum(spans) + len(spans)
    keys = sorted((int(random_bits(random_bits(seed, CHOICE), np.uint64(first + i))), i) for i in range(num_slots))
    span_slots = {i for _, i in keys[: len(spans)]}
    noisy = [] if tag is None else [tag]
    for slot in range(num_slots):
        if slot in span_slots:
            noisy.append(noise.mask_id)
            del words[: spans.pop(0)]
        else:
            noisy += words.pop(0)
    assert not words and not spans
    return np.array(noisy, dtype=np.int32)


def test_both_equal_their_plain_definitions(mask_tokenizer: Tokenizer) -> None:
    texts = [text_of(size) for size in (3, 4, 8, 15, 40, 7, 30)]
    seeds = seeds_of(len(texts))
    masking = masked(mask_tokenizer, share=0.4, mask_share=0.5, random_share=0.3)
    plain = [plainly_masked(masking, text, seed) for text, seed in zip(texts, seeds, strict=True)]
    assert_equal(masking.apply(texts, [], seeds).sources, plain)
    tag = mask_tokenizer.tags["2de"]
    for share, mean_length in ((0.35, 3.5), (0.5, 1.0), (0.2, 0.3)):
        filling = infilling(mask_tokenizer, share=share, mean_length=mean_length)
        plain = [plainly_infilled(filling, text, seed) for text, seed in zip(texts, seeds, strict=True)]
        assert_equal(filling.apply(texts, texts, seeds).sources, plain)
        tagged = [np.append(np.int32(tag), text) for text in texts]
        plain = [plainly_infilled(filling, text, seed, tag=tag) for text, seed in zip(texts, seeds, strict=True)]
        assert_equal(filling.apply(tagged, texts, seeds).sources, plain)


def assert_equal(found: Sequence[Ids], expected: Sequence[Ids]) -> None:
    for first, second in zip(found, expected, strict=True):
        np.testing.assert_array_equal(first, second)


def test_infilled_spans_have_the_share_and_the_lengths_of_the_paper(mask_tokenizer: Tokenizer) -> None:
    """In texts without repetition, the gaps between the kept pieces are the hidden spans."""
    noise = infilling(mask_tokenizer)
    texts = [text_of(2 * NUM_WORDS)] * 20
    noisy, targets, predicted = noise.apply(texts, texts, seeds_of(20))
    assert predicted is None and targets == texts
    lengths: list[int] = []
    for sentence in noisy:
        kept = sentence[sentence != noise.mask_id]
        assert (np.diff(kept) > 0).all()  # in order
        assert (kept[0::2] % 2 == 0).all() and (kept[1::2] == kept[0::2] + 1).all()  # words as a whole
        assert len(kept) == 2 * 650  # 35% of 1,000 words are hidden, exactly
        position, ends = FIRST, [*np.flatnonzero(sentence != noise.mask_id), len(sentence)]
        start = 0
        for end in ends:  # the masks before each kept piece
            piece = int(sentence[end]) if end < len(sentence) else FIRST + 2 * NUM_WORDS
            if end - start == 1:  # a span of its own, not two next to each other
                lengths.append((piece - position) // 2)
            position, start = piece + 1, end + 1
    # Poisson(3.5) has mean 3.5 and P(0) = exp(-3.5) = 0.030; 3 of 4 of the 2,000 spans stand alone.
    assert len(lengths) > 1400
    assert np.mean(lengths) == pytest.approx(3.5, abs=0.15)
    assert np.var(lengths) == pytest.approx(3.5, abs=0.5)
    assert np.mean(np.array(lengths) == 0) == pytest.approx(0.030, abs=0.015)


def test_a_text_without_spaces_counts_its_pieces_as_words(mask_tokenizer: Tokenizer) -> None:
    noise = infilling(mask_tokenizer)
    noise.starts_word[:] = False
    noisy = noise.apply([text_of(100)], [], seeds_of(1)).sources[0]
    assert (noisy != noise.mask_id).sum() == 65


def test_a_line_of_chinese_has_many_words_also_with_a_space() -> None:
    characters = "一丁七万丈三上下不与丐丑专且世丘丙业丛东"
    lines = [characters, f"{characters[:10]} {characters[10:]}"] * 20
    tokenizer = Tokenizer.train(
        lines,
        lines,
        vocab_size=26,  # a piece for each character
        model_type="bpe",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
        normalization="compose",
        tags=[MASK],
    )
    noise = TextInfilling(tokenizer=tokenizer, share=0.35, mean_length=1.0)
    noisy = noise.apply(
        [np.array(ids, dtype=np.int32) for ids in tokenizer.encode_source(lines)], [], seeds_of(len(lines))
    ).sources
    for line, ids in zip(lines, noisy, strict=True):
        pieces = tokenizer.source_pieces(ids.tolist())
        num_left = sum(piece.strip("▁") in characters for piece in pieces if piece.strip("▁"))
        assert num_left >= 12 and pieces.count("<mask>") > 1, line  # at most 35% of 22 words are hidden


@pytest.mark.parametrize("make", [masked, infilling])
def test_a_text_is_hidden_in_the_same_way_in_every_batch(make: Any, mask_tokenizer: Tokenizer) -> None:
    noise: Noise = make(mask_tokenizer)
    texts, seeds = [text_of(size) for size in (30, 5, 0, 12)], seeds_of(4)
    together = noise.apply(texts, texts, seeds)
    alone = [noise.apply(texts[i : i + 1], texts[i : i + 1], seeds[i : i + 1]) for i in range(4)]
    assert_equal(together.sources, [each.sources[0] for each in alone])
    assert not np.array_equal(noise.apply(texts, texts, seeds[::-1].copy()).sources[0], together.sources[0])


@pytest.mark.parametrize("make", [masked, infilling])
def test_batches_depend_on_seed_and_epoch_and_not_on_the_number_of_processes(
    make: Any, mask_tokenizer: Tokenizer, encoded: datasets.Dataset
) -> None:
    lines = encoded["target"][:]
    tags = ["2de"] * len(lines)
    dataset = datasets.Dataset.from_dict({"source": lines, "target": lines, "tag": tags})
    dataset = encode_corpus(dataset, mask_tokenizer, num_workers=1)
    noise = (
        make(mask_tokenizer) if make is masked else TextInfilling(tokenizer=mask_tokenizer, share=0.35, mean_length=2)
    )

    def load(epoch: int, **changes: Any) -> list[Batch]:
        arguments: dict[str, Any] = {"seed": 1, "rank": 0, "num_ranks": 1} | changes
        loader = BatchLoader(
            dataset,
            mask_tokenizer,
            cleaning=Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=False),
            max_length=40,
            batch_tokens=100,
            subword_alpha=0.5,
            noise=noise,
            pin_memory=False,
            **arguments,
        )
        return list(loader.epoch(epoch, start=0))

    def rows(batches: Sequence[Batch]) -> dict[int, list[list[int]]]:
        """By the index of a pair: what is read, and what is predicted."""
        return {
            index: [
                source[mask].tolist(),
                target[predicted].tolist(),
            ]
            for batch in batches
            for index, source, mask, target, predicted in zip(
                batch.indices, batch.source, batch.source_mask, batch.target_output, batch.target_mask, strict=True
            )
        }

    first = rows(load(0))
    assert len(first) == len(lines) and rows(load(0)) == first
    assert rows([*load(0, rank=0, num_ranks=2), *load(0, rank=1, num_ranks=2)]) == first
    assert rows(load(1)) != first and rows(load(0, seed=2)) != first
    for batch in load(0):
        assert batch.num_tokens == int(batch.target_mask.sum()) == len(batch.target_indices)
        torch.testing.assert_close(batch.target_mask.flatten().nonzero().squeeze(1), batch.target_indices)
        assert (batch.source[:, 0] == mask_tokenizer.tags["2de"]).all()
        if make is masked:  # position by position
            assert batch.source.shape == batch.target_output.shape
            assert (batch.source == batch.target_output)[batch.source_mask & ~batch.target_mask].all()


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (masked, {"share": 1.5}, "share=1.5 must be a number from 0 to 1"),
        (masked, {"mask_share": 0.8, "random_share": 0.3}, "are more than 1 together"),
        (infilling, {"share": -0.1}, "share=-0.1 must be"),
        (infilling, {"mean_length": 0}, "mean_length=0 must be a number above 0, at most 100"),
    ],
)
def test_wrong_arguments_are_refused(
    make: Any, arguments: dict[str, Any], message: str, mask_tokenizer: Tokenizer
) -> None:
    with pytest.raises(UserError, match=message):
        make(mask_tokenizer, **arguments)
