"""`nmt evaluate`: BLEU, chrF and TER of one trained system on one split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig

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
from nmt.evaluation.evaluator import evaluate
from nmt.run import RunFolder


class EvaluateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """conf/evaluate.yaml, which describes each setting."""

    run: Path
    split: str
    bleu_tokenizer: str | None
    data: Component | CorpusChanges
    search: Component | SearchChanges
    device: str
    batch_tokens: int | None


def run(config: DictConfig) -> None:
    """Evaluates a run and prints its scores."""
    settings = to_settings(config, EvaluateSettings)
    folder = RunFolder.open(settings.run)
    result = evaluate_run(
        folder,
        split=settings.split,
        bleu_tokenizer=settings.bleu_tokenizer,
        data=settings.data,
        search=settings.search,
        device=settings.device,
        batch_tokens=settings.batch_tokens,
    )
    for metric in result["metrics"].values():
        print(f"{metric['name']:<31}{metric['score']:6.2f}  {metric['signature']}")
    print_message(
        "nmt evaluate",
        f"translated {result['sentences']:,} sentences in {result['seconds']:.1f} s "
        f"({result['sentences_per_second']:.1f} per second on {result['device']}); "
        f"wrote {folder.path / 'evaluation' / (settings.split + '.json')}",
    )


def evaluate_run(
    run: RunFolder,
    *,
    split: str,
    bleu_tokenizer: str | None,
    data: Component | CorpusChanges,
    search: Component | SearchChanges,
    device: str,
    batch_tokens: int | None,
) -> dict[str, Any]:
    """Evaluates one run on a split, and writes the result into its folder.

    Args:
        bleu_tokenizer: sacreBLEU's name of the tokenizer for BLEU; None: the run's own.

    Returns:
        the content of evaluation/`split`.json.

    Raises:
        UserError: the run folder is damaged, the corpus has no such split, or a setting is wrong.
    """
    metrics = load_metrics(run, bleu_tokenizer)
    corpus = load_corpus(run, data)
    description = describe_search(run, search)
    translator = load_translator(run, description, device=device, batch_tokens=batch_tokens)
    return evaluate(run, translator, corpus, split=split, search=description, metrics=metrics)
