"""scripts/attention_scaling.py and guide_pictures.py, which measure what docs/attention.md says about scaling."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_model, save_model

from nmt.models import SinusoidalPositions, Transformer

ROOT = Path(__file__).parents[2]
ARGUMENTS = {
    "source_vocab_size": 20,
    "target_vocab_size": 20,
    "shared_vocab": True,
    "tie_output": True,
    "model_size": 16,
    "feedforward_size": 24,
    "num_heads": 1,
    "num_key_value_heads": 1,
    "num_encoder_layers": 1,
    "num_decoder_layers": 1,
    "dropout": 0.0,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "layer_dropout": 0.0,
    "pre_norm": True,
    "encoder_attention": None,
}


def test_the_factor_can_be_folded_into_the_weights(load_script: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """An unscaled model becomes an ordinary one that computes the same; without folding it does not."""
    script = load_script("attention_scaling")
    torch.manual_seed(1)
    positions = SinusoidalPositions(model_size=16, max_length=10)
    unscaled = script.UnscaledTransformer(**ARGUMENTS, positions=positions).eval()
    (tmp_path / "checkpoints").mkdir()
    weights = tmp_path / "checkpoints" / "best.safetensors"
    save_model(unscaled, str(weights))
    (tmp_path / "model.json").write_text(json.dumps({"class": "UnscaledTransformer"}), encoding="utf-8")
    ordinary = Transformer(**ARGUMENTS, positions=positions).eval()
    source, target = torch.randint(4, 20, (2, 6)), torch.randint(4, 20, (2, 5))
    mask = torch.ones_like(source, dtype=torch.bool)
    expected = unscaled(source, mask, target)

    load_model(ordinary, weights)
    assert not torch.allclose(ordinary(source, mask, target), expected, atol=1e-4)
    script.fold_factor(tmp_path)
    load_model(ordinary, weights)
    assert torch.allclose(ordinary(source, mask, target), expected, atol=1e-4)
    assert json.loads((tmp_path / "model.json").read_text(encoding="utf-8")) == {"class": "Transformer"}


@pytest.mark.parametrize(("label", "scaled"), [("softmax(q·k)", False), ("softmax(q·k / √d)", True)])
def test_the_table_of_the_guide_is_what_the_script_measures(
    load_script: Callable[[str], ModuleType], label: str, scaled: bool
) -> None:
    script = load_script("guide_pictures")
    page = (ROOT / "docs" / "attention.md").read_text(encoding="utf-8")
    [row] = re.findall(rf"^\| largest weight, {re.escape(label)} \| (.*) \|$", page, flags=re.MULTILINE)
    for size, value in list(zip(script.SIZES, row.split(" | "), strict=True))[:4]:
        assert script.measure_saturation(size, scaled=scaled)["largest weight"] == pytest.approx(float(value), abs=2e-3)
