"""From pieces to words: by hand, and against the attention of a forced target."""

from pathlib import Path

import numpy as np
import pytest

from nmt.alignment.extraction import Extraction, Rows
from nmt.alignment.word_attention import WordAttention, attend_words
from nmt.data.words import spaced_words
from nmt.errors import UserError
from nmt.translator import Translator

# Source "a bc": the pieces a, b, c and eos. Target "xy z": the pieces x, y, z and eos.
PIECES = np.array(
    [
        [0.1, 0.2, 0.3, 0.4],  # predicts x
        [0.5, 0.1, 0.1, 0.3],  # predicts y
        [0.0, 0.7, 0.2, 0.1],  # predicts z
        [0.8, 0.0, 0.0, 0.2],  # predicts eos
    ],
    dtype=np.float32,
)
BY_HAND: dict[Rows, list[list[float]]] = {
    "all": [[0.3, 0.35, 0.35], [0.0, 0.9, 0.1]],  # "xy": the mean of two rows; "bc": the sum of two columns
    "first": [[0.1, 0.5, 0.4], [0.0, 0.9, 0.1]],  # "xy": the row that predicts x
    "shifted": [[0.25, 0.55, 0.2], [0.8, 0.0, 0.2]],  # "xy": the rows that predict y and z; "z": that of eos
}


def make(weights: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> WordAttention:
    """The attention of the pair above, in layers 2, 3, …"""
    return WordAttention(
        layers=tuple(range(2, 2 + len(weights))),
        weights=weights,
        source_words=["a", "bc"],
        target_words=["xy", "z"],
        source_pieces=[[0], [1, 2]],
        target_pieces=[[0, 1], [2]],
    )


@pytest.mark.parametrize("rows", BY_HAND)
def test_columns_of_a_word_are_added_and_its_rows_averaged(rows: Rows) -> None:
    words = make(PIECES[None, None]).between_words(rows)
    np.testing.assert_allclose(words, [[BY_HAND[rows]]], atol=1e-6)


def test_a_source_piece_of_two_words_is_divided_and_a_word_without_pieces_gets_nothing() -> None:
    attention = WordAttention(
        layers=(0,),
        weights=np.array([[[[0.6, 0.4], [0.5, 0.5]]]], dtype=np.float32),
        source_words=["a", "b", "c"],
        target_words=["x", "y"],
        source_pieces=[[0], [0], []],
        target_pieces=[[0], []],
    )
    expected = np.array([[0.3, 0.3, 0.0, 0.4], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(attention.between_words("all")[0, 0], expected, atol=1e-6)


def test_a_layer_and_a_head_are_selected_by_their_numbers() -> None:
    """Two layers of two heads; each head is the first one times a number, so that the means are 1.5, 3.5 and 2.5."""
    factors = np.array([[1, 2], [3, 4]], dtype=np.float32)[:, :, None, None]
    attention = make(PIECES[None, None] * factors)
    expected: list[tuple[int | None, int | None, float]] = [
        (2, 0, 1), (2, 1, 2), (3, 0, 3), (3, 1, 4), (2, None, 1.5), (3, None, 3.5), (None, None, 2.5)
    ]  # fmt: skip
    for layer, head, factor in expected:
        weights = attention.select(Extraction(layer=layer, head=head, rows="all", method="argmax"))
        np.testing.assert_allclose(weights, factor * np.array(BY_HAND["all"]), rtol=1e-5)
    for layer, head, message in ((1, 0, "layer=1 does"), (2, 2, "head=2 does"), (2, -1, "head=-1 does")):
        with pytest.raises(UserError, match=f"^{message} not exist"):
            attention.select(Extraction(layer=layer, head=head, rows="all", method="argmax"))


@pytest.fixture(scope="module")
def translator(trained_run: Path) -> Translator:
    return Translator.load(trained_run, device="cpu")


def no_warning(index: int, message: str) -> None:
    raise AssertionError(f"{index}: {message}")


def test_a_batch_gives_the_attention_of_forced_targets_in_order(translator: Translator) -> None:
    pairs = [("one two three", "eins zwei drei"), ("four", "vier fünf sechs sieben"), ("nine eight", "neun acht")]
    together = attend_words(translator, pairs, split=spaced_words, layer=None, warn=no_warning)
    for (source, target), attention in zip(pairs, together, strict=True):
        forced = translator.force_decode(source, translator.tokenizer.target_pieces(
            translator.tokenizer.encode_target([target])[0]
        )).attention["cross"]  # fmt: skip
        expected = forced.words(spaced_words).weights[:, :, :-1]  # without the row of eos
        np.testing.assert_allclose(attention.between_words("all"), expected, atol=1e-5)
        assert (attention.source_words, attention.target_words) == (source.split(), target.split())


def test_words_are_counted_in_the_line_itself(translator: Translator) -> None:
    """Spaces around it, a NUL, a line separator and an unknown character: the tokenizer changes all of them."""
    pairs = [("  one  two\0x ", " eins\u2028zwei 字y")]
    [attention] = attend_words(translator, pairs, split=spaced_words, layer=None, warn=no_warning)
    assert attention.source_words == ["one", "two\0x"]
    assert attention.target_words == ["eins", "zwei", "字", "y"]
    weights = attention.between_words("all")[0, 0]  # (4, 3)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("pair", [("", ""), ("one", ""), ("", "eins"), ("\u200b \u200b", "eins")])
def test_a_side_without_words_has_no_weights(translator: Translator, pair: tuple[str, str]) -> None:
    [attention] = attend_words(translator, [pair], split=spaced_words, layer=0, warn=no_warning)
    weights = attention.between_words("all")[0, 0]  # (I, J + 1)
    assert weights.shape == (len(spaced_words(pair[1])), len(spaced_words(pair[0])) + 1)
    assert weights[:, :-1].sum() == 0


def test_a_line_that_is_too_long_is_cut_off_with_a_warning(translator: Translator) -> None:
    warnings: dict[int, str] = {}
    long = " ".join(["one"] * 1200)
    pieces_per_word = len(translator.tokenizer.encode_source([long])[0]) / 1200
    pairs = [("one", "eins"), (long, "eins zwei"), ("two", "zwei")]
    attention = attend_words(translator, pairs, split=spaced_words, layer=None, warn=warnings.__setitem__)
    assert list(warnings) == [1]
    assert "the model takes at most 1023: the rest is cut off" in warnings[1]
    weights = attention[1].between_words("all")[0, 0]  # (2, J + 1)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-4)
    num_words = len(attention[1].source_words)
    assert attention[1].source_words == ["one"] * num_words
    assert num_words == -(-1023 // pieces_per_word)
    assert weights.shape == (2, num_words + 1)


def test_a_layer_that_does_not_exist_is_refused(translator: Translator) -> None:
    with pytest.raises(UserError, match=r"^layer=1 does not exist: the last layer is 0$"):
        attend_words(translator, [("one", "eins")], split=spaced_words, layer=1, warn=no_warning)
