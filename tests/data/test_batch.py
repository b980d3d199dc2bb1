import numpy as np
import pytest
import torch

from nmt.data.batch import make_batch, pad, without_tokens

PAD, BOS, EOS = 9, 7, 8


def test_pad():
    ids, mask = pad([[4, 5, 6], [], [PAD]], PAD)
    assert ids.tolist() == [[4, 5, 6], [PAD, PAD, PAD], [PAD, PAD, PAD]]
    assert mask.tolist() == [[True, True, True], [False, False, False], [True, False, False]]  # by length, not by id
    assert ids.dtype == torch.int64
    assert mask.dtype == torch.bool


def test_pad_with_marks():
    ids, mask = pad([[4, 5], []], PAD, first=BOS, last=EOS)
    assert ids.tolist() == [[BOS, 4, 5, EOS], [BOS, EOS, PAD, PAD]]
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_arrays_and_lists_make_the_same_batch():
    sources, targets = [[11, 12, 13], [14], []], [[21], [22, 23], []]
    arrays = [[np.array(ids, dtype=np.int32) for ids in side] for side in (sources, targets)]
    marks = {"pad_id": PAD, "bos_id": BOS, "eos_id": EOS}
    first, second = make_batch(sources, targets, **marks), make_batch(*arrays, **marks)
    for name in ("source", "source_mask", "target_input", "target_output", "target_mask"):
        assert torch.equal(getattr(first, name), getattr(second, name))
        assert getattr(second, name).dtype == getattr(first, name).dtype
    assert first.num_tokens == second.num_tokens


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_pinned():
    batch = make_batch([[11]], [[21, 22]], pad_id=PAD, bos_id=BOS, eos_id=EOS, pinned=True)
    for name in ("source", "source_mask", "target_input", "target_output", "target_mask"):
        assert getattr(batch, name).is_pinned()
    assert batch.target_input.tolist() == [[BOS, 21, 22]]


def test_a_batch_by_hand():
    batch = make_batch([[11, 12, 13], [14], []], [[21], [22, 23], []], pad_id=PAD, bos_id=BOS, eos_id=EOS)
    assert batch.source.tolist() == [[11, 12, 13, EOS], [14, EOS, PAD, PAD], [EOS, PAD, PAD, PAD]]
    assert batch.source_mask.tolist() == [[True] * 4, [True, True, False, False], [True, False, False, False]]
    assert batch.target_input.tolist() == [[BOS, 21, PAD], [BOS, 22, 23], [BOS, PAD, PAD]]
    assert batch.target_output.tolist() == [[21, EOS, PAD], [22, 23, EOS], [EOS, PAD, PAD]]
    assert batch.target_mask.tolist() == [[True, True, False], [True, True, True], [True, False, False]]
    assert batch.num_tokens == 2 + 3 + 1
    assert type(batch.num_tokens) is int


def test_numpy_ids_will_do():
    sources, targets = [np.array([11, 12], dtype=np.int32)], [np.array([21], dtype=np.int32)]
    batch = make_batch(sources, targets, pad_id=PAD, bos_id=BOS, eos_id=EOS)
    assert batch.source.tolist() == [[11, 12, EOS]]
    assert batch.target_input.tolist() == [[BOS, 21]]
    assert batch.target_output.tolist() == [[21, EOS]]
    assert {tensor.dtype for tensor in (batch.source, batch.target_input, batch.target_output)} == {torch.int64}


def test_a_batch_moves_whole():
    batch = make_batch([[11]], [[21, 22]], pad_id=PAD, bos_id=BOS, eos_id=EOS)
    moved = batch.to(torch.device("meta"))
    for name in ("source", "source_mask", "target_input", "target_output", "target_mask"):
        assert getattr(moved, name).device.type == "meta", name
        assert getattr(moved, name).shape == getattr(batch, name).shape
        assert getattr(batch, name).device.type == "cpu"
    assert moved.num_tokens == batch.num_tokens == 3


def test_a_batch_without_tokens_keeps_its_sentences():
    batch = make_batch([[11], [12]], [[21, 22], []], pad_id=PAD, bos_id=BOS, eos_id=EOS, rows=[5, 3])
    assert batch.rows == (5, 3)
    none = without_tokens(batch)
    assert (none.num_tokens, none.rows) == (0, ())
    assert not none.target_mask.any()
    assert none.target_mask.shape == batch.target_mask.shape
    assert none.source_mask.equal(batch.source_mask)
    assert batch.num_tokens == 4
