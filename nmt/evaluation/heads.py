"""Measures what the heads of a Transformer's encoder have learned, on a corpus that knows how words are related.

A head follows a relation if its highest weight from a word falls on the related word, such as from a verb on its
subject (Voita et al., 2019, §5.2; Clark et al., 2019, §4). The best head is selected on the validation split, and
measured on another. What a head is needed for shows when it is silenced (Michel et al., 2019, §3).

Shapes: L layers, H heads, W words of a sentence, without the end of the sentence.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from nmt.data.grammar import GrammarCorpus, GrammarPair
from nmt.data.pronouns import PronounExample
from nmt.data.words import Splitter
from nmt.errors import UserError
from nmt.evaluation.head_report import HeadName, PronounAttention, RelationScores, Translations
from nmt.evaluation.metrics import Metrics
from nmt.evaluation.pronouns import PronounScores, score_pronouns
from nmt.translator import Translator
from nmt.translator.attention import Matrix

VALIDATION, TEST, PRONOUNS, FURTHER_PRONOUNS = "val", "test", "pronouns", "further_pronouns"
"""The names of the four samples: three splits of the corpus, and `GrammarCorpus.further_pronouns`."""

NUM_FURTHER_PRONOUNS = 400
"""Number of further pairs with pronouns, by which the best head for pronouns is selected."""

SELECTION = {TEST: VALIDATION, PRONOUNS: FURTHER_PRONOUNS}
"""From the sample on which the best head is measured to the one on which it is selected."""

RELATIONS = {
    "previous": "previous word",
    "next": "next word",
    "subject": "verb → subject",
    "adjective": "noun → adjective",
    "article": "noun → article",
    "particle": "verb → particle",
    "antecedent": "pronoun → noun",
}
"""The relations of `SentenceGrammar` and the neighbours of a word, with the names that tables show."""


@dataclass(frozen=True)
class Sample:
    """Sentences with their translations.

    Attributes:
        pairs: the sentences and their references.
        examples: the pronoun of each sentence; empty if not every sentence has an ambiguous one.
        hypotheses: the translations; empty until they are made.
        weights: (L, H, W, W) of each sentence, the attention between the words of the source, whose rows sum to one;
            empty until they are computed.
    """

    pairs: list[GrammarPair]
    examples: list[PronounExample]
    hypotheses: list[str] = field(default_factory=list)
    weights: list[Matrix] = field(default_factory=list)


def collect_pairs(corpus: GrammarCorpus) -> dict[str, Sample]:
    """The sentences of the four samples, by their names, not yet translated."""
    splits = (VALIDATION, TEST, PRONOUNS)
    samples = {split: Sample(corpus.pairs(split), corpus.pronoun_examples(split) or []) for split in splits}
    samples[FURTHER_PRONOUNS] = Sample(*corpus.further_pronouns(NUM_FURTHER_PRONOUNS))
    return samples


def translate(sample: Sample, translator: Translator) -> Sample:
    """The same sentences with their translations, but without attention."""
    translations = translator.translate([pair.source for pair in sample.pairs])
    return replace(sample, hypotheses=[translation.text for translation in translations])


def translate_with_attention(sample: Sample, translator: Translator, words: Splitter) -> Sample:
    """The same sentences with their translations and the encoder's attention between words.

    Args:
        sample: the sentences.
        translator: its model has an encoder with heads.
        words: splits a line as the corpus does.

    Raises:
        UserError: a sentence is too long for the model, so that it sees only a part of the words.
    """
    translations = translator.translate([pair.source for pair in sample.pairs], attention="encoder")
    if any(translation.source_truncated for translation in translations):
        raise UserError(
            f"the model takes {translator.max_length - 1} pieces of a line, which cuts sentences of the corpus off: "
            "train it with more positions, or with a larger vocabulary"
        )
    return replace(
        sample,
        hypotheses=[translation.text for translation in translations],
        weights=[each.attention["encoder"].without_special().words(words).weights for each in translations],
    )


@dataclass
class RelationCounts:
    """Sums over all words of a split that have a related word.

    Attributes:
        words: the number of these words.
        hits: (L, H) the number of words whose highest weight falls on the related word.
        weight: (L, H) sum of the weights on the related word.
        chance: sum of 1 / W.
        distances: number of words by their distance to the related word, which is negative if that comes first.
    """

    words: int = 0
    hits: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    weight: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))
    chance: float = 0.0
    distances: Counter[int] = field(default_factory=Counter)

    def add(self, weights: Matrix, word: int, related: int) -> None:
        """Adds a word of a sentence whose heads have the weights (L, H, W, W)."""
        row = weights[:, :, word]  # (L, H, W)
        self.words += 1
        self.hits = self.hits + (row.argmax(-1) == related)
        self.weight = self.weight + row[..., related]
        self.chance += 1 / row.shape[-1]
        self.distances[related - word] += 1


def list_relations(pair: GrammarPair) -> list[tuple[str, int, int]]:
    """All relations of the source words, as a name of `RELATIONS` and the indices of a word and its related word."""
    last = max(source for source, _ in pair.alignment)  # the punctuation mark at the end is aligned
    neighbours = [("next", index, index + 1) for index in range(last)]
    neighbours += [("previous", index + 1, index) for index in range(last)]
    return [*neighbours, *pair.source_grammar.relations]


def count_relations(sample: Sample) -> dict[str, RelationCounts]:
    """Counts how often each head follows each relation; the keys are names of `RELATIONS`."""
    counts: dict[str, RelationCounts] = {}
    for pair, weights in zip(sample.pairs, sample.weights, strict=True):
        for name, word, related in list_relations(pair):
            counts.setdefault(name, RelationCounts()).add(weights, word, related)
    return counts


def score_relation(
    name: str, selection: RelationCounts, split: str, counts: RelationCounts, heads: Sequence[HeadName]
) -> RelationScores:
    """How well each head follows a relation.

    Args:
        name: of the relation.
        selection: its counts in the sentences that decide which head is the best.
        split: the split on which the heads are measured.
        counts: the counts there.
        heads: the names of the L · H heads.
    """
    distance = selection.distances.most_common(1)[0][0]
    return RelationScores(
        name=name,
        split=split,
        words=counts.words,
        best=heads[int(selection.hits.argmax())],
        accuracy=_percentages(heads, counts.hits, counts.words),
        weight=_percentages(heads, counts.weight, counts.words),
        chance=100 * counts.chance / counts.words,
        distance=distance,
        distance_accuracy=100 * counts.distances[distance] / counts.words,
    )


def measure_relations(samples: Mapping[str, Sample], heads: Sequence[HeadName]) -> list[RelationScores]:
    """How well each head follows each relation: on test, but from pronouns to their nouns on the split `pronouns`.

    Args:
        samples: the four that are needed.
        heads: the names of the L · H heads.

    Raises:
        UserError: a relation does not occur, since a split is too small.
    """
    counts = {name: count_relations(sample) for name, sample in samples.items()}
    relations = []
    for name in RELATIONS:
        split = PRONOUNS if name == "antecedent" else TEST
        for needed in (SELECTION[split], split):
            if name not in counts[needed]:
                raise UserError(f"{needed} is too small: no sentence of it has the relation {RELATIONS[name]}")
        selection = counts[SELECTION[split]][name]
        relations.append(score_relation(name, selection, split, counts[split][name], heads))
    return relations


def measure_pronouns(sample: Sample, heads: Sequence[HeadName]) -> dict[HeadName, PronounAttention]:
    """What each of the L · H heads attends to from the pronouns of a sample.

    Raises:
        UserError: the sample is too small to have pronouns with a distractor and pronouns without.
    """
    antecedent: list[Matrix] = []  # (L, H) for each sentence with a distractor: the weight on the noun,
    distractor: list[Matrix] = []  # and on the distractor
    antecedent_alone: list[Matrix] = []  # (L, H) for each sentence without
    for example, weights in zip(sample.examples, sample.weights, strict=True):
        assert example.antecedent is not None, "the sentence has both the pronoun and its noun"
        row = weights[:, :, example.pronoun]  # (L, H, W)
        if example.distractor is None:
            antecedent_alone.append(row[..., example.antecedent])
        else:
            antecedent.append(row[..., example.antecedent])
            distractor.append(row[..., example.distractor])
    if not antecedent or not antecedent_alone:
        raise UserError(f"{PRONOUNS} is too small: it needs a sentence with a distractor, and one without")
    means = [
        100 * np.stack(each).mean(0).flatten() for each in (antecedent, distractor, antecedent_alone)
    ]  # 3 × (L·H,)
    return {
        head: PronounAttention(
            antecedent=float(means[0][index]),
            distractor=float(means[1][index]),
            antecedent_alone=float(means[2][index]),
        )
        for index, head in enumerate(heads)
    }


def score_sample(sample: Sample, words: Splitter) -> PronounScores:
    """Scores the pronouns in the translations of a sample."""
    references = [pair.target for pair in sample.pairs]
    return score_pronouns(sample.examples, sample.hypotheses, references, words)


def score_translations(samples: Mapping[str, Sample], metrics: Metrics, words: Splitter) -> Translations:
    """Scores the translations of the splits test and pronouns."""
    pairs = list(zip(samples[TEST].pairs, samples[TEST].hypotheses, strict=True))
    others = [(pair, hypothesis) for pair, hypothesis in pairs if pair.antecedent is None]
    bleu, bleu_without_pronouns = (
        metrics.bleu([hypothesis for _, hypothesis in some], [pair.target for pair, _ in some])
        for some in (pairs, others)
    )
    return Translations(
        pronouns=score_sample(samples[PRONOUNS], words), bleu=bleu, bleu_without_pronouns=bleu_without_pronouns
    )


def _percentages(heads: Sequence[HeadName], sums: NDArray[np.float64], words: int) -> dict[HeadName, float]:
    """From the sums (L, H) over some words to the percentage of each head."""
    return {head: 100 * float(total) / words for head, total in zip(heads, sums.flatten(), strict=True)}
