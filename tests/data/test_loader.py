import threading
import tracemalloc
from collections.abc import Iterable
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.data.batch import Batch
from nmt.data.cleaning import Cleaning
from nmt.data.encoding import Pieces, encode_corpus
from nmt.data.loader import AHEAD, BatchLoader, made_ahead
from nmt.data.tokenizer import Tokenizer
from nmt.training.loss import Objective

CLEANING = Cleaning(drop_empty=True, max_ratio=None, drop_duplicates=False)


def encode(tokenizer: Tokenizer, pairs: Iterable[tuple[str, str]]) -> datasets.Dataset:
    sources, targets = map(list, zip(*pairs, strict=True))
    return encode_corpus(datasets.Dataset.from_dict({"source": sources, "target": targets}), tokenizer, num_workers=1)


def make(dataset: datasets.Dataset, tokenizer: Tokenizer, **changes: Any) -> BatchLoader:
    arguments = {"max_length": 40, "batch_tokens": 100, "subword_alpha": 0.0, "seed": 1, "rank": 0, "num_ranks": 1}
    return BatchLoader(dataset, tokenizer, **(arguments | {"cleaning": CLEANING, "pinned": False} | changes))


def same(first: Batch, second: Batch) -> bool:
    return torch.equal(first.source, second.source) and torch.equal(first.target_output, second.target_output)


def sentences(batches: Iterable[Batch], tokenizer: Tokenizer) -> list[str]:
    return sorted(tokenizer.decode_target(ids) for batch in batches for ids in batch.target_output.tolist())


def test_an_epoch_holds_every_pair_once(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    pairs = make(encoded, tokenizer)
    assert len(pairs) == len(encoded)
    for epoch in (0, 1):
        assert sentences(pairs.epoch(epoch, start=0), tokenizer) == sorted(encoded["target"])


def test_source_and_target_stay_together(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    partner = dict(zip(encoded["source"], encoded["target"], strict=True))
    for batch in make(encoded, tokenizer).epoch(0, start=0):
        for source, target in zip(batch.source.tolist(), batch.target_output.tolist(), strict=True):
            assert partner[tokenizer.decode_target(source)] == tokenizer.decode_target(target)


def test_empty_and_long_pairs_are_left_out(tokenizer: Tokenizer) -> None:
    four, five = "one one", "one two one"
    lengths = [len(ids) + 1 for ids in tokenizer.encode_source([four, five])]
    assert lengths[0] < lengths[1]
    rows = [(four, four), ("", four), (four, ""), ("", ""), (five, four), (four, five), (" ", five), (four, four)]
    pairs = make(encode(tokenizer, rows), tokenizer, max_length=lengths[0])
    assert len(pairs) == 2
    assert pairs.report.dropped == {"both sides empty": 1, "source empty": 2, "target empty": 1, "too long": 2}
    assert sentences(pairs.epoch(0, start=0), tokenizer) == [four, four]
    assert len(make(encode(tokenizer, rows), tokenizer, max_length=lengths[1])) == 4


def test_the_rules_are_those_that_were_given(tokenizer: Tokenizer) -> None:
    dataset = encode(tokenizer, [("one", "eins"), ("one", "eins"), ("", "eins")])
    rules = Cleaning(drop_empty=False, max_ratio=None, drop_duplicates=True)
    (batch,) = make(dataset, tokenizer, cleaning=rules).epoch(0, start=0)
    assert sorted(batch.rows) == [0, 2]


@pytest.mark.parametrize("changes", [{"max_length": 1}, {"subword_alpha": -0.1}, {"batch_tokens": 0}])
def test_arguments_are_checked(encoded: datasets.Dataset, tokenizer: Tokenizer, changes: dict[str, Any]) -> None:
    ((key, value),) = changes.items()
    with pytest.raises(ValueError, match=f"{key}={value}"):
        make(encoded, tokenizer, **changes)


def test_no_batch_is_over_its_budget(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    batches = list(make(encoded, tokenizer, batch_tokens=100).epoch(0, start=0))
    assert len(batches) > 3
    assert all(max(batch.source.numel(), batch.target_output.numel()) <= 100 for batch in batches)


@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_start_goes_on_exactly(encoded: datasets.Dataset, tokenizer: Tokenizer, alpha: float) -> None:
    whole = list(make(encoded, tokenizer, subword_alpha=alpha).epoch(2, start=0))
    for start in (0, 1, 3, len(whole) - 1, len(whole)):
        rest = list(make(encoded, tokenizer, subword_alpha=alpha).epoch(2, start=start))
        assert len(rest) == len(whole) - start
        assert all(same(*both) for both in zip(rest, whole[start:], strict=True))


def test_segmentations_are_drawn_by_seed_and_epoch(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    def pieces(epoch: int, *, seed: int = 1, alpha: float = 0.2) -> dict[str, list[str]]:
        pairs = make(encoded, tokenizer, subword_alpha=alpha, seed=seed)
        found = (ids for batch in pairs.epoch(epoch, start=0) for ids in batch.target_output.tolist())
        return {
            tokenizer.decode_target(ids): [piece for piece in tokenizer.target_pieces(ids) if piece != "<pad>"]
            for ids in found
        }

    first = pieces(0)
    assert pieces(0) == first
    assert pieces(1) != first
    assert pieces(0, seed=2) != first
    assert pieces(0, alpha=0.0) == pieces(1, alpha=0.0) != first
    assert first.keys() == set(encoded["target"])  # other pieces, the same text


def test_one_sentence_is_cut_up_anew_in_every_epoch(tokenizer: Tokenizer) -> None:
    pairs = make(encode(tokenizer, [("one two three four", "eins zwei drei vier")]), tokenizer, subword_alpha=0.2)
    drawn = [next(pairs.epoch(epoch, start=0)) for epoch in range(60)]  # five could be alike
    assert len({tuple(batch.source[0].tolist()) for batch in drawn}) > 1
    assert len({tuple(batch.target_output[0].tolist()) for batch in drawn}) > 1


def test_the_sides_are_drawn_apart(tokenizer: Tokenizer) -> None:
    pairs = make(encode(tokenizer, [("one two three four", "one two three four")]), tokenizer, subword_alpha=0.2)
    batches = [next(pairs.epoch(epoch, start=0)) for epoch in range(20)]
    assert any(batch.source.tolist() != batch.target_output.tolist() for batch in batches)


def test_a_drawn_segmentation_is_never_over_the_limit(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    longest = max(len(ids) for ids in [*encoded["source_ids"], *encoded["target_ids"]]) + 1
    pairs = make(encoded, tokenizer, max_length=longest, subword_alpha=0.01)
    batches = [batch for epoch in range(3) for batch in pairs.epoch(epoch, start=0)]
    assert max(batch.source.size(1) for batch in batches) == longest
    assert max(batch.target_output.size(1) for batch in batches) <= longest


def test_a_batch_says_which_rows_of_the_split_it_holds(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    dataset = encode(tokenizer, [("", "eins"), ("two one", "zwei"), ("one", ""), ("one", "zwei eins")])
    (batch,) = make(dataset, tokenizer).epoch(0, start=0)
    assert sorted(batch.rows) == [1, 3]
    for row, ids in zip(batch.rows, batch.source.tolist(), strict=True):
        assert tokenizer.decode_target(ids) == dataset["source"][row]


def of_sentences(batches: Iterable[Batch]) -> dict[int, tuple[list[int], list[int]]]:
    """The real ids of both sides, by row."""
    found = {}
    for batch in batches:
        for index, row in enumerate(batch.rows):
            assert row not in found
            found[row] = (
                batch.source[index][batch.source_mask[index]].tolist(),
                batch.target_output[index][batch.target_mask[index]].tolist(),
            )
    return found


@given(
    num_ranks=st.integers(1, 5),
    batch_tokens=st.integers(1, 300),
    alpha=st.sampled_from([0.0, 0.2]),
    epoch=st.integers(0, 9),
    data=st.data(),
)
@settings(max_examples=25)
def test_several_processes_learn_together_what_one_would(
    encoded: datasets.Dataset,
    tokenizer: Tokenizer,
    num_ranks: int,
    batch_tokens: int,
    alpha: float,
    epoch: int,
    data: st.DataObject,
) -> None:
    arguments = {"batch_tokens": batch_tokens, "subword_alpha": alpha}
    alone = list(make(encoded, tokenizer, **arguments).epoch(epoch, start=0))
    start = data.draw(st.integers(0, len(alone)))
    ranks = [
        list(make(encoded, tokenizer, rank=rank, num_ranks=num_ranks, **arguments).epoch(epoch, start=start))
        for rank in range(num_ranks)
    ]
    assert {len(batches) for batches in ranks} == {len(alone) - start}
    for whole, *shares in zip(alone[start:], *ranks, strict=True):
        assert of_sentences(shares) == of_sentences([whole])
        assert sum(share.num_tokens for share in shares) == whole.num_tokens
        sizes = [len(share.rows) for share in shares]
        assert max(sizes) - min(sizes) <= 1
        assert all(share.source.size(0) == max(1, len(share.rows)) for share in shares)


def test_a_process_without_a_sentence_stands_in(encoded: datasets.Dataset, tokenizer: Tokenizer, bench: Any) -> None:
    first, second = (
        next(make(encoded, tokenizer, batch_tokens=1, rank=rank, num_ranks=2).epoch(0, start=0)) for rank in (0, 1)
    )
    assert first.num_tokens == int(first.target_mask.sum()) > 0
    assert second.num_tokens == int(second.target_mask.sum()) == 0
    assert first.source.tolist() == second.source.tolist()
    for name in ("LuongLSTM", "Transformer"):
        model = bench.make_model(name, dropout=0.0, seed=1)
        loss, nll = Objective(model, label_smoothing=0.1)(*second.tensors)
        assert loss.item() == nll.item() == 0
        loss.backward()
        assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())


# Made ahead


def test_what_is_made_ahead_comes_in_its_order() -> None:
    made = list(made_ahead(lambda number: number * number, range(50), count=3))
    assert made == [number * number for number in range(50)]
    assert list(made_ahead(str, [], count=3)) == []


def test_so_many_are_made_ahead_and_not_by_who_asks() -> None:
    calls: list[tuple[int, str]] = []
    seen = threading.Semaphore(0)

    def make(number: int) -> int:
        calls.append((number, threading.current_thread().name))
        seen.release()
        return number

    batches = made_ahead(make, range(100), count=3)
    assert not calls  # nobody has asked yet
    for asked in range(1, 20):
        assert next(batches) == asked - 1
        for _ in range(4 if asked == 1 else 1):
            assert seen.acquire(timeout=30)
        assert [number for number, _ in calls] == list(range(asked + 3))
    assert threading.current_thread().name not in {name for _, name in calls}
    assert len({name for _, name in calls}) == 1


def test_an_error_comes_up_at_its_turn_and_ends_the_thread() -> None:
    def make(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number

    before = threading.active_count()
    batches = made_ahead(make, range(100), count=3)
    assert [next(batches) for _ in range(5)] == list(range(5))
    with pytest.raises(ValueError, match=r"^five$"):
        next(batches)
    assert threading.active_count() == before
    assert list(batches) == []


@pytest.mark.parametrize("how", ["close", "forget", "end", "interrupt"])
def test_the_thread_ends_with_the_iterator(how: str) -> None:
    before = threading.active_count()
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number

    batches = made_ahead(make, range(20 if how == "end" else 10_000), count=3)
    assert next(batches) == 0
    assert threading.active_count() == before + 1
    if how == "close":
        batches.close()  # type: ignore[attr-defined]
    elif how == "end":
        assert len(list(batches)) == 19
    elif how == "interrupt":
        with pytest.raises(KeyboardInterrupt):
            batches.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    del batches
    assert threading.active_count() == before
    assert len(made) <= (20 if how == "end" else 4)


def test_an_error_in_a_batch_ends_the_epoch(
    encoded: datasets.Dataset, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = make(encoded, tokenizer)
    third = pairs.sampler.epoch(0)[2][0]
    whole = pairs.batch

    def failing(rows: Any, epoch: int) -> Batch:
        if third in rows:
            raise MemoryError("no batch")
        return whole(rows, epoch)

    monkeypatch.setattr(pairs, "batch", failing)
    taken: list[Batch] = []
    with pytest.raises(MemoryError, match="no batch"):
        taken.extend(pairs.epoch(0, start=0))
    assert len(taken) == 2


def test_only_the_rows_of_the_batches_are_read(
    encoded: datasets.Dataset, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each once, as arrays; the text is not read at all."""
    pairs = make(encoded, tokenizer)
    read: list[int] = []
    whole = Pieces.__getitem__
    monkeypatch.setattr(Pieces, "__getitem__", lambda self, rows: read.extend(rows) or whole(self, rows))
    monkeypatch.setattr(datasets.Dataset, "__getitem__", None)
    epoch = pairs.epoch(0, start=0)
    first = next(epoch)
    few = pairs.sampler.epoch(0)[: AHEAD + 1]
    assert len(first.rows) == len(few[0])
    assert len(read) <= 2 * sum(map(len, few))
    list(epoch)
    assert sorted(read) == sorted(2 * list(range(len(pairs))))
    assert all(isinstance(ids, np.ndarray) for ids in whole(pairs.sources, np.arange(3)))


def test_memory_does_not_grow_from_epoch_to_epoch(encoded: datasets.Dataset, tokenizer: Tokenizer) -> None:
    many = datasets.concatenate_datasets([encoded] * 50)
    pairs = make(many, tokenizer, batch_tokens=2000)
    for batch in pairs.epoch(0, start=0):  # what is made only once is made now
        del batch
    peaks = []
    for epochs in (1, 4):
        tracemalloc.start()
        for epoch in range(epochs):
            for batch in pairs.epoch(epoch, start=0):
                del batch
        peaks.append(tracemalloc.get_traced_memory())
        tracemalloc.stop()
    assert peaks[1][1] < 1.5 * peaks[0][1]
    assert peaks[1][0] < peaks[0][0] + 20_000  # what is left over when all is done
