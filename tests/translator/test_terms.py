"""Translations that contain given terms."""

from pathlib import Path

import pytest

from nmt.errors import UserError
from nmt.run import open_run
from nmt.search import Sampling
from nmt.translator import Translation, Translator
from nmt.translator.terms import Terminology, list_missing, place_term

LINES = ["one two three", "nine", "", "seven seven four", "ONE, six"]


@pytest.fixture
def translator(trained_run: Path) -> Translator:
    """A LuongRNN that has learned the number words a little."""
    return Translator.load(trained_run, device="cpu")


def test_source_terms_are_whole_words_and_the_longest_counts() -> None:
    terms = Terminology({"dog": "Köter", "hot dog": "Wurst", "Fire (big)": "Brand", "字": "Zeichen", "a.b": "x"})
    assert terms.wanted("A dog and a HOT DOG eat.") == ["Köter", "Wurst"]
    assert terms.wanted("hot dogs, dog, Dog") == ["Köter"]
    assert terms.wanted("hotdog doggy") == []
    assert terms.wanted("fire (big)!") == ["Brand"]
    assert terms.wanted("漢字。 a.b aXb") == ["Zeichen", "x"]
    assert Terminology({}).wanted("dog") == []
    for source, target in (("", "x"), ("dog", " ")):
        with pytest.raises(UserError, match="a term is empty"):
            Terminology({source: target})


def test_other_codes_of_the_same_characters_make_no_difference() -> None:
    composed, decomposed = "caf\u00e9 noir", "cafe\u0301\u00a0 noir"
    for term, line in ((composed, decomposed), (decomposed, composed)):
        assert Terminology({term: "x"}).wanted(f"A {line}.") == ["x"]
        text = Translation(text=f"Ein {line}.", score=0, log_probability=0, source_tokens=[], target_tokens=[])
        assert list_missing(text, [term, "caf", "cafe"]) == ("caf", "cafe")


def test_a_translation_lacks_terms_that_it_does_not_have_as_words() -> None:
    text = Translation(
        text="Ein köter, eine Hundehütte.", score=0, log_probability=0, source_tokens=[], target_tokens=[]
    )
    assert list_missing(text, ["Köter", "Hund", "Hütte", "eine"]) == ("Hund", "Hütte")


def test_a_term_is_tried_where_each_word_begins(translator: Translator) -> None:
    found = translator.translate("one two")
    term = translator.tokenizer.encode_target(["acht"])[0]
    ids = translator.tokenizer.target_ids(found.target_tokens)
    prefixes = place_term(translator.tokenizer, found, "acht", min_length=0)
    assert prefixes[0] == term and prefixes[-1] == ids[:-1] + term
    starts = [index for index, piece in enumerate(found.target_tokens) if piece.startswith("▁")]
    assert len(prefixes) == len(starts) + 1
    assert place_term(translator.tokenizer, found, "acht", min_length=len(ids) - 1) == prefixes[-1:]


def test_translations_contain_their_terms_with_the_scores_of_the_model(translator: Translator) -> None:
    plain = translator.translate(LINES, n_best=2)
    translator.terms = Terminology({"one": "acht", "seven": "drei", "four": "neun"})
    found = translator.translate(LINES, n_best=2)
    assert found[1:3] == plain[1:3]  # without terms, nothing changes
    for line, translations in zip(LINES, found, strict=True):
        best = translations[0]
        assert best.missing_terms == list_missing(best, translator.terms.wanted(line)) == ()
        if translator.terms.wanted(line):
            forced = translator.force_decode(line, best.target_tokens)
            assert best.score == pytest.approx(forced.score, abs=1e-4)
    assert {"drei", "neun"} <= set(found[3][0].text.split())
    together = [each.text for each in translator.translate(LINES)]
    assert together == [translator.translate(line).text for line in LINES]
    begun = translator.translate("one", prefix="zwei zwei").text
    assert begun.startswith("zwei zwei") and "acht" in begun.split()


def test_terms_that_the_translation_has_already_cost_nothing(translator: Translator) -> None:
    plain = translator.translate("one two three")
    translator.terms = Terminology({"two": plain.text.split()[0]})
    assert translator.translate("one two three") == plain


def test_a_term_without_room_is_missing(transformer_run: Path) -> None:
    translator = Translator.load(open_run(transformer_run), device="cpu")
    translator.terms = Terminology({"one": "acht " * translator.max_length})
    assert translator.translate("one two").missing_terms


def test_samples_are_not_compared(translator: Translator) -> None:
    translator.search = Sampling(
        temperature=1.0, top_k=None, top_p=None, seed=1, max_length_factor=1.0, max_length_margin=9
    )
    translator.terms = Terminology({"one": "acht"})
    assert translator.translate("two").missing_terms == ()
    with pytest.raises(UserError, match="terms need a search that compares scores: use search=beam or search=greedy"):
        translator.translate("one")
