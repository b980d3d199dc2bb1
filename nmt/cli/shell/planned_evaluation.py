"""An evaluation that `evaluate` or `compare` needs: the stored one if it still holds, or what to do to get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

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


@dataclass(frozen=True)
class PlannedEvaluation:
    """What a command knows about an evaluation before it loads any model.

    Attributes:
        run: the run folder.
        corpus: holds the split; None if it cannot be read, and the stored evaluation is used all the same.
        split: the split of the corpus.
        metrics: of the target language.
        further_references: of every sentence, beside that of the split.
        inputs: what the evaluation depends on.
        stored: the evaluation in the run folder; None if there is none that can be used.
        reasons: why a stored evaluation cannot be used; or, if it is used, why its text was not compared. May be empty.
        language_pair: the codes of the source and the target language.
        search: description of the search, whatever carries it out.
        engine: carries it out instead of torch; None: torch.
    """

    run: RunFolder
    corpus: Corpus | None
    split: str
    metrics: Metrics
    further_references: list[list[str]]
    inputs: EvaluationInputs
    stored: Evaluation | None
    reasons: list[str]
    language_pair: tuple[str, str]
    search: Description
    engine: ExportedEngine | None

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
            engine=self.engine,
            precision=self.inputs.precision,
        )
        warnings = LineWarnings(program, text=f"{self.split}, ")
        with limit_threads(threads, translator.model.device) as translator.before_batch:
            result = evaluate(
                self.run,
                translator,
                self.corpus,
                split=self.split,
                metrics=self.metrics,
                further_references=self.further_references,
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


def plan_evaluation(
    run: RunFolder,
    *,
    split: str,
    bleu_tokenizer: str | None,
    references: Sequence[Path],
    data: Component | CorpusChanges,
    search: Component | SearchChanges,
    heads_off: Sequence[str] = (),
    may_lack_text: bool = False,
    engine: ExportedEngine | None = None,
    precision: str = "fp32",
) -> PlannedEvaluation:
    """Finds out whether the stored evaluation of a split still holds.

    It first compares what is cheap to know, and then the text, which may not be available.

    Args:
        run: the run folder.
        split: a split of the corpus.
        bleu_tokenizer: another tokenizer for BLEU; None: the run's own.
        references: files with further references, one line for each sentence.
        data: the corpus, or changes of the run's own.
        search: the search, or changes of the run's own.
        heads_off: names of attention heads to silence, see `nmt.models.heads`.
        may_lack_text: if the run's own corpus cannot be read, since the folder has been copied to another machine,
            use the stored evaluation without comparing the text.
        engine: see `PlannedEvaluation`.
        precision: number format of the engine, or of torch.

    Raises:
        UserError: the run folder is damaged, the corpus has no such split, or a setting is wrong.
    """
    own_pair = language_pair(run.description("corpus"))
    pair = asked_pair(run, data)
    # 1. Compare weights and search with those of the stored evaluation.
    language = None if pair[1] == own_pair[1] else pair[1]
    metrics = load_metrics(run, bleu_tokenizer, language=language)
    described = describe_search(run, search)
    inputs = EvaluationInputs(
        step=run.best_step(),
        model_hash=hash_model(run),
        search=described if engine is None else engine.describe(described),
        text_hash=None,
        links_hash=None,
        signatures={},
        precision=precision,
        heads_off=[str(head) for head in parse_heads(heads_off)],
        direction=None if pair == own_pair else "-".join(pair),
    )
    stored, reasons = find_stored(run, split, inputs)
    changes = [] if stored is None else list_changes(stored, inputs)

    # 2. Read the text. Without it, a stored evaluation may be used as it is.
    try:
        corpus = load_corpus(run, data)
        pairs = corpus.split(split)
    except (UserError, Failure) as error:
        is_own = not isinstance(data, Component) and not data.changed() and not references
        if not may_lack_text or not is_own or stored is None or changes:
            raise
        reason = f"the text of its evaluation on {split} was not compared, since the corpus cannot be read: {error}"
        return PlannedEvaluation(run, None, split, metrics, [], inputs, stored, [reason], pair, described, engine)
    further = [read_sentences(path, num_sentences=len(pairs), split=split) for path in references]

    # 3. Compare text, gold links and metrics.
    text_hash = hash_text(pairs["source"], pairs["target"], *further, source=corpus.source, target=corpus.target)
    inputs = replace(inputs, text_hash=text_hash, links_hash=hash_links(pairs))
    if stored is not None:
        inputs = replace(inputs, signatures=metric_signatures(metrics, list(pairs["target"]), *further))
        changes = list_changes(stored, inputs)
        if changes:
            stored, reasons = None, changes
    return PlannedEvaluation(run, corpus, split, metrics, further, inputs, stored, reasons, pair, described, engine)


def find_stored(run: RunFolder, split: str, inputs: EvaluationInputs) -> tuple[Evaluation | None, list[str]]:
    """The stored evaluation of a split, or None; and why one that is there cannot be used."""
    try:
        return read_stored(run, split, inputs.heads_off, direction=inputs.direction), []
    except UserError as error:
        return None, [str(error)]
