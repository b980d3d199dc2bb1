"""Training with what torch.compile makes of a model: the same losses and weights, few graphs, exact resume."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo
import torch._inductor.config
from torch._inductor.exc import TritonMissing

from nmt.failure import Failure
from nmt.training import compilation
from nmt.training.compilation import compile_readouts
from nmt.training.schedule import Plateau
from nmt.weights import read_weights

pytestmark = pytest.mark.filterwarnings("ignore:dynamo_pgo force disabled")

GRAPHS = {"LuongLSTM": 2, "Transformer": 1}

Forget = Callable[[], None]


def graphs() -> int:
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Forget]:
    """Forgets all that was compiled, as a new process would; nothing is taken from the disk."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))

    def again() -> None:
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()

    again()
    with torch._inductor.config.patch(force_disable_caches=True):
        yield again


@pytest.fixture
def quick(forget: Forget, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are recorded as ever, but computed by PyTorch's own kernels."""
    monkeypatch.setattr(compilation, "BACKEND", "eager")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_compiled_run_is_the_run(
    new_bench: Callable[[str], Any], quick: None, monkeypatch: pytest.MonkeyPatch, name: str, precision: str
) -> None:
    """All graphs are there before the first update: neither other sizes nor a validation bring one more."""
    before: list[int] = []

    def counted(*arguments: Any) -> Any:
        readouts = compile_readouts(*arguments)
        before.append(graphs())
        return readouts

    monkeypatch.setattr("nmt.training.trainer.compile_readouts", counted)
    plain, compiled = new_bench("plain"), new_bench("compiled")
    for bench, chosen in ((plain, False), (compiled, True)):
        bench.fit(name=name, max_steps=7, accumulate=2, precision=precision, compile=chosen, optimizer=torch.optim.SGD)
        assert graphs() == chosen * GRAPHS[name]
    assert before == [GRAPHS[name]]
    expected, found = read_weights(plain.run.best), read_weights(compiled.run.best)
    assert found.keys() == expected.keys()  # whatever reads a run knows nothing of compiling
    for key, weights in expected.items():
        torch.testing.assert_close(found[key], weights, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", GRAPHS)
def test_no_sizes_make_another_graph(bench: Any, quick: None, name: str) -> None:
    """Not even a size of one, for which torch would make its own; nor that the model was not training before."""
    model = bench.make_model(name, dropout=0.0, seed=1).eval()
    readouts = compile_readouts(model, nullcontext)
    assert all(parameter.grad is None for parameter in model.parameters())
    model.train()
    for rows, source_length, target_length in ((4, 5, 7), (5, 5, 5), (8, 16, 8), (1, 5, 7), (4, 1, 7), (4, 5, 1)):
        source, target = torch.randint(4, 30, (rows, source_length)), torch.randint(4, 30, (rows, target_length))
        mask = torch.ones_like(source, dtype=torch.bool)
        torch.testing.assert_close(readouts(source, mask, target), model.readouts(source, mask, target))
    assert graphs() == GRAPHS[name]


def test_a_gpu_without_its_compiler(bench: Any, forget: Forget, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise TritonMissing(None)

    monkeypatch.setattr(compilation, "BACKEND", missing)
    with pytest.raises(Failure, match=r"does not work on this machine: Cannot find a working triton .* and Triton"):
        compile_readouts(bench.make_model("LuongLSTM", dropout=0.0, seed=1), nullcontext)


def test_without_a_compiler(bench: Any, forget: Forget, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any) -> None:
        raise RuntimeError("Failed to find C compiler.\nMore lines")

    monkeypatch.setattr(compilation, "BACKEND", missing)
    message = r"^trainer\.compile=true does not work on this machine: Failed to find C compiler\. It takes a C\+\+"
    with pytest.raises(Failure, match=message) as caught:
        bench.fit(max_steps=1, compile=True)
    assert "More lines" not in str(caught.value)


# By the real compiler


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BahdanauLSTM", "LuongLSTM", "Transformer"])
def test_losses_and_gradients_are_the_same(bench: Any, forget: Forget, name: str) -> None:
    model = bench.make_model(name, dropout=0.0, seed=1)
    readouts = compile_readouts(model, nullcontext)
    made = graphs()
    assert made <= 2 * GRAPHS.get(name, 2)
    parameters = [each for each in model.parameters() if each is not model.vocabulary.output.bias]
    for rows, source_length, target_length in ((5, 7, 9), (16, 8, 8), (2, 3, 2), (300, 32, 15)):
        source, target = torch.randint(4, 30, (rows, source_length)), torch.randint(4, 30, (rows, target_length))
        mask = torch.arange(source_length) < torch.randint(1, source_length + 1, (rows, 1))
        expected, found = model.readouts(source, mask, target), readouts(source, mask, target)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        weights = torch.randn_like(expected)
        gradients = [torch.autograd.grad((each * weights).sum(), parameters) for each in (found, expected)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-4)  # of up to 4,500 positions each
    assert graphs() == made


@pytest.mark.slow
@pytest.mark.parametrize("name", GRAPHS)
def test_a_compiled_run_goes_on_exactly(
    new_bench: Callable[[str], Any], forget: Forget, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With dropout, whose masks the compiled code draws itself; what goes on is compiled anew, and begins elsewhere."""
    monkeypatch.setattr(compilation, "SIZES", compilation.SIZES[:1])  # these batches are small
    whole, parts = new_bench("whole"), new_bench("parts")

    def fit(bench: Any, **more: Any) -> None:
        bench.fit(
            name=name,
            compile=True,
            max_steps=9,
            dropout=0.3,
            accumulate=2,
            pairs=bench.make_pairs(batch_tokens=64, subword_alpha=0.2),
            schedule=Plateau(learning_rate=0.01, warmup_steps=3, factor=0.5, patience=1),
            **more,
        )

    fit(whole)
    fit(parts, stop_at=4)
    forget()
    fit(parts, seed=2)
    left, right = read_weights(whole.run.last), read_weights(parts.run.last)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)
