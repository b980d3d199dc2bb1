"""Word links from co-occurrence alone: IBM Model 1 (Brown et al., 1993, "The Mathematics of Statistical Machine
Translation"), trained on the given pairs in both directions.

A few hundred pairs are too few for a good alignment. But where there are no gold links, it is good enough to tell
attention that aligns from attention that does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from nmt.alignment.symmetrization import intersect, unite
from nmt.data.pharaoh import GoldLinks, Link, reverse_links

Words = Sequence[str]

ITERATIONS = 5
"""Iterations of expectation maximisation; Model 1 changes little after that."""


def align_lexically(pairs: Sequence[tuple[Words, Words]]) -> list[GoldLinks]:
    """Links each pair of word sequences: links of both directions are sure, links of only one are possible."""
    forward = _link_targets(pairs)
    backward = _link_targets([(target, source) for source, target in pairs])
    found = ((links, reverse_links(other)) for links, other in zip(forward, backward, strict=True))
    return [GoldLinks(frozenset(intersect(*both)), frozenset(unite(*both))) for both in found]


def _link_targets(pairs: Sequence[tuple[Words, Words]]) -> list[set[Link]]:
    """Links each target word to the source word that translates to it with the highest probability."""
    # t(target | source), uniform at first. Only words that occur together have an entry.
    table: dict[str, dict[str, float]] = defaultdict(dict)
    for source, target in pairs:
        for word in source:
            table[word].update(dict.fromkeys(target, 1.0))
    for _ in range(ITERATIONS):
        # Expectation: each target word is divided among the source words of its sentence.
        counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for source, target in pairs:
            for translation in target:
                total = sum(table[word][translation] for word in source)
                for word in source:
                    counts[word][translation] += table[word][translation] / total
        # Maximisation: the shares of a source word become probabilities.
        for word, shares in counts.items():
            total = sum(shares.values())
            table[word] = {translation: share / total for translation, share in shares.items()}
    return [
        {
            (max(range(len(source)), key=lambda index: table[source[index]][translation]), position)
            for position, translation in enumerate(target)
            if source
        }
        for source, target in pairs
    ]
