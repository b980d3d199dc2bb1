"""The built-in corpus: its splits, its alignments and its pronouns."""

import hashlib
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import yaml

from nmt.data.grammar import GrammarCorpus, GrammarPair, generate_pairs, split_words
from nmt.data.grammar.corpus import MAX_WORDS
from nmt.data.pharaoh import format_links
from nmt.errors import UserError

ROOT = Path(__file__).parents[3]
SIZES = {"train_size": 2000, "val_size": 100, "test_size": 100, "test_long_size": 50, "pronouns_size": 40}
DIGESTS = {  # of the splits on which results were measured
    "train": "d660579d3776d645",
    "val": "465457d6279c1309",
    "test": "4d599a23e25e92dd",
    "test_long": "a57943e0a097b480",
    "pronouns": "403878ccdc11616b",
}


def corpus(**changes: Any) -> GrammarCorpus:
    arguments: dict[str, Any] = {"source": "en", "target": "de", "seed": 1, **SIZES}
    return GrammarCorpus(**(arguments | changes))


@pytest.fixture(scope="module")
def english() -> GrammarCorpus:
    return corpus()


@pytest.fixture(scope="module")
def pairs(english: GrammarCorpus) -> list[GrammarPair]:
    return [pair for name in english.splits() for pair in english.pairs(name)]


# ---------------------------------------------------------------- splits


def test_splits_have_the_requested_sizes(english: GrammarCorpus) -> None:
    assert english.splits() == ["train", "val", "test", "test_long", "pronouns"]
    assert [len(english.pairs(name)) for name in english.splits()] == list(SIZES.values())


def test_no_sentence_occurs_twice(pairs: list[GrammarPair]) -> None:
    assert len({pair.source for pair in pairs}) == len(pairs) == sum(SIZES.values())
    assert len({pair.target for pair in pairs}) == len(pairs)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("count", [split_words, str.split])
def test_test_long_is_longer_than_all_other_splits(english: GrammarCorpus, side: str, count: type) -> None:
    lengths = {name: [len(count(getattr(pair, side))) for pair in english.pairs(name)] for name in english.splits()}
    long = lengths.pop("test_long")
    assert min(long) > max(length for split in lengths.values() for length in split)
    assert max(map(max, lengths.values())) <= MAX_WORDS


def test_sentences_have_8_to_12_words_on_average(english: GrammarCorpus) -> None:
    lengths = [len(pair.source.split()) for pair in english.pairs("train")]
    assert 8 <= sum(lengths) / len(lengths) <= 12


@pytest.mark.parametrize("name", DIGESTS)
def test_recorded_results_are_about_the_same_sentences(name: str, english: GrammarCorpus) -> None:
    text = "".join(f"{pair.source}\n{pair.target}\n" for pair in english.pairs(name))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == DIGESTS[name]


def test_splits_do_not_depend_on_the_size_of_train(english: GrammarCorpus) -> None:
    smaller = corpus(train_size=500)
    assert smaller.pairs("train") == english.pairs("train")[:500]
    assert all(smaller.pairs(name) == english.pairs(name) for name in ("val", "test", "test_long"))


def test_a_pair_is_found_by_its_source(english: GrammarCorpus) -> None:
    huge = corpus(train_size=900_000)  # would take minutes to generate
    for name in ("val", "test", "test_long"):
        assert huge.find_pair(english.pairs(name)[7].source) == english.pairs(name)[7]
    assert huge.find_pair("The mouse sang, danced and flew.") is None
    german = corpus(source="de", target="en")
    assert german.find_pair(english.pairs("val")[0].target) == english.pairs("val")[0].reversed()


def test_another_seed_gives_other_sentences(english: GrammarCorpus) -> None:
    other = corpus(seed=2, train_size=1, test_long_size=1)
    assert {pair.source for pair in other.pairs("test")} != {pair.source for pair in english.pairs("test")}


def test_sentences_are_the_same_in_every_process_and_need_no_torch() -> None:
    program = (
        "import hashlib, sys; from itertools import islice; from nmt.data.grammar import generate_pairs\n"
        "pairs = [*islice(generate_pairs(3), 300), *islice(generate_pairs(3, long=True), 20)]\n"
        "print(hashlib.sha256(repr(pairs).encode()).hexdigest(), 'torch' in sys.modules)"
    )
    pairs = [*islice(generate_pairs(3), 300), *islice(generate_pairs(3, long=True), 20)]
    digest = hashlib.sha256(repr(pairs).encode()).hexdigest()
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert process.stdout.split() == [digest, "False"]


# ---------------------------------------------------------------- directions and datasets


def test_directions_mirror_each_other(english: GrammarCorpus) -> None:
    german = corpus(source="de", target="en")
    for name in english.splits():
        for there, back in zip(english.pairs(name), german.pairs(name), strict=True):
            assert (there.source, there.target) == (back.target, back.source)
            assert set(there.alignment) == {(source, target) for target, source in back.alignment}
            assert list(back.alignment) == sorted(back.alignment)
            assert back.reversed() == there


def test_a_split_contains_alignments_and_antecedents(english: GrammarCorpus) -> None:
    dataset = english.split("val")
    pairs = english.pairs("val")
    assert dataset.column_names == ["source", "target", "alignment", "antecedent"]
    assert list(dataset["source"]) == [pair.source for pair in pairs]
    assert list(dataset["target"]) == [pair.target for pair in pairs]
    assert list(dataset["alignment"]) == [format_links(pair.alignment) for pair in pairs]
    with_pronoun = next(index for index, pair in enumerate(pairs) if pair.antecedent)
    without = next(index for index, pair in enumerate(pairs) if not pair.antecedent)
    antecedent = pairs[with_pronoun].antecedent
    assert antecedent
    assert dataset[with_pronoun]["antecedent"] == {
        "source_noun": antecedent.source_noun,
        "source_pronoun": antecedent.source_pronoun,
        "target_noun": antecedent.target_noun,
        "target_pronoun": antecedent.target_pronoun,
    }
    assert dataset[without]["antecedent"] is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "fr"}, "no direction en to fr: it generates en and de"),
        ({"target": "en"}, "no direction en to en"),
        ({"test_size": 0}, "data.test_size=0 must be a whole number"),
        ({"train_size": 2.5}, "data.train_size=2.5 must be"),
        ({"train_size": -5}, "data.train_size=-5 must be"),
        ({"train_size": 1_000_000}, "1000200 pairs together, but the grammar generates at most 1000000"),
        ({"test_long_size": 100_001}, "data.test_long_size=100001 is too large"),
        ({"pronouns_size": 10_001}, "data.pronouns_size=10001 is too large: the grammar generates at most 10000"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        corpus(**changes)


def test_the_error_for_an_unknown_split_names_the_known_ones(english: GrammarCorpus) -> None:
    with pytest.raises(UserError, match="no split 'dev': choose one of train, val, test, test_long, pronouns"):
        english.split("dev")


def test_the_configuration_fits_the_constructor() -> None:
    configuration = yaml.safe_load((ROOT / "conf/data/grammar.yaml").read_text(encoding="utf-8"))
    assert configuration.pop("_target_") == "nmt.data.grammar.GrammarCorpus"
    assert GrammarCorpus(**configuration).splits() == ["train", "val", "test", "test_long", "pronouns"]


# ---------------------------------------------------------------- alignment


def test_all_words_are_aligned_except_do_and_commas(pairs: list[GrammarPair]) -> None:
    for pair in pairs:
        source, target = split_words(pair.source), split_words(pair.target)
        assert list(pair.alignment) == sorted(set(pair.alignment)), pair
        assert all(0 <= s < len(source) and 0 <= t < len(target) for s, t in pair.alignment), pair
        unaligned = {source[s].lower() for s in {*range(len(source))} - {s for s, _ in pair.alignment}}
        assert unaligned <= {"do", "does", "did"}, pair
        assert {target[t] for t in {*range(len(target))} - {t for _, t in pair.alignment}} <= {","}, pair


def test_punctuation_is_aligned_with_punctuation_only(pairs: list[GrammarPair]) -> None:
    for pair in pairs:
        source, target = split_words(pair.source), split_words(pair.target)
        assert all((source[s] in ",.?") == (target[t] in ",.?") for s, t in pair.alignment), pair
        assert (len(source) - 1, len(target) - 1) in pair.alignment, pair


def test_nouns_are_aligned_with_nouns(pairs: list[GrammarPair]) -> None:
    """An independent check of the alignment, with translations written by hand."""
    translations = {
        "animal": {"Tier", "Tiere", "Tieren"}, "dog": {"Hund"}, "cups": {"Tassen", "Kaffeetassen", "Teetassen"},
        "boy": {"Junge", "Jungen"}, "lake": {"See"}, "women": {"Frauen"}, "uncle": {"Onkel"},
    }  # fmt: skip
    seen = dict.fromkeys(translations, 0)
    for pair in pairs:
        source, target = split_words(pair.source), split_words(pair.target)
        for s, word in enumerate(source):
            if word in translations:
                assert {target[t] for i, t in pair.alignment if i == s} <= translations[word], pair
                seen[word] += 1
    assert min(seen.values()) > 5, seen


# ---------------------------------------------------------------- pronouns

# Written by hand, independently of the lexicon: singular forms of all nouns to which a pronoun can refer. A compound
# has the gender of its last part.
GENDERS = {
    "m": """mann vater bruder onkel könig junge jungen hund bär bären affe affen elefant elefanten apfel kuchen kaffee
        tee saft brief ball schlüssel koffer korb stuhl tisch computer hut mantel lastwagen zug bus fluss see
        spielplatz""",
    "f": """frau mutter schwester tante königin katze kuh maus ziege banane suppe milch geschichte zeitung tasse
        flasche tasche kiste lampe jacke straße brücke insel""",
    "n": """tier pferd schwein ei brot wasser buch messer bild glas radio hemd kleid auto fahrrad feld""",
}
PRONOUNS = {"m": {"er", "ihn", "ihm"}, "f": {"sie", "ihr"}, "n": {"es", "ihm"}}


def find_gender(noun: str) -> str:
    """The gender of the longest noun in the table with which `noun` ends."""
    fitting = [
        (len(known), gender_number)
        for gender_number, row in GENDERS.items()
        for known in row.split()
        if noun.endswith(known)
    ]
    assert fitting, f"{noun} is missing in the test's table"
    return max(fitting)[1]


def test_pronouns_agree_with_their_nouns() -> None:
    seen = {"m": 0, "f": 0, "n": 0, "plural": 0}
    for pair in islice(generate_pairs(9), 4000):
        if pair.antecedent is None:
            continue
        source, target = split_words(pair.source.lower()), split_words(pair.target.lower())
        english, german = source[pair.antecedent.source_pronoun], target[pair.antecedent.target_pronoun]
        noun = target[pair.antecedent.target_noun]
        assert (pair.antecedent.source_noun, pair.antecedent.target_noun) in pair.alignment
        assert (pair.antecedent.source_pronoun, pair.antecedent.target_pronoun) in pair.alignment
        if english in {"they", "them"}:
            assert german in {"sie", "ihnen"}, pair
            seen["plural"] += 1
        else:
            assert english in {"it", "he", "him", "she", "her"}, pair
            assert german in PRONOUNS[find_gender(noun)], pair
            seen[find_gender(noun)] += 1
    assert min(seen.values()) > 50, seen


def test_it_refers_to_the_subject_or_the_object() -> None:
    """In sentences of the same form, the pronoun sometimes refers to the first noun and sometimes to the second."""
    refers_to_subject = {True: 0, False: 0}
    for pair in islice(generate_pairs(9), 3000):
        source = split_words(pair.source)
        if pair.antecedent and source[-5:-3] == ["it", "was"] and "cross" in source:
            refers_to_subject[pair.antecedent.source_noun < source.index("cross")] += 1
    assert min(refers_to_subject.values()) > 5, refers_to_subject
