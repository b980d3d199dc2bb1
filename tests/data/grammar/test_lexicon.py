"""The tables of the lexicon are consistent with each other."""

from nmt.data.grammar.lexicon import ADJECTIVES, NOUNS, VERBS

PLURALS = {
    "man": "men", "woman": "women", "child": "children", "mouse": "mice", "knife": "knives", "city": "cities",
    "story": "stories", "box": "boxes", "bus": "buses", "glass": "glasses", "radio": "radios",
}  # fmt: skip
COMPOUNDS = {
    "coffee cup": ("Kaffeetasse", "Kaffeetassen", "f"), "water glass": ("Wasserglas", "Wassergläser", "n"),
    "apple cake": ("Apfelkuchen", "Apfelkuchen", "m"), "house key": ("Hausschlüssel", "Hausschlüssel", "m"),
    "mountain village": ("Bergdorf", "Bergdörfer", "n"), "apple juice": ("Apfelsaft", "", "m"),
}  # fmt: skip


def test_plurals_and_compounds_equal_those_written_by_hand() -> None:
    assert {english: NOUNS[english].english_plural for english in PLURALS} == PLURALS
    compounds = {english: NOUNS[english] for english in COMPOUNDS}
    assert {english: (noun.german, noun.german_plural, noun.gender) for english, noun in compounds.items()} == COMPOUNDS


def test_weak_nouns_are_masculine_with_plurals_in_n() -> None:
    weak = [noun for noun in NOUNS.values() if noun.weak]
    assert {noun.german for noun in weak} == {
        "Junge", "Student", "Bauer", "Nachbar", "Bär", "Affe", "Elefant",
    }  # fmt: skip
    assert all(noun.gender == "m" and noun.german_plural.endswith("n") for noun in weak)


def test_german_words_and_english_verbs_are_unambiguous() -> None:
    for words in ([noun.german for noun in NOUNS.values()], [adjective.german for adjective in ADJECTIVES.values()]):
        assert len(words) == len(set(words))
    english = [(verb.english.base, verb.english.particle) for verb in VERBS.values()]
    assert {verb for verb in english if english.count(verb) > 1} == {
        ("eat", ""),
        ("read", ""),
    }  # essen, fressen; lesen, vorlesen


def test_every_tag_of_a_verb_or_adjective_is_a_tag_of_a_noun() -> None:
    tags = {tag for noun in NOUNS.values() for tag in noun.tags}
    for verb in VERBS.values():
        assert verb.subjects | verb.objects <= tags, verb
        assert verb.subjects, verb
    for adjective in ADJECTIVES.values():
        assert adjective.tags <= tags, adjective
        assert adjective.tags, adjective


def test_the_vocabulary_is_small_enough_for_small_models() -> None:
    simple = [english for english in NOUNS if " " not in english]
    assert 150 <= len(simple) + len(VERBS) + len(ADJECTIVES) <= 250
