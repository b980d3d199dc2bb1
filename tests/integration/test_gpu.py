"""A GPU computes what a CPU computes, and the host never waits for it during an update."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt import models
from nmt.cli import main
from nmt.data.batch import Batch
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.training.distributed import Processes
from nmt.training.loss import Objective
from nmt.training.moving_average import MovingAverage
from nmt.training.update import Updater
from nmt.translator import Translator

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

to_bf16 = partial(torch.autocast, "cuda", torch.bfloat16)


@pytest.mark.parametrize("model", ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_trained_on_a_gpu_translates_the_same_on_a_cpu(
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
    words = ["data=files", f"data.path={corpus_folder}", *tiny_models[model], *training, f"run={run}"]
    assert main(["train", *words]) == 0
    lines = ["one two three", "four", "five six seven eight nine"]
    on_cpu, on_gpu = (Translator.load(run, device=device).translate(lines) for device in ("cpu", "cuda"))
    assert [translation.text for translation in on_cpu] == [translation.text for translation in on_gpu]
    in_bf16 = Translator.load(run, device="cuda", precision="bf16").translate(lines)
    scores = [translation.score for translation in on_gpu]
    assert [translation.score for translation in in_bf16] == pytest.approx(scores, abs=0.2)
    assert main(["train", *words, "resume=true"]) == 0


def make_updater(description: dict[str, Any], autocast: Callable[[], AbstractContextManager[object]]) -> Updater:
    """An updater on the GPU with a fused optimizer."""
    model: Seq2Seq = build(description, models).to("cuda")
    return Updater(
        model=model,
        objective=Objective(model, label_smoothing=0.1),
        optimizer=torch.optim.AdamW(model.parameters(), fused=True),
        autocast=autocast,
        clip_norm=1.0,
        processes=Processes(),
    )


def test_the_host_never_waits_for_the_gpu_during_an_update(description: dict[str, Any], batch: Batch) -> None:
    updater = make_updater(description, to_bf16)
    updater.moving_average = MovingAverage(updater.model, decay=0.9)
    tensors = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    pinned_tensors: dict[str, Any] = {name: tensor.pin_memory() for name, tensor in tensors.items()}
    pinned = replace(batch, **pinned_tensors)
    updater.update([pinned], rate=0.01, step=1).result()  # the first update may wait while it sets things up
    torch.cuda.set_sync_debug_mode("error")
    try:
        pending = [updater.update([pinned], rate=0.01, step=step) for step in (2, 3)]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    results = [update.result() for update in pending]
    assert all(result.applied for result in results)
    assert results[1].nll < results[0].nll


@torch.no_grad()
def test_the_host_never_waits_for_the_gpu_during_a_step(description: dict[str, Any]) -> None:
    arguments = description["arguments"]
    if "positions" in arguments:  # a cache must know the distances if positions have a bias
        arguments = arguments | {"positions": {"class": "ALiBiPositions", "arguments": {"num_heads": 2}}}
    model: Seq2Seq = build(description | {"arguments": arguments}, models).to("cuda").eval()
    source, token = torch.tensor([[5, 6, 2], [7, 8, 2]], device="cuda"), torch.tensor([1, 1], device="cuda")
    rows = torch.tensor([[0, 0], [1, 1]], device="cuda")
    memory = model.encode(source, source > 0)
    try:
        for debug_mode in ("default", "error"):  # the first step may wait while it sets things up
            torch.cuda.set_sync_debug_mode(debug_mode)
            _, state = model.step(token, model.start(memory), memory)
            model.step(token.repeat_interleave(2), state.select(rows, None), memory)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_gpu_skips_an_update_that_is_not_finite(description: dict[str, Any], batch: Batch) -> None:
    updater = make_updater(description, nullcontext)
    model = updater.model
    before = [parameter.detach().clone() for parameter in model.parameters()]
    bias: Any = model.get_parameter("vocabulary.output.bias")
    handle = bias.register_hook(lambda gradient: gradient * float("nan"))
    assert not updater.update([batch], rate=0.01, step=1).result().applied
    assert all(map(torch.equal, model.parameters(), before))
    handle.remove()
    assert updater.update([batch], rate=0.01, step=1).result().applied


@pytest.mark.parametrize("cell", ["LSTMCell", "GRUCell"])
@pytest.mark.parametrize("description", ["lstm", "lstm_bahdanau"], indirect=True)
def test_dropped_recurrent_weights_come_back(description: dict[str, Any], cell: str, batch: Batch) -> None:
    """Inside an update, cuDNN's layers get other weights; afterwards they have their own, which got a gradient."""
    changes = {"cell": {"class": cell}, "recurrent_dropout": 0.5, "variational_dropout": True, "dropout": 0.3}
    updater = make_updater({**description, "arguments": description["arguments"] | changes}, nullcontext)
    model, before = updater.model, [parameter.detach().clone() for parameter in updater.model.parameters()]
    for step in (1, 2):
        norms = updater.update([batch], rate=0.0, step=step).result().gradient_norms
        assert norms.keys() == dict(model.named_parameters()).keys()
    assert all(map(torch.equal, model.parameters(), before))
    on_gpu = model.eval()(*(tensor.to("cuda") for tensor in batch.tensors[:3]))
    torch.testing.assert_close(on_gpu.cpu(), model.cpu()(*batch.tensors[:3]), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("cell", ["LSTMCell", "GRUCell"])
@pytest.mark.parametrize("description", ["lstm", "lstm_bahdanau"], indirect=True)
def test_no_fused_layer_runs_in_float16_under_bf16(description: dict[str, Any], cell: str, batch: Batch) -> None:
    changed = {**description, "arguments": description["arguments"] | {"cell": {"class": cell}}}
    updater = make_updater(changed, to_bf16)
    output_types = set()

    def record_output_type(layer: torch.nn.Module, inputs: Any, outputs: Any) -> None:
        output_types.add(outputs[0].dtype)

    for layer in updater.model.modules():
        if isinstance(layer, torch.nn.RNNBase):
            layer.register_forward_hook(record_output_type)
    assert updater.update([batch], rate=0.01, step=1).result().applied
    assert output_types == {torch.float32}
