"""Documents of two sentences, in which a pronoun of the second refers to a noun of the first."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from nmt.data.grammar import GrammarDocuments, split_words
from nmt.data.grammar.ambiguity import find_ambiguous_pronoun
from nmt.data.grammar.corpus import MAX_WORDS
from nmt.errors import UserError

ROOT = Path(__file__).parents[3]
SIZES = {"train_size": 200, "val_size": 20, "test_size": 20, "pronouns_size": 60}


def documents(**changes: Any) -> GrammarDocuments:
    arguments: dict[str, Any] = {"source": "en", "target": "de", "seed": 1, "join": 2, **SIZES}
    return GrammarDocuments(**(arguments | changes))


@pytest.fixture(scope="module")
def joined() -> GrammarDocuments:
    return documents()


@pytest.fixture(scope="module")
def single() -> GrammarDocuments:
    return documents(join=1)


def test_both_ways_to_join_have_the_same_text(joined: GrammarDocuments, single: GrammarDocuments) -> None:
    assert joined.splits() == ["train", "val", "test", "pronouns"]
    for name in ("train", "val", "test"):
        assert len(joined.pairs(name)) == SIZES[f"{name}_size"]
        lines = [(pair.source, pair.target) for pair in single.pairs(name)]
        both = [
            " ".join(sides) for pair in zip(lines[::2], lines[1::2], strict=True) for sides in zip(*pair, strict=True)
        ]
        assert both == [side for pair in joined.pairs(name) for side in (pair.source, pair.target)]
        assert all(len(split_words(side)) <= MAX_WORDS for line in lines for side in line)


def test_no_document_occurs_twice_and_splits_do_not_depend_on_the_size_of_train(joined: GrammarDocuments) -> None:
    pairs = [pair for name in joined.splits() for pair in joined.pairs(name)]
    assert (
        len({pair.source for pair in pairs})
        == len({pair.target for pair in pairs})
        == len(pairs)
        == sum(SIZES.values())
    )
    smaller = documents(train_size=50)
    assert smaller.pairs("train") == joined.pairs("train")[:50]
    assert all(smaller.pairs(name) == joined.pairs(name) for name in ("val", "test", "pronouns"))


def test_recorded_results_are_about_the_same_documents(joined: GrammarDocuments) -> None:
    text = "".join(f"{pair.source}\n{pair.target}\n" for name in joined.splits() for pair in joined.pairs(name))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "c4e612f464783541"


def test_the_pronoun_is_in_the_second_sentence_and_its_noun_in_the_first(joined: GrammarDocuments) -> None:
    examples = joined.pronoun_examples("pronouns")
    assert examples is not None
    assert [example.distractor is not None for example in examples] == [True, False] * 30
    for pair, example in zip(joined.pairs("pronouns"), examples, strict=True):
        source, target = split_words(pair.source), split_words(pair.target)
        assert source[example.pronoun].lower() == "it"
        assert target[example.target_pronoun].lower() == example.correct
        assert example.antecedent is not None
        assert example.antecedent < source.index(".") < example.pronoun
        assert example.distance == example.pronoun - example.antecedent
    assert {example.correct for example in examples} >= {"er", "sie", "es"}


def test_a_second_sentence_alone_has_the_pronoun_without_its_noun(
    joined: GrammarDocuments, single: GrammarDocuments
) -> None:
    examples, with_context = single.pronoun_examples("pronouns"), joined.pronoun_examples("pronouns")
    assert examples is not None and with_context is not None
    for pair, example, known in zip(single.pairs("pronouns"), examples, with_context, strict=True):
        assert split_words(pair.source)[example.pronoun].lower() == "it"
        assert split_words(pair.target)[example.target_pronoun].lower() == example.correct == known.correct
        assert (example.antecedent, example.distractor, example.distance) == (None, None, known.distance)
        assert pair.antecedent is None
    assert single.pronoun_examples("val") is None


def test_a_second_sentence_alone_does_not_tell_the_form(joined: GrammarDocuments) -> None:
    """The same sentence needs different forms in different documents."""
    forms: dict[str, Counter[str]] = {}
    for pair in joined.pairs("train"):
        if (example := find_ambiguous_pronoun(pair)) is not None:
            forms.setdefault(pair.source.partition(". ")[2], Counter())[example.correct] += 1
    ambiguous = [counts for counts in forms.values() if counts.total() > 2]
    assert len(ambiguous) > 3
    assert sum(len(counts) > 1 for counts in ambiguous) > len(ambiguous) / 2


def test_the_other_direction_mirrors_documents_and_pronouns(single: GrammarDocuments) -> None:
    german = documents(source="de", target="en", join=1)
    there, back = single.pronoun_examples("pronouns"), german.pronoun_examples("pronouns")
    assert there is not None and back is not None
    pairs = zip(single.pairs("pronouns"), german.pairs("pronouns"), there, back, strict=True)
    for english, mirrored, example, reverse in pairs:
        assert english.reversed() == mirrored
        assert (example.pronoun, example.target_pronoun) == (reverse.target_pronoun, reverse.pronoun)
        assert reverse.correct == "it"


def test_a_split_has_the_columns_of_the_other_built_in_corpus(single: GrammarDocuments) -> None:
    row = single.split("pronouns")[0]
    assert list(row) == ["source", "target", "alignment", "antecedent", "pronoun"]
    assert (row["antecedent"], row["pronoun"]["antecedent"]) == (None, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"join": 3}, "data.join=3 must be 1 or 2: a document of the grammar has two sentences"),
        ({"train_size": 200_000}, "are 200040 documents together, but the grammar generates at most 200000 different"),
        ({"pronouns_size": 5001}, "data.pronouns_size=5001 is too large: the grammar generates at most 5000 different"),
        ({"val_size": 0}, "data.val_size=0 must be a whole number"),
        ({"target": "fr"}, "no direction en to fr"),
    ],
)
def test_what_it_cannot_generate_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        documents(**changes)


def test_the_configuration_fits_the_constructor() -> None:
    configuration = yaml.safe_load((ROOT / "conf/data/grammar_documents.yaml").read_text(encoding="utf-8"))
    assert configuration.pop("_target_") == "nmt.data.grammar.GrammarDocuments"
    assert GrammarDocuments(**configuration).join == 2
