"""BLEU, chrF and TER of whole corpora, by sacreBLEU, each with the signature that makes the number repeatable.

The raw reference text is always compared with detokenised output. The metric splits both into words, never the system:
otherwise two systems with different tokenizers could not be compared (Post 2018, "A Call for Clarity in Reporting BLEU
Scores").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from nmt.errors import UserError
from nmt.run.format import Count, Number

LENGTH_BOUNDS = (10, 15, 20, 30)
"""Length of the longest source sentence, in words, of each bucket of `bleu_by_length`; a last bucket has no limit.

Multi30k's captions have a median of 12 words: the first two buckets hold most of them, and the later ones are where a
system without attention is expected to fall behind."""


@dataclass(frozen=True)
class Metric:
    """A corpus-level score, with the signature that one needs to compute it again."""

    name: str
    score: Number
    """In points: 0 to 100, higher is better. TER counts edits per 100 reference words; lower is better."""
    signature: str
    """sacreBLEU's: number of references, case, tokenizer, smoothing, version."""


LengthBucket = TypedDict("LengthBucket", {"from": Count, "to": Count | None, "sentences": Count, "bleu": Number})
"""The BLEU of the sentences whose source has `from` to `to` words; `to` is None in the last, open bucket."""


def score(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Metric]:
    """Computes every metric of the project for detokenised `hypotheses` and raw `references`, line by line.

    - bleu: cased BLEU with the 13a tokenizer, sacreBLEU's default (Papineni et al. 2002).
    - chrf: chrF2, over character n-grams up to 6 (Popović 2015); kind to German endings and compounds.
    - ter: translation edit rate (Snover et al. 2006), case-insensitive as sacreBLEU defines it.
    - bleu_lowercase_tokenized: see `_lowercase_tokenized_bleu`.

    A thousand sentences take about half a second. TER takes most of it, and more for a worse system.

    Raises:
        UserError: there are no lines, or the numbers of lines differ.
    """
    _check_lines(hypotheses, references)
    # `force` turns off sacreBLEU's warning about tokenised text: see `nmt.evaluation.tokenized_text`.
    names = {
        "bleu": ("BLEU", BLEU(force=True)),
        "chrf": ("chrF", CHRF()),
        "ter": ("TER", TER()),
        "bleu_lowercase_tokenized": ("BLEU (lower-cased, tokenised)", _lowercase_tokenized_bleu()),
    }
    return {
        key: Metric(
            name=name,
            score=float(metric.corpus_score(hypotheses, [references]).score),
            signature=str(metric.get_signature()),
        )
        for key, (name, metric) in names.items()
    }


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Cased BLEU alone, equal to `score(...)["bleu"].score`; for validation: 1,000 lines take about 0.1 s.

    Raises:
        UserError: there are no lines, or the numbers of lines differ.
    """
    _check_lines(hypotheses, references)
    return float(BLEU(force=True).corpus_score(hypotheses, [references]).score)


def bleu_by_length(sources: Sequence[str], hypotheses: Sequence[str], references: Sequence[str]) -> list[LengthBucket]:
    """Cased BLEU of sentences of similar length, shortest first; a bucket without sentences is left out.

    Length is the number of whitespace-separated words of the raw source, so that the buckets are the same for every
    system; an empty line counts with the shortest. BLEU of a few dozen sentences is noisy, so look at
    `sentences` too.

    Raises:
        UserError: there are no lines, or the numbers of lines differ.
    """
    _check_lines(hypotheses, references)
    if len(sources) != len(references):
        raise UserError(
            f"{len(sources):,} source lines but {len(references):,} references: each source line needs one reference"
        )
    lengths = [len(source.split()) for source in sources]
    buckets: list[LengthBucket] = []
    for shortest, longest in zip((0, *LENGTH_BOUNDS), (*LENGTH_BOUNDS, None), strict=True):
        lowest = shortest + 1 if shortest else 0
        members = [i for i, n in enumerate(lengths) if n >= lowest and (longest is None or n <= longest)]
        if members:
            points = bleu([hypotheses[i] for i in members], [references[i] for i in members])
            buckets.append({"from": shortest + 1, "to": longest, "sentences": len(members), "bleu": points})
    return buckets


def _lowercase_tokenized_bleu() -> BLEU:
    """The older figure of papers on Multi30k, as closely as sacreBLEU alone can compute it.

    Papers on Multi30k lower-cased the text, tokenised it with Moses (`tokenizer.perl` without `-a`, as in the
    corpus's own scripts/task1-tokenize.sh) and scored it with multi-bleu.perl. Here sacreBLEU scores the raw text,
    lower-cased, with its 13a tokenizer, which like Moses without `-a` keeps hyphenated words whole (`intl` splits
    them). On Multi30k's German references against damaged copies of themselves this came within 0.1 BLEU of Moses,
    while `intl` was 0.5 to 0.9 above. On French it was 1 below, since 13a leaves "l'homme" whole and Moses does not.
    """
    return BLEU(lowercase=True, tokenize="13a", force=True)


def _check_lines(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    """Raises UserError unless there is one hypothesis for each reference, and at least one of them."""
    if len(hypotheses) != len(references):
        raise UserError(
            f"{len(hypotheses):,} hypotheses but {len(references):,} references: each line needs exactly one reference"
        )
    if not references:
        raise UserError("there is nothing to score: no hypotheses and no references were given")
