"""Word order, agreement and alignment: one sentence per phenomenon, translated and aligned by hand."""

from dataclasses import replace
from typing import Any, Literal

import pytest

from nmt.data.grammar.clauses import (
    BECAUSE,
    CAN,
    FUTURE,
    HAD_TO,
    PAST,
    PERFECT,
    THAT,
    WANT_TO,
    WHEN,
    Clause,
    linearise,
    relative,
    statement,
    with_subordinate,
)
from nmt.data.grammar.lexicon import ADJECTIVES, BE, DETERMINERS, NOUNS, PREPOSITIONS, VERBS, WAITING_FOR
from nmt.data.grammar.phrases import (
    HE,
    SHE,
    WE,
    WHAT,
    WHO,
    YOU,
    Antecedent,
    Conjoined,
    I,
    Nominal,
    NounPhrase,
    PhrasePair,
    Pronoun,
    SentenceGrammar,
    align_words,
    finish_sentence,
    prepositional,
    pronoun_for,
    relative_pronoun,
    split_words,
)


def noun(english: str, determiner: str = "the", adjective: str = "", **choices: Any) -> NounPhrase:
    return NounPhrase(NOUNS[english], DETERMINERS.get(determiner), ADJECTIVES.get(adjective), **choices)


def verb(infinitive: str, subject: Nominal, **parts: Any) -> Clause:
    return Clause(subject, VERBS[infinitive], **parts)


def relative_to(english: str, *, plural: bool = False) -> Pronoun:
    return relative_pronoun(NOUNS[english], plural=plural)


def place(preposition: str, nominal: Nominal) -> PhrasePair:
    return prepositional(PREPOSITIONS[preposition], nominal)


BUY = verb("kaufen", noun("woman", "the", "young"), tense=PAST, accusative=noun("apple", "a", "red"))
CALL = verb("anrufen", noun("man"), tense=PAST, accusative=noun("neighbor"))
LAUGH = verb("lachen", HE, tense=PAST)
CLOSE = verb("zumachen", noun("man"), tense=PAST, accusative=noun("box"))
READ = verb("lesen", noun("man"), tense=PAST, accusative=noun("letter"))

WHO_SOLD = relative(verb("verkaufen", relative_to("man"), tense=PAST, accusative=noun("car"), gap="subject"))
WHICH_READ = relative(
    verb("lesen", noun("woman"), tense=PERFECT, accusative=relative_to("book"), gap="accusative"),
)
WHOM_THANK = relative(verb("danken", I, dative=relative_to("woman", plural=True), gap="dative"))
WHO_SLEPT = relative(verb("einschlafen", relative_to("neighbor"), tense=PAST, gap="subject"))

STATEMENTS = {
    "gender and case": (
        statement(BUY),
        "The young woman bought a red apple.",
        "Die junge Frau kaufte einen roten Apfel.",
        "0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7",
    ),
    "a modal verb": (
        statement(replace(BUY, tense=WANT_TO)),
        "The young woman wants to buy a red apple.",
        "Die junge Frau will einen roten Apfel kaufen.",
        "0-0 1-1 2-2 3-3 4-3 5-7 6-4 7-5 8-6 9-8",
    ),
    "cannot and kein": (
        statement(replace(BUY, tense=CAN, negated=True)),
        "The young woman cannot buy a red apple.",
        "Die junge Frau kann keinen roten Apfel kaufen.",
        "0-0 1-1 2-2 3-3 3-4 4-7 5-4 6-5 7-6 8-8",
    ),
    "did not have to": (
        statement(replace(CALL, tense=HAD_TO, negated=True)),
        "The man did not have to call the neighbor.",
        "Der Mann musste den Nachbarn nicht anrufen.",
        "0-0 1-1 3-5 4-2 5-2 6-6 7-3 8-4 9-7",
    ),
    "the perfect with haben": (
        statement(replace(CALL, tense=PERFECT)),
        "The man has called the neighbor.",
        "Der Mann hat den Nachbarn angerufen.",
        "0-0 1-1 2-2 3-5 4-3 5-4 6-6",
    ),
    "the perfect with sein": (
        statement(verb("aufwachen", I, tense=PERFECT, adverb=("already", "schon"))),
        "I have already woken up.",
        "Ich bin schon aufgewacht.",
        "0-0 1-1 2-2 3-3 4-3 5-4",
    ),
    "the future": (
        statement(replace(CALL, tense=FUTURE, time=("tonight", "heute_Abend"))),
        "The man will call the neighbor tonight.",
        "Der Mann wird heute Abend den Nachbarn anrufen.",
        "0-0 1-1 2-2 3-7 4-5 5-6 6-3 6-4 7-8",
    ),
    "a separable verb": (
        statement(CALL),
        "The man called the neighbor.",
        "Der Mann rief den Nachbarn an.",
        "0-0 1-1 2-2 2-5 3-3 4-4 5-6",
    ),
    "a particle and a compound": (
        statement(verb("einschalten", SHE, accusative=noun("kitchen lamp"))),
        "She turns on the kitchen lamp.",
        "Sie schaltet die Küchenlampe ein.",
        "0-0 1-1 2-4 3-2 4-3 5-3 6-5",
    ),
    "a particle behind a pronoun": (
        statement(verb("abholen", SHE, accusative=HE)),
        "She picks him up.",
        "Sie holt ihn ab.",
        "0-0 1-1 2-2 3-3 4-4",
    ),
    "inversion behind an expression of time": (
        statement(replace(CALL, time=("last week", "letzte Woche")), time_first=True),
        "Last week the man called the neighbor.",
        "Letzte Woche rief der Mann den Nachbarn an.",
        "0-0 1-1 2-3 3-4 4-2 4-7 5-5 6-6 7-8",
    ),
    "nicht": (
        statement(replace(CALL, negated=True)),
        "The man did not call the neighbor.",
        "Der Mann rief den Nachbarn nicht an.",
        "0-0 1-1 3-5 4-2 4-6 5-3 6-4 7-7",
    ),
    "kein": (
        statement(replace(BUY, negated=True)),
        "The young woman did not buy a red apple.",
        "Die junge Frau kaufte keinen roten Apfel.",
        "0-0 1-1 2-2 4-4 5-3 6-4 7-5 8-6 9-7",
    ),
    "kein without an English article": (
        statement(verb("trinken", I, accusative=noun("milk", ""), negated=True)),
        "I do not drink milk.",
        "Ich trinke keine Milch.",
        "0-0 2-2 3-1 4-3 5-4",
    ),
    "two objects and a weak noun": (
        statement(verb("geben", noun("mother", "my"), tense=PAST, dative=noun("boy", "the", "small"),
                       accusative=noun("ball", "a", "new"))),
        "My mother gave the small boy a new ball.",
        "Meine Mutter gab dem kleinen Jungen einen neuen Ball.",
        "0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7 8-8 9-9",
    ),
    "a dative plural": (
        statement(verb("helfen", WE, tense=PAST, dative=noun("dog", "two", "old", plural=True))),
        "We helped two old dogs.",
        "Wir halfen zwei alten Hunden.",
        "0-0 1-1 2-2 3-3 4-4 5-5",
    ),
    "a contraction": (
        statement(verb("spielen", noun("boy"), complement=place("in", noun("city park")))),
        "The boy plays in the city park.",
        "Der Junge spielt im Stadtpark.",
        "0-0 1-1 2-2 3-3 4-3 5-4 6-4 7-5",
    ),
    "a contraction between the brackets": (
        statement(verb("laufen", noun("boy"), tense=PERFECT, complement=place("to", noun("train station")))),
        "The boy has run to the train station.",
        "Der Junge ist zum Bahnhof gelaufen.",
        "0-0 1-1 2-2 3-5 4-3 5-3 6-4 7-4 8-6",
    ),
    "a direction in the accusative": (
        statement(verb("gehen", noun("boy"), complement=place("into", noun("house", "a", "dark")))),
        "The boy goes into a dark house.",
        "Der Junge geht in ein dunkles Haus.",
        "0-0 1-1 2-2 3-3 4-4 5-5 6-6 7-7",
    ),
    "a verb's own preposition": (
        statement(verb("warten", noun("guest"), complement=prepositional(WAITING_FOR, noun("bus")))),
        "The guest waits for the bus.",
        "Der Gast wartet auf den Bus.",
        "0-0 1-1 2-2 3-3 4-4 5-5 6-6",
    ),
    "an irregular stem behind an ein-word": (
        statement(verb("sehen", I, accusative=noun("truck", "an", "expensive", plural=True))),
        "I see expensive trucks.",
        "Ich sehe teure Lastwagen.",
        "0-0 1-1 2-2 3-3 4-4",
    ),
    "a relative clause with the subject": (
        statement(verb("schlafen", noun("man", relative=WHO_SOLD))),
        "The man who sold the car sleeps.",
        "Der Mann, der das Auto verkaufte, schläft.",
        "0-0 1-1 2-3 3-6 4-4 5-5 6-8 7-9",
    ),
    "a relative clause with the object": (
        statement(Clause(noun("book", relative=WHICH_READ), BE, complement=align_words("old", "alt"))),
        "The book that the woman has read is old.",
        "Das Buch, das die Frau gelesen hat, ist alt.",
        "0-0 1-1 2-3 3-4 4-5 5-7 6-6 7-9 8-10 9-11",
    ),
    "a relative clause in the dative plural": (
        statement(verb("lachen", noun("woman", plural=True, relative=WHOM_THANK))),
        "The women who I thank laugh.",
        "Die Frauen, denen ich danke, lachen.",
        "0-0 1-1 2-3 3-4 4-5 5-7 6-8",
    ),
    "a relative clause behind the separated prefix": (
        statement(CALL) + WHO_SLEPT,
        "The man called the neighbor who fell asleep.",
        "Der Mann rief den Nachbarn an, der einschlief.",
        "0-0 1-1 2-2 2-5 3-3 4-4 5-7 6-8 7-8 8-9",
    ),
    "a reported clause": (
        with_subordinate(verb("sagen", SHE), THAT, replace(CALL, tense=FUTURE)),
        "She says that the man will call the neighbor.",
        "Sie sagt, dass der Mann den Nachbarn anrufen wird.",
        "0-0 1-1 2-3 3-4 4-5 5-9 6-8 7-6 8-7 9-10",
    ),
    "a joined prefix in a subordinate clause": (
        with_subordinate(LAUGH, WHEN, CALL),
        "He laughed when the man called the neighbor.",
        "Er lachte, als der Mann den Nachbarn anrief.",
        "0-0 1-1 2-3 3-4 4-5 5-8 6-6 7-7 8-9",
    ),
    "inversion behind a subordinate clause": (
        with_subordinate(LAUGH, WHEN, CALL, first=True),
        "When the man called the neighbor, he laughed.",
        "Als der Mann den Nachbarn anrief, lachte er.",
        "0-0 1-1 2-2 3-5 4-3 5-4 6-6 7-8 8-7 9-9",
    ),
    "a comma that closes a subordinate clause": (
        with_subordinate(LAUGH, WHEN, CALL) + align_words("and", "und") + statement(verb("schlafen", WE, tense=PAST)),
        "He laughed when the man called the neighbor and we slept.",
        "Er lachte, als der Mann den Nachbarn anrief, und wir schliefen.",
        "0-0 1-1 2-3 3-4 4-5 5-8 6-6 7-7 8-10 9-11 10-12 11-13",
    ),
    "coordinated subjects": (
        statement(verb("schlafen", Conjoined(noun("dog"), noun("cat")))),
        "The dog and the cat sleep.",
        "Der Hund und die Katze schlafen.",
        "0-0 1-1 2-2 3-3 4-4 5-5 6-6",
    ),
    "coordinated predicates": (
        statement(CLOSE) + align_words("and", "und") + linearise(READ, "statement", silent_subject=True),
        "The man closed the box and read the letter.",
        "Der Mann machte die Kiste zu und las den Brief.",
        "0-0 1-1 2-2 2-5 3-3 4-4 5-6 6-7 7-8 8-9 9-10",
    ),
}  # fmt: skip

QUESTIONS = {
    "a question": (
        linearise(CALL, "question"),
        "Did the man call the neighbor?",
        "Rief der Mann den Nachbarn an?",
        "1-1 2-2 3-0 3-5 4-3 5-4 6-6",
    ),
    "who as the subject": (
        linearise(verb("helfen", WHO, dative=noun("child"), gap="subject"), "question"),
        "Who helps the child?",
        "Wer hilft dem Kind?",
        "0-0 1-1 2-2 3-3 4-4",
    ),
    "who in the dative": (
        linearise(verb("helfen", noun("teacher"), dative=WHO, gap="dative"), "question"),
        "Who does the teacher help?",
        "Wem hilft der Lehrer?",
        "0-0 2-2 3-3 4-1 5-4",
    ),
    "what": (
        linearise(replace(BUY, accusative=WHAT, gap="accusative"), "question"),
        "What did the young woman buy?",
        "Was kaufte die junge Frau?",
        "0-0 2-2 3-3 4-4 5-1 6-5",
    ),
    "whereto": (
        linearise(verb("gehen", YOU), "question", front=align_words("where", "wohin")),
        "Where do you go?",
        "Wohin gehst du?",
        "0-0 2-2 3-1 4-3",
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_equal_those_written_by_hand(name: str) -> None:
    phrase, source, target, alignment = STATEMENTS[name]
    check(phrase, ".", source, target, alignment)


@pytest.mark.parametrize("name", QUESTIONS)
def test_questions_equal_those_written_by_hand(name: str) -> None:
    phrase, source, target, alignment = QUESTIONS[name]
    check(phrase, "?", source, target, alignment)


def check(phrase: PhrasePair, end: Literal[".", "?"], source: str, target: str, alignment: str) -> None:
    pair = finish_sentence(phrase, end)
    assert (pair.source, pair.target) == (source, target)
    assert " ".join(f"{source}-{target}" for source, target in pair.alignment) == alignment
    assert pair.antecedent is None


@pytest.mark.parametrize(
    ("antecedent", "reason", "source", "target", "word_indices"),
    [
        ("animal", ("too tired", "zu müde"), "because it was too tired.", "weil es zu müde war.", (1, 8, 1, 8)),
        ("street", ("too wide", "zu breit"), "because it was too wide.", "weil sie zu breit war.", (6, 8, 4, 8)),
        ("river", ("too wide", "zu breit"), "because it was too wide.", "weil er zu breit war.", (6, 8, 4, 8)),
    ],
)
def test_a_pronoun_takes_the_gender_of_its_noun(
    antecedent: str, reason: tuple[str, str], source: str, target: str, word_indices: tuple[int, int, int, int]
) -> None:
    animal = noun("animal", antecedent=antecedent == "animal")
    goal = noun("street" if antecedent == "animal" else antecedent, antecedent=antecedent != "animal")
    cross = verb("überqueren", animal, tense=PAST, accusative=goal, negated=True)
    pronoun = pronoun_for(animal if animal.antecedent else goal)
    pair = finish_sentence(
        with_subordinate(cross, BECAUSE, Clause(pronoun, BE, PAST, complement=align_words(*reason))), "."
    )
    crossed = {"river": ("the river", "den Fluss")}.get(antecedent, ("the street", "die Straße"))
    assert pair.source == f"The animal did not cross {crossed[0]} {source}"
    assert pair.target == f"Das Tier überquerte {crossed[1]} nicht, {target}"
    assert pair.antecedent == Antecedent(*word_indices)
    assert ("antecedent", word_indices[1], word_indices[0]) in pair.source_grammar.relations
    assert ("antecedent", word_indices[3], word_indices[2]) in pair.target_grammar.relations
    assert pair.reversed().antecedent == Antecedent(*word_indices[2:], *word_indices[:2])


def test_a_sentence_is_split_into_words_and_punctuation_marks() -> None:
    assert split_words("Der Hund, der schläft.") == ["Der", "Hund", ",", "der", "schläft", "."]
    assert split_words("Don't! A well-known X-ray?") == ["Don't", "!", "A", "well-known", "X-ray", "?"]


def relations(side: SentenceGrammar, sentence: str) -> set[str]:
    words = split_words(sentence)
    return {f"{words[word]} {name} {words[other]}" for name, word, other in side.relations}


RELATIONS = {
    "gender and case": (
        "woman article The, woman adjective young, bought subject woman, apple article a, apple adjective red",
        "Frau article Die, Frau adjective junge, kaufte subject Frau, Apfel article einen, Apfel adjective roten",
    ),
    "a modal verb": (
        "woman article The, woman adjective young, wants subject woman, apple article a, apple adjective red",
        "Frau article Die, Frau adjective junge, will subject Frau, Apfel article einen, Apfel adjective roten",
    ),
    "kein without an English article": ("do subject I", "trinke subject Ich, Milch article keine"),
    "a separable verb": (
        "man article The, called subject man, neighbor article the",
        "Mann article Der, rief subject Mann, rief particle an, Nachbarn article den",
    ),
    "a particle and a compound": (
        "turns subject She, turns particle on, lamp article the",
        "schaltet subject Sie, schaltet particle ein, Küchenlampe article die",
    ),
    "the perfect with sein": ("have subject I, woken particle up", "bin subject Ich"),
    "a joined prefix in a subordinate clause": (
        "laughed subject He, man article the, called subject man, neighbor article the",
        "lachte subject Er, Mann article der, anrief subject Mann, Nachbarn article den",
    ),
    "a contraction": (
        "boy article The, plays subject boy, park article the",
        "Junge article Der, spielt subject Junge",
    ),
    "a relative clause with the subject": (
        "man article The, sold subject who, car article the, sleeps subject man",
        "Mann article Der, verkaufte subject der, Auto article das, schläft subject Mann",
    ),
    "coordinated subjects": (
        "dog article The, cat article the, sleep subject dog",
        "Hund article Der, Katze article die, schlafen subject Hund",
    ),
    "coordinated predicates": (
        "man article The, closed subject man, box article the, letter article the",
        "Mann article Der, machte subject Mann, machte particle zu, Kiste article die, Brief article den",
    ),
    "a question": (
        "Did subject man, man article the, neighbor article the",
        "Rief subject Mann, Rief particle an, Mann article der, Nachbarn article den",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RELATIONS)
def test_relations_equal_those_written_by_hand(name: str) -> None:
    phrase = (STATEMENTS | QUESTIONS)[name][0]
    pair = finish_sentence(phrase, "?" if name in QUESTIONS else ".")
    english, german = RELATIONS[name]
    assert relations(pair.source_grammar, pair.source) == set(english.split(", "))
    assert relations(pair.target_grammar, pair.target) == set(german.split(", "))
    assert pair.reversed().source_grammar == pair.target_grammar
    assert pair.reversed().target_grammar == pair.source_grammar
