"""`nmt benchmark` through the real entry point."""

import json
from pathlib import Path

import pytest

from nmt.benchmark import decoding
from nmt.cli import main
from nmt.translator import DEFAULT_BATCH_TOKENS

SMALL = ["rounds=2", "steps=2", "warmup_steps=1", "sentences=4", "single_sentences=2"]


@pytest.fixture
def overrides(corpus_folder: Path, tiny_training: list[str]) -> list[str]:
    benchmark_keys = [word for word in tiny_training if not word.startswith("tensorboard")]
    return ["data=files", f"data.path={corpus_folder}", *benchmark_keys, *SMALL]


@pytest.mark.parametrize("model", ["lstm_luong", "transformer"])
def test_both_kinds_of_models_are_measured(
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


def test_decoding_is_measured_in_the_batches_of_translating(
    overrides: list[str],
    tiny_models: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not in those of training, which suit another work."""
    seen: list[int] = []
    timed = decoding.timed
    monkeypatch.setattr(
        decoding,
        "timed",
        lambda translator, lines: seen.append(translator.batch_tokens) or timed(translator, lines),
    )
    assert main(["benchmark", *tiny_models["transformer"], *overrides, "steps=0"]) == 0
    assert set(seen) == {DEFAULT_BATCH_TOKENS["cpu"]}


def test_a_part_can_be_left_out(
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
        ("vocab_size=99", "vocab_size=99 makes pieces that mean nothing to decode: set sentences=0"),
        ("device=cuda:99", "device=cuda:99 is not there"),
        ("search=run", "choose another one"),
    ],
)
def test_mistakes(override: str, message: str, overrides: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", *overrides, override]) == 2
    assert message in capsys.readouterr().err
