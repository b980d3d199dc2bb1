"""A trained system on a split: its translations, its scores, and what a report needs of both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import torch

from nmt.data.corpus import Corpus
from nmt.evaluation.metrics import bleu_by_length, score
from nmt.evaluation.record import Evaluation, MetricScores, SentenceSample, StoredSearch
from nmt.files import write_json, write_text, writing
from nmt.run import RunFolder
from nmt.run.registry import Description
from nmt.translator import Translation, Translator

NUM_SAMPLES = 8
"""Sentences of a split that are kept with their alignment matrices, for the report."""


def evaluate(
    run: RunFolder, translator: Translator, corpus: Corpus, *, split: str, search: Description
) -> dict[str, Any]:
    """Translates a split, scores it against the raw references, and writes evaluation/`split`.json, .hyp.txt, .ref.txt.

    Args:
        run: the folder that the translator was loaded from.
        translator: of the run.
        corpus: where the split is.
        split: its name.
        search: the description of the translator's search, for the record.

    Returns:
        the value of evaluation/`split`.json.

    Raises:
        ValueError: the corpus has no such split.
    """
    pairs = corpus.split(split)
    sources, references = list(pairs["source"]), list(pairs["target"])
    chosen = set(sample_indices(sources))

    began = time.perf_counter()
    with_attention = dict(
        zip(
            sorted(chosen),
            translator.translate([sources[index] for index in sorted(chosen)], need_attention=True),
            strict=True,
        )
    )
    others = [index for index in range(len(sources)) if index not in chosen]
    translations = dict(zip(others, translator.translate([sources[index] for index in others]), strict=True))
    seconds = time.perf_counter() - began
    hypotheses = [(with_attention if index in chosen else translations)[index].text for index in range(len(sources))]

    evaluation = Evaluation(
        split=split,
        source=corpus.source,
        target=corpus.target,
        sentences=len(sources),
        step=run.best_step(),
        metrics=MetricScores(**score(hypotheses, references)),
        bleu_by_length=bleu_by_length(sources, hypotheses, references),
        search=StoredSearch(class_name=search["class"], arguments=search["arguments"]),
        seconds=seconds,
        sentences_per_second=len(sources) / seconds,
        device=str(translator.model.device),
        threads=torch.get_num_threads(),
        samples=[
            sample(index, sources[index], references[index], translation)
            for index, translation in with_attention.items()
        ],
    )
    result: dict[str, Any] = msgspec.to_builtins(evaluation)
    folder = run.path / "evaluation"
    with writing(folder):
        folder.mkdir(exist_ok=True)
    write_text(folder / f"{split}.hyp.txt", "".join(line + "\n" for line in hypotheses))
    write_text(folder / f"{split}.ref.txt", "".join(line + "\n" for line in references))
    write_json(folder / f"{split}.json", result)  # last: it vouches for the other two
    return result


def sample_indices(sources: Sequence[str]) -> list[int]:
    """Sentences spread evenly from short to long, the same for every system."""
    by_length = sorted((len(source.split()), index) for index, source in enumerate(sources) if source.strip())
    count = min(NUM_SAMPLES, len(by_length))
    return [by_length[(2 * place + 1) * len(by_length) // (2 * count)][1] for place in range(count)]


def sample(index: int, source: str, reference: str, translation: Translation) -> SentenceSample:
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
