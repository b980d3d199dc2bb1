"""The fused loss: the same values and gradients as torch's plain formula, in less memory."""

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import nmt.training.loss
from nmt.training.loss import linear_cross_entropy

B, T, E, V = 3, 5, 4, 7
TARGET = torch.randint(V, (B, T), generator=torch.Generator().manual_seed(2))
MASK = torch.arange(T) < torch.tensor([[5], [2], [3]])
INDICES = torch.tensor([0, 1, 2, 3, 4, 5, 6, 10, 11, 12])  # of the real tokens among B * T
NUM_TOKENS = 10


@pytest.fixture(autouse=True, params=[1, 3, 100], ids=lambda rows: f"{rows}-rows")
def chunk_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of one row, of three rows with a smaller last chunk, and of all rows; in bf16 two chunks are a block."""
    monkeypatch.setitem(nmt.training.loss.MAX_CHUNK_LOGITS, "cpu", request.param * V)
    monkeypatch.setitem(nmt.training.loss.MAX_BLOCK_LOGITS, "cpu", 2 * request.param * V)


def random_layer(dtype: torch.dtype = torch.float64) -> tuple[Tensor, nn.Linear]:
    """Decoder outputs (B, T, E) and an output layer, all random."""
    torch.manual_seed(1)
    output = nn.Linear(E, V)
    for parameter in output.parameters():
        nn.init.normal_(parameter)
    return torch.randn(B, T, E).to(dtype).requires_grad_(), output.to(dtype)


def gradients(loss: Tensor, decoder_outputs: Tensor, output: nn.Linear) -> tuple[Tensor, ...]:
    """The gradients of 0.3 × loss, so that a backward pass that ignores the incoming gradient fails."""
    return torch.autograd.grad(loss * 0.3, [decoder_outputs, output.weight, output.bias])


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_values_and_gradients_equal_the_plain_formula(label_smoothing: float) -> None:
    decoder_outputs, output = random_layer()
    loss, nll = linear_cross_entropy(decoder_outputs, output, TARGET, INDICES, label_smoothing=label_smoothing)
    logits = output(decoder_outputs)[MASK]
    expected = F.cross_entropy(logits, TARGET[MASK], reduction="sum", label_smoothing=label_smoothing)
    torch.testing.assert_close(loss, expected, rtol=0.0, atol=1e-12)
    plain = F.cross_entropy(logits, TARGET[MASK], reduction="sum")
    torch.testing.assert_close(nll, plain, rtol=0.0, atol=1e-12)
    found = gradients(loss, decoder_outputs, output)
    for mine, theirs in zip(found, gradients(expected, decoder_outputs, output), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0.0, atol=1e-12)


def test_the_gradient_is_the_numerical_one() -> None:
    decoder_outputs, output = random_layer()

    def value(vectors: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        layer: Any = SimpleNamespace(weight=weight, bias=bias)
        return linear_cross_entropy(vectors, layer, TARGET, INDICES, label_smoothing=0.2)[0]

    inputs = [tensor.detach().requires_grad_() for tensor in (decoder_outputs, output.weight, output.bias)]
    assert torch.autograd.gradcheck(value, inputs)


def test_the_loss_equals_one_computed_by_hand() -> None:
    output = nn.Linear(1, 2)
    with torch.no_grad():
        output.weight.copy_(torch.tensor([[0.0], [math.log(3.0)]]))
        output.bias.zero_()
    one, first = torch.ones(1, 1, dtype=torch.int64), torch.tensor([0])  # p = 1/4, 3/4
    loss, nll = linear_cross_entropy(torch.ones(1, 1, 1), output, one, first, label_smoothing=0.2)
    assert loss.item() == pytest.approx(-0.9 * math.log(3 / 4) - 0.1 * math.log(1 / 4))
    assert nll.item() == pytest.approx(-math.log(3 / 4))


def test_tied_weights_receive_both_gradients() -> None:
    _, output = random_layer()
    ids = torch.arange(V).expand(2, V)
    arguments = ids.flip(1), torch.arange(2 * V)
    loss, _ = linear_cross_entropy(F.embedding(ids, output.weight), output, *arguments, label_smoothing=0.1)
    logits = output(F.embedding(ids, output.weight))
    expected = F.cross_entropy(logits.flatten(0, 1), ids.flip(1).flatten(), reduction="sum", label_smoothing=0.1)
    found, same = (torch.autograd.grad(value, output.weight)[0] for value in (loss, expected))
    torch.testing.assert_close(found, same, rtol=0.0, atol=1e-12)


def test_padding_changes_nothing() -> None:
    decoder_outputs, output = random_layer()
    first = linear_cross_entropy(decoder_outputs, output, TARGET, INDICES, label_smoothing=0.1)
    other = decoder_outputs.detach().masked_fill(~MASK.unsqueeze(-1), 99.0)
    second = linear_cross_entropy(other, output, TARGET.masked_fill(~MASK, 0), INDICES, label_smoothing=0.1)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
    gradient, _, _ = gradients(first[0], decoder_outputs, output)
    assert bool((gradient[~MASK] == 0).all())
    assert bool((gradient[MASK].abs().sum(-1) > 0).all())


def test_without_gradients_the_values_are_the_same() -> None:
    decoder_outputs, output = random_layer()
    expected = linear_cross_entropy(decoder_outputs, output, TARGET, INDICES, label_smoothing=0.1)
    with torch.no_grad():
        found = linear_cross_entropy(decoder_outputs, output, TARGET, INDICES, label_smoothing=0.1)
    assert not found[0].requires_grad and not expected[1].requires_grad
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_bf16_decoder_outputs_are_summed_in_float32() -> None:
    decoder_outputs, output = random_layer(torch.float32)
    rounded = decoder_outputs.detach().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):  # which would also round the sums if it stayed on inside
        loss, nll = linear_cross_entropy(rounded, output, TARGET, INDICES, label_smoothing=0.1)
        inside, _ = linear_cross_entropy(decoder_outputs, output, TARGET, INDICES, label_smoothing=0.1)
    assert loss.dtype == nll.dtype == torch.float32
    expected, _ = linear_cross_entropy(decoder_outputs, output, TARGET, INDICES, label_smoothing=0.1)
    assert torch.equal(inside, loss)  # autocast computes products in bf16 even from float32 inputs
    torch.testing.assert_close(loss, expected, rtol=0.02, atol=0.0)
    found = gradients(loss, rounded, output)
    assert [gradient.dtype for gradient in found] == [torch.bfloat16, torch.float32, torch.float32]
    for mine, theirs in zip(found, gradients(expected, decoder_outputs, output), strict=True):
        assert ((mine - theirs).norm() / theirs.norm()).item() < 0.02


def test_extreme_logits_stay_finite() -> None:
    output = nn.Linear(1, 3, bias=True)
    with torch.no_grad():
        output.weight.copy_(torch.tensor([[1e4], [-1e4], [0.0]]))
        output.bias.zero_()
    one, first = torch.ones(1, 1, dtype=torch.int64), torch.tensor([0])
    loss, nll = linear_cross_entropy(torch.ones(1, 1, 1), output, one, first, label_smoothing=0.1)
    assert nll.item() == pytest.approx(2e4)
    assert loss.isfinite()
    assert torch.autograd.grad(loss, output.weight)[0].isfinite().all()


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the number of elements of the largest tensor that any operation returns."""

    size = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.size = max(self.size, tensor.numel())
        return result


def test_the_logits_never_exist_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nmt.training.loss.MAX_CHUNK_LOGITS, "cpu", 64)
    output = nn.Linear(E, 50)
    decoder_outputs = torch.randn(8, 5, E, requires_grad=True)
    with LargestTensor() as largest:  # type: ignore[no-untyped-call]
        ones = torch.ones(8, 5, dtype=torch.int64)
        loss, _ = linear_cross_entropy(decoder_outputs, output, ones, torch.arange(40), label_smoothing=0.1)
        loss.backward()  # type: ignore[no-untyped-call]
    assert largest.size == 50 * E  # the weight (50, E), not the logits (40, 50)


class MatrixProducts(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts matrix products."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        self.count += any(name in str(func) for name in ("mm", "addmv"))
        return func(*args, **(kwargs or {}))


def test_without_gradients_only_the_logits_are_computed() -> None:
    decoder_outputs, output = random_layer()
    counts = []
    for no_gradient in (torch.no_grad, torch.enable_grad):
        with no_gradient(), MatrixProducts() as products:  # type: ignore[no-untyped-call]
            linear_cross_entropy(decoder_outputs.detach(), output, TARGET, INDICES, label_smoothing=0.1)
        counts.append(products.count)
    chunks = -(-NUM_TOKENS // max(1, nmt.training.loss.MAX_CHUNK_LOGITS["cpu"] // V))
    assert counts == [chunks, 4 * chunks]


@pytest.mark.parametrize("label_smoothing", [-0.1, 1.0, 2.0])
def test_label_smoothing_out_of_range_is_refused(label_smoothing: float) -> None:
    decoder_outputs, output = random_layer()
    with pytest.raises(ValueError, match=r"label_smoothing=.* must be a probability from 0 to below 1"):
        linear_cross_entropy(decoder_outputs, output, TARGET, INDICES, label_smoothing=label_smoothing)
