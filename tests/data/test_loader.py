"""Batches of a split: every pair once, the same at every call, and divided among processes."""

import tracemalloc
from collections.abc import Iterable
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nmt.data.batch import Batch
from nmt.data.cleaning import Cleaning
from nmt.data.encoding import IdColumn, encode_corpus
from nmt.data.loader import PREFETCHED_BATCHES, BatchLoader
from nmt.data.tokenizer import Tokenizer
from nmt.errors import UserError

CLEANING = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=False)


def encode(tokenizer: Tokenizer, pairs: Iterable[tuple[str, str]]) -> datasets.Dataset:
    sources, targets = map(list, zip(*pairs, strict=True))
    return encode_corpus(datasets.Dataset.from_dict({"source": sources, "target": targets}), tokenizer, num_workers=1)


def make_loader(dataset: datasets.Dataset, tokenizer: Tokenizer, **changes: Any) -> BatchLoader:
    arguments: dict[str, Any] = {
        "cleaning": CLEANING,
        "max_length": 40,
        "batch_tokens": 100,
        "subword_alpha": 0.0,
        "seed": 1,
        "rank": 0,
        "num_ranks": 1,
        "pin_memory": False,
    }
    return BatchLoader(dataset, tokenizer, **(arguments | changes))


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.source, second.source) and torch.equal(first.target_output, second.target_output)


def decode_targets(batches: Iterable[Batch], tokenizer: Tokenizer) -> list[str]:
    return sorted(tokenizer.decode_target(ids) for batch in batches for ids in batch.target_output.tolist())


def test_an_epoch_contains_every_pair_once(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    loader = make_loader(encoded, tokenizer)
    assert len(loader) == len(encoded)
    for epoch in (0, 1):
        assert decode_targets(loader.epoch(epoch, start=0), tokenizer) == sorted(encoded["target"])


def test_source_and_target_stay_together(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    partner = dict(zip(encoded["source"], encoded["target"], strict=True))
    for batch in make_loader(encoded, tokenizer).epoch(0, start=0):
        for source, target in zip(batch.source.tolist(), batch.target_output.tolist(), strict=True):
            assert partner[tokenizer.decode_target(source)] == tokenizer.decode_target(target)


def test_empty_and_long_pairs_are_dropped(tokenizer: Tokenizer) -> None:
    four, five = "one one", "one two one"
    lengths = [len(ids) for ids in tokenizer.encode_source([four, five])]
    assert lengths[0] < lengths[1]
    rows = [(four, four), ("", four), (four, ""), ("", ""), (five, four), (four, five), (" ", five), (four, four)]
    loader = make_loader(encode(tokenizer, rows), tokenizer, max_length=lengths[0])
    assert len(loader) == 2
    assert loader.report.dropped == {"both sides empty": 1, "source empty": 2, "target empty": 1, "too long": 2}
    assert decode_targets(loader.epoch(0, start=0), tokenizer) == [four, four]
    assert len(make_loader(encode(tokenizer, rows), tokenizer, max_length=lengths[1])) == 4


def test_the_given_cleaning_rules_are_applied(tokenizer: Tokenizer) -> None:
    dataset = encode(tokenizer, [("one", "eins"), ("one", "eins"), ("", "eins")])
    rules = Cleaning(drop_empty=False, max_ratio=None, drop_duplicates=True)
    (batch,) = make_loader(dataset, tokenizer, cleaning=rules).epoch(0, start=0)
    assert sorted(batch.indices) == [0, 2]


@pytest.mark.parametrize("changes", [{"max_length": 0}, {"subword_alpha": -0.1}, {"batch_tokens": 0}])
def test_arguments_out_of_range_are_refused(
    encoded: datasets.Dataset, tokenizer: Tokenizer, changes: dict[str, Any]
) -> None:
    ((key, value),) = changes.items()
    with pytest.raises(UserError, match=f"{key}={value}"):
        make_loader(encoded, tokenizer, **changes)


def test_no_batch_exceeds_its_budget(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    batches = list(make_loader(encoded, tokenizer, batch_tokens=100).epoch(0, start=0))
    assert len(batches) > 3
    assert all(max(batch.source.numel(), batch.target_output.numel()) <= 100 for batch in batches)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_an_epoch_resumes_exactly_at_any_batch(encoded: datasets.Dataset, tokenizer: Tokenizer, alpha: float) -> None:
    complete = list(make_loader(encoded, tokenizer, subword_alpha=alpha).epoch(2, start=0))
    for start in (0, 1, 3, len(complete) - 1, len(complete)):
        rest = list(make_loader(encoded, tokenizer, subword_alpha=alpha).epoch(2, start=start))
        assert len(rest) == len(complete) - start
        assert all(same(*both) for both in zip(rest, complete[start:], strict=True))


def test_segmentations_depend_on_seed_and_epoch(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    def pieces(epoch: int, *, seed: int = 1, alpha: float = 0.2) -> dict[str, list[str]]:
        loader = make_loader(encoded, tokenizer, subword_alpha=alpha, seed=seed)
        segmented = (ids for batch in loader.epoch(epoch, start=0) for ids in batch.target_output.tolist())
        return {
            tokenizer.decode_target(ids): [piece for piece in tokenizer.target_pieces(ids) if piece != "<pad>"]
            for ids in segmented
        }

    first = pieces(0)
    assert pieces(0) == first
    assert pieces(1) != first
    assert pieces(0, seed=2) != first
    assert pieces(0, alpha=0.0) == pieces(1, alpha=0.0) != first
    assert first.keys() == set(encoded["target"])  # the pieces differ, the text does not


def test_a_sentence_is_segmented_anew_in_every_epoch(tokenizer: Tokenizer) -> None:
    loader = make_loader(
        encode(tokenizer, [("one two three four", "eins zwei drei vier")]), tokenizer, subword_alpha=0.2
    )
    drawn = [next(loader.epoch(epoch, start=0)) for epoch in range(60)]  # a few samples may be equal by chance
    assert len({tuple(batch.source[0].tolist()) for batch in drawn}) > 1
    assert len({tuple(batch.target_output[0].tolist()) for batch in drawn}) > 1


def test_the_two_sides_are_sampled_independently(tokenizer: Tokenizer) -> None:
    loader = make_loader(
        encode(tokenizer, [("one two three four", "one two three four")]), tokenizer, subword_alpha=0.2
    )
    batches = [next(loader.epoch(epoch, start=0)) for epoch in range(20)]
    assert any(batch.source.tolist() != batch.target_output.tolist() for batch in batches)


def test_a_sampled_segmentation_is_cut_at_max_length(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    longest = max(len(ids) for ids in [*encoded["source_ids"], *encoded["target_ids"]])
    loader = make_loader(encoded, tokenizer, max_length=longest, subword_alpha=0.01)
    batches = [batch for epoch in range(3) for batch in loader.epoch(epoch, start=0)]
    assert max(batch.source.size(1) for batch in batches) == longest + 1  # with eos
    assert max(batch.target_output.size(1) for batch in batches) <= longest + 1


def test_a_batch_knows_the_indices_of_its_pairs(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    dataset = encode(tokenizer, [("", "eins"), ("two one", "zwei"), ("one", ""), ("one", "zwei eins")])
    (batch,) = make_loader(dataset, tokenizer).epoch(0, start=0)
    assert sorted(batch.indices) == [1, 3]
    for row, ids in zip(batch.indices, batch.source.tolist(), strict=True):
        assert tokenizer.decode_target(ids) == dataset["source"][row]


def ids_by_index(batches: Iterable[Batch]) -> dict[int, tuple[list[int], list[int]]]:
    """The real ids of both sides of each pair, by its index in the split."""
    ids_of = {}
    for batch in batches:
        for row, index in enumerate(batch.indices):
            assert index not in ids_of
            ids_of[index] = (
                batch.source[row][batch.source_mask[row]].tolist(),
                batch.target_output[row][batch.target_mask[row]].tolist(),
            )
    return ids_of


@given(
    num_ranks=st.integers(1, 5),
    batch_tokens=st.integers(1, 300),
    alpha=st.sampled_from([0.0, 0.2]),
    epoch=st.integers(0, 9),
    data=st.data(),
)
@settings(max_examples=25)
def test_several_processes_get_the_sentences_of_one_process(
    encoded: datasets.Dataset,
    tokenizer: Tokenizer,
    num_ranks: int,
    batch_tokens: int,
    alpha: float,
    epoch: int,
    data: st.DataObject,
) -> None:
    arguments = {"batch_tokens": batch_tokens, "subword_alpha": alpha}
    alone = list(make_loader(encoded, tokenizer, **arguments).epoch(epoch, start=0))
    start = data.draw(st.integers(0, len(alone)))
    ranks = [
        list(make_loader(encoded, tokenizer, rank=rank, num_ranks=num_ranks, **arguments).epoch(epoch, start=start))
        for rank in range(num_ranks)
    ]
    assert {len(batches) for batches in ranks} == {len(alone) - start}
    for complete, *shards in zip(alone[start:], *ranks, strict=True):
        assert ids_by_index(shards) == ids_by_index([complete])
        assert sum(shard.num_tokens for shard in shards) == complete.num_tokens
        sizes = [len(shard.indices) for shard in shards]
        assert max(sizes) - min(sizes) <= 1
        assert all(shard.source.size(0) == max(1, len(shard.indices)) for shard in shards)


def test_a_process_without_a_sentence_gets_masked_targets(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    first, second = (
        next(make_loader(encoded, tokenizer, batch_tokens=1, rank=rank, num_ranks=2).epoch(0, start=0))
        for rank in (0, 1)
    )
    assert first.num_tokens == int(first.target_mask.sum()) > 0
    assert second.num_tokens == len(second.target_indices) == int(second.target_mask.sum()) == 0
    assert first.source.tolist() == second.source.tolist()


def test_an_error_in_a_batch_ends_the_epoch(
    encoded: datasets.Dataset, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = make_loader(encoded, tokenizer)
    index_in_third_batch = loader.sampler.epoch(0)[2][0]
    load_batch = loader.load_batch

    def fail_at_third_batch(indices: Any, epoch: int) -> Batch:
        if index_in_third_batch in indices:
            raise MemoryError("no batch")
        return load_batch(indices, epoch)

    monkeypatch.setattr(loader, "load_batch", fail_at_third_batch)
    batches: list[Batch] = []
    with pytest.raises(MemoryError, match="no batch"):
        batches.extend(loader.epoch(0, start=0))
    assert len(batches) == 2


def test_only_the_rows_of_the_batches_are_read(
    encoded: datasets.Dataset, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row once, as arrays; the text is not read at all."""
    loader = make_loader(encoded, tokenizer)
    read_indices: list[int] = []
    get_rows = IdColumn.__getitem__

    def record_and_get(column: IdColumn, indices: NDArray[np.int64]) -> list[NDArray[np.int32]]:
        read_indices.extend(indices.tolist())
        return get_rows(column, indices)

    monkeypatch.setattr(IdColumn, "__getitem__", record_and_get)
    monkeypatch.setattr(datasets.Dataset, "__getitem__", None)
    epoch = loader.epoch(0, start=0)
    first = next(epoch)
    prefetched = loader.sampler.epoch(0)[: PREFETCHED_BATCHES + 1]
    assert len(first.indices) == len(prefetched[0])
    assert len(read_indices) <= 2 * sum(map(len, prefetched))
    list(epoch)
    assert sorted(read_indices) == sorted(2 * list(range(len(loader))))
    assert all(isinstance(ids, np.ndarray) for ids in get_rows(loader.sources, np.arange(3)))


def test_memory_does_not_grow_from_epoch_to_epoch(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    large = datasets.concatenate_datasets([encoded] * 50)
    loader = make_loader(large, tokenizer, batch_tokens=2000)
    for batch in loader.epoch(0, start=0):  # fills the caches
        del batch
    peaks = []
    for epochs in (1, 4):
        tracemalloc.start()
        for epoch in range(epochs):
            for batch in loader.epoch(epoch, start=0):
                del batch
        peaks.append(tracemalloc.get_traced_memory())
        tracemalloc.stop()
    assert peaks[1][1] < 1.5 * peaks[0][1]
    assert peaks[1][0] < peaks[0][0] + 20_000  # what remains allocated afterwards


def test_an_epoch_has_a_pair_as_many_times_as_its_weight_says(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    few = encoded.select(range(4)).add_column("weight", np.array([1.0, 2.5, 0.25, 3.0]))
    loader = make_loader(few, tokenizer, subword_alpha=0.1)
    assert len(loader) == 4
    counts = np.array([np.bincount(loaded_indices(loader, epoch), minlength=4) for epoch in range(400)])  # (400, 4)
    assert [sorted(set(column)) for column in counts.T.tolist()] == [[1], [2, 3], [0, 1], [3]]
    # The mean of 400 draws with probability p has a standard deviation of sqrt(p (1 - p) / 400), at most 0.025.
    np.testing.assert_allclose(counts.mean(axis=0), [1, 2.5, 0.25, 3], atol=4 * 0.025)
    # The same epoch is the same, on one process and on two; the copies of a pair have segmentations of their own.
    assert all(map(same, loader.epoch(7, start=0), make_loader(few, tokenizer, subword_alpha=0.1).epoch(7, start=0)))
    shards = [make_loader(few, tokenizer, subword_alpha=0.1, rank=rank, num_ranks=2) for rank in range(2)]
    assert sorted(np.concatenate([loaded_indices(shard, 7) for shard in shards])) == sorted(loaded_indices(loader, 7))
    copies = loader.load_batch(np.flatnonzero(loader.kept == 3), epoch=0)
    assert len({tuple(row) for row in copies.source.tolist()}) > 1


def loaded_indices(loader: BatchLoader, epoch: int) -> NDArray[np.int64]:
    """The indices of the pairs of an epoch, with their repetitions."""
    return np.concatenate([loader.kept[rows[loader.rank :: loader.num_ranks]] for rows in loader.sampler.epoch(epoch)])


def test_other_weights_give_other_batches(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    once, more = (encoded.add_column("weight", np.full(len(encoded), weight)) for weight in (1.5, 1.6))
    loaders = [make_loader(dataset, tokenizer) for dataset in (encoded, once, more)]
    assert len({loader.sampler.order for loader in loaders}) == 3
