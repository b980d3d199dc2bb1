"""`nmt evaluate`: BLEU, chrF and TER of one system on one split."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from nmt.cli.description import corpus_of, translator_of
from nmt.cli.shell.errors import say
from nmt.evaluation.evaluator import evaluate
from nmt.run import RunFolder


def run(config: DictConfig) -> None:
    """Evaluates as `config` (conf/evaluate.yaml) says, and prints the scores."""
    folder = RunFolder.open(str(config.run))
    result = evaluate_run(folder, config)
    for metric in result["metrics"].values():
        print(f"{metric['name']:<31}{metric['score']:6.2f}  {metric['signature']}")
    say(
        "nmt evaluate",
        f"{result['sentences']:,} sentences in {result['seconds']:.1f} s "
        f"({result['sentences_per_second']:.1f} a second on {result['device']}); "
        f"{folder.path / 'evaluation' / (config.split + '.json')}",
    )


def evaluate_run(folder: RunFolder, config: DictConfig) -> dict[str, Any]:
    """Evaluates one run on `config.split`; `config` has the keys of conf/evaluate.yaml, but for `run`."""
    corpus = corpus_of(folder, config.data)
    translator, search = translator_of(folder, config.search, device=config.device, batch_tokens=config.batch_tokens)
    return evaluate(folder, translator, corpus, split=config.split, search=search)
