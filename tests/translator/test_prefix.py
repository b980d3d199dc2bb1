"""Translations that begin with a given prefix."""

from pathlib import Path
from typing import Any

import pytest

from nmt.errors import UserError
from nmt.run import open_run
from nmt.translator import Translator

LINES = ["one two three", "nine", "seven seven four"]


@pytest.fixture(scope="module")
def translator(trained_run: Path) -> Translator:
    """A LuongRNN that has learned the number words a little."""
    return Translator.load(trained_run, device="cpu")


def test_a_translation_begins_with_its_prefix_and_has_the_scores_of_the_model(translator: Translator) -> None:
    found = translator.translate("one two three", prefix="neun vier")
    assert found.text.startswith("neun vier")
    forced = translator.force_decode("one two three", found.target_tokens)
    assert found.score == pytest.approx(forced.score, abs=1e-4)
    assert found.log_probability == pytest.approx(sum(forced.log_probabilities), abs=1e-4)
    pieces = translator.tokenizer.target_pieces(translator.tokenizer.encode_target(["neun vier"])[0])
    assert found.target_tokens[: len(pieces)] == pieces
    assert translator.translate("one two three", prefix=pieces) == found


def test_every_prefix_of_a_greedy_translation_leads_to_it(translator: Translator) -> None:
    whole = translator.translate("one two three", beam_size=1)
    for length in range(len(whole.target_tokens)):
        found = translator.translate("one two three", beam_size=1, prefix=whole.target_tokens[:length])
        assert found.target_tokens == whole.target_tokens
        assert found.score == pytest.approx(whole.score, abs=1e-5)


def test_every_line_has_its_own_prefix(translator: Translator) -> None:
    prefixes: list[Any] = ["acht", "", translator.translate("seven").target_tokens[:1]]
    together = translator.translate(LINES, prefix=prefixes, n_best=2)
    for line, prefix, found in zip(LINES, prefixes, together, strict=True):
        alone = translator.translate(line, prefix=prefix, n_best=2)
        assert [one.target_tokens for one in found] == [one.target_tokens for one in alone]
        assert [one.score for one in found] == pytest.approx([one.score for one in alone], abs=1e-5)
    assert translator.translate(["", "one"], prefix=["eins", ""])[0].text == ""


def test_an_empty_prefix_is_none(translator: Translator) -> None:
    plain = translator.translate(LINES, n_best=2)
    empties: list[Any] = ["", [], " "]
    for empty in empties:
        assert translator.translate(LINES, n_best=2, prefix=[empty] * len(LINES)) == plain
        assert translator.translate(LINES[0], n_best=2, prefix=empty)[0].text == plain[0][0].text


def test_a_prefix_longer_than_the_length_limit_is_kept(translator: Translator) -> None:
    prefix = " ".join(["eins"] * 20)
    found = translator.translate("one", prefix=prefix, max_length_factor=0.0, max_length_margin=2)
    assert found.text.startswith(prefix)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        (["▁uno"], "the vocabulary has no piece '▁uno'"),
        (["</s>"], "the prefix cannot contain </s>: leave it out"),
        (["<unk>"], "the prefix cannot contain <unk>: leave it out"),
        (["<s>"], "the prefix cannot contain <s>: leave it out"),
        ("eins ж", "the prefix has a character that the vocabulary lacks: 'eins ж'"),
        ("eins " * 1024, r"the prefix has \d+ pieces, but the model takes at most 1023"),
    ],
)
def test_a_prefix_that_no_translation_has_is_a_user_error(
    translator: Translator, prefix: str | list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        translator.translate("one", prefix=prefix)


@pytest.mark.parametrize("prefix", ["eins", [], ["eins"]])
def test_several_lines_need_a_prefix_each(translator: Translator, prefix: Any) -> None:
    with pytest.raises(UserError, match="prefix needs one prefix for each of the 3 lines, in a list"):
        translator.translate(LINES, prefix=prefix)


def test_a_model_with_a_limit_has_no_room_for_more(transformer_run: Path) -> None:
    translator = Translator.load(open_run(transformer_run), device="cpu")
    limit = translator.max_length - 1
    longest = translator.translate("one", prefix=translator.translate("one", min_length=1).target_tokens[:1] * limit)
    assert len(longest.target_tokens) == limit + 1
    with pytest.raises(UserError, match=f"the prefix has {limit + 1} pieces, but the model takes at most {limit}"):
        translator.translate("one", prefix=longest.target_tokens[:1] * (limit + 1))
