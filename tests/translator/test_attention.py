"""Attention as data: selecting, grouping by words, leaving out eos, and the JSON form, by hand-worked examples."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.words import Splitter, separate_words, spaced_words
from nmt.errors import UserError
from nmt.models.attention import Kind
from nmt.translator import Attention

PIECES = ["▁Ka", "tze", ".", "</s>"]
SOURCE = ["▁ca", "t", ".", "</s>"]
ROWS = [[0.5, 0.1, 0.2, 0.2], [0.1, 0.5, 0.0, 0.4], [0.0, 0.0, 0.8, 0.2], [0.0, 0.0, 0.0, 1.0]]


def attention(rows: Any = ROWS, *, kind: Kind = "cross") -> Attention:
    """Two layers with two heads each: (0, 0) has these rows, and each following head moves their weights further."""
    heads = [[np.roll(rows, layer * 2 + head, axis=1) for head in (0, 1)] for layer in (0, 1)]
    return Attention(kind, np.array(heads, dtype=np.float32), PIECES, SOURCE, (0, 1), (0, 1))


def single(rows: Any = ROWS) -> Attention:
    return attention(rows).head(0, 0)


def test_a_head_a_layer_and_their_mean() -> None:
    every = attention()
    np.testing.assert_allclose(every.head(1, 0).matrix, np.roll(ROWS, 2, axis=1), rtol=1e-6)
    assert (every.head(1, 0).layers, every.head(1, 0).heads) == ((1,), (0,))
    assert every.layer(1).head(1, 1).name == "cross-attention, layer 1, head 1"
    layer = every.layer(0).mean()
    np.testing.assert_allclose(layer.matrix[0], [0.35, 0.3, 0.15, 0.2], rtol=1e-6)  # of 5 1 2 2 and 2 5 1 2
    assert (layer.layers, layer.heads, layer.name) == ((0,), None, "cross-attention, layer 0, mean of its heads")
    mean = every.mean()
    np.testing.assert_allclose(mean.matrix[0], [0.25] * 4, rtol=1e-6)
    assert (mean.layers, mean.heads, mean.name) == (None, None, "cross-attention, mean of all heads")
    assert mean.mean().matrix.tolist() == mean.matrix.tolist()


def test_some_layers_and_heads() -> None:
    some = attention().select([1, 0], [1])
    assert (some.layers, some.heads, some.weights.shape) == ((1, 0), (1,), (2, 1, 4, 4))
    assert some.weights[:, 0].tolist() == [attention().head(layer, 1).matrix.tolist() for layer in (1, 0)]
    means = attention().select([1], None)
    assert (means.layers, means.heads, means.name) == ((1,), None, "cross-attention, layer 1, mean of its heads")
    np.testing.assert_allclose(means.matrix, attention().layer(1).mean().matrix)


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda: attention().matrix, "there are several matrices: choose one by .head"),
        (lambda: attention().layer(2), "there is no layer 2: choose 0 to 1"),
        (lambda: attention().head(0, -1), "there is no head -1: choose 0 to 1"),
        (lambda: attention().select([0, 2], None), "there is no layer 2"),
        (lambda: attention().select([0], [2]), "there is no head 2"),
        (lambda: attention().layer(1).layer(0), "there is no layer 0: the only one is 1"),
        (lambda: attention().mean().head(0, 0), "layer=0 cannot be chosen .* it is a mean over layers already"),
    ],
)
def test_what_cannot_be_chosen_is_named(choose: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose()


def test_words_sum_over_columns_and_average_over_rows() -> None:
    words = single().words()
    assert (words.rows, words.columns) == (["Katze", ".", "</s>"], ["cat", ".", "</s>"])
    # Katze: the mean of (0.5 + 0.1, 0.2, 0.2) and (0.1 + 0.5, 0, 0.4)
    np.testing.assert_allclose(words.matrix, [[0.6, 0.1, 0.3], [0.0, 0.8, 0.2], [0.0, 0.0, 1.0]], atol=1e-6)
    assert words.words() is words  # they are words already
    spaced = single().words(spaced_words)
    assert (spaced.rows, spaced.columns) == (["Katze.", "</s>"], ["cat.", "</s>"])
    # Katze.: the mean of three rows; cat.: the sum of three columns
    np.testing.assert_allclose(spaced.matrix, [[2.2 / 3, 0.8 / 3], [0.0, 1.0]], atol=1e-6)


def test_a_piece_of_two_words_is_divided_among_them() -> None:
    every = Attention("cross", np.array([[[[0.6, 0.4]]]], dtype=np.float32), ["▁x"], ["▁to▁be", "</s>"], (0,), (0,))
    words = every.words()
    assert words.columns == ["to", "be", "</s>"]
    np.testing.assert_allclose(words.matrix, [[0.3, 0.3, 0.4]], atol=1e-6)


PIECE_LISTS = st.lists(st.sampled_from(["▁a", "b", "▁", "▁c▁d", ".", "'", "<0xC3>", "<0xB6>", "狗", "ำ", "<unk>"]))


@given(PIECE_LISTS, PIECE_LISTS, st.sampled_from([separate_words, spaced_words]), st.integers(0, 2**32 - 1))
def test_no_weight_is_lost_between_pieces_and_words(
    rows: list[str], columns: list[str], split: Splitter, seed: int
) -> None:
    rows, columns = [*rows, "</s>"], [*columns, "</s>"]
    weights = np.random.default_rng(seed).dirichlet(np.ones(len(columns)), (2, 3, len(rows))).astype(np.float32)
    words = Attention("cross", weights, rows, columns, (0, 1), (0, 1, 2)).words(split)
    np.testing.assert_allclose(words.weights.sum(-1), 1, atol=1e-5)
    assert words.columns[-1] == words.rows[-1] == "</s>"
    np.testing.assert_allclose(words.weights[..., -1, -1], weights[..., -1, -1], atol=1e-6)
    assert all(words.rows) and all(words.columns)  # no label is empty


def test_without_eos_the_other_weights_sum_to_one() -> None:
    rest = single().without_eos()
    assert (rest.rows, rest.columns) == (PIECES[:3], SOURCE[:3])
    np.testing.assert_allclose(rest.matrix, [[5 / 8, 1 / 8, 2 / 8], [1 / 6, 5 / 6, 0.0], [0.0, 0.0, 1.0]], atol=1e-6)
    assert rest.without_eos().matrix.tolist() == rest.matrix.tolist()
    assert single([[0, 0, 0, 1]] * 4).without_eos().matrix.tolist() == [[0.0] * 3] * 3  # nothing is left of its rows


def test_without_special_pieces_no_tag_is_left() -> None:
    pieces = ["<2de>", "▁a", "<br>", "</s>"]
    every = Attention("encoder", np.array([[ROWS]], dtype=np.float32), pieces, pieces, (0,), (0,))
    rest = every.without_special()
    assert rest.rows == rest.columns == ["▁a", "<br>"]
    np.testing.assert_allclose(rest.matrix, [[1.0, 0.0], [0.0, 1.0]], atol=1e-6)  # 0.5 and 0, 0 and 0.8


def test_the_weight_on_eos_leaves_out_its_own_row() -> None:
    assert single().eos_weight == pytest.approx((0.2 + 0.4 + 0.2) / 3)
    assert single().without_eos().eos_weight == 0
    assert attention().eos_weight == pytest.approx((0.8 + 0.2 + 1.0 + 1.0) / 12)  # columns 3, 2, 1 and 0 of ROWS


@pytest.mark.parametrize("change", [Attention.mean, Attention.words, Attention.without_eos, lambda same: same])
def test_the_json_form_comes_back(change: Any) -> None:
    shown = change(attention())
    value = json.loads(json.dumps(shown.to_json()))
    back = Attention.from_json(value)
    assert value["weights"][0][0][0][0] == pytest.approx(float(shown.weights[0, 0, 0, 0]), abs=5e-6)
    np.testing.assert_allclose(back.weights, shown.weights, atol=5e-6)
    for name in ("kind", "rows", "columns", "layers", "heads"):
        assert getattr(back, name) == getattr(shown, name)


def test_an_attention_without_rows_comes_back() -> None:
    empty = Attention("cross", np.zeros((1, 2, 0, 3), dtype=np.float32), [], ["a", "b", "c"], (0,), (0, 1))
    assert Attention.from_json(empty.to_json()).weights.shape == (1, 2, 0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "self"}, "Invalid enum value 'self'"),
        ({"rows": ["a"]}, "the weights are .* but layers, heads and labels make"),
        ({"weights": [[[[0.5], [0.5, 0.5]]]]}, "inhomogeneous"),
        ({"weights": [[[[1.5]]]]}, "<= 1.0"),
        ({"extra": 1}, "unknown field `extra`"),
    ],
)
def test_another_form_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Attention.from_json(single().to_json() | change)
