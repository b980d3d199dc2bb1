"""The lexicon as a whole: what its tables must not contradict."""

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


def test_plurals_and_compounds() -> None:
    assert {english: NOUNS[english].english_plural for english in PLURALS} == PLURALS
    compounds = {english: NOUNS[english] for english in COMPOUNDS}
    assert {english: (noun.german, noun.german_plural, noun.gender) for english, noun in compounds.items()} == COMPOUNDS


def test_weak_nouns_are_masculine_and_end_in_n_elsewhere() -> None:
    weak = [noun for noun in NOUNS.values() if noun.weak]
    assert {noun.german for noun in weak} == {
        "Junge", "Student", "Bauer", "Nachbar", "Bär", "Affe", "Elefant",
    }  # fmt: skip
    assert all(noun.gender == "m" and noun.german_plural.endswith("n") for noun in weak)


def test_a_word_means_one_thing() -> None:
    for words in ([noun.german for noun in NOUNS.values()], [adjective.german for adjective in ADJECTIVES.values()]):
        assert len(words) == len(set(words))
    english = [(verb.english.base, verb.english.particle) for verb in VERBS.values()]
    assert {verb for verb in english if english.count(verb) > 1} == {
        ("eat", ""),
        ("read", ""),
    }  # essen, fressen; lesen, vorlesen


def test_every_tag_names_something() -> None:
    tags = {tag for noun in NOUNS.values() for tag in noun.tags}
    for verb in VERBS.values():
        assert verb.subjects | verb.objects <= tags, verb
        assert verb.subjects, verb
    for adjective in ADJECTIVES.values():
        assert adjective.tags <= tags, adjective
        assert adjective.tags, adjective


def test_the_size_is_what_small_models_can_learn() -> None:
    simple = [english for english in NOUNS if " " not in english]
    assert 150 <= len(simple) + len(VERBS) + len(ADJECTIVES) <= 250
