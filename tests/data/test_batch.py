"""Padding and masks, compared with batches written by hand."""

import numpy as np
import pytest
import torch

from nmt.data.batch import make_batch, mask_all_targets, pad

PAD, BOS, EOS = 9, 7, 8
TENSORS = ("source", "source_mask", "target_input", "target_output", "target_mask", "target_indices")


def test_short_sentences_are_padded() -> None:
    ids, mask = pad([[4, 5, 6], [], [PAD]], PAD)
    assert ids.tolist() == [[4, 5, 6], [PAD, PAD, PAD], [PAD, PAD, PAD]]
    assert mask.tolist() == [[True, True, True], [False, False, False], [True, False, False]]  # by length, not by id
    assert ids.dtype == torch.int64
    assert mask.dtype == torch.bool


def test_special_ids_are_real_tokens() -> None:
    ids, mask = pad([[4, 5], []], PAD, first=BOS, last=EOS)
    assert ids.tolist() == [[BOS, 4, 5, EOS], [BOS, EOS, PAD, PAD]]
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_arrays_and_lists_make_the_same_batch() -> None:
    sources, targets = [[11, 12, 13], [14], []], [[21], [22, 23], []]
    source_arrays, target_arrays = ([np.array(ids, dtype=np.int32) for ids in side] for side in (sources, targets))
    first = make_batch(sources, targets, pad_id=PAD, bos_id=BOS, eos_id=EOS)
    second = make_batch(source_arrays, target_arrays, pad_id=PAD, bos_id=BOS, eos_id=EOS)
    for name in TENSORS:
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert getattr(second, name).dtype == getattr(first, name).dtype
    assert first.num_tokens == second.num_tokens


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_pinned_batches_hold_the_same_ids() -> None:
    batch = make_batch([[11]], [[21, 22]], pad_id=PAD, bos_id=BOS, eos_id=EOS, pin_memory=True)
    for name in TENSORS:
        assert getattr(batch, name).is_pinned()
    assert batch.target_input.tolist() == [[BOS, 21, 22]]


def test_a_batch_equals_one_written_by_hand() -> None:
    batch = make_batch([[11, 12, 13], [14], []], [[21], [22, 23], []], pad_id=PAD, bos_id=BOS, eos_id=EOS)
    assert batch.source.tolist() == [[11, 12, 13, EOS], [14, EOS, PAD, PAD], [EOS, PAD, PAD, PAD]]
    assert batch.source_mask.tolist() == [[True] * 4, [True, True, False, False], [True, False, False, False]]
    assert batch.target_input.tolist() == [[BOS, 21, PAD], [BOS, 22, 23], [BOS, PAD, PAD]]
    assert batch.target_output.tolist() == [[21, EOS, PAD], [22, 23, EOS], [EOS, PAD, PAD]]
    assert batch.target_mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    assert batch.target_indices.tolist() == [0, 1, 3, 4, 5, 6]
    assert batch.num_tokens == 2 + 3 + 1
    assert type(batch.num_tokens) is int


def test_numpy_ids_become_int64() -> None:
    sources, targets = [np.array([11, 12], dtype=np.int32)], [np.array([21], dtype=np.int32)]
    batch = make_batch(sources, targets, pad_id=PAD, bos_id=BOS, eos_id=EOS)
    assert batch.source.tolist() == [[11, 12, EOS]]
    assert batch.target_input.tolist() == [[BOS, 21]]
    assert batch.target_output.tolist() == [[21, EOS]]
    assert {tensor.dtype for tensor in (batch.source, batch.target_input, batch.target_output)} == {torch.int64}


def test_all_tensors_move_to_the_device() -> None:
    batch = make_batch([[11]], [[21, 22]], pad_id=PAD, bos_id=BOS, eos_id=EOS)
    moved = batch.to(torch.device("meta"))
    for name in TENSORS:
        assert getattr(moved, name).device.type == "meta", name
        assert getattr(moved, name).shape == getattr(batch, name).shape
        assert getattr(batch, name).device.type == "cpu"
    assert moved.num_tokens == batch.num_tokens == 3


def test_masking_all_targets_keeps_the_sentences() -> None:
    batch = make_batch([[11], [12]], [[21, 22], []], pad_id=PAD, bos_id=BOS, eos_id=EOS, indices=[5, 3])
    assert batch.indices == (5, 3)
    masked = mask_all_targets(batch)
    assert (masked.num_tokens, masked.indices) == (0, ())
    assert not masked.target_mask.any()
    assert masked.target_mask.shape == batch.target_mask.shape
    assert len(masked.target_indices) == 0
    assert masked.source_mask.equal(batch.source_mask)
    assert batch.num_tokens == 4
