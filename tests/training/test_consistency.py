"""Consistency training: the fused divergence equals the formula, and the losses of R-Drop and SimCut contain it."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import nmt.training.loss
from nmt import models
from nmt.data.batch import Batch
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.training.consistency import ConsistentObjective, SimCutObjective, linear_divergence, make_objective
from nmt.training.loss import Objective

N, E, V = 7, 4, 6


@pytest.fixture(params=[1, 3, 100], ids=lambda rows: f"{rows}-rows")
def chunk_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one row, of three rows with a smaller last chunk, and of all rows."""
    monkeypatch.setitem(nmt.training.loss.MAX_CHUNK_LOGITS, "cpu", request.param * V)


@pytest.fixture
def model(description: dict[str, Any]) -> Seq2Seq:
    """Each architecture, without dropout."""
    return build(description, models)


@pytest.fixture
def dropout_model(description: dict[str, Any]) -> Seq2Seq:
    """Each architecture, with dropout."""
    return build({**description, "arguments": description["arguments"] | {"dropout": 0.3}}, models)


def random_inputs() -> tuple[Tensor, Tensor, nn.Linear]:
    torch.manual_seed(1)
    output = nn.Linear(E, V).double()
    first, second = (torch.randn(N, E, dtype=torch.float64, requires_grad=True) for _ in range(2))
    return first, second, output


def plain_divergence(first: Tensor, second: Tensor, output: nn.Module, *, symmetric: bool) -> Tensor:
    log_p, log_q = output(first).log_softmax(-1), output(second).log_softmax(-1)
    divergence = F.kl_div(log_q, log_p, reduction="sum", log_target=True)  # KL(p || q): torch takes q first
    return divergence + F.kl_div(log_p, log_q, reduction="sum", log_target=True) if symmetric else divergence


@pytest.mark.usefixtures("chunk_size")
@pytest.mark.parametrize("symmetric", [True, False])
def test_divergence_and_gradients_equal_the_plain_formula(symmetric: bool) -> None:
    first, second, output = random_inputs()
    inputs = [first, second, output.weight, output.bias]
    found = linear_divergence(first, second, output, symmetric=symmetric)
    expected = plain_divergence(first, second, output, symmetric=symmetric)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-12)
    for mine, theirs in zip(
        torch.autograd.grad(found * 0.3, inputs), torch.autograd.grad(expected * 0.3, inputs), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=0.0, atol=1e-12)


def test_the_divergence_equals_one_computed_by_hand() -> None:
    output = nn.Linear(1, 2)
    with torch.no_grad():
        output.weight.copy_(torch.tensor([[0.0], [math.log(3.0)]]))
        output.bias.zero_()
    one, other = torch.ones(1, 1), torch.zeros(1, 1)  # p = 1/4, 3/4 and q = 1/2, 1/2
    assert linear_divergence(one, other, output, symmetric=True).item() == pytest.approx(1 / 4 * math.log(3))
    expected = 1 / 4 * math.log(1 / 2) + 3 / 4 * math.log(3 / 2)  # KL(p || q)
    assert linear_divergence(one, other, output, symmetric=False).item() == pytest.approx(expected)


def test_equal_passes_have_no_divergence() -> None:
    first, _, output = random_inputs()
    assert linear_divergence(first, first, output, symmetric=True).item() == pytest.approx(0.0, abs=1e-12)


def objectives(model: Seq2Seq, *, simcut_cutoff: float) -> list[Objective]:
    """R-Drop and SimCut."""
    return [
        ConsistentObjective(model, label_smoothing=0.1, consistency=5.0),
        SimCutObjective(model, label_smoothing=0.1, simcut=3.0, simcut_cutoff=simcut_cutoff),
    ]


def test_with_equal_passes_the_loss_is_the_usual_one(model: Seq2Seq, batch: Batch) -> None:
    model.train()
    expected = Objective(model, label_smoothing=0.1)(*batch.tensors)
    for objective in objectives(model, simcut_cutoff=0.0):
        for mine, theirs in zip(objective(*batch.tensors), expected, strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_with_dropout_the_loss_is_that_of_both_passes_and_their_divergence(
    dropout_model: Seq2Seq, batch: Batch
) -> None:
    dropout_model.train()
    torch.manual_seed(3)
    found, _ = ConsistentObjective(dropout_model, label_smoothing=0.1, consistency=5.0)(*batch.tensors)
    torch.manual_seed(3)
    twice = [torch.cat([tensor, tensor]) for tensor in (batch.source, batch.source_mask, batch.target_input)]
    logits = dropout_model(*twice)  # (2 B, T, V)
    first, second = (half[batch.target_mask] for half in logits.chunk(2))
    target = batch.target_output[batch.target_mask]
    cross_entropies = [F.cross_entropy(half, target, reduction="sum", label_smoothing=0.1) for half in (first, second)]
    divergence = plain_divergence(first, second, nn.Identity(), symmetric=True)
    assert divergence.item() > 0.01
    torch.testing.assert_close(found, sum(cross_entropies) / 2 + 5 / 4 * divergence, rtol=1e-4, atol=1e-4)


class ScriptedCutoff(SimCutObjective):
    """Cuts given positions; each call of an embedding takes the next mask (B, T, 1)."""

    masks: list[Tensor]

    def cut_second_pass(self, embedding: nn.Module, ids: Any, embedded: Tensor) -> Tensor:
        return torch.cat([embedded[: len(embedded) // 2], embedded[len(embedded) // 2 :] * self.masks.pop(0)])


def test_simcut_equals_plain_torch_with_zeroed_embeddings(model: Seq2Seq, batch: Batch) -> None:
    """The loss, and the gradient of every parameter, through both passes. Target piece 0 of sentence 0 is `bos`."""
    model.double().train()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    source_kept = torch.ones(*batch.source.shape, 1)
    target_kept = torch.ones(*batch.target_input.shape, 1)
    source_kept[0, 1] = source_kept[3, 0] = target_kept[0, 0] = target_kept[2, 1] = 0.0
    objective = ScriptedCutoff(model, label_smoothing=0.1, simcut=3.0, simcut_cutoff=0.5)
    objective.masks = [source_kept, target_kept]
    found, found_nll = objective(*batch.tensors)
    gradients = torch.autograd.grad(found, list(model.parameters()))
    assert not objective.masks

    logits = model(batch.source, batch.source_mask, batch.target_input)[batch.target_mask]  # (N, V)
    masks = [source_kept, target_kept]
    embeddings: set[nn.Module] = {model.vocabulary.source, model.vocabulary.target}
    handles = [each.register_forward_hook(lambda _, __, output: output * masks.pop(0)) for each in embeddings]
    cut_logits = model(batch.source, batch.source_mask, batch.target_input)[batch.target_mask]  # (N, V)
    for handle in handles:
        handle.remove()
    target = batch.target_output[batch.target_mask]
    cross_entropy = F.cross_entropy(logits, target, reduction="sum", label_smoothing=0.1)
    divergence = plain_divergence(logits, cut_logits, nn.Identity(), symmetric=False)
    assert divergence.item() > 0.01
    expected = cross_entropy + 3.0 * divergence
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_nll, F.cross_entropy(logits, target, reduction="sum"))
    expected_gradients = torch.autograd.grad(expected, list(model.parameters()))
    for mine, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_token_cutoff_zeroes_whole_pieces_of_the_second_pass_only() -> None:
    torch.manual_seed(1)
    model: Any = nn.Identity()
    objective = SimCutObjective(model, label_smoothing=0.0, simcut=1.0, simcut_cutoff=0.2)
    clean, cut = objective.cut_second_pass(model, None, torch.full((200, 50, 3), 2.0)).chunk(2)  # 2 × (100, 50, 3)
    assert (clean == 2.0).all()
    assert (cut == cut[..., :1]).all()
    assert set(cut.flatten().tolist()) == {0.0, 2.0}  # not scaled
    num_positions = 100 * 50
    assert (cut[..., 0] == 0).sum().item() / num_positions == pytest.approx(0.2, abs=5 * (0.16 / num_positions) ** 0.5)


def test_outside_training_there_is_one_pass(dropout_model: Seq2Seq, batch: Batch) -> None:
    dropout_model.eval()
    expected = Objective(dropout_model, label_smoothing=0.1)(*batch.tensors)
    for objective in objectives(dropout_model, simcut_cutoff=0.5):
        found = objective(*batch.tensors)
        assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@pytest.mark.parametrize(
    ("consistency", "simcut", "kind"),
    [(0.0, 0.0, Objective), (5.0, 0.0, ConsistentObjective), (0.0, 3.0, SimCutObjective)],
)
def test_weights_of_zero_need_one_pass_only(
    model: Seq2Seq, consistency: float, simcut: float, kind: type[Objective]
) -> None:
    objective = make_objective(model, label_smoothing=0.1, consistency=consistency, simcut=simcut, simcut_cutoff=0.05)
    assert type(objective) is kind
