"""The content of heads.json: what the heads of an encoder have learned, and what each is needed for."""

from __future__ import annotations

import msgspec

from nmt.evaluation.pronouns import PronounScores
from nmt.run.format import Count, Number, Versioned
from nmt.run.registry import TypedDescription

HeadName = str
"""The name of a head, such as "encoder.0.3", see `nmt.models.heads`."""


class RelationScores(msgspec.Struct, kw_only=True):
    """How well each head follows a relation between words. Accuracies and weights are percentages.

    Attributes:
        name: a key of `nmt.evaluation.heads.RELATIONS`.
        split: on which the figures below are measured.
        words: number of words that have a related word.
        best: the head with the highest accuracy on the sentences of `nmt.evaluation.heads.SELECTION`.
        accuracy: how often the highest weight of each head falls on the related word.
        weight: the mean weight of each head on the related word.
        chance: the accuracy of a random word of the sentence.
        distance: the most frequent distance from a word to its related word in the sentences of SELECTION, in words.
        distance_accuracy: the accuracy of a head that always attends to the word at this distance.
    """

    name: str
    split: str
    words: Count
    best: HeadName
    accuracy: dict[HeadName, Number]
    weight: dict[HeadName, Number]
    chance: Number
    distance: int
    distance_accuracy: Number


class PronounAttention(msgspec.Struct, kw_only=True):
    """The mean weight of a head, in percent, from the pronouns of the split `pronouns` to nouns.

    Attributes:
        antecedent: on the noun to which the pronoun refers, in sentences with a distractor.
        distractor: on the distractor, in the same sentences.
        antecedent_alone: on the noun to which the pronoun refers, in sentences without a distractor.
    """

    antecedent: Number
    distractor: Number
    antecedent_alone: Number


class Translations(msgspec.Struct, kw_only=True):
    """How good translations are.

    Attributes:
        pronouns: on the split `pronouns`.
        bleu: on test.
        bleu_without_pronouns: on those sentences of test that have no pronoun with an antecedent.
    """

    pronouns: PronounScores
    bleu: Number
    bleu_without_pronouns: Number


class HeadReport(Versioned, kw_only=True):
    """The self-attention heads of an encoder: what each attends to, and how the model translates without it.

    Attributes:
        run: name of the run.
        step: the training step of the weights.
        source: language code of the source, such as "en".
        target: language code of the target.
        bleu_tokenizer: sacreBLEU's name of the tokenizer of every BLEU.
        search: by which the sentences were translated.
        relations: between words, and how well each head follows them.
        pronouns: what each head attends to from a pronoun.
        attending_head: the head whose highest weight from a pronoun falls most often on the right noun, selected on
            other sentences than those of the split.
        needed_head: the head without which the fewest pronouns are correct, selected on the same sentences.
        with_all_heads: the translations of the whole model.
        without: the translations without one head.
    """

    run: str
    step: Count
    source: str
    target: str
    bleu_tokenizer: str
    search: TypedDescription
    relations: list[RelationScores]
    pronouns: dict[HeadName, PronounAttention]
    attending_head: HeadName
    needed_head: HeadName
    with_all_heads: Translations
    without: dict[HeadName, Translations]
