"""A run continues exactly from a checkpoint; a damaged file, or one of another model, is refused in one line."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nmt import models
from nmt.cli.training.optimizer import SUPPORTED
from nmt.errors import UserError
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.run.weights import save_weights
from nmt.training.checkpoint import Progress, read_checkpoint, read_progress, restore, save_checkpoint
from nmt.training.loss_meter import LossMeter
from nmt.training.selection import Validation

OPTIMIZERS = [partial(getattr(torch.optim, name)) for name in re.findall(r"[A-Z]\w+", SUPPORTED)]
OPTIMIZERS += [partial(torch.optim.Adam, fused=True), partial(torch.optim.AdamW, fused=True, amsgrad=True)]
OPTIMIZERS += [partial(torch.optim.SGD, momentum=0.9), partial(torch.optim.RMSprop, momentum=0.9, centered=True)]
PROGRESS = Progress(
    step=12,
    epoch=3,
    position=2,
    seconds=4.25,
    best=Validation(step=9, num_averaged=1, num_pairs=16, loss=1.5, bleu=31.25, chrf=55.5),
    selected_by="chrf",
    validations_since_best=1,
    schedule={"fraction": 0.5, "best_score": None, "best_tie_breaker": None, "num_bad_validations": 2},
    loss_meter=LossMeter(nll=2.5, num_tokens=9, gradient_norm=0.5, num_steps=3, seconds=1.5),
)


def make_model(**changes: Any) -> Seq2Seq:
    arguments = {
        "source_vocab_size": 9,
        "target_vocab_size": 9,
        "shared_vocab": True,
        "tie_output": True,
        "cell": {"class": "LSTMCell"},
        "embedding_size": 4,
        "hidden_size": 4,
        "num_layers": 1,
        "dropout": 0.5,
        "embedding_dropout": 0.5,
        "word_dropout": 0.0,
        "variational_dropout": False,
        "recurrent_dropout": 0.0,
    }
    model: Seq2Seq = build({"class": "PlainRNN", "arguments": arguments | changes}, models)
    return model


def load_checkpoint(path: Path, model: Seq2Seq, optimizer: torch.optim.Optimizer) -> Progress:
    progress, tensors = read_checkpoint(path)
    restore(tensors, path, model, optimizer)
    return progress


def update(model: Seq2Seq, optimizer: torch.optim.Optimizer, *, seed: int) -> None:
    """One step with dropout, seeded as the training loop does it."""
    torch.manual_seed(seed)
    source = torch.tensor([[4, 5, 6]])
    optimizer.zero_grad()
    model.train()(source, torch.ones(1, 3).bool(), source).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("kind", OPTIMIZERS, ids=lambda kind: "-".join([kind.func.__name__, *kind.keywords]))
def test_training_continues_exactly(tmp_path: Path, kind: Callable[..., torch.optim.Optimizer]) -> None:
    first, second = make_model(), make_model()
    optimizers = [kind(model.parameters(), lr=0.01) for model in (first, second)]
    for step in range(3):
        update(first, optimizers[0], seed=step)
    save_checkpoint(tmp_path / "last", PROGRESS, first, optimizers[0])
    for step in (3, 4):
        update(first, optimizers[0], seed=step)

    torch.manual_seed(99)
    assert load_checkpoint(tmp_path / "last", second, optimizers[1]) == PROGRESS
    for step in (3, 4):
        update(second, optimizers[1], seed=step)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    states, expected = (optimizer.state_dict()["state"] for optimizer in reversed(optimizers))
    assert states.keys() == expected.keys()
    for index, state in expected.items():
        assert states[index].keys() == state.keys()
        assert all(torch.equal(states[index][key], state[key]) for key in state)


def test_progress_is_read_without_the_tensors(tmp_path: Path) -> None:
    model = make_model()
    save_checkpoint(tmp_path / "last", PROGRESS, model, torch.optim.Adam(model.parameters()))
    assert read_progress(tmp_path / "last") == PROGRESS


@pytest.mark.parametrize("keep", [0, 7, 200, -1])
def test_a_truncated_file_is_damaged(tmp_path: Path, keep: int) -> None:
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters())
    path = tmp_path / "last"
    save_checkpoint(path, PROGRESS, model, optimizer)
    path.write_bytes(path.read_bytes()[:keep])
    for read in (lambda: read_progress(path), lambda: load_checkpoint(path, model, optimizer)):
        with pytest.raises(UserError, match="last is damaged") as caught:
            read()  # type: ignore[no-untyped-call]
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="last"):
        read_progress(tmp_path / "last")


def test_weights_alone_are_not_a_checkpoint(tmp_path: Path) -> None:
    model = make_model()
    save_weights(model.state_dict(), tmp_path / "last", step=3)
    with pytest.raises(UserError, match="last is damaged"):
        load_checkpoint(tmp_path / "last", model, torch.optim.Adam(model.parameters()))


@pytest.mark.parametrize(
    ("saved", "read"),
    [
        ({"hidden_size": 6}, {}),
        ({}, {"num_layers": 2}),
        ({"num_layers": 2}, {}),
        ({"tie_output": False}, {}),
        ({"source_vocab_size": 1, "target_vocab_size": 1}, {}),  # torch would broadcast the one row
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, saved: dict[str, Any], read: dict[str, Any]) -> None:
    saved_model, model = make_model(**saved), make_model(**read)
    optimizer = torch.optim.Adam(saved_model.parameters())
    saved_model(torch.zeros(1, 2).long(), torch.ones(1, 2).bool(), torch.zeros(1, 2).long()).sum().backward()
    optimizer.step()
    save_checkpoint(tmp_path / "last", PROGRESS, saved_model, optimizer)
    with pytest.raises(ValueError, match="last is of another model: resume=true needs the same settings") as caught:
        load_checkpoint(tmp_path / "last", model, torch.optim.Adam(model.parameters()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", '"12"'), ("step", "-1"), ("step", "true"), ("step", "1" + "0" * 30), ("step", "null"),
        ("epoch", "1.5"), ("order", "3"), ("seconds", "NaN"), ("seconds", "Infinity"), ("seconds", "1e999"),
        ("seconds", "null"), ("best", '"high"'), ("best", '{"step": 9}'),
        ("selected_by", '"luck"'), ("schedule", "[]"), ("schedule", '{"best": "x"}'),
        ("loss_meter", '{"nll": [1]}'), ("loss_meter", '{"nll": null}'), ("loss_meter", '{"colour": 1}'),
        ("loss_meter", "null"), ("num_records", "1e9"),
    ],
)  # fmt: skip
def test_wrong_progress_is_refused(tmp_path: Path, name: str, value: str) -> None:
    path = tmp_path / "last"
    save_file({"a": torch.zeros(1)}, path, metadata={"progress": f'{{"{name}": {value}}}'})
    with pytest.raises(UserError, match="last is damaged: ") as caught:
        read_progress(path)
    assert name in str(caught.value) or "JSON is malformed" in str(caught.value)


@pytest.mark.parametrize(
    "progress", ["", "{}}", "[]", "3", "[" * 100_000, '{"colour": 1}', '{"step": ' + "9" * 9999 + "}"]
)
def test_unreadable_progress_is_refused(tmp_path: Path, progress: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "last", metadata={"progress": progress})
    with pytest.raises(UserError, match="last is damaged"):
        read_progress(tmp_path / "last")


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer.0.exp_avg": torch.zeros(3, 3)},
        {"optimizer.0.exp_avg": torch.zeros(9, 4).long()},
        {"optimizer.99.exp_avg": torch.zeros(9, 4)},
        {"optimizer.x.exp_avg": torch.zeros(9, 4)},
        {"optimizer.0": torch.zeros(9, 4)},
        {"optimizer.0.exp_avg": None},
        {"optimizer.0.more": torch.zeros(9, 4)},
        {"optimizer.0.step": torch.tensor(-0.0006)},
        {"optimizer.0.step": torch.tensor(-1.0)},
        {"optimizer.0.step": torch.tensor(torch.nan)},
    ],
)
def test_optimizer_state_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, torch.Tensor | None]) -> None:
    model = make_model()
    optimizer = torch.optim.Adam(model.parameters())
    update(model, optimizer, seed=1)
    path = tmp_path / "last"
    save_checkpoint(path, PROGRESS, model, optimizer)
    _, tensors = read_checkpoint(path)
    restore(tensors, path, model, optimizer)
    with pytest.raises(UserError, match="last is damaged: ") as caught:
        restore({k: t for k, t in (tensors | changes).items() if t is not None}, path, model, optimizer)
    assert "\n" not in str(caught.value)
