"""What a CUDA device must do as a CPU does."""

from pathlib import Path

import pytest
import torch

from nmt.cli import main
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
