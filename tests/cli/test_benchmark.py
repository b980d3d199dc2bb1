"""`nmt benchmark` as a whole command: what it measures, what can be left out, and what it refuses."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from nmt.benchmark import decoding
from nmt.cli import main
from nmt.translator import Translator
from nmt.translator.arguments import DEFAULT_BATCH_TOKENS

SMALL = ["rounds=2", "steps=2", "warmup_steps=1", "sentences=4", "single_sentences=2"]


@pytest.fixture
def overrides(corpus_folder: Path, tiny_training: list[str]) -> list[str]:
    """Overrides that make the benchmark tiny, without its model."""
    training = [word for word in tiny_training if not word.startswith("tracker=")]
    return ["data=files", f"data.path={corpus_folder}", *training, *SMALL]


@pytest.mark.parametrize("model", ["lstm_luong", "transformer"])
def test_training_and_decoding_are_measured_for_both_models(
    model: str, overrides: list[str], tiny_models: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *tiny_models[model], *overrides]) == 0
    output, error = capsys.readouterr()
    result = json.loads(output)
    assert set(result) == {
        *("model", "plain", "device", "precision", "batch_tokens", "search", "rounds"),
        *("training", "decoding"),
    }
    assert result["model"]["parameters"] == pytest.approx(result["plain"]["parameters"], rel=0.1)
    assert (result["device"]["type"], result["precision"], result["batch_tokens"]) == ("cpu", "float32", 256)
    assert set(result["decoding"]) == {"model", "plain", "ratio", "latency_ratio"}
    assert set(result["decoding"]["model"]) == {"sentences_per_second", "latency_seconds"}
    assert len(result["training"]["ratio"]["rounds"]) == len(result["decoding"]["ratio"]["rounds"]) == 2
    for words in ("training", "decoding", "target tokens per second", "times as fast", "2 rounds"):
        assert words in error


def test_decoding_is_measured_with_the_batch_size_of_nmt_translate(
    overrides: list[str], tiny_models: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch size of training suits training, and would make decoding slower than it is."""
    batch_tokens = set()
    time_translation = decoding.time_translation

    def record_batch_tokens(translator: Translator, lines: Sequence[str]) -> float:
        batch_tokens.add(translator.batch_tokens)
        return time_translation(translator, lines)

    monkeypatch.setattr(decoding, "time_translation", record_batch_tokens)
    assert main(["benchmark", *tiny_models["transformer"], *overrides, "steps=0"]) == 0
    assert batch_tokens == {DEFAULT_BATCH_TOKENS["cpu"]}


def test_a_part_can_be_left_out_and_the_vocabulary_enlarged(
    overrides: list[str],
    tiny_models: dict[str, list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "speed.json"
    tiny = [*tiny_models["transformer"], *overrides, f"out={out}", "trainer.precision=bf16"]
    assert main(["benchmark", *tiny, "steps=0"]) == 0
    assert "training" not in json.loads(out.read_text())
    assert main(["benchmark", *tiny, "sentences=0"]) == 0
    result = json.loads(out.read_text())
    assert "decoding" not in result
    assert result["precision"] == "bfloat16"
    assert main(["benchmark", *tiny, "sentences=0", "vocab_size=1000"]) == 0
    larger = json.loads(out.read_text())
    assert larger["model"]["arguments"]["target_vocab_size"] == 1000
    assert larger["model"]["parameters"] > result["model"]["parameters"] + 16 * 900
    assert larger["training"]["model"]["flops_per_target_token"] > result["training"]["model"]["flops_per_target_token"]
    assert main(["benchmark", *tiny, "sentences=0", "vocab_size=9"]) == 2
    assert "vocab_size=9 must be at least the tokenizer's 40" in capsys.readouterr().err
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rounds=0", "rounds=0 must be a whole number of at least 1"),
        ("steps=-1", "steps=-1 must be at least 0"),
        ("single_sentences=9", "single_sentences=9 must be from 1 to sentences=4"),
        ("vocab_size=99", "vocab_size=99 adds pieces without a text, so nothing can be decoded: set sentences=0"),
        ("device=cuda:99", "device=cuda:99 is not available"),
        ("model=picture_transformer", "PictureTransformer has no plain counterpart"),
        (
            "search=mbr",
            "search: nmt benchmark sets max_length_factor, which MinimumBayesRisk lacks: choose search=greedy, beam or",
        ),
        ("trainer.accumulate=2", "trainer.accumulate=2: nmt benchmark compares updates without it: set it to 1, or"),
        ("trainer.consistency=5", "trainer.consistency=5.0: nmt benchmark compares updates without it: set it to 0"),
        ("trainer.simcut=3", "trainer.simcut=3.0: nmt benchmark compares updates without it"),
        ("trainer.alignment_weight=0.05", "trainer.alignment_weight=0.05: nmt benchmark compares updates without it"),
        ("trainer.ema_decay=0.999", "trainer.ema_decay=0.999: nmt benchmark compares updates without it"),
        (
            "~optimizer.fused optimizer._target_=torch.optim.SparseAdam",
            "optimizer: torch.optim.SparseAdam cannot train",
        ),
        ("search=run", "search=run is only for commands that read a trained run"),
    ],
)
def test_a_wrong_setting_is_refused(
    override: str, message: str, overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["benchmark", *overrides, *override.split()]) == 2
    assert message in capsys.readouterr().err
