"""The evaluation of a system: which sentences are sampled, and which are translated with attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from nmt.evaluation.evaluator import NUM_SAMPLES, choose_samples, make_sample, translate_split
from nmt.models.attention import Kind
from nmt.translator import Attention, LineWarning, Translation, Translator


def make_attention(weights: list[float]) -> Attention:
    """The cross-attention of one target piece."""
    matrices = np.array(weights, dtype=np.float32)[None, None, None]  # (1, 1, 1, S)
    return Attention("cross", matrices, ["</s>"], ["</s>"] * len(weights), (0,), (0,))


class EchoTranslator:
    """Translates each line by itself, with one attention weight if asked for; says that long lines are cut off."""

    def translate(self, lines: Sequence[str], *, attention: Sequence[Kind], warn: LineWarning) -> list[Translation]:
        for index, line in enumerate(lines):
            if len(line) > 1:
                warn(index, f"{line} is cut off")
        weights: dict[Kind, Attention] = {kind: make_attention([1.0]) for kind in attention}
        return [Translation(line, -0.5, -0.5, ["</s>"], ["</s>"], weights) for line in lines]


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


@pytest.mark.parametrize("samples", [[], [0], [1, 3], [0, 1, 2, 3]])
def test_only_samples_are_translated_with_attention(samples: list[int]) -> None:
    lines = ["a", "bb", "c", "dd"]
    cut_lines: dict[int, str] = {}
    translations = translate_split(
        cast(Translator, EchoTranslator()), lines, need_attention=samples, warn=cut_lines.__setitem__
    )
    assert cut_lines == {1: "bb is cut off", 3: "dd is cut off"}
    assert [translation.text for translation in translations] == lines
    assert [index for index in range(4) if translations[index].attention] == samples


def test_a_sample_holds_its_alignment_matrix_if_there_is_one() -> None:
    attention: dict[Kind, Attention] = {"cross": make_attention([0.25, 0.75])}
    translation = Translation("ein", -0.5, -1.0, ["one", "</s>"], ["</s>"], attention)
    sample = make_sample(4, "one", "eins", translation)
    assert (sample.index, sample.source, sample.reference, sample.hypothesis) == (4, "one", "eins", "ein")
    assert (sample.score, sample.source_tokens, sample.target_tokens) == (-0.5, ["one", "</s>"], ["</s>"])
    assert sample.attention == [[0.25, 0.75]]
    without = Translation("ein", -0.5, -1.0, ["one", "</s>"], ["</s>"])
    assert make_sample(4, "one", "eins", without).attention is None
