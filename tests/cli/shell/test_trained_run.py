"""The corpus and the search of a trained run, as they are or changed by the command line."""

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from nmt.cli.shell.settings import Component
from nmt.cli.shell.trained_run import CorpusChanges, SearchChanges, describe_search, load_corpus
from nmt.errors import UserError
from nmt.run import RunFolder

GREEDY = {"class": "GreedySearch", "arguments": {"max_length_factor": 1.5, "max_length_margin": 10}}
BEAM: dict[str, Any] = {
    "class": "BeamSearch",
    "arguments": {
        "beam_size": 5,
        "length_penalty": 0.6,
        "max_length_factor": 1.5,
        "max_length_margin": 10,
        "min_length": 0,
        "no_repeat_ngram": 0,
    },
}


def run_with(description: dict[str, Any]) -> Mock:
    """A run folder whose search has the description."""
    run = Mock(spec=RunFolder)
    run.description.return_value = description
    return run


@pytest.mark.parametrize("description", [GREEDY, BEAM])
def test_without_changes_the_search_is_that_of_the_run(description: dict[str, Any]) -> None:
    assert describe_search(run_with(description), SearchChanges()) == description


def test_changes_replace_arguments_of_the_run_s_search() -> None:
    description = describe_search(run_with(BEAM), SearchChanges(beam_size=2, no_repeat_ngram=3))
    assert description["arguments"] == {**BEAM["arguments"], "beam_size": 2, "no_repeat_ngram": 3}


def test_greedy_search_stays_greedy_unless_it_gets_an_argument_of_beam_search() -> None:
    description = describe_search(run_with(GREEDY), SearchChanges(min_length=3))
    arguments = {"max_length_factor": 1.5, "max_length_margin": 10, "min_length": 3, "no_repeat_ngram": None}
    assert description == {"class": "GreedySearch", "arguments": arguments}
    description = describe_search(run_with(GREEDY), SearchChanges(beam_size=4))
    arguments = {**arguments, "beam_size": 4, "length_penalty": 0.0, "min_length": 0}
    assert description == {"class": "BeamSearch", "arguments": arguments}


def test_a_change_reaches_the_search_for_candidates() -> None:
    candidates = {"class": "BeamSearch", "arguments": BEAM["arguments"] | {"beam_size": 8}}
    arguments = {"candidates": candidates, "num_candidates": 8, "utility": "bleu"}
    run = run_with({"class": "MinimumBayesRisk", "arguments": arguments})
    changed = {"class": "BeamSearch", "arguments": candidates["arguments"] | {"min_length": 2}}
    description = describe_search(run, SearchChanges(min_length=2))
    assert description == {"class": "MinimumBayesRisk", "arguments": arguments | {"candidates": changed}}
    assert describe_search(run, SearchChanges(beam_size=3))["class"] == "BeamSearch"


def test_a_wrong_change_names_its_key() -> None:
    with pytest.raises(UserError, match=r"^search\.min_length=-1 must be a whole number of at least 0$"):
        describe_search(run_with(BEAM), SearchChanges(min_length=-1))


def test_a_selected_search_replaces_that_of_the_run() -> None:
    component = Component("search", "nmt.search.GreedySearch", {"max_length_factor": 1.0, "max_length_margin": 5})
    run = run_with(BEAM)
    assert describe_search(run, component)["class"] == "GreedySearch"
    run.description.assert_not_called()


def test_the_corpus_of_the_run_is_loaded_with_the_changes() -> None:
    run = run_with({"class": "FilesCorpus", "arguments": {"path": "somewhere", "source": "en", "target": "de"}})
    load_corpus(run, CorpusChanges(path="elsewhere", source=None, target=None))
    run.corpus.assert_called_once_with(path="elsewhere")


def test_a_generated_corpus_has_no_path() -> None:
    run = run_with({"class": "GrammarCorpus", "arguments": {"source": "en", "target": "de", "seed": 1}})
    run.path = Path("runs/a")
    with pytest.raises(
        UserError, match=r"data\.path=x: the corpus of run=runs/a has no files, because it is generated"
    ):
        load_corpus(run, CorpusChanges(path="x", source=None, target=None))


def test_a_selected_corpus_replaces_that_of_the_run() -> None:
    run = run_with(BEAM)
    corpus: object = load_corpus(run, Component("data", "builtins.dict", {"path": "x"}))
    assert corpus == {"path": "x"}
    run.corpus.assert_not_called()
