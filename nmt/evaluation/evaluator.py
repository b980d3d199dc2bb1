"""Evaluates a trained system on a split: its translations, its scores, and the samples that a report shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch

from nmt.alignment.choice import SPLITS_TO_CHOOSE_ON, find_choice
from nmt.data.corpus import Corpus
from nmt.errors import Failure, UserError
from nmt.evaluation.alignment import measure_alignment
from nmt.evaluation.attention_file import SentenceAttention, encode_attention, quantize_attention
from nmt.evaluation.captions import score_captions
from nmt.evaluation.languages import Unit, length_unit, sentence_length
from nmt.evaluation.metrics import Metrics
from nmt.evaluation.pronouns import score_pronouns
from nmt.evaluation.record import (
    AlignmentQuality,
    Evaluation,
    MetricScores,
    SentenceSample,
    compute_checksum,
    list_files,
)
from nmt.evaluation.reuse import EvaluationInputs, hash_text
from nmt.files import atomic_write, write_json, writing
from nmt.run import RunFolder
from nmt.run.registry import TypedDescription
from nmt.translator import LineWarning, Translation, Translator
from nmt.translator.arguments import sanitize
from nmt.translator.attending import attend_all

NUM_SAMPLES = 8
"""Number of sentences of a split whose alignment matrices the record keeps in pieces and in full."""

ATTENTION_BATCH = 128
"""Number of sentences whose attention weights of all layers and heads are in memory at the same time."""


def evaluate(
    run: RunFolder,
    translator: Translator,
    corpus: Corpus,
    *,
    split: str,
    metrics: Metrics,
    further_references: Sequence[Sequence[str]],
    inputs: EvaluationInputs,
    warn: LineWarning,
    remark: Callable[[str], None],
) -> dict[str, Any]:
    """Translates a split, scores it against the raw references, and writes the result into the folder evaluation/.

    In another direction than that of the run, or without some attention heads, the files go to a folder of their own,
    see `evaluation_folder`.

    Args:
        run: the folder that the translator was loaded from.
        translator: of the run.
        corpus: contains the split.
        split: name of the split.
        metrics: of the target language.
        further_references: of every sentence, beside that of the split. Metrics use all of them; links, pronouns and
            captions only that of the split.
        inputs: what the evaluation depends on, which is recorded. Determined before the translator was loaded: if the
            weights are replaced in the meantime, the record does not match the new ones.
        warn: called for each source sentence that is cut off, in order.
        remark: is told how links were read from the attention, if that had to be chosen; see `find_choice`.

    Returns:
        The content of evaluation/`split`.json.

    Raises:
        UserError: the corpus has no such split.
    """
    # 1. Translate. Only this is timed.
    pairs = corpus.split(split)
    sources, references = list(pairs["source"]), list(pairs["target"])
    cut_lines: dict[int, str] = {}
    began = time.perf_counter()
    translations = translator.translate(sources, attention=(), warn=cut_lines.__setitem__)
    seconds = time.perf_counter() - began
    for index in sorted(cut_lines):
        warn(index, cut_lines[index])

    # 2. Compute the attention, which is kept between words, and in full for the samples only.
    unit = length_unit(corpus.source)
    sample_indices = choose_samples(sources, unit=unit)
    attention: list[SentenceAttention | None] = [None] * len(sources)
    for index, translation in attend(translator, sources, translations):
        attention[index] = condense(translation)
        if index in sample_indices:
            translations[index] = translation

    # 3. Score the translations, and the links that the attention shows.
    hypotheses = [translation.text for translation in translations]
    all_references = (references, *further_references)
    examples, captions = corpus.pronoun_examples(split), corpus.caption_examples(split)
    evaluation = Evaluation(
        split=split,
        source=corpus.source,
        target=corpus.target,
        sentences=len(sources),
        step=inputs.step,
        bleu_tokenizer=metrics.bleu_tokenizer,
        further_references=[list(lines) for lines in further_references],
        metrics=MetricScores(**metrics.score(hypotheses, *all_references)),
        length_unit=unit,
        bleu_by_length=metrics.bleu_by_length(sources, hypotheses, *all_references, unit=unit),
        search=TypedDescription(class_name=inputs.search["class"], arguments=inputs.search["arguments"]),
        seconds=seconds,
        sentences_per_second=len(sources) / seconds,
        device=str(translator.model.device),
        threads=torch.get_num_threads(),
        precision=inputs.precision,
        other_corpus=inputs.other_corpus,
        truncated=[number for number, each in enumerate(translations, start=1) if each.truncated],
        samples=[
            make_sample(index, sources[index], references[index], translations[index]) for index in sample_indices
        ],
        alignment=align_references(run, translator, corpus, split=split, inputs=inputs, remark=remark),
        pronouns=None if examples is None else score_pronouns(examples, hypotheses, references, corpus.words),
        captions=None if captions is None else score_captions(captions, hypotheses, references, language=corpus.target),
        heads_off=inputs.heads_off,
        cut_lines=len(cut_lines),
        model_hash=inputs.model_hash,
        links_hash=inputs.links_hash,
        text_hash=hash_text(sources, *all_references, source=corpus.source, target=corpus.target),
        checksum="",
    )
    return write_evaluation(inputs.folder(run), evaluation, (sources, hypotheses, references), attention)


def align_references(
    run: RunFolder,
    translator: Translator,
    corpus: Corpus,
    *,
    split: str,
    inputs: EvaluationInputs,
    remark: Callable[[str], None],
) -> AlignmentQuality | None:
    """How well the attention aligns the sources and references of a split; arguments as for `evaluate`.

    Returns:
        None for a split without gold links, for a model without attention, and if heads are silenced.
    """
    if inputs.links_hash is None or inputs.heads_off or translator.model.cross_attention_shape() is None:
        return None
    find_corpus = partial(corpus_to_choose_on, run, corpus)
    choice = find_choice(run, translator, find_corpus, model_hash=inputs.model_hash, remark=remark)
    return measure_alignment(translator, corpus.split(split), choice.extraction, split=corpus.words, name=split)


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


def attend(
    translator: Translator, lines: Sequence[str], translations: Sequence[Translation]
) -> Iterator[tuple[int, Translation]]:
    """Yields (index, translation with its cross-attention) for each line with words; lines of similar length together.

    It takes a pass of its own, which is no part of translating. The weights of all heads of a whole split may not fit
    into memory, so nothing is kept.
    """
    ids = translator.tokenizer.encode_source(list(map(sanitize, lines)))
    ids = [source[: translator.max_length - 1] for source in ids]  # one position is left for `eos`
    by_length = sorted((index for index, source in enumerate(ids) if source), key=lambda index: len(ids[index]))
    for start in range(0, len(by_length), ATTENTION_BATCH):
        indices = by_length[start : start + ATTENTION_BATCH]
        translator.before_batch()
        batch = {index: [translations[index]] for index in indices}
        attended = attend_all(translator.model, translator.tokenizer, ids, batch, ["cross"])
        yield from ((index, translation) for index, [translation] in attended.items())


def condense(translation: Translation) -> SentenceAttention | None:
    """The attention between words, the mean of all layers and heads; None for a model without attention."""
    cross = translation.attention.get("cross")
    if cross is None:
        return None
    words = cross.mean().words()
    return quantize_attention(words.columns, words.rows, words.matrix)


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
    folder: Path,
    evaluation: Evaluation,
    texts: Sequence[Sequence[str]],
    attention: Sequence[SentenceAttention | None],
) -> dict[str, Any]:
    """Writes the files of an evaluation, and returns the content of the JSON file.

    The JSON file is written last, with a checksum of all of them: files of two evaluations are never taken for one.

    Args:
        folder: where to write them.
        evaluation: the record, without its checksum.
        texts: the source sentences, the translations and the references.
        attention: between the words of each sentence.
    """
    contents = ["".join(line + "\n" for line in lines).encode("utf-8") for lines in texts]
    contents.append(encode_attention(attention))
    evaluation.checksum = compute_checksum(evaluation, contents)
    record: dict[str, Any] = msgspec.to_builtins(evaluation)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for path, content in zip(list_files(folder, evaluation.split), contents, strict=True):
        with atomic_write(path) as file:
            file.write(content)
    write_json(folder / f"{evaluation.split}.json", record)
    return record
