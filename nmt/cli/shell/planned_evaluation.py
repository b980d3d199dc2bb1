"""An evaluation that `evaluate` or `compare` needs: the stored one if it still holds, or what to do to get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from datasets import Dataset

from nmt.cli.shell.engine import ExportedEngine
from nmt.cli.shell.errors import print_message
from nmt.cli.shell.length_limit import remark_on_truncated
from nmt.cli.shell.line_warnings import LineWarnings
from nmt.cli.shell.settings import Component
from nmt.cli.shell.trained_run import (
    CorpusChanges,
    SearchChanges,
    asked_pair,
    describe_search,
    load_corpus,
    load_metrics,
    load_translator,
    name_other_corpus,
)
from nmt.data.corpus import Corpus
from nmt.errors import Failure, UserError
from nmt.evaluation import Metrics
from nmt.evaluation.evaluator import evaluate
from nmt.evaluation.record import Evaluation, read_evaluation
from nmt.evaluation.reuse import (
    EvaluationInputs,
    hash_links,
    hash_text,
    list_changes,
    metric_signatures,
    read_stored,
)
from nmt.evaluation.sentence_file import read_sentences
from nmt.evaluation.tokenized_text import describe_tokenized_text
from nmt.files import read_text
from nmt.models.heads import parse_heads
from nmt.run import RunFolder
from nmt.run.directions import find_tag
from nmt.run.model_hash import hash_model
from nmt.run.registry import Description, language_pair
from nmt.threads import limit_threads


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """The settings of an evaluation, as a command received them.

    Attributes:
        split: a split of the corpus.
        bleu_tokenizer: another tokenizer for BLEU; None: the run's own.
        references: files with further references, one line for each sentence.
        data: the corpus, or changes of the run's own.
        search: the search, or changes of the run's own.
        heads_off: names of attention heads to silence, see `nmt.models.heads`.
        engine: carries out the search instead of torch; None: torch.
        precision: number format of the engine, or of torch.
        may_lack_text: if the run's own corpus cannot be read, since the folder has been copied to another machine,
            use the stored evaluation without comparing the text.
    """

    split: str
    bleu_tokenizer: str | None
    references: Sequence[Path]
    data: Component | CorpusChanges
    search: Component | SearchChanges
    heads_off: Sequence[str] = ()
    engine: ExportedEngine | None = None
    precision: str = "fp32"
    may_lack_text: bool = False

    @property
    def uses_own_corpus(self) -> bool:
        """Whether it is about the run's own corpus, as it was in training."""
        return not isinstance(self.data, Component) and not self.data.changed() and not self.references


@dataclass(frozen=True, kw_only=True)
class PlannedEvaluation:
    """What a command knows about an evaluation before it loads any model.

    Attributes:
        run: the run folder.
        request: what the command asks for.
        language_pair: the codes of the source and the target language.
        search: description of the search, whatever carries it out.
        metrics: of the target language.
        inputs: what the evaluation depends on.
        stored: the evaluation in the run folder; None if there is none that can be used.
        reasons: why a stored evaluation cannot be used; or, if it is used, why its text was not compared. May be empty.
        corpus: holds the split; None if it cannot be read, and the stored evaluation is used all the same.
        further_references: of every sentence, beside that of the split.
    """

    run: RunFolder
    request: EvaluationRequest
    language_pair: tuple[str, str]
    search: Description
    metrics: Metrics
    inputs: EvaluationInputs
    stored: Evaluation | None
    reasons: list[str]
    corpus: Corpus | None = None
    further_references: Sequence[list[str]] = ()

    @property
    def split(self) -> str:
        """The split of the corpus."""
        return self.request.split

    @property
    def path(self) -> Path:
        """The JSON file of the evaluation."""
        return self.inputs.folder(self.run) / f"{self.split}.json"

    @property
    def text_hash(self) -> str | None:
        """Identifies the text that the evaluation is about."""
        return self.inputs.text_hash if self.stored is None else self.stored.text_hash

    @property
    def num_sentences(self) -> int:
        """The number of sentences of the split."""
        if self.corpus is not None:
            return len(self.corpus.split(self.split))
        assert self.stored is not None, "a plan without a corpus has a stored evaluation"
        return self.stored.sentences

    def print_reasons(self, program: str) -> None:
        """Prints why a stored evaluation is not used again, if there is one."""
        if self.reasons:
            print_message(program, f"evaluating {self.run.path} on {self.split} again: {', '.join(self.reasons)}")

    def print_reused(self, program: str) -> None:
        """Prints that the stored evaluation still holds, and what is noteworthy about it."""
        print_message(
            program, f"nothing has changed since {self.path} was written: remove it to translate {self.split} again"
        )
        self.print_cut_lines(program)

    def print_cut_lines(self, program: str) -> None:
        """Prints how many source lines the stored evaluation cut off, if any."""
        if self.stored is not None and self.stored.cut_lines:
            print_message(
                program,
                f"{self.path}: {self.stored.cut_lines:,} of {self.stored.sentences:,} lines were cut off, "
                "since they were too long for the model",
            )

    def carry_out(self, program: str, *, device: str, threads: str, batch_tokens: int | None) -> Evaluation:
        """Translates and scores the split, and writes the result into the run folder.

        Raises:
            UserError: the run folder is damaged, or a setting is wrong.
        """
        assert self.corpus is not None, "a plan without a corpus has a stored evaluation"
        translator = load_translator(
            self.run,
            self.search,
            device=device,
            batch_tokens=batch_tokens,
            heads_off=self.inputs.heads_off,
            to=self._choose_tag(),
            engine=self.request.engine,
            precision=self.request.precision,
        )
        warnings = LineWarnings(program, text=f"{self.split}, ")
        with limit_threads(threads, translator.model.device) as translator.before_batch:
            result = evaluate(
                self.run,
                translator,
                self.corpus,
                split=self.split,
                metrics=self.metrics,
                further_references=list(self.further_references),
                inputs=self.inputs,
                warn=warnings.add_cut_off,
                remark=partial(print_message, program),
            )
        warnings.print_totals()
        remark_on_truncated(program, result["truncated"])
        if (remark := describe_tokenized_text(self._read_lines("hyp"), self._read_lines("ref"))) is not None:
            print_message(program, f"{self.path}: {remark}")
        return read_evaluation(self.path)

    def _choose_tag(self) -> str | None:
        """The tag of source lines: that of the corpus, or that of its direction; None for that of the run, if any."""
        if self.corpus is not None and self.corpus.main_tag is not None:
            return self.corpus.main_tag
        try:
            return find_tag(self.run, self.language_pair)
        except UserError:  # the run has no tag for this language, which may be another code for its own
            return None

    def _read_lines(self, name: str) -> list[str]:
        """The lines of SPLIT.hyp.txt or SPLIT.ref.txt."""
        return read_text(self.path.with_name(f"{self.split}.{name}.txt")).split("\n")[:-1]


def plan_evaluation(run: RunFolder, request: EvaluationRequest) -> PlannedEvaluation:
    """Finds out whether the stored evaluation of a split still holds.

    It first compares what is cheap to know, and then the text, which may not be available.

    Raises:
        UserError: the run folder is damaged, the corpus has no such split, or a setting is wrong.
    """
    plan = _plan_without_text(run, request)
    try:
        corpus = load_corpus(run, request.data)
        pairs = corpus.split(request.split)
    except (UserError, Failure) as error:
        holds = plan.stored is not None and not list_changes(plan.stored, plan.inputs)
        if not (request.may_lack_text and request.uses_own_corpus and holds):
            raise
        reason = (
            f"the text of its evaluation on {plan.split} was not compared, since the corpus cannot be read: {error}"
        )
        return replace(plan, reasons=[reason])
    if not corpus.is_translated:
        raise UserError("data=text has no translations to compare with: select text that has, as in data=files")
    return _compare_text(plan, corpus, pairs)


def _plan_without_text(run: RunFolder, request: EvaluationRequest) -> PlannedEvaluation:
    """Plans an evaluation as far as it depends on the run; its text is not known yet."""
    own_pair = language_pair(run.description("corpus"))
    pair = asked_pair(run, request.data)
    metrics = load_metrics(run, request.bleu_tokenizer, language=None if pair[1] == own_pair[1] else pair[1])
    search = describe_search(run, request.search)
    inputs = EvaluationInputs(
        step=run.best_step(),
        model_hash=hash_model(run),
        search=search if request.engine is None else request.engine.describe(search),
        text_hash=None,
        links_hash=None,
        signatures={},
        precision=request.precision,
        heads_off=[str(head) for head in parse_heads(request.heads_off)],
        direction=None if pair == own_pair else "-".join(pair),
        other_corpus=name_other_corpus(request.data),
    )
    stored, reasons = _find_stored(run, request.split, inputs)
    return PlannedEvaluation(
        run=run,
        request=request,
        language_pair=pair,
        search=search,
        metrics=metrics,
        inputs=inputs,
        stored=stored,
        reasons=reasons,
    )


def _compare_text(plan: PlannedEvaluation, corpus: Corpus, pairs: Dataset) -> PlannedEvaluation:
    """Completes a plan by the text of the split, its gold links and the metrics, which depend on the language."""
    further = [read_sentences(path, num_sentences=len(pairs), split=plan.split) for path in plan.request.references]
    text_hash = hash_text(pairs["source"], pairs["target"], *further, source=corpus.source, target=corpus.target)
    inputs = replace(plan.inputs, text_hash=text_hash, links_hash=hash_links(pairs))
    stored, reasons = plan.stored, plan.reasons
    if stored is not None:
        inputs = replace(inputs, signatures=metric_signatures(plan.metrics, list(pairs["target"]), *further))
        if changes := list_changes(stored, inputs):
            stored, reasons = None, changes
    return replace(plan, corpus=corpus, further_references=further, inputs=inputs, stored=stored, reasons=reasons)


def _find_stored(run: RunFolder, split: str, inputs: EvaluationInputs) -> tuple[Evaluation | None, list[str]]:
    """The stored evaluation of a split, or None; and why one that is there cannot be used."""
    try:
        return read_stored(run, split, inputs.heads_off, direction=inputs.direction), []
    except UserError as error:
        return None, [str(error)]
