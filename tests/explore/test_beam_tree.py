"""The beam search as a tree: of tiny systems, and two steps by hand."""

import math
from collections import Counter, defaultdict
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import torch

from nmt.errors import UserError
from nmt.explore.beam_tree import BeamNode, BeamTree, TreeRecorder, beam_tree
from nmt.explore.systems import System, describe_system
from nmt.search import MinimumBayesRisk, Sampling
from nmt.search.backtrace import BeamStep
from nmt.search.protocol import Search
from nmt.search.scoring import LengthPenalty

NAMES = ["lstm", "luong", "transformer"]
BEAM_SIZE, ALPHA = 3, 0.6
SAMPLING = Sampling(temperature=1.0, top_k=None, top_p=None, seed=1, max_length_factor=1.5, max_length_margin=10)


def path_to(tree: BeamTree, node: BeamNode) -> list[BeamNode]:
    """The nodes after the root that lead to a node."""
    return [] if node.parent is None else [*path_to(tree, tree.nodes[node.parent]), node]


@pytest.fixture(params=NAMES)
def system(systems: dict[str, System], request: pytest.FixtureRequest) -> System:
    return systems[request.param]


@pytest.fixture
def tree(system: System) -> BeamTree:
    return beam_tree(system, "one two three", beam_size=BEAM_SIZE, length_penalty=ALPHA)


def test_the_winning_path_is_the_translation(system: System, tree: BeamTree) -> None:
    found = system.translator().translate("one two three", beam_size=BEAM_SIZE, length_penalty=ALPHA)
    assert (tree.system, tree.source, tree.text, tree.prefix) == (system.name, "one two three", found.text, [])
    nodes = [tree.nodes[id] for id in tree.best]
    assert [node.piece for node in nodes] == ["<s>", *found.target_tokens]
    assert {node.state for node in nodes[:-1]} == {"kept"}
    assert nodes[-1].state == "finished"
    assert nodes[-1].score == pytest.approx(found.score, abs=1e-6)
    assert nodes[-1].total == pytest.approx(found.log_probability, abs=1e-6)
    # No finished hypothesis is better.
    assert nodes[-1].score == max(node.score for node in tree.nodes if node.score is not None)


def test_log_probabilities_add_up_along_every_path(system: System, tree: BeamTree) -> None:
    for node in tree.nodes[1:]:
        path = path_to(tree, node)
        assert node.total == pytest.approx(sum(step.log_probability for step in path), abs=1e-4)
        if node.state == "finished":
            assert node.score == pytest.approx(node.total / ((5 + len(path)) / 6) ** ALPHA, abs=1e-6)
        else:
            assert node.score is None
    # The model itself gives the pieces of every finished hypothesis these log-probabilities.
    for end in [node for node in tree.nodes if node.state == "finished"]:
        path = path_to(tree, end)
        forced = system.translator().force_decode("one two three", [step.piece for step in path], attention=())
        assert [step.log_probability for step in path] == pytest.approx(forced.log_probabilities, abs=1e-4)


def test_a_step_keeps_at_most_as_many_hypotheses_as_the_beam_has_slots(tree: BeamTree) -> None:
    depths = [len(path_to(tree, node)) for node in tree.nodes]
    kept = Counter(depth for node, depth in zip(tree.nodes, depths, strict=True) if node.state != "pruned")
    assert max(kept.values()) == BEAM_SIZE
    assert [node.id for node in tree.nodes] == list(range(len(tree.nodes)))
    children = defaultdict(list)
    for node in tree.nodes[1:]:
        assert node.parent is not None and node.parent < node.id
        assert tree.nodes[node.parent].state == "kept"
        children[node.parent].append(node)
    for siblings in children.values():
        assert len({node.piece for node in siblings}) == len(siblings)
        log_probabilities = [node.log_probability for node in siblings]
        assert log_probabilities == sorted(log_probabilities, reverse=True)
        assert sum(map(math.exp, log_probabilities)) <= 1 + 1e-5


def test_a_prefix_is_the_trunk(system: System) -> None:
    prefix = system.translator().tokenizer.target_pieces(system.translator().tokenizer.encode_target(["neun vier"])[0])
    tree = beam_tree(system, "one two three", prefix="neun vier", beam_size=BEAM_SIZE)
    assert tree.prefix == prefix
    assert [node.piece for node in tree.nodes[: len(prefix) + 1]] == ["<s>", *prefix]
    assert [node.parent for node in tree.nodes[: len(prefix) + 2]] == [None, *range(len(prefix) + 1)]
    assert tree.text == system.translator().translate("one two three", prefix="neun vier", beam_size=BEAM_SIZE).text


def test_a_tree_becomes_json_and_back(tree: BeamTree) -> None:
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(tree)), BeamTree) == tree


def test_what_a_search_refuses_is_a_user_error(systems: dict[str, System]) -> None:
    with pytest.raises(UserError, match="the source has no words"):
        beam_tree(systems["luong"], " ")
    with pytest.raises(UserError, match="beam_size=0 must be"):
        beam_tree(systems["luong"], "one", beam_size=0)
    with pytest.raises(UserError, match="the vocabulary has no piece"):
        beam_tree(systems["luong"], "one", prefix=["▁uno"])


@pytest.mark.parametrize("search", [SAMPLING, MinimumBayesRisk(candidates=SAMPLING, num_candidates=3, utility="chrf")])
def test_a_search_without_a_beam_has_no_tree(
    systems: dict[str, System], search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    luong = systems["luong"]
    monkeypatch.setattr(luong.translator(), "search", search)
    assert not describe_system("luong", luong.translator(), luong.folder).has_beam
    with pytest.raises(UserError, match="the search of luong has no beam that a tree could show: set beam_size"):
        beam_tree(luong, "one two")
    assert beam_tree(luong, "one two", beam_size=2).best


def test_two_steps_by_hand() -> None:
    """Of eos, a, b and c, a beam of 2 keeps a and b; then a is continued with eos, b is pruned, and c is forbidden."""
    pieces = {0: "</s>", 1: "a", 2: "b", 3: "c", 9: "<s>"}
    tokenizer: Any = SimpleNamespace(bos_id=9, eos_id=0, target_pieces=lambda ids: [pieces[id] for id in ids])
    recorder = TreeRecorder(tokenizer, LengthPenalty(1.0))

    def step(parents: list[int], tokens: list[int], totals: list[float]) -> BeamStep:
        return BeamStep([0], torch.tensor([parents]), torch.tensor([tokens]), torch.tensor([totals]), None)

    recorder(torch.tensor([[-4.0, -0.5, -1.0, -3.0]]), step([0, 0], [1, 2], [-0.5, -1.0]))
    recorder(
        torch.tensor([[-0.25, -5.0, -6.0, -math.inf], [-2.0, -3.0, -4.0, -5.0]]),
        step([0, 1], [0, 3], [-0.75, -math.inf]),
    )
    assert [(node.parent, node.piece, node.log_probability, node.total, node.state) for node in recorder.nodes] == [
        (None, "<s>", 0.0, 0.0, "kept"),
        (0, "a", -0.5, -0.5, "kept"),
        (0, "b", -1.0, -1.0, "kept"),
        (0, "c", -3.0, -3.0, "pruned"),
        (0, "</s>", -4.0, -4.0, "pruned"),
        (1, "</s>", -0.25, -0.75, "finished"),
        (1, "a", -5.0, -5.5, "pruned"),
        (1, "b", -6.0, -6.5, "pruned"),
        (2, "</s>", -2.0, -3.0, "pruned"),
        (2, "a", -3.0, -4.0, "pruned"),
        (2, "b", -4.0, -5.0, "pruned"),
        (2, "c", -5.0, -6.0, "pruned"),
    ]
    assert [node.score for node in recorder.nodes if node.score is not None] == [-0.75 / (7 / 6)]
    assert recorder.path([1, 0]) == [0, 1, 5]
