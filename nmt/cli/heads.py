"""`nmt heads`: what each attention head of an encoder has learned, and what it is needed for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.cli.compare import print_table
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import (
    CorpusChanges,
    SearchChanges,
    describe_search,
    load_corpus,
    load_metrics,
    load_translator,
)
from nmt.data.grammar import GrammarCorpus
from nmt.errors import UserError
from nmt.evaluation.head_report import HeadReport
from nmt.evaluation.heads import (
    FURTHER_PRONOUNS,
    NUM_FURTHER_PRONOUNS,
    PRONOUNS,
    TEST,
    VALIDATION,
    Sample,
    measure_pronouns,
    measure_relations,
    score_translations,
    translate_pairs,
)
from nmt.files import atomic_write
from nmt.models.heads import Head, list_heads
from nmt.report.comparison import check_report_folder
from nmt.report.coreference_picture import ShadedSentence, save_shaded_sentences
from nmt.report.heads import relation_table, silencing_table, summarize_heads, write_heads
from nmt.run import RunFolder
from nmt.run.registry import TypedDescription
from nmt.threads import check_threads, limit_threads
from nmt.translator import Translator

PROGRAM = "nmt heads"

EXAMPLES = {
    "en": [f"The animal did not cross the street because it was too {adjective}." for adjective in ("tired", "wide")],
    "de": [f"Das Tier überquerte die Straße nicht, weil {rest} war." for rest in ("es zu müde", "sie zu breit")],
}
"""The sentences of the picture, by source language: one word decides to which noun the pronoun refers."""

EXAMPLE_PRONOUN = 8
"""The index of the pronoun in each example."""


class HeadsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/heads.yaml, which describes each setting."""

    run: Path
    out: Path
    data: Component | CorpusChanges
    search: Component | SearchChanges
    device: str
    threads: str

    def __post_init__(self) -> None:
        check_threads(self.threads)


def run(config: DictConfig) -> None:
    """Measures every head, writes the report, and prints its tables."""
    settings = to_settings(config, HeadsSettings)
    folder = RunFolder.open(settings.run)
    check_report_folder(settings.out)
    search = describe_search(folder, settings.search)
    load = partial(load_translator, folder, search, device=settings.device, batch_tokens=None)
    translator = load()
    if not list_heads(translator.model, "encoder"):
        raise UserError(f"run={folder.path}: its encoder has no attention heads, as only a Transformer's has")
    corpus = load_corpus(folder, settings.data)
    if not isinstance(corpus, GrammarCorpus):
        raise UserError(
            f"run={folder.path}: its corpus does not tell how words are related, as the built-in one does; train a "
            "system with data=grammar"
        )
    metrics = load_metrics(folder, None)
    with limit_threads(settings.threads, translator.model.device) as translator.before_batch:
        samples = translate_all(translator, corpus)
        heads = [str(head) for head in list_heads(translator.model, "encoder")]
        examples = corpus.pronoun_examples(PRONOUNS)
        assert examples is not None, "the grammar knows the pronouns of this split"
        relations = measure_relations(samples, heads)
        without = {}
        for number, head in enumerate(heads, start=1):
            print_message(PROGRAM, f"translating without {head}, {number} of {len(heads)}")
            reduced = load(heads_off=[head])
            reduced.before_batch = translator.before_batch
            silenced = {name: translate_pairs(reduced, samples[name].pairs, corpus.words) for name in (TEST, PRONOUNS)}
            without[head] = score_translations(silenced, corpus, metrics)
        report = HeadReport(
            run=folder.name,
            step=folder.best_step(),
            source=corpus.source,
            target=corpus.target,
            bleu_tokenizer=metrics.bleu_tokenizer,
            search=TypedDescription(class_name=search["class"], arguments=search["arguments"]),
            relations=relations,
            pronouns=measure_pronouns(samples[PRONOUNS], examples, heads),
            with_all_heads=score_translations(samples, corpus, metrics),
            without=without,
        )
        write_heads(report, settings.out)
        draw_coreference_head(translator, corpus, report.coreference_head, settings.out / "coreference.png")
    print_table(relation_table(report))
    print_table(silencing_table(report))
    print(summarize_heads(report))
    print_message(PROGRAM, f"wrote {settings.out / 'heads.json'}, heads.md and coreference.png")


def translate_all(translator: Translator, corpus: GrammarCorpus) -> dict[str, Sample]:
    """Translates all sentences on which heads are selected and measured, and keeps the attention."""
    pairs = {name: corpus.pairs(name) for name in (VALIDATION, TEST, PRONOUNS)}
    pairs[FURTHER_PRONOUNS] = corpus.further_pronoun_pairs(NUM_FURTHER_PRONOUNS)
    return {name: translate_pairs(translator, some, corpus.words) for name, some in pairs.items()}


def draw_coreference_head(translator: Translator, corpus: GrammarCorpus, name: str, path: Path) -> None:
    """Draws what a head attends to from the pronouns of two sentences that differ in the noun that is meant."""
    head = Head.parse(name)
    sentences = []
    for translation in translator.translate(EXAMPLES[corpus.source], attention="encoder"):
        attention = translation.attention["encoder"].head(head.layer, head.number).without_eos().words(corpus.words)
        weights = attention.matrix[EXAMPLE_PRONOUN].tolist()
        sentences.append(ShadedSentence(attention.rows, weights, EXAMPLE_PRONOUN, translation.text))
    with atomic_write(path) as file:
        save_shaded_sentences(file, sentences, title=f"What the framed word attends to: {name}")
