"""Scores of given translations, and the perplexity of a text."""

import math
from pathlib import Path

import pytest

from nmt.data.words import spaced_words
from nmt.translator import Translation, Translator
from nmt.translator.scoring import Perplexity, score_pairs, stream_scores

PAIRS = [("one two three", "eins zwei drei"), ("", ""), ("nine", "neun eins"), ("one", ""), ("", "eins"), ("two", "字")]


@pytest.fixture(scope="module")
def translator(trained_run: Path) -> Translator:
    """A LuongRNN that has learned the number words a little."""
    return Translator.load(trained_run, device="cpu")


def best_pieces(translator: Translator, text: str) -> list[str]:
    return translator.tokenizer.target_pieces(translator.tokenizer.encode_target([text])[0])


def test_scores_are_those_of_forced_decoding_in_the_best_segmentation(translator: Translator) -> None:
    scored = score_pairs(translator, PAIRS)
    for index in (0, 2, 5):
        source, target = PAIRS[index]
        forced = translator.force_decode(source, best_pieces(translator, target))
        assert scored[index].log_probabilities == pytest.approx(forced.log_probabilities, abs=1e-5)
        assert scored[index].log_probability == pytest.approx(forced.log_probability, abs=1e-5)
        assert scored[index].score == pytest.approx(forced.score, abs=1e-5)
        assert scored[index].source_tokens == forced.source_tokens
    assert scored[5].target_tokens[-2] == "字"  # an unknown piece is named by its text
    assert [len(each.target_tokens) for each in scored][1:5:2] == [0, 1]  # nothing, and the end of an empty target
    assert scored[4].log_probability < 0


def test_the_length_penalty_divides_the_log_probability(translator: Translator) -> None:
    [scored] = score_pairs(translator, PAIRS[:1], length_penalty=1.0)
    assert scored.score == pytest.approx(scored.log_probability / ((5 + len(scored.target_tokens)) / 6))


def test_lines_that_are_too_long_are_cut_off_with_a_warning(translator: Translator) -> None:
    warnings: list[tuple[int, str]] = []
    pairs = [PAIRS[0], ("one", "eins " * 2000), ("one " * 2000, "eins")]
    scored = list(
        stream_scores(
            translator,
            pairs,
            batch_size=2,
            length_penalty=None,
            warn=lambda index, text: warnings.append((index, text)),
        )
    )
    assert len(scored[1].target_tokens) == translator.max_length
    [all_of_it] = score_pairs(translator, [("one", scored[1].text)])
    assert all_of_it.log_probabilities == pytest.approx(scored[1].log_probabilities, abs=1e-5)  # its words are scored
    assert scored[2].source_truncated
    assert [index for index, _ in warnings] == [1, 2]
    assert "its target has" in warnings[0][1]


def test_perplexity_by_hand() -> None:
    def scored(text: str, *probabilities: float) -> Translation:
        logs = [math.log(each) for each in probabilities]
        return Translation(text, 0.0, sum(logs), [], [""] * len(logs), log_probabilities=logs)

    perplexity = Perplexity()
    assert (perplexity.per_piece, perplexity.per_word) == (1, 1)
    pairs = [scored("ein Hund", 0.5, 0.25, 0.5, 0.25), scored(""), scored("", 0.25)]
    assert list(perplexity.watch(pairs)) == pairs
    assert (perplexity.num_pairs, perplexity.num_pieces) == (3, 5)
    assert perplexity.num_words == len(spaced_words("ein Hund")) + 1 + 1  # with the ends of two lines
    assert perplexity.per_piece == pytest.approx(2 ** (8 / 5))  # the probability of all pieces is 2^-8
    assert perplexity.per_word == pytest.approx(2 ** (8 / 4))
    assert Perplexity(num_pieces=1, log_probability=-1e9).per_piece == math.inf
