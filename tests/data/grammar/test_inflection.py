"""Inflected forms, compared with the tables of a school grammar, written out by hand."""

import pytest

from nmt.data.grammar.inflection import (
    AGREEMENTS,
    Case,
    Declension,
    EnglishVerb,
    GermanVerb,
    Time,
    add_s,
    conjugate_auxiliary,
    decline_adjective,
    decline_determiner,
    german_dative_plural,
    german_relative_pronoun,
    indefinite_article,
)

CASES: tuple[Case, ...] = ("nominative", "accusative", "dative")


@pytest.mark.parametrize(
    ("stem", "declension", "rows"),
    [
        ("", "definite", ["der die das die", "den die das die", "dem der dem den"]),
        ("dies", "der", ["dieser diese dieses diese", "diesen diese dieses diese", "diesem dieser diesem diesen"]),
        ("kein", "ein", ["kein keine kein keine", "keinen keine kein keine", "keinem keiner keinem keinen"]),
        (
            "unser",
            "ein",
            ["unser unsere unser unsere", "unseren unsere unser unsere", "unserem unserer unserem unseren"],
        ),
        ("zwei", "fixed", ["zwei zwei zwei zwei"] * 3),
    ],
)
def test_determiners_are_declined(stem: str, declension: Declension, rows: list[str]) -> None:
    for case, row in zip(CASES, rows, strict=True):
        assert [decline_determiner(stem, declension, case, gender_number) for gender_number in "mfnp"] == row.split()


@pytest.mark.parametrize(
    ("after", "rows"),
    [
        ("definite", ["alte alte alte alten", "alten alte alte alten", "alten alten alten alten"]),
        ("der", ["alte alte alte alten", "alten alte alte alten", "alten alten alten alten"]),
        ("ein", ["alter alte altes alten", "alten alte altes alten", "alten alten alten alten"]),
        (None, ["alter alte altes alte", "alten alte altes alte", "altem alter altem alten"]),
        ("fixed", ["alter alte altes alte", "alten alte altes alte", "altem alter altem alten"]),
    ],
)
def test_adjectives_are_declined(after: Declension | None, rows: list[str]) -> None:
    for case, row in zip(CASES, rows, strict=True):
        assert [decline_adjective("alt", after, case, gender_number) for gender_number in "mfnp"] == row.split()


def test_relative_pronouns_equal_the_article_except_one() -> None:
    rows = ["der die das die", "den die das die", "dem der dem denen"]
    for case, row in zip(CASES, rows, strict=True):
        assert [german_relative_pronoun(case, gender_number) for gender_number in "mfnp"] == row.split()


@pytest.mark.parametrize(
    ("plural", "dative"),
    [("Hunde", "Hunden"), ("Frauen", "Frauen"), ("Autos", "Autos"), ("Lehrer", "Lehrern"), ("Gärten", "Gärten")],
)
def test_the_dative_plural_ends_in_n_or_s(plural: str, dative: str) -> None:
    assert german_dative_plural(plural) == dative


@pytest.mark.parametrize(
    ("entry", "present", "past", "participle", "helper"),
    [
        ("kaufen", "kaufe kaufst kauft kaufen kaufen", "kaufte kauftest kaufte kauften kauften", "gekauft", "haben"),
        ("arbeiten", "arbeite arbeitest arbeitet arbeiten arbeiten",
         "arbeitete arbeitetest arbeitete arbeiteten arbeiteten", "gearbeitet", "haben"),
        ("öffnen", "öffne öffnest öffnet öffnen öffnen", "öffnete öffnetest öffnete öffneten öffneten",
         "geöffnet", "haben"),
        ("füttern", "füttere fütterst füttert füttern füttern",
         "fütterte füttertest fütterte fütterten fütterten", "gefüttert", "haben"),
        ("tanzen", "tanze tanzt tanzt tanzen tanzen", "tanzte tanztest tanzte tanzten tanzten", "getanzt", "haben"),
        ("verkaufen", "verkaufe verkaufst verkauft verkaufen verkaufen",
         "verkaufte verkauftest verkaufte verkauften verkauften", "verkauft", "haben"),
        ("reparieren", "repariere reparierst repariert reparieren reparieren",
         "reparierte repariertest reparierte reparierten reparierten", "repariert", "haben"),
        ("auf|machen", "mache machst macht machen machen", "machte machtest machte machten machten",
         "aufgemacht", "haben"),
        ("lesen liest las gelesen", "lese liest liest lesen lesen", "las lasest las lasen lasen", "gelesen", "haben"),
        ("finden findet fand gefunden", "finde findest findet finden finden",
         "fand fandest fand fanden fanden", "gefunden", "haben"),
        ("laufen läuft lief gelaufen sein", "laufe läufst läuft laufen laufen",
         "lief liefst lief liefen liefen", "gelaufen", "sein"),
        ("ein|laden lädt lud geladen", "lade lädst lädt laden laden", "lud ludest lud luden luden",
         "eingeladen", "haben"),
        ("wissen weiß wusste gewusst", "weiß weißt weiß wissen wissen",
         "wusste wusstest wusste wussten wussten", "gewusst", "haben"),
    ],
)  # fmt: skip
def test_german_verbs_are_conjugated(entry: str, present: str, past: str, participle: str, helper: str) -> None:
    verb = GermanVerb.parse(entry)
    assert [verb.finite("present", agreement) for agreement in AGREEMENTS] == present.split()
    assert [verb.finite("past", agreement) for agreement in AGREEMENTS] == past.split()
    assert (verb.participle, verb.auxiliary) == (participle, helper)
    assert verb.infinitive == entry.split()[0].replace("|", "")


@pytest.mark.parametrize(
    ("lemma", "time", "forms"),
    [
        ("sein", "present", "bin bist ist sind sind"),
        ("haben", "present", "habe hast hat haben haben"),
        ("werden", "present", "werde wirst wird werden werden"),
        ("müssen", "present", "muss musst muss müssen müssen"),
        ("können", "past", "konnte konntest konnte konnten konnten"),
    ],
)
def test_german_auxiliaries_are_conjugated(lemma: str, time: Time, forms: str) -> None:
    assert [conjugate_auxiliary(lemma, time, agreement) for agreement in AGREEMENTS] == forms.split()


@pytest.mark.parametrize(
    ("entry", "third", "past", "participle"),
    [
        ("call", "calls", "called", "called"),
        ("carry", "carries", "carried", "carried"),
        ("play", "plays", "played", "played"),
        ("love", "loves", "loved", "loved"),
        ("wash", "washes", "washed", "washed"),
        ("go/went/gone", "goes", "went", "gone"),
    ],
)
def test_english_verbs_are_conjugated(entry: str, third: str, past: str, participle: str) -> None:
    verb = EnglishVerb.parse(entry)
    assert (verb.finite("present", "3s"), verb.finite("past", "3s"), verb.participle) == (third, past, participle)
    assert verb.finite("present", "3p") == entry.split("/")[0]


def test_english_plurals_and_articles_follow_the_sound() -> None:
    nouns = {"dog": "dogs", "box": "boxes", "story": "stories", "boy": "boys", "bus": "buses"}
    assert {noun: add_s(noun) for noun in nouns} == nouns
    assert [indefinite_article(word) for word in ("old", "apple", "dog", "young")] == ["an", "an", "a", "a"]
