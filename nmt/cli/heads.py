"""`nmt heads`: what each attention head of an encoder has learned, and what it is needed for."""

from __future__ import annotations

from collections.abc import Callable
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
    PRONOUNS,
    TEST,
    collect_pairs,
    measure_pronouns,
    measure_relations,
    score_sample,
    score_translations,
    translate,
    translate_with_attention,
)
from nmt.models.heads import list_heads
from nmt.report.comparison import check_report_folder
from nmt.report.heads import (
    EXAMPLES,
    best_table,
    draw_heads,
    pronoun_table,
    silencing_table,
    summarize_heads,
    write_heads,
)
from nmt.run import RunFolder
from nmt.run.registry import TypedDescription
from nmt.threads import check_threads, limit_threads
from nmt.translator import Translator

PROGRAM = "nmt heads"


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
        raise UserError(f"run={folder.path}: its encoder has no attention heads: name a run of a Transformer")
    corpus = load_corpus(folder, settings.data).main
    if not isinstance(corpus, GrammarCorpus):
        raise UserError(
            f"run={folder.path}: its corpus does not tell how words are related, as the built-in one does; train a "
            "system with data=grammar"
        )
    with limit_threads(settings.threads, translator.model.device) as translator.before_batch:
        report = measure_heads(folder, translator, corpus, TypedDescription(search["class"], search["arguments"]), load)
        examples = translator.translate(EXAMPLES[corpus.source], attention="encoder")
    write_heads(report, settings.out)
    draw_heads(report, examples, corpus.words, settings.out, warn=partial(print_message, PROGRAM))
    for table in (best_table(report), pronoun_table(report), silencing_table(report)):
        print_table(table)
    print(summarize_heads(report))
    print_message(PROGRAM, f"wrote {settings.out / 'heads.json'}, heads.md and coreference.png")


def measure_heads(
    folder: RunFolder,
    translator: Translator,
    corpus: GrammarCorpus,
    search: TypedDescription,
    load: Callable[..., Translator],
) -> HeadReport:
    """Measures what every head of the encoder attends to, and how the model translates without it.

    Args:
        folder: the run.
        translator: of the run, with all heads.
        corpus: of the run.
        search: describes the translator's search.
        load: loads the translator without the heads of its argument `heads_off`.
    """
    metrics = load_metrics(folder, None)
    heads = [str(head) for head in list_heads(translator.model, "encoder")]
    samples = {
        name: translate_with_attention(sample, translator, corpus.words)
        for name, sample in collect_pairs(corpus).items()
    }
    relations = measure_relations(samples, heads)
    pronouns = measure_pronouns(samples[PRONOUNS], heads)
    translations, accuracies = {}, {}
    for number, head in enumerate(heads, start=1):
        print_message(PROGRAM, f"translating without {head}, {number} of {len(heads)}")
        reduced = load(heads_off=[head])
        reduced.before_batch = translator.before_batch
        silenced = {name: translate(samples[name], reduced) for name in (TEST, PRONOUNS, FURTHER_PRONOUNS)}
        translations[head] = score_translations(silenced, metrics, corpus.words)
        accuracies[head] = score_sample(silenced[FURTHER_PRONOUNS], corpus.words).all.accuracy
    return HeadReport(
        run=folder.name,
        step=folder.best_step(),
        source=corpus.source,
        target=corpus.target,
        bleu_tokenizer=metrics.bleu_tokenizer,
        search=search,
        relations=relations,
        pronouns=pronouns,
        attending_head=next(each.best for each in relations if each.name == "antecedent"),
        needed_head=min(heads, key=accuracies.__getitem__),
        with_all_heads=score_translations(samples, metrics, corpus.words),
        without=translations,
    )
