"""`nmt evaluate`: BLEU, chrF and TER of one trained system on one split, in each of its directions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
from omegaconf import DictConfig

from nmt.cli.compare import print_table
from nmt.cli.shell.engine import ExportedEngine, choose_engine
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.planned_evaluation import EvaluationRequest, PlannedEvaluation, plan_evaluation
from nmt.cli.shell.settings import Component, to_settings
from nmt.cli.shell.trained_run import CorpusChanges, SearchChanges, load_corpus, open_system
from nmt.device import pick_device
from nmt.errors import UserError
from nmt.evaluation.captions import CaptionScores, list_caption_scores
from nmt.evaluation.comet import add_comet
from nmt.evaluation.pronouns import PronounScores, list_counts
from nmt.evaluation.record import AlignmentQuality, Evaluation
from nmt.report.formatting import DASH
from nmt.report.tables import Cell, Table
from nmt.run import RunFolder
from nmt.run.directions import Pair, list_directions
from nmt.run.ensemble import EnsembleFolder
from nmt.run.registry import change_main_corpus, main_corpus
from nmt.threads import check_threads

PROGRAM = "nmt evaluate"


class EvaluateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/evaluate.yaml, which describes each setting."""

    run: list[Path] | str
    out: Path | None
    split: str
    bleu_tokenizer: str | None
    references: list[Path]
    comet: str | None
    data: Component | CorpusChanges
    search: Component | SearchChanges
    device: str
    threads: str
    batch_tokens: int | None
    engine: str
    exported: Path | None
    precision: str
    heads_off: list[str]

    def __post_init__(self) -> None:
        check_threads(self.threads)
        self.choose_engine()

    def choose_engine(self) -> ExportedEngine | None:
        """The engine that translates instead of torch; None for torch."""
        return choose_engine(self.engine, self.exported, self.precision)

    def make_request(self, data: Component | CorpusChanges) -> EvaluationRequest:
        """What is to be evaluated in one direction, whose corpus is `data`."""
        return EvaluationRequest(
            split=self.split,
            bleu_tokenizer=self.bleu_tokenizer,
            references=self.references,
            data=data,
            search=self.search,
            heads_off=self.heads_off,
            engine=self.choose_engine(),
            precision=self.precision,
        )


def run(config: DictConfig) -> None:
    """Evaluates a run, unless its stored evaluation still holds, and prints the scores."""
    settings = to_settings(config, EvaluateSettings)
    folder = open_system(settings.run, out=settings.out)
    if isinstance(folder, EnsembleFolder):
        folder.check_heads(settings.heads_off)
    # First find out what there is to do, so that a mistake ends the command before anything is translated.
    corpora = list_corpora(folder, settings.data, settings.split)
    if settings.references and len(corpora) > 1:
        raise UserError("references are of one direction, but the run has several: add data.source= and data.target=")
    plans = [plan_evaluation(folder, settings.make_request(data)) for data in corpora]
    results = [complete(plan, folder, settings) for plan in plans]
    if len(results) > 1:
        print_directions(results)
        return
    print_scores(results[0])


def list_corpora(folder: RunFolder, data: Component | CorpusChanges, split: str) -> Sequence[Component | CorpusChanges]:
    """What to evaluate: the corpus in each direction of the run that has the split, unless one corpus is asked for."""
    if isinstance(data, Component) or data.source is not None or data.target is not None:
        return [data]
    corpora: list[Component | CorpusChanges] = [data]
    first, *others = list_directions(folder)
    if not others or split not in load_corpus(folder, data).splits():
        return corpora
    for pair in others:
        if data.path is not None and path_of(folder, pair) != path_of(folder, first):
            continue  # the folder replaces that of the first direction
        corpus = msgspec.structs.replace(data, source=pair[0], target=pair[1])
        if split in load_corpus(folder, corpus).splits():
            corpora.append(corpus)
        else:
            print_message(PROGRAM, f"there is no split {split} from {pair[0]} to {pair[1]}")
    return corpora


def path_of(folder: RunFolder, pair: Pair) -> object:
    """The path of the corpus in a direction of a run, as its description says."""
    changes = {"source": pair[0], "target": pair[1]}
    return main_corpus(change_main_corpus(folder.description("corpus"), changes))["arguments"].get("path")


def complete(plan: PlannedEvaluation, folder: RunFolder, settings: EvaluateSettings) -> Evaluation:
    """The evaluation of a plan: the stored one if it still holds, or else a new one."""
    result = plan.stored
    if result is None:
        plan.print_reasons(PROGRAM)
        if isinstance(folder, EnsembleFolder):
            folder.save()
        result = plan.carry_out(
            PROGRAM, device=settings.device, threads=settings.threads, batch_tokens=settings.batch_tokens
        )
    if settings.comet is not None:
        on_gpu = pick_device(settings.device).type == "cuda"
        remark = partial(print_message, PROGRAM)
        result = add_comet(plan.path, result, model=settings.comet, on_gpu=on_gpu, remark=remark)
    if plan.stored is not None:
        plan.print_reused(PROGRAM)
        return result
    print_message(
        PROGRAM,
        f"translated {result.sentences:,} sentences in {result.seconds:.1f} s "
        f"({result.sentences_per_second:.1f} per second on {result.device}); wrote {plan.path}",
    )
    return result


def print_directions(evaluations: Sequence[Evaluation]) -> None:
    """Prints a table with one row per direction, and below it the signatures of the metrics."""
    scores = [each.metrics.known() for each in evaluations]
    keys = list(dict.fromkeys(key for known in scores for key in known))
    names = {key: metric.name for known in scores for key, metric in known.items()}
    rows = [
        [f"{each.source}-{each.target}", f"{each.sentences:,}"]
        + [f"{known[key].score:.2f}" if key in known else DASH for key in keys]
        for each, known in zip(evaluations, scores, strict=True)
    ]
    print_table(
        Table(["direction", "sentences", *map(names.__getitem__, keys)], [list(map(Cell, row)) for row in rows])
    )
    metrics = (metric for known in scores for metric in known.values())
    for name, signature in dict.fromkeys((metric.name, metric.signature) for metric in metrics):
        print(f"{name:<31}{signature}")


def print_scores(evaluation: Evaluation) -> None:
    """Prints one line per metric to standard output: name, score, signature; then what else was counted."""
    for metric in evaluation.metrics.known().values():
        print(f"{metric.name:<31}{metric.score:6.2f}  {metric.signature}")
    if evaluation.alignment is not None:
        print_alignment(evaluation.alignment)
    if evaluation.pronouns is not None:
        print_pronouns(evaluation.pronouns)
    if evaluation.captions is not None:
        print_captions(evaluation.captions)


def print_alignment(quality: AlignmentQuality) -> None:
    """Prints how well the attention aligns the words of source and reference."""
    figures = (
        ("alignment error rate", 100 * quality.error_rate, f"%, {quality.extraction.description}"),
        ("alignment precision", 100 * quality.precision, "%"),
        ("alignment recall", 100 * quality.recall, "%"),
        ("attention entropy", quality.entropy, "nats per target word"),
        ("attention coverage", 100 * quality.coverage, "% of each source word"),
        ("attention monotonicity", 100 * quality.monotonicity, "% of the steps"),
        ("attention to end of sentence", 100 * quality.eos_weight, "%"),
    )
    for name, value, note in figures:
        print(f"{name:<31}{value:6.2f}  {note}")


def print_pronouns(scores: PronounScores) -> None:
    """Prints how many pronouns have the form of their noun, one line per group."""
    for name, counts in list_counts(scores):
        print(
            f"{name:<31}{counts.accuracy:6.2f}  {counts.correct:,} of {counts.total:,} correct, "
            f"{counts.wrong:,} with another form, {counts.missing:,} without a pronoun"
        )


def print_captions(scores: CaptionScores) -> None:
    """Prints how many captions are exactly right, and how many of their colours."""
    for name, percentage, note in list_caption_scores(scores):
        print(f"{name:<31}{percentage:6.2f}  {note}")
