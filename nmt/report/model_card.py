"""The model card of a run: the README.md of a model on the Hugging Face hub, with figures that programs can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from nmt.data.hub import HubCorpus
from nmt.data.languages import LANGUAGE_NAMES
from nmt.errors import UserError
from nmt.evaluation.metrics import Metric
from nmt.evaluation.record import Evaluation, read_evaluation
from nmt.report.formatting import format_call, format_duration, format_parameters
from nmt.report.rendering import render
from nmt.run import RunFolder
from nmt.run.environment import read_environments
from nmt.run.format import read_versioned
from nmt.run.history import read_history
from nmt.run.model_hash import hash_model
from nmt.run.registry import Description, StoredModel, language_pair, main_corpus, name_corpus

METRIC_TYPES = {"bleu": "sacrebleu", "chrf": "chrf", "ter": "ter"}
"""The scores in the card, which every evaluation has, and what the hub calls them."""


def write_card(
    run: RunFolder, evaluations: Sequence[Evaluation], *, repository: str, license: str | None, command: str | None
) -> ModelCard:
    """The model card of a run.

    Args:
        run: its folder.
        evaluations: from `read_current_evaluations`.
        repository: "user/name" on the hub.
        license: the hub's name of a licence, such as "mit"; None for none.
        command: that trains such a run again; None if it is not known.

    Raises:
        UserError: a file of the run is damaged.
    """
    corpus = run.description("corpus")
    source, target = language_pair(corpus)
    name, dataset = repository.partition("/")[2], name_corpus(corpus)
    results = [
        describe_result(evaluation, key, metric, evaluation.other_corpus or dataset)
        for evaluation in evaluations
        for key, metric in list_metrics(evaluation)
    ]
    data = ModelCardData(
        language=list_languages(corpus),
        license=license,
        library_name="nmt",
        pipeline_tag="translation",
        tags=["translation", "nmt"],
        datasets=[dataset] if is_on_hub(corpus) else None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=name,
        eval_results=results or None,
    )
    metrics = [metric for evaluation in evaluations for _, metric in list_metrics(evaluation)]
    searches = [evaluation.search for evaluation in evaluations]
    history, environments = read_history(run.history), read_environments(run.path)
    stored = read_versioned(run.path / "model.json", StoredModel)
    tokenizer = run.tokenizer()
    text = render(
        "model_card.md.j2",
        name=name,
        repository=repository,
        languages=[LANGUAGE_NAMES.get(code, code) for code in (source, target)],
        source=source,
        model_class=stored.class_name,
        parameters=format_parameters(stored.parameters),
        pieces=tokenizer.source_size,
        tag=tokenizer.source_tag,
        dataset=dataset,
        is_on_hub=is_on_hub(corpus),
        evaluations=[(each, list_metrics(each)) for each in evaluations],
        own_evaluations=[each for each in evaluations if each.other_corpus is None],
        signatures=list(dict.fromkeys((metric.name, metric.signature) for metric in metrics)),
        searches=list(dict.fromkeys(format_call(search.class_name, search.arguments) for search in searches)),
        step=run.best_step(),
        epochs=history.epochs,
        duration=format_duration(history.seconds),
        environment=environments[-1] if environments else None,
        command=command,
        max_pieces=find_max_pieces(stored.arguments),
        license=license,
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}")


def find_max_pieces(arguments: dict[str, Any]) -> int | None:
    """The maximum number of pieces of a line, from a model's arguments; None for a model without a limit."""
    limit, positions = arguments.get("max_length"), arguments.get("positions")
    if limit is None and isinstance(positions, dict):
        limit = positions.get("arguments", {}).get("max_length")
    return limit - 1 if isinstance(limit, int) else None  # one position is left for the end of the sentence


def read_current_evaluations(run: RunFolder) -> tuple[dict[Path, Evaluation], list[str]]:
    """The evaluations of the run's present weights with all heads, by their paths in the run; and the names of others.

    Those of further directions are in folders such as `de-en`.
    """
    folder = run.path / "evaluation"
    current, old, model_hash = {}, [], hash_model(run)
    for path in [*sorted(folder.glob("*.json")), *sorted(folder.glob("*-*/*.json"))]:
        name = str(path.relative_to(folder).with_suffix(""))
        try:
            evaluation = read_evaluation(path)
        except UserError:
            old.append(name)
            continue
        if evaluation.model_hash == model_hash and not evaluation.heads_off:
            current[path.relative_to(run.path)] = evaluation
        else:
            old.append(name)
    return current, old


def list_metrics(evaluation: Evaluation) -> list[tuple[str, Metric]]:
    """The scores of an evaluation that the card shows, by their keys."""
    return [(key, getattr(evaluation.metrics, key)) for key in METRIC_TYPES]


def describe_result(evaluation: Evaluation, key: str, metric: Metric, dataset: str) -> EvalResult:
    """One figure as the hub's metadata hold it, with sacreBLEU's signature."""
    return EvalResult(
        task_type="translation",
        task_name=f"Translation {evaluation.source}-{evaluation.target}",
        dataset_type=dataset,
        dataset_name=dataset,
        dataset_config=f"{evaluation.source}-{evaluation.target}",  # or directions of a split would become one
        dataset_split=evaluation.split,
        metric_type=METRIC_TYPES[key],
        metric_name=metric.name,
        metric_value=round(metric.score, 2),
        metric_args={"signature": metric.signature},
    )


def is_on_hub(corpus: Description) -> bool:
    """Whether the corpus that decides on the languages is a dataset of the hub."""
    return main_corpus(corpus)["class"] == HubCorpus.__name__


def list_languages(corpus: Any) -> list[str]:
    """The codes of all languages of a described corpus and its parts, in their order."""

    def find(value: Any) -> Iterator[str]:
        if isinstance(value, list):
            for item in value:
                yield from find(item)
        elif isinstance(value, dict):
            arguments = value.get("arguments", {})
            yield from (str(arguments[side]) for side in ("source", "target") if arguments.get(side))
            yield from find([*arguments.values()])

    return list(dict.fromkeys(find(corpus)))
