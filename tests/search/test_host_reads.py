"""How often the host waits for a number from the device. A GPU stands idle for as long: once in a step is enough."""

from contextlib import ExitStack

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nmt.search import BeamSearch

PAD, BOS, EOS = 0, 1, 2
LENGTHS = [8, 3, 5, 1, 2, 6, 4, 7]  # source pieces, each with a limit of its own: sentences leave one by one
# What reads a number, or needs one to know its result's shape; and what copies to the host.
ANSWERS = {"_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "unique_dim"}
COPIES = {"tolist", "numpy", "cpu", "__array__"}


class Answers(TorchDispatchMode):
    """Notes what the host learns of tensors through torch's operations; a mask as an index is a `nonzero`."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        name = function.overloadpacket.__name__
        masks = name == "index" and any(index is not None and index.dtype == torch.bool for index in arguments[1])
        repeats = name == "repeat_interleave" and isinstance(arguments[-1], torch.Tensor)
        if name in ANSWERS or masks or repeats:
            self.log.append(name)
        return function(*arguments, **(options or {}))


class Copies(TorchFunctionMode):
    """Notes what leaves torch as a whole."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def __torch_function__(self, function, types, arguments=(), options=None):
        if getattr(function, "__name__", "") in COPIES:
            self.log.append(function.__name__)
        return function(*arguments, **(options or {}))


def reads_of(model, *, beam_size=3):
    """What a search reads, a list for each: before the first step, after each step, and within each step."""
    source = torch.tensor([[3] * (length - 1) + [EOS] + [PAD] * (8 - length) for length in LENGTHS])
    log, parts, within, rows = [], [], [], []
    step = model.step

    def spied(token, *rest, **options):
        parts.append(log.copy())
        log.clear()
        output = step(token, *rest, **options)
        within.append(log.copy())
        log.clear()
        rows.append(len(token))
        return output

    model.step = spied
    search = BeamSearch(beam_size=beam_size, length_penalty=0.6, max_length_factor=1.0, max_length_margin=2)
    with ExitStack() as stack:
        stack.enter_context(Answers(log))
        stack.enter_context(Copies(log))
        search(
            model, source, source != PAD, bos_id=BOS, eos_id=EOS, banned_ids=[PAD, BOS], n_best=2, need_attention=False
        )
    before, *after = parts
    assert len(after) > 6
    assert len(set(rows)) > 4  # sentences left, several times
    return before, after, within


def test_the_host_reads_once_in_a_step(model):
    model.vocabulary.output.bias.data[EOS] = -50.0  # each sentence ends at its limit
    before, after, within = reads_of(model)
    assert before == ["tolist"]  # the lengths
    assert all(names == ["tolist"] for names in after), after  # which sentences are done
    assert not any(within), within


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
def test_one_read_more_is_noticed(model, monkeypatch, read):
    model.vocabulary.output.bias.data[EOS] = -50.0
    step = model.step

    def curious(token, *rest, **options):
        read(token)
        return step(token, *rest, **options)

    monkeypatch.setattr(model, "step", curious)
    _, _, within = reads_of(model)
    assert all(within)


@pytest.mark.parametrize("need_attention", [False, True])
def test_a_model_decodes_without_looking_at_a_number(architecture, need_attention):
    """Tensors that have shapes and nothing in them: what asks for a number fails."""
    with FakeTensorMode(), torch.inference_mode():
        model = architecture().eval()
        source = torch.zeros(4, 5, dtype=torch.int64)
        memory = model.encode(source, source == 0)
        state, rows = model.start(memory), 4
        for sentences, selected in [(4, None), (4, None), (2, torch.zeros(2, dtype=torch.int64)), (2, None)]:
            output = model.step(torch.zeros(rows, dtype=torch.int64), state, memory, need_attention=need_attention)
            assert output.logits.shape == (rows, 6)
            memory = memory if selected is None else memory.select(selected)
            state, rows = output.state.select(torch.zeros(sentences, 3, dtype=torch.int64), selected), sentences * 3
        with pytest.raises(DataDependentOutputException):
            torch.equal(source, source)
