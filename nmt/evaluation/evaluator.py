"""Evaluates a trained system on a split: its translations, its scores, and the samples that a report shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch

from nmt.alignment.choice import SPLITS_TO_CHOOSE_ON, find_choice
from nmt.alignment.word_attention import has_attention
from nmt.data.corpus import Corpus
from nmt.errors import Failure, UserError
from nmt.evaluation.alignment import measure_alignment
from nmt.evaluation.languages import Unit, length_unit, sentence_length
from nmt.evaluation.metrics import Metrics
from nmt.evaluation.pronouns import score_pronouns
from nmt.evaluation.record import Evaluation, MetricScores, SentenceSample, compute_checksum
from nmt.evaluation.reuse import EvaluationInputs, evaluation_folder, hash_text
from nmt.files import write_json, write_text, writing
from nmt.models.attention import Kind
from nmt.run import RunFolder
from nmt.run.registry import TypedDescription
from nmt.translator import LineWarning, Translation, Translator

NUM_SAMPLES = 8
"""Number of sentences of a split whose alignment matrices are kept for the report."""


def evaluate(
    run: RunFolder,
    translator: Translator,
    corpus: Corpus,
    *,
    split: str,
    metrics: Metrics,
    inputs: EvaluationInputs,
    warn: LineWarning,
    remark: Callable[[str], None],
) -> dict[str, Any]:
    """Translates a split, scores it against the raw references, and writes evaluation/`split`.json, .hyp.txt, .ref.txt.

    Without some attention heads, the three files go to a folder of their own, see `evaluation_folder`.

    Args:
        run: the folder that the translator was loaded from.
        translator: of the run.
        corpus: contains the split.
        split: name of the split.
        metrics: of the target language.
        inputs: what the evaluation depends on, which is recorded. Determined before the translator was loaded: if the
            weights are replaced in the meantime, the record does not match the new ones.
        warn: called for each source sentence that is cut off, in order.
        remark: is told how links were read from the attention, if that had to be chosen; see `find_choice`.

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
    cut_lines: dict[int, str] = {}
    translations = translate_split(translator, sources, need_attention=sample_indices, warn=cut_lines.__setitem__)
    seconds = time.perf_counter() - began
    for index in sorted(cut_lines):
        warn(index, cut_lines[index])
    alignment = None
    if inputs.links_hash is not None and not inputs.heads_off and has_attention(translator):
        find_corpus = partial(corpus_to_choose_on, run, corpus)
        choice = find_choice(run, translator, find_corpus, model_hash=inputs.model_hash, remark=remark)
        alignment = measure_alignment(translator, pairs, choice.extraction, split=corpus.words, name=split)
    hypotheses = [translation.text for translation in translations]
    examples = corpus.pronoun_examples(split)
    evaluation = Evaluation(
        split=split,
        source=corpus.source,
        target=corpus.target,
        sentences=len(sources),
        step=inputs.step,
        bleu_tokenizer=metrics.bleu_tokenizer,
        metrics=MetricScores(**metrics.score(hypotheses, references)),
        length_unit=unit,
        bleu_by_length=metrics.bleu_by_length(sources, hypotheses, references, unit=unit),
        search=TypedDescription(class_name=inputs.search["class"], arguments=inputs.search["arguments"]),
        seconds=seconds,
        sentences_per_second=len(sources) / seconds,
        device=str(translator.model.device),
        threads=torch.get_num_threads(),
        truncated=[number for number, each in enumerate(translations, start=1) if each.truncated],
        samples=[
            make_sample(index, sources[index], references[index], translations[index]) for index in sample_indices
        ],
        alignment=alignment,
        pronouns=None if examples is None else score_pronouns(examples, hypotheses, references, corpus.words),
        heads_off=inputs.heads_off,
        cut_lines=len(cut_lines),
        model_hash=inputs.model_hash,
        links_hash=inputs.links_hash,
        text_hash=hash_text(sources, references, source=corpus.source, target=corpus.target),
        checksum="",
    )
    return write_evaluation(evaluation_folder(run, inputs.heads_off), evaluation, hypotheses, references)


def corpus_to_choose_on(run: RunFolder, corpus: Corpus) -> Corpus:
    """The corpus on which to choose how links are read: the one to evaluate on, or the run's own if it has only tests.

    Args:
        corpus: contains the split to evaluate on.
    """
    if any(name in corpus.splits() for name in SPLITS_TO_CHOOSE_ON):
        return corpus
    try:
        own = run.corpus()
        own.splits()  # it may have been moved
    except (UserError, Failure):
        return corpus
    return own


def choose_samples(sources: Sequence[str], *, unit: Unit) -> list[int]:
    """The indices of NUM_SAMPLES sentences, spread evenly from short to long; the same for every system."""
    by_length = sorted((sentence_length(source, unit), index) for index, source in enumerate(sources) if source.strip())
    count = min(NUM_SAMPLES, len(by_length))
    # Cut the sorted sentences into `count` segments of equal size, and take the middle of each.
    return sorted(by_length[(2 * segment + 1) * len(by_length) // (2 * count)][1] for segment in range(count))


def translate_split(
    translator: Translator, sources: Sequence[str], *, need_attention: Sequence[int], warn: LineWarning
) -> list[Translation]:
    """The translation of each line, with attention weights for the lines whose indices are in `need_attention`.

    The weights take a pass of their own, so the other lines are translated without it. `warn` is called for each
    line that is cut off.
    """
    others = sorted(set(range(len(sources))) - set(need_attention))
    translations: dict[int, Translation] = {}
    kinds: tuple[list[Kind], list[Kind]] = (["cross"], [])
    for indices, attention in zip((need_attention, others), kinds, strict=True):
        lines = [sources[index] for index in indices]
        warn_in_group = partial(_warn_at, warn, indices)
        results = translator.translate(lines, attention=attention, warn=warn_in_group)
        translations.update(zip(indices, results, strict=True))
    return [translations[index] for index in range(len(sources))]


def _warn_at(warn: LineWarning, indices: Sequence[int], position: int, message: str) -> None:
    warn(indices[position], message)


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

    The JSON file is written last, with a checksum of all three: files of two evaluations are never taken for one.
    """
    split = evaluation.split
    texts = ["".join(line + "\n" for line in lines) for lines in (hypotheses, references)]
    evaluation.checksum = compute_checksum(evaluation, *(text.encode("utf-8") for text in texts))
    content: dict[str, Any] = msgspec.to_builtins(evaluation)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / f"{split}.hyp.txt", texts[0])
    write_text(folder / f"{split}.ref.txt", texts[1])
    write_json(folder / f"{split}.json", content)
    return content
