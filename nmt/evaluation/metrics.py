"""BLEU, chrF and TER of whole corpora, by sacreBLEU, each with the signature that makes the number repeatable.

Scores are computed from detokenised translations and raw references: sacreBLEU applies its own tokenizer, which
depends on the target language, so the figures can be compared with those of other systems (Post 2018, "A Call for
Clarity in Reporting BLEU Scores").
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from nmt.errors import UserError
from nmt.evaluation.bleu import SentenceCounts, bleu_signature, corpus_bleu, count_sentences
from nmt.evaluation.languages import Unit, bleu_tokenizer_of, is_unspaced, sentence_length
from nmt.evaluation.moses import moses_language, moses_signature, tokenize_by_moses
from nmt.run.format import Count, Number

MAX_REASON_CHARACTERS = 120
"""Maximum number of characters of a library's error message that ours quotes."""

MAX_NAME_CHARACTERS = 40
"""Maximum number of characters of an unknown name in a message; it may come from a file that anybody wrote."""

EXTRAS = {"ja-mecab": "nmt[ja]", "ko-mecab": "nmt[ko]"}
"""Tokenizers that need further packages, and what to install for them."""

LENGTH_BOUNDS: dict[Unit, tuple[int, ...]] = {"words": (10, 15, 20, 30), "characters": (20, 30, 40, 60)}
"""Length of the longest source sentence of each bucket of `bleu_by_length`, by unit; a last bucket has no limit.

Multi30k's captions have a median of 12 words: the first two buckets hold most of them, and the later ones are where a
system without attention is expected to fall behind. A word of Chinese or Japanese has about two characters."""


@dataclass(frozen=True)
class Metric:
    """A corpus-level score, with the signature that one needs to compute it again."""

    name: str
    score: Number
    """In points: 0 to 100, higher is better. TER counts edits per 100 reference words; lower is better."""
    signature: str
    """sacreBLEU's: number of references, case, tokenizer, smoothing, version."""


LengthBucket = TypedDict("LengthBucket", {"from": Count, "to": Count | None, "sentences": Count, "bleu": Number})
"""The BLEU of the sentences whose source has a length of `from` to `to`; `to` is None in the last, open bucket."""


class Metrics:
    """The metrics of translations into one language. A run folder stores its arguments, so that all commands agree.

    Args:
        language: code of the target language.
        bleu_tokenizer: sacreBLEU's name of the tokenizer for BLEU.

    Raises:
        UserError: there is no such tokenizer, or it needs packages that are not installed.
    """

    def __init__(self, *, language: str, bleu_tokenizer: str) -> None:
        check_tokenizer(bleu_tokenizer)
        self.language = language
        self.bleu_tokenizer = bleu_tokenizer

    @classmethod
    def for_language(cls, language: str) -> Metrics:
        """The metrics with the tokenizer that suits a target language; `char` where that is not installed."""
        try:
            return cls(language=language, bleu_tokenizer=bleu_tokenizer_of(language))
        except UserError:
            return cls(language=language, bleu_tokenizer="char")

    def score(self, hypotheses: Sequence[str], *references: Sequence[str]) -> dict[str, Metric]:
        """Computes every metric of the project for detokenised `hypotheses` and raw `references`, line by line.

        With several references, each metric compares with all of them as sacreBLEU does: BLEU counts an n-gram as often
        as the reference that has it most often, chrF takes the best reference of each sentence, and TER the one with
        the fewest edits.

        - bleu: cased BLEU (Papineni et al. 2002).
        - chrf: chrF2, over character n-grams up to 6 (Popović 2015); kind to German endings and compounds.
        - ter: translation edit rate (Snover et al. 2006), case-insensitive as sacreBLEU defines it. For a language
          without spaces it counts each Chinese character and punctuation mark as a word (`asian_support`).
        - bleu_lowercase_tokenized: the older figure of papers on Multi30k, as closely as sacreBLEU can compute it.

        Papers on Multi30k lower-cased the text, tokenised it with Moses (`tokenizer.perl` without `-a`, as in the
        corpus's own scripts/task1-tokenize.sh) and scored it with multi-bleu.perl. Here sacreBLEU scores the raw text,
        lower-cased, with its 13a tokenizer, which like Moses without `-a` keeps hyphenated words whole (`intl` splits
        them). On Multi30k's German references against damaged copies of themselves this came within 0.1 BLEU of Moses,
        while `intl` was 0.5 to 0.9 above. On French it was 1 below, since 13a leaves "l'homme" whole and Moses does
        not. Therefore French, Italian and English also have

        - bleu_lowercase_moses: the same figure with Moses's own tokens, see `nmt.evaluation.moses`. It has the number
          of reference tokens of the papers: 13,988 for test_2016_flickr.fr, where 13a has 13,505.

        A thousand sentences take about half a second. TER takes most of it, and more for a worse system; a thousand
        Chinese sentences of 40 to 100 characters take 2 to 80 seconds.

        Raises:
            UserError: there are no lines, or the numbers of lines differ.
        """
        _check_lines(hypotheses, *references)
        unspaced = is_unspaced(self.language)
        chrf, ter = CHRF(), TER(normalized=unspaced, asian_support=unspaced)
        scores = {
            "bleu": self._score_bleu("BLEU", hypotheses, *references, lowercase=False),
            "chrf": Metric("chrF", _corpus_chrf(chrf, hypotheses, *references), str(chrf.get_signature())),
            "ter": Metric("TER", float(ter.corpus_score(hypotheses, references).score), str(ter.get_signature())),
            "bleu_lowercase_tokenized": self._score_bleu(
                "BLEU (lower-cased, tokenised)", hypotheses, *references, lowercase=True
            ),
        }
        if (language := moses_language(self.language)) is not None:
            scores["bleu_lowercase_moses"] = self._score_moses_bleu(language, hypotheses, *references)
        return scores

    def bleu(self, hypotheses: Sequence[str], references: Sequence[str]) -> float:
        """Cased BLEU alone, equal to `score(...)["bleu"].score`; for validation: 1,000 lines take 0.1 to 0.3 s.

        Raises:
            UserError: there are no lines, or the numbers of lines differ.
        """
        return corpus_bleu(self.count_sentences(hypotheses, references))

    def chrf(self, hypotheses: Sequence[str], references: Sequence[str]) -> float:
        """chrF alone, equal to `score(...)["chrf"].score`; for validation: 1,000 lines take about 0.2 s.

        Raises:
            UserError: there are no lines, or the numbers of lines differ.
        """
        _check_lines(hypotheses, references)
        return _corpus_chrf(CHRF(), hypotheses, references)

    def sentence_chrf(self, hypotheses: Sequence[str], *references: Sequence[str]) -> list[float]:
        """chrF of each sentence by itself, to find those on which systems differ; 1,000 lines take about a second.

        Raises:
            UserError: there are no lines, or the numbers of lines differ.
        """
        _check_lines(hypotheses, *references)
        metric = CHRF()
        return [
            100.0 if hypothesis in alternatives else float(metric.sentence_score(hypothesis, alternatives).score)
            for hypothesis, *alternatives in zip(hypotheses, *references, strict=True)
        ]

    def count_sentences(self, hypotheses: Sequence[str], *references: Sequence[str]) -> SentenceCounts:
        """The n-gram counts of cased BLEU, (N, 10), from which `corpus_bleu` computes it for any choice of sentences.

        Raises:
            UserError: there are no lines, or the numbers of lines differ.
        """
        _check_lines(hypotheses, *references)
        return count_sentences(hypotheses, *references, tokenizer=self.bleu_tokenizer, lowercase=False)

    def bleu_by_length(
        self, sources: Sequence[str], hypotheses: Sequence[str], *references: Sequence[str], unit: Unit
    ) -> list[LengthBucket]:
        """Cased BLEU of sentences of similar length, shortest first; a bucket without sentences is left out.

        Length is counted in the raw source, so that the buckets are the same for every system; an empty line counts
        with the shortest. BLEU of a few dozen sentences is noisy, so look at `sentences` too.

        Args:
            unit: of the lengths, which suits the source language: see `length_unit`.

        Raises:
            UserError: there are no lines, or the numbers of lines differ.
        """
        counts = self.count_sentences(hypotheses, *references)
        if len(sources) != len(counts):
            raise UserError(
                f"{len(sources):,} source lines but {len(counts):,} references: each source line needs one reference"
            )
        lengths = [sentence_length(source, unit) for source in sources]
        bounds = LENGTH_BOUNDS[unit]
        buckets: list[LengthBucket] = []
        for shortest, longest in zip((0, *bounds), (*bounds, None), strict=True):
            lowest = shortest + 1 if shortest else 0
            members = [i for i, n in enumerate(lengths) if n >= lowest and (longest is None or n <= longest)]
            if members:
                points = corpus_bleu(counts[members])
                buckets.append({"from": shortest + 1, "to": longest, "sentences": len(members), "bleu": points})
        return buckets

    def _score_bleu(self, name: str, hypotheses: Sequence[str], *references: Sequence[str], lowercase: bool) -> Metric:
        """BLEU with its signature."""
        counts = count_sentences(hypotheses, *references, tokenizer=self.bleu_tokenizer, lowercase=lowercase)
        signature = bleu_signature(
            counts, num_references=len(references), tokenizer=self.bleu_tokenizer, lowercase=lowercase
        )
        return Metric(name, corpus_bleu(counts), signature)

    def _score_moses_bleu(self, language: str, hypotheses: Sequence[str], *references: Sequence[str]) -> Metric:
        """Lower-cased BLEU of the tokens of Moses, with its signature."""
        tokens = [tokenize_by_moses(lines, language) for lines in (hypotheses, *references)]
        counts = count_sentences(*tokens, tokenizer="none", lowercase=True)
        signature = bleu_signature(counts, num_references=len(references), tokenizer="none", lowercase=True)
        return Metric("BLEU (lower-cased, Moses)", corpus_bleu(counts), moses_signature(signature, language))


def check_tokenizer(name: str) -> None:
    """Tries out one of sacreBLEU's tokenizers.

    Raises:
        UserError: there is no such tokenizer, or it cannot be used here; the message says what to install.
    """
    if name not in BLEU.TOKENIZERS:
        close = difflib.get_close_matches(name, BLEU.TOKENIZERS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        shown = name if name.isprintable() and len(name) <= MAX_NAME_CHARACTERS else repr(name[:MAX_NAME_CHARACTERS])
        raise UserError(f"bleu_tokenizer={shown} is unknown: it can be {', '.join(BLEU.TOKENIZERS)}{hint}")
    try:
        BLEU(tokenize=name)
    except Exception as error:  # a package is missing, its dictionary is another one, or a model cannot be downloaded
        reason = " ".join(str(error).split())[:MAX_REASON_CHARACTERS] or type(error).__name__
        remedy = f"pip install '{EXTRAS[name]}'" if name in EXTRAS else reason
        raise UserError(
            f"bleu_tokenizer={name} cannot be used here: {remedy}, or choose another one, such as bleu_tokenizer=char"
        ) from None


def _corpus_chrf(metric: CHRF, hypotheses: Sequence[str], *references: Sequence[str]) -> float:
    """chrF, 0 to 100. Sides without a single character are equal, and get 100; sacreBLEU would give 0."""
    score = float(metric.corpus_score(hypotheses, references).score)
    return score if any(line.strip() for lines in (hypotheses, *references) for line in lines) else 100.0


def _check_lines(hypotheses: Sequence[str], *references: Sequence[str]) -> None:
    """Raises UserError unless there is one hypothesis for each reference, and at least one of them."""
    for lines in references:
        if len(hypotheses) != len(lines):
            raise UserError(
                f"{len(hypotheses):,} hypotheses but {len(lines):,} references: each line needs exactly one reference"
            )
    if not hypotheses:
        raise UserError("there is nothing to score: no hypotheses and no references were given")
