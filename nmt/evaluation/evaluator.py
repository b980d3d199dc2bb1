"""Evaluates a trained system on a split: its translations, its scores, and the samples that a report shows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from nmt.data.corpus import Corpus
from nmt.evaluation.languages import Unit, length_unit, sentence_length
from nmt.evaluation.metrics import Metrics
from nmt.evaluation.record import Evaluation, MetricScores, SentenceSample
from nmt.files import write_json, write_text, writing
from nmt.run import RunFolder
from nmt.run.registry import Description, TypedDescription
from nmt.translator import Translation, Translator

NUM_SAMPLES = 8
"""Number of sentences of a split whose alignment matrices are kept for the report."""


def evaluate(
    run: RunFolder, translator: Translator, corpus: Corpus, *, split: str, search: Description, metrics: Metrics
) -> dict[str, Any]:
    """Translates a split, scores it against the raw references, and writes evaluation/`split`.json, .hyp.txt, .ref.txt.

    Args:
        run: the folder that the translator was loaded from.
        translator: of the run.
        corpus: contains the split.
        split: name of the split.
        search: the description of the translator's search, which is recorded.
        metrics: of the target language.

    Returns:
        The content of evaluation/`split`.json.

    Raises:
        UserError: the corpus has no such split.
    """
    pairs = corpus.split(split)
    sources, references = list(pairs["source"]), list(pairs["target"])
    unit = length_unit(corpus.source)
    sample_indices = choose_samples(sources, unit=unit)
    began = time.perf_counter()
    translations = translate_split(translator, sources, need_attention=sample_indices)
    seconds = time.perf_counter() - began
    hypotheses = [translation.text for translation in translations]
    evaluation = Evaluation(
        split=split,
        source=corpus.source,
        target=corpus.target,
        sentences=len(sources),
        step=run.best_step(),
        bleu_tokenizer=metrics.bleu_tokenizer,
        metrics=MetricScores(**metrics.score(hypotheses, references)),
        length_unit=unit,
        bleu_by_length=metrics.bleu_by_length(sources, hypotheses, references, unit=unit),
        search=TypedDescription(class_name=search["class"], arguments=search["arguments"]),
        seconds=seconds,
        sentences_per_second=len(sources) / seconds,
        device=str(translator.model.device),
        threads=torch.get_num_threads(),
        samples=[
            make_sample(index, sources[index], references[index], translations[index]) for index in sample_indices
        ],
    )
    return write_evaluation(run.path / "evaluation", evaluation, hypotheses, references)


def choose_samples(sources: Sequence[str], *, unit: Unit) -> list[int]:
    """The indices of NUM_SAMPLES sentences, spread evenly from short to long; the same for every system."""
    by_length = sorted((sentence_length(source, unit), index) for index, source in enumerate(sources) if source.strip())
    count = min(NUM_SAMPLES, len(by_length))
    # Cut the sorted sentences into `count` segments of equal size, and take the middle of each.
    return sorted(by_length[(2 * segment + 1) * len(by_length) // (2 * count)][1] for segment in range(count))


def translate_split(
    translator: Translator, sources: Sequence[str], *, need_attention: Sequence[int]
) -> list[Translation]:
    """The translation of each line, with attention weights for the lines whose indices are in `need_attention`.

    Recording attention makes the search slower, so the other lines are translated without it.
    """
    others = sorted(set(range(len(sources))) - set(need_attention))
    translations: dict[int, Translation] = {}
    for indices, attention in ((need_attention, True), (others, False)):
        lines = [sources[index] for index in indices]
        translations.update(zip(indices, translator.translate(lines, need_attention=attention), strict=True))
    return [translations[index] for index in range(len(sources))]


def make_sample(index: int, source: str, reference: str, translation: Translation) -> SentenceSample:
    """One translated sentence with its alignment matrix."""
    alignment = translation.alignment()
    return SentenceSample(
        index=index,
        source=source,
        reference=reference,
        hypothesis=translation.text,
        score=translation.score,
        source_tokens=translation.source_tokens,
        target_tokens=translation.target_tokens,
        attention=None if alignment is None else [[round(w, 4) for w in row] for row in alignment.tolist()],
    )


def write_evaluation(
    folder: Path, evaluation: Evaluation, hypotheses: Sequence[str], references: Sequence[str]
) -> dict[str, Any]:
    """Writes the three files of an evaluation, and returns the content of the JSON file.

    The JSON file is written last: where it exists, the other two are complete.
    """
    split = evaluation.split
    content: dict[str, Any] = msgspec.to_builtins(evaluation)
    with writing(folder):
        folder.mkdir(exist_ok=True)
    write_text(folder / f"{split}.hyp.txt", "".join(line + "\n" for line in hypotheses))
    write_text(folder / f"{split}.ref.txt", "".join(line + "\n" for line in references))
    write_json(folder / f"{split}.json", content)
    return content
