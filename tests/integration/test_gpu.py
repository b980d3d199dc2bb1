"""What a CUDA device must do as a CPU does."""

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
from nmt.run.registry import build
from nmt.training.distributed import Processes
from nmt.training.loss import Objective
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
    training = [word for word in tiny_training if not word.startswith(("device", "trainer.max_steps"))]
    training += ["device=cuda", "trainer.max_steps=60", f"trainer.precision={precision}"]
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
    updater.update([pinned], rate=0.01, step=1).result()  # what is set up once may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        unread = [updater.update([pinned], rate=0.01, step=step) for step in (2, 3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    outcomes = [one.result() for one in unread]
    assert all(outcome.applied for outcome in outcomes)
    assert outcomes[1].nll < outcomes[0].nll


def test_a_gpu_leaves_out_an_update_that_is_not_finite(description: dict[str, Any], batch: Batch) -> None:
    updater = updater_of(description, nullcontext)
    model = updater.model
    before = [parameter.detach().clone() for parameter in model.parameters()]
    handle = model.vocabulary.output.bias.register_hook(lambda gradient: gradient * float("nan"))
    assert not updater.update([batch], rate=0.01, step=1).result().applied
    assert all(map(torch.equal, model.parameters(), before))
    handle.remove()
    assert updater.update([batch], rate=0.01, step=1).result().applied


@pytest.mark.parametrize("description", ["lstm", "lstm_bahdanau"], indirect=True)
def test_under_bf16_no_fused_lstm_runs_in_float16(description: dict[str, Any], batch: Batch) -> None:
    updater = updater_of(description, partial(torch.autocast, "cuda", torch.bfloat16))
    kinds = set()
    for layer in updater.model.modules():
        if isinstance(layer, torch.nn.LSTM):
            layer.register_forward_hook(lambda layer, inputs, outputs: kinds.add(outputs[0].dtype))
    assert updater.update([batch], rate=0.01, step=1).result().applied
    assert kinds == {torch.float32}
