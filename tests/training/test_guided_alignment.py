"""Guided alignment: the loss and its gradient, what it costs, and what a head learns from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import datasets
import pytest
import torch
from torch import Tensor

import nmt.models.attention
import nmt.models.attention.multi_head
from nmt import models
from nmt.data.batch import Batch
from nmt.data.links import encode_links
from nmt.data.tokenizer import Tokenizer
from nmt.data.words import spaced_words
from nmt.errors import UserError
from nmt.models import Seq2Seq
from nmt.models.attention import NO_RECORD, AttentionRecord
from nmt.run.registry import build
from nmt.run.weights import read_weights
from nmt.training.consistency import ConsistentObjective, SimCutObjective
from nmt.training.distributed import Processes
from nmt.training.dry_run import first_pairs
from nmt.training.guided_alignment import GuidedObjective, choose_guided_layer, link_loss
from nmt.training.loss import Objective
from nmt.training.schedule import Plateau
from nmt.training.settings import TrainerSettings
from nmt.training.update import Updater

if TYPE_CHECKING:
    from tests.training.conftest import Bench

WITH_ATTENTION = pytest.mark.parametrize(
    "description", ["lstm_bahdanau", "lstm_luong", "lstm_luong-dot", "transformer"], indirect=True
)
TRANSFORMER = pytest.mark.parametrize("description", ["transformer"], indirect=True)

LINKS = [(0, 0, 2, 0.5), (0, 0, 1, 0.5), (0, 3, 0, 1.0), (4, 1, 5, 1.0)]
"""Sentence, target position, source position, and share; the other target positions have no links."""


@pytest.fixture
def linked(batch: Batch) -> Batch:
    """Six pairs, two of which have links."""
    num_rows, num_columns = batch.target_input.size(1), batch.source.size(1)  # T, S
    cells = [(sentence * num_rows + row) * num_columns + column for sentence, row, column, _ in LINKS]
    return replace(batch, link_cells=torch.tensor(cells), link_shares=torch.tensor([share for *_, share in LINKS]))


@pytest.fixture
def model(description: dict[str, Any]) -> Seq2Seq:
    """An architecture, without dropout."""
    torch.manual_seed(1)
    return build(description, models)


@pytest.fixture
def count_exact_attentions(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[None]]:
    """Grows with every call of the exact attention."""
    calls: list[None] = []
    exact = nmt.models.attention.attention_with_weights

    def count(*args: Any, **named: Any) -> Any:
        calls.append(None)
        return exact(*args, **named)

    monkeypatch.setattr(nmt.models.attention.multi_head, "attention_with_weights", count)
    yield calls


def test_the_loss_equals_one_computed_by_hand() -> None:
    """One pass with weights 1/2 and 1/4 that share a row, and 1 that has its own; then a second pass of zeros."""
    shares = torch.tensor([0.5, 0.5, 1.0])
    assert link_loss(torch.tensor([[0.5, 0.25, 1.0]]), shares).item() == pytest.approx(1.5 * 0.6931472)
    second = link_loss(torch.tensor([[0.5, 0.25, 1.0], [1.0, 1.0, 0.0]]), shares).item()
    assert second == pytest.approx((1.5 * 0.6931472 + 87.33654) / 2)  # a weight of 0 counts as 2^-126


class ScoresAsWeights(Seq2Seq):
    """Stands in for a model: its attention weights are the softmax of a parameter, and its outputs ignore them."""

    def __init__(self, scores: Tensor) -> None:
        torch.nn.Module.__init__(self)
        self.scores = torch.nn.Parameter(scores)  # (B, 1, T, S)

    def decoder_outputs(
        self, source: Tensor, source_mask: Tensor, target_input: Tensor, *, record: AttentionRecord = NO_RECORD
    ) -> Tensor:
        if (slot := record.slot("cross", 0)) is not None:
            slot.append(self.scores.softmax(-1))
        return torch.zeros(*target_input.shape, 4)  # (B, T, E)

    encode = start = step = max_length = None  # type: ignore[assignment]


def test_the_gradient_equals_the_one_derived_by_hand() -> None:
    """For a row with links it is λ (A - G), for a row without links 0."""
    torch.manual_seed(1)
    model = ScoresAsWeights(torch.randn(1, 1, 2, 3))
    model.vocabulary = torch.nn.Module()  # type: ignore[assignment]
    model.vocabulary.output = torch.nn.Linear(4, 5)
    ids = torch.ones(1, 2, dtype=torch.int64)
    tensors = torch.ones(1, 3, dtype=torch.int64), torch.ones(1, 3, dtype=torch.bool), ids, ids, torch.tensor([0, 1])
    objective = GuidedObjective(Objective(model, label_smoothing=0.0), weight=0.3, layer=None, head=0)
    loss, _ = objective(*tensors, torch.tensor([3, 5]), torch.tensor([0.5, 0.5]))  # row 1, columns 0 and 2
    loss.backward()
    weights = model.scores.detach().softmax(-1)[0, 0]  # (2, 3)
    expected = torch.stack([torch.zeros(3), 0.3 * (weights[1] - torch.tensor([0.5, 0.0, 0.5]))])
    assert model.scores.grad is not None
    torch.testing.assert_close(model.scores.grad[0, 0], expected)


@WITH_ATTENTION
def test_the_loss_is_that_of_the_translation_plus_that_of_the_head(model: Seq2Seq, linked: Batch) -> None:
    layer, head = choose_guided_layer(model, layer=None, head=0), 0
    expected, expected_nll = Objective(model, label_smoothing=0.1)(*linked.tensors[:5])
    attention = model.attention(linked.source, linked.source_mask, linked.target_input)["cross"]  # (B, L, H, T, S)
    for sentence, row, column, share in LINKS:
        expected = expected - 0.7 * share * attention[sentence, layer, head, row, column].log()
    for objective in (
        Objective(model, label_smoothing=0.1),
        ConsistentObjective(model, label_smoothing=0.1, consistency=5.0),  # the mean of two equal passes
        SimCutObjective(model, label_smoothing=0.1, simcut=3.0, simcut_cutoff=0.0),
    ):
        guided = GuidedObjective(objective, weight=0.7, layer=None, head=head)
        loss, nll = guided(*linked.tensors)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(nll, expected_nll, rtol=1e-5, atol=1e-4)
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


@TRANSFORMER
def test_the_first_pairs_of_a_batch_keep_their_links(model: Seq2Seq, linked: Batch) -> None:
    guided = GuidedObjective(Objective(model, label_smoothing=0.0), weight=1.0, layer=1, head=1)
    losses = [guided(*part.tensors)[0].item() for part in (linked, first_pairs(linked, 5), first_pairs(linked, 4))]
    without = [guided(*part.tensors[:5])[0].item() for part in (linked, first_pairs(linked, 5), first_pairs(linked, 4))]
    parts = [loss - other for loss, other in zip(losses, without, strict=True)]
    assert parts[0] == pytest.approx(parts[1], rel=1e-3)
    assert parts[2] < parts[1] - 0.1


@TRANSFORMER
def test_only_the_guided_layer_leaves_the_fast_kernel(
    model: Seq2Seq, linked: Batch, count_exact_attentions: list[None]
) -> None:
    settings: dict[str, Any] = {"label_smoothing": 0.0, "precision": "fp32"}
    unlinked = replace(linked, link_cells=None, link_shares=None)
    for weight, num_calls in ((0.0, 0), (0.5, 1)):
        updater = Updater.from_settings(
            make_settings(alignment_weight=weight, **settings),
            model,
            torch.optim.Adam(model.parameters(), fused=True),
            processes=Processes(),
        )
        count_exact_attentions.clear()  # making the loss looks once at the shape of the weights
        updater.update([linked if weight else unlinked], rate=0.1, step=1)
        assert len(count_exact_attentions) == num_calls
        model.eval()
        updater.loss(unlinked)  # as in a validation
        assert len(count_exact_attentions) == num_calls


def test_a_model_without_such_a_head_is_refused(description: dict[str, Any]) -> None:
    model: Seq2Seq = build(description, models)
    if description["class"] == "PlainRNN":
        with pytest.raises(UserError, match=r"trainer\.alignment_weight: PlainRNN has no attention to guide"):
            choose_guided_layer(model, layer=None, head=0)
        return
    has_heads = "num_heads" in description["arguments"]
    num_layers = description["arguments"].get("num_layers", 2) if has_heads else 1  # of a recurrent model, one attends
    num_heads = 2 if has_heads else 1
    assert choose_guided_layer(model, layer=None, head=0) == max(num_layers - 2, 0)  # the last but one
    assert choose_guided_layer(model, layer=num_layers - 1, head=num_heads - 1) == num_layers - 1
    with pytest.raises(UserError, match=f"alignment_layer={num_layers} does not exist: the decoder has {num_layers}"):
        choose_guided_layer(model, layer=num_layers, head=0)
    with pytest.raises(UserError, match=f"alignment_head={num_heads} does not exist"):
        choose_guided_layer(model, layer=0, head=num_heads)
    assert model.training


def make_settings(**changes: Any) -> TrainerSettings:
    arguments: dict[str, Any] = dict.fromkeys(TrainerSettings.__struct_fields__)
    numbers = dict.fromkeys(("accumulate", "log_every", "validate_every", "average_checkpoints", "max_steps"), 1)
    others = {
        "select": "bleu",
        "skip_nonfinite": 0,
        "consistency": 0.0,
        "simcut": 0.0,
        "simcut_cutoff": 0.05,
        "ema_decay": 0.0,
        "alignment_head": 0,
        "alignment_complete": False,
        "clip_norm": 1.0,
    }
    return TrainerSettings(**arguments | numbers | others | changes)


@pytest.fixture
def linked_bench(new_bench: Callable[[str], Bench], encoded: datasets.Dataset, tokenizer: Tokenizer) -> Any:
    """Benches whose corpus has links, from word to word, since it translates numbers one by one."""
    alignment = [" ".join(f"{i}-{i}" for i in range(len(line.split()))) for line in encoded["source"]]
    dataset = encode_links(
        encoded.add_column("alignment", alignment),
        tokenizer,
        spaced_words,
        complete=False,
        split_name="train",
        num_workers=1,
    )

    def make(name: str) -> Bench:
        bench = new_bench(name)
        bench.dataset = dataset
        return bench

    return make


@pytest.mark.parametrize("name", ["LuongRNN", "Transformer"])
def test_a_resumed_run_equals_the_uninterrupted_one(
    new_bench: Callable[[str], Bench], linked_bench: Callable[[str], Bench], name: str
) -> None:
    """Also with sampled segmentations, in which the pieces of a word change from epoch to epoch."""
    weights = {}
    for case, stops in (("uninterrupted", [99]), ("resumed", [3, 99]), ("unguided", [99])):
        bench = new_bench(case) if case == "unguided" else linked_bench(case)
        for stop_at in stops:
            bench.fit(
                name=name,
                max_steps=6,
                stop_at=stop_at,
                dropout=0.1,
                alignment_weight=0.0 if case == "unguided" else 0.5,
                loader=bench.make_loader(subword_alpha=0.2),
            )
        weights[case] = read_weights(bench.run.last)
    assert all(torch.equal(weights["resumed"][key], tensor) for key, tensor in weights["uninterrupted"].items())
    assert any(not torch.equal(weights["unguided"][key], tensor) for key, tensor in weights["uninterrupted"].items())


@torch.no_grad()
def share_of_right_links(model: Seq2Seq, batches: list[Batch], *, head: int) -> float:
    """The share of linked target pieces whose highest weight is at a piece of the source word that they translate."""
    right = total = 0
    for batch in batches:
        weights = model.eval().attention(batch.source, batch.source_mask, batch.target_input)["cross"][:, 0, head]
        gold = torch.zeros(weights.numel())
        assert batch.link_cells is not None
        gold[batch.link_cells] = 1
        gold = gold.view_as(weights)
        found = gold.gather(-1, weights.argmax(-1, keepdim=True))
        total += int(gold.any(-1).sum())
        right += int(found.sum())
    return right / total


def test_a_guided_head_aligns_and_an_unguided_one_does_not(
    new_bench: Callable[[str], Bench], linked_bench: Callable[[str], Bench]
) -> None:
    shares = []
    linked = linked_bench("linked")
    batches = list(linked.make_loader().epoch(0, start=0))
    for bench, weight in ((linked, 1.0), (new_bench("unguided"), 0.0)):
        model = bench.make_model(
            "Transformer",
            dropout=0.0,
            seed=1,
            model_size=32,
            encoder_attention=None,
            positions={"class": "SinusoidalPositions", "arguments": {"model_size": 32, "max_length": 64}},
        )
        bench.fit(
            model=model,
            validate=None,
            max_steps=80,
            schedule=Plateau(learning_rate=0.005, warmup_steps=10, factor=0.5, patience=1),
            loader=bench.make_loader(batch_tokens=512),
            alignment_weight=weight,
            alignment_head=1,
        )
        shares.append(share_of_right_links(model, batches, head=1))
    assert shares[0] > 0.95, shares
    assert shares[1] < 0.6, shares
