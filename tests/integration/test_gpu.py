"""What a CUDA device must do as a CPU does."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo

from nmt import models
from nmt.cli import main
from nmt.data.batch import Batch
from nmt.models import Seq2Seq
from nmt.run import RunFolder, build
from nmt.training.loss import Objective
from nmt.training.processes import Processes
from nmt.training.update import Updater
from nmt.translator import Translator

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("model", ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_of_a_gpu_translates_alike_on_a_cpu(
    model: str,
    precision: str,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    training = [word for word in tiny_training if not word.startswith(("trainer.device", "trainer.max_steps"))]
    training += ["trainer.device=cuda", "trainer.max_steps=60", f"trainer.precision={precision}"]
    data = ["data=files", f"data.path={corpus_folder}"]
    assert main(["train", *data, *tiny_models[model], *training, f"run={run}"]) == 0
    lines = ["one two three", "four", "five six seven eight nine"]
    here, there = (Translator.load(run, device=device).translate(lines) for device in ("cpu", "cuda"))
    assert [translation.text for translation in here] == [translation.text for translation in there]
    assert main(["train", *data, *tiny_models[model], *training, f"run={run}", "resume=true"]) == 0


def updater_of(description: dict[str, Any], autocast: Callable[[], AbstractContextManager[object]]) -> Updater:
    model: Seq2Seq = build(description, models).to("cuda")
    return Updater(
        model=model,
        objective=Objective(model, label_smoothing=0.1),
        optimizer=torch.optim.AdamW(model.parameters(), fused=True),
        autocast=autocast,
        clip_norm=1.0,
        processes=Processes(),
    )


def test_an_update_never_waits_for_the_gpu(description: dict[str, Any], batch: Batch) -> None:
    updater = updater_of(description, partial(torch.autocast, "cuda", torch.bfloat16))
    pinned = replace(
        batch, **{name: value.pin_memory() for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    )
    updater.update([pinned], rate=0.01, step=1).read()  # what is set up once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        unread = [updater.update([pinned], rate=0.01, step=step) for step in (2, 3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    outcomes = [one.read() for one in unread]
    assert all(outcome.made for outcome in outcomes)
    assert outcomes[1].likelihood < outcomes[0].likelihood


def test_a_gpu_leaves_out_an_update_that_is_not_finite(description: dict[str, Any], batch: Batch) -> None:
    updater = updater_of(description, nullcontext)
    model = updater.model
    before = [parameter.detach().clone() for parameter in model.parameters()]
    handle = model.vocabulary.output.bias.register_hook(lambda gradient: gradient * float("nan"))
    assert not updater.update([batch], rate=0.01, step=1).read().made
    assert all(map(torch.equal, model.parameters(), before))
    handle.remove()
    assert updater.update([batch], rate=0.01, step=1).read().made


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("model", ["lstm_bahdanau", "lstm_luong", "transformer"])
def test_a_compiled_run_is_the_run(
    model: str,
    precision: str,
    corpus_folder: Path,
    tiny_models: dict[str, list[str]],
    tiny_training: list[str],
    tmp_path: Path,
) -> None:
    """A step takes two graphs, and attention may have its own for sources whose length is a multiple of 8."""
    losses = []
    for compiled in ("false", "true"):
        run = tmp_path / compiled
        words = ["data=files", f"data.path={corpus_folder}", *tiny_models[model], *tiny_training]
        words += [
            "trainer.device=cuda",
            f"trainer.precision={precision}",
            "trainer.max_steps=12",
            "trainer.log_every=1",
        ]
        words += ["trainer.accumulate=2", "model.dropout=0.0", f"trainer.compile={compiled}", f"run={run}"]
        torch._dynamo.reset()
        torch._dynamo.utils.counters.clear()
        assert main(["train", *words]) == 0
        records = map(json.loads, RunFolder(run).history.read_text().splitlines())
        losses.append([record["loss"] for record in records if record["kind"] == "train"])
    assert 1 <= torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 4
    assert len(losses[0]) == 12
    assert losses[1] == pytest.approx(losses[0], rel=1e-3 if precision == "fp32" else 0.02)


@pytest.mark.parametrize("description", ["lstm", "lstm_bahdanau"], indirect=True)
def test_under_bf16_no_fused_lstm_runs_in_float16(description: dict[str, Any], batch: Batch) -> None:
    updater = updater_of(description, partial(torch.autocast, "cuda", torch.bfloat16))
    kinds = set()
    for layer in updater.model.modules():
        if isinstance(layer, torch.nn.LSTM):
            layer.register_forward_hook(lambda layer, inputs, outputs: kinds.add(outputs[0].dtype))
    assert updater.update([batch], rate=0.01, step=1).read().made
    assert kinds == {torch.float32}
