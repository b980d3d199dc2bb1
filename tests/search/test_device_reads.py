"""How often the host reads a value from the device. A GPU is idle while the host waits: once per step is enough."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nmt.models.seq2seq import TranslationModel
from nmt.search import BeamSearch, Sampling
from nmt.search.protocol import Search, SearchRequest

PAD, BOS, EOS = 0, 1, 2
LENGTHS = [8, 3, 5, 1, 2, 6, 4, 7]  # source pieces; each sentence has a limit of its own, so they finish one by one

LIMITS: dict[str, Any] = {"max_length_factor": 1.0, "max_length_margin": 2, "min_length": 2}

VALUE_READS = {
    "_local_scalar_dense",
    "item",
    "is_nonzero",
    "equal",
    "nonzero",
    "masked_select",
    "_unique2",
    "unique_dim",
}
"""Operations that return a value to the host, or need one to know the shape of their result."""

COPIES = {"tolist", "numpy", "cpu", "__array__"}
"""Functions that copy a tensor to the host."""


def never_end(model: TranslationModel) -> None:
    """Makes `eos` so improbable that it is produced only at the length limit."""
    for name, bias in model.named_parameters():
        if name.endswith("vocabulary.output.bias"):
            bias.data[EOS] = -50.0


class ValueReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Logs the torch operations that read a value; indexing with a boolean mask is a `nonzero`."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log = log

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        masks = name == "index" and any(index is not None and index.dtype == torch.bool for index in args[1])
        repeats = name == "repeat_interleave" and isinstance(args[-1], Tensor)
        if name in VALUE_READS or masks or repeats:
            self.log.append(name)
        return function(*args, **(kwargs or {}))


class Copies(TorchFunctionMode):
    """Logs the copies of whole tensors to the host."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self.log = log

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(function, "__name__", "") in COPIES:
            self.log.append(function.__name__)
        return function(*args, **(kwargs or {}))


def reads_of_a_search(
    model: TranslationModel,
    monkeypatch: pytest.MonkeyPatch,
    *,
    search: Search | None = None,
    prefixes: list[list[int]] | None = None,
) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """What a search reads: before the first decoder step, after each decoder step, and inside each decoder step."""
    log: list[str] = []
    outside: list[list[str]] = []
    inside: list[list[str]] = []
    num_rows: set[int] = set()
    step = model.step

    def logged_step(token: Tensor, *rest: Any, **options: Any) -> Any:
        outside.append(log.copy())
        log.clear()
        output = step(token, *rest, **options)
        inside.append(log.copy())
        log.clear()
        num_rows.add(len(token))
        return output

    monkeypatch.setattr(model, "step", logged_step)
    source = torch.tensor([[3] * (length - 1) + [EOS] + [PAD] * (8 - length) for length in LENGTHS])
    search = search or BeamSearch(beam_size=3, length_penalty=0.6, no_repeat_ngram=4, **LIMITS)
    request = SearchRequest(
        source=source,
        source_mask=source != PAD,
        bos_id=BOS,
        eos_id=EOS,
        banned_ids=[PAD, BOS],
        n_best=2,
        prefixes=prefixes,
    )
    with ExitStack() as stack:
        stack.enter_context(ValueReads(log))
        stack.enter_context(Copies(log))
        search(model, request)
    before, *after = outside
    assert len(after) > 6
    assert len(num_rows) > 4  # sentences were removed, several times
    return before, after, inside


@pytest.mark.parametrize("prefixes", [None, [[3, 4], [], [5] * 6, [], [], [4], [3], []]])
def test_the_host_reads_once_per_step(
    model: TranslationModel, monkeypatch: pytest.MonkeyPatch, prefixes: list[list[int]] | None
) -> None:
    never_end(model)  # each sentence ends at its limit
    before, after, inside = reads_of_a_search(model, monkeypatch, prefixes=prefixes)
    # The source lengths; the prefixes are padded on the host, before the first step.
    assert before == (["tolist"] if prefixes is None else ["tolist", "numpy", "numpy"])
    assert all(names == ["tolist"] for names in after), after  # which sentences are finished
    assert not any(inside), inside


def test_sampling_reads_once_per_step(model: TranslationModel, monkeypatch: pytest.MonkeyPatch) -> None:
    never_end(model)
    search = Sampling(temperature=2.0, top_k=3, top_p=0.9, seed=1, no_repeat_ngram=6, **LIMITS)
    before, after, inside = reads_of_a_search(model, monkeypatch, search=search)
    assert before == ["tolist", "tolist"]  # the source lengths, and the ids that name the random numbers
    assert all(names == ["tolist"] for names in after), after  # which sentences are finished
    assert not any(inside), inside


@pytest.mark.parametrize(
    "read",
    [
        lambda rows: rows.tolist(),
        lambda rows: torch.equal(rows, rows),
        lambda rows: int(rows.sum()),
        lambda rows: bool((rows == 0).any()),
        lambda rows: (rows > 0).nonzero(),
        lambda rows: rows[rows > 0],
        lambda rows: rows.max().item(),
        lambda rows: rows.cpu(),
        lambda rows: rows.numpy(),
        lambda rows: rows.repeat_interleave(rows),
        lambda rows: rows.unique(),
    ],
)
@pytest.mark.parametrize("architecture", ["lstm"], indirect=True)
def test_a_further_read_is_noticed(
    model: TranslationModel, monkeypatch: pytest.MonkeyPatch, read: Callable[[Tensor], object]
) -> None:
    never_end(model)
    step = model.step

    def reading_step(token: Tensor, *rest: Any, **options: Any) -> Any:
        read(token)
        return step(token, *rest, **options)

    monkeypatch.setattr(model, "step", reading_step)
    _, _, inside = reads_of_a_search(model, monkeypatch)
    assert all(inside)


def test_a_model_decodes_without_reading_a_value(architecture: Callable[[], TranslationModel]) -> None:
    """Fake tensors have shapes but no values: an operation that needs a value fails."""
    model = architecture().eval()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.inference_mode():
        source = torch.zeros(4, 5, dtype=torch.int64)
        memory = model.encode(source, source == 0)
        state, num_rows = model.start(memory), 4
        for num_sentences, kept in [(4, None), (4, None), (2, torch.zeros(2, dtype=torch.int64)), (2, None)]:
            logits, state = model.step(torch.zeros(num_rows, dtype=torch.int64), state, memory)
            assert logits.shape == (num_rows, 6)
            memory = memory if kept is None else memory.select(kept)
            state = state.select(torch.zeros(num_sentences, 3, dtype=torch.int64), kept)
            num_rows = num_sentences * 3
        with pytest.raises(DataDependentOutputException):
            torch.equal(source, source)
