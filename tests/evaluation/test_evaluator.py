"""The evaluation of a system: which sentences are sampled, and what is kept of their attention."""

from __future__ import annotations

import numpy as np
import pytest

from nmt.evaluation.evaluator import NUM_SAMPLES, choose_samples, condense, make_sample
from nmt.models.attention import Kind
from nmt.translator import Attention, Translation


def make_attention(weights: list[float]) -> Attention:
    """The cross-attention of one target piece."""
    matrices = np.array(weights, dtype=np.float32)[None, None, None]  # (1, 1, 1, S)
    return Attention("cross", matrices, ["</s>"], ["</s>"] * len(weights), (0,), (0,))


def test_samples_are_spread_evenly_from_short_to_long() -> None:
    lengths = [7, 3, 16, 1, 12, 5, 9, 14, 2, 11, 4, 15, 6, 10, 8, 13]  # 1 to 16 words
    samples = choose_samples([" ".join(["w"] * length) for length in lengths], unit="words")
    assert samples == sorted(samples)
    assert sorted(lengths[index] for index in samples) == [2, 4, 6, 8, 10, 12, 14, 16]


def test_lines_without_words_are_not_sampled() -> None:
    assert choose_samples(["", "one", " ", "one two"], unit="words") == [1, 3]
    assert choose_samples(["", " "], unit="words") == []
    assert len(choose_samples(["one"] * 100, unit="words")) == NUM_SAMPLES


def test_samples_of_a_language_without_spaces_are_spread_by_characters() -> None:
    lengths = [7, 3, 16, 1, 12, 5, 9, 14, 2, 11, 4, 15, 6, 10, 8, 13]
    samples = choose_samples(["字" * length for length in lengths], unit="characters")
    assert sorted(lengths[index] for index in samples) == [2, 4, 6, 8, 10, 12, 14, 16]


def test_attention_between_words_is_the_mean_of_all_heads() -> None:
    heads = np.array([[[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]], [[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]], dtype=np.float32)
    attention = Attention("cross", heads[None], ["▁Hund", "</s>"], ["▁do", "g", "</s>"], (0,), (0, 1))
    condensed = condense(Translation("Hund", -0.5, -1.0, attention.columns, attention.rows, {"cross": attention}))
    assert condensed is not None
    assert (condensed.columns, condensed.rows) == (["dog", "</s>"], ["Hund", "</s>"])
    assert condensed.matrix == pytest.approx(np.array([[0.875, 0.125], [0.5, 0.5]]), abs=1 / 510)
    assert condense(Translation("Hund", -0.5, -1.0, attention.columns, attention.rows)) is None


def test_a_sample_holds_its_alignment_matrix_if_there_is_one() -> None:
    attention: dict[Kind, Attention] = {"cross": make_attention([0.25, 0.75])}
    translation = Translation("ein", -0.5, -1.0, ["one", "</s>"], ["</s>"], attention)
    sample = make_sample(4, "one", "eins", translation)
    assert (sample.index, sample.source, sample.reference, sample.hypothesis) == (4, "one", "eins", "ein")
    assert (sample.score, sample.source_tokens, sample.target_tokens) == (-0.5, ["one", "</s>"], ["</s>"])
    assert sample.attention == [[0.25, 0.75]]
    without = Translation("ein", -0.5, -1.0, ["one", "</s>"], ["</s>"])
    assert make_sample(4, "one", "eins", without).attention is None
