"""Run folders of four invented systems for the report, in the format of real ones."""

import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.evaluation import Metrics
from nmt.evaluation.attention_file import SentenceAttention, encode_attention, quantize_attention
from nmt.run.format import FORMAT

NOUNS = {"dog": "Hund", "man": "Mann", "boy": "Junge", "bird": "Vogel", "baker": "Bäcker", "giant": "Riese"}
VERBS = {"sees": "sieht", "hears": "hört", "paints": "malt", "greets": "grüßt"}
METRICS = Metrics(language="de", bleu_tokenizer="13a")
NUM_SENTENCES = 60
SAMPLE_INDICES = [4, 17, 33]
HOSTILE = "<script>alert('x')</script> & \"quotes\" | *stars*"

SYSTEMS: dict[str, tuple[str, int, float, float | None]] = {
    "lstm": ("PlainRNN", 5_123_456, 0.45, None),
    "lstm_bahdanau": ("BahdanauRNN", 6_210_001, 0.2, 4.0),
    "lstm_luong": ("LuongRNN", 5_980_400, 0.18, 6.0),
    "transformer": ("Transformer", 7_401_216, 0.08, 9.0),
}
"""Class, number of parameters, fraction of wrong words, and sharpness of the attention, or None without attention."""


def sentence_pair(draw: random.Random) -> tuple[str, str]:
    """A sentence of 4 to 40 words and its word-by-word translation."""
    clauses = [
        (f"the {n} {v} the {m}", f"der {NOUNS[n]} {VERBS[v]} den {NOUNS[m]}")
        for n, v, m in (
            (draw.choice(list(NOUNS)), draw.choice(list(VERBS)), draw.choice(list(NOUNS)))
            for _ in range(draw.choice([1, 1, 2, 2, 3, 4, 7]))
        )
    ]
    source, target = " and ".join(c[0] for c in clauses), " und ".join(c[1] for c in clauses)
    return f"{source[0].upper()}{source[1:]}.", f"{target[0].upper()}{target[1:]}."


def damage(line: str, error_rate: float, draw: random.Random) -> str:
    """Replaces a fraction of the words by others."""
    words = [draw.choice(["ein", "Hund", "rot", "geht"]) if draw.random() < error_rate else w for w in line.split()]
    return " ".join(words)


def split_into_pieces(line: str) -> list[str]:
    """Pieces like SentencePiece's: "▁" starts a word, longer words have two pieces, the full stop is one."""
    result: list[str] = []
    for word in line.removesuffix(".").split():
        result += [f"▁{word}"] if len(word) < 6 else [f"▁{word[:4]}", word[4:]]
    return [*result, ".", "</s>"]


def attention(num_rows: int, num_columns: int, sharpness: float) -> list[list[float]]:
    """Weights (T, S): each row sums to 1, and the largest weights lie along the diagonal."""
    rows = []
    for t in range(num_rows):
        weights = [
            math.exp(-sharpness * abs(t / num_rows - s / num_columns) * num_columns / 3) for s in range(num_columns)
        ]
        rows.append([w / sum(weights) for w in weights])
    return rows


def write_run(folder: Path, *, system: str, split: str = "test", seed: int = 1, draw_seed: str = "") -> Path:
    """Writes a run folder like `nmt train` and `nmt evaluate`, as far as the report reads it.

    Args:
        folder: of the run; it may hold evaluations of other splits.
        system: one of SYSTEMS.
        split: that was evaluated.
        seed: of the test set.
        draw_seed: of the errors.
    """
    model, parameters, error_rate, sharpness = SYSTEMS[system]
    data = random.Random(seed)  # every system has the same test set
    pairs = [sentence_pair(data) for _ in range(NUM_SENTENCES)]
    pairs[SAMPLE_INDICES[1]] = (f"{HOSTILE} 🚀", f"{HOSTILE} 🚀")
    sources, references = [s for s, _ in pairs], [t for _, t in pairs]
    draw = random.Random(system + draw_seed)
    hypotheses = [damage(reference, error_rate, draw) for reference in references]
    hypotheses[SAMPLE_INDICES[1]] = f"{system}: {HOSTILE}"

    (folder / "evaluation").mkdir(parents=True, exist_ok=True)
    arguments = {"num_heads": 4} if model == "Transformer" else {"hidden_size": 256}
    write_json(
        folder / "model.json", {"format": FORMAT, "class": model, "arguments": arguments, "parameters": parameters}
    )
    (folder / "history.jsonl").write_text(
        "".join(json.dumps(r) + "\n" for r in history(error_rate, draw)), encoding="utf-8"
    )
    samples = []
    for index in SAMPLE_INDICES:
        source, target = split_into_pieces(sources[index]), split_into_pieces(hypotheses[index])
        samples.append(
            {
                "index": index, "source": sources[index], "reference": references[index],
                "hypothesis": hypotheses[index],
                "score": -0.41, "source_tokens": source, "target_tokens": target,
                "attention": sharpness and attention(len(target), len(source), sharpness),
            }
        )  # fmt: skip
    write_json(
        folder / "evaluation" / f"{split}.json",
        {
            "format": FORMAT, "split": split, "source": "en", "target": "de", "sentences": NUM_SENTENCES, "step": 3500,
            "bleu_tokenizer": "13a",
            "metrics": {key: vars(metric) for key, metric in METRICS.score(hypotheses, references).items()},
            "length_unit": "words",
            "bleu_by_length": METRICS.bleu_by_length(sources, hypotheses, references, unit="words"),
            "search": {"class": "BeamSearch", "arguments": {"beam_size": 5, "length_penalty": 0.6}},
            "seconds": 12.1, "sentences_per_second": 82.0 + 10 * len(system), "device": "cpu", "threads": 2,
            "precision": "fp32",
            "samples": samples, "cut_lines": 0, "model_hash": "", "text_hash": "", "checksum": "",
        },
    )  # fmt: skip
    for name, lines in (("source", sources), ("hyp", hypotheses), ("ref", references)):
        path = folder / "evaluation" / f"{split}.{name}.txt"
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8", newline="\n")
    weights: list[SentenceAttention | None] = []
    for texts in zip(sources, hypotheses, strict=True):
        columns, rows = ([*text.split(), "</s>"] for text in texts)
        matrix = np.array(attention(len(rows), len(columns), sharpness or 0.0))
        weights.append(quantize_attention(columns, rows, matrix) if sharpness else None)
    (folder / "evaluation" / f"{split}.attention.gz").write_bytes(encode_attention(weights))
    return folder


def history(error_rate: float, draw: random.Random) -> list[dict[str, Any]]:
    """A history of 4,000 steps, with a record every 50 and a validation every 500 steps; the last is not the best."""
    records: list[dict[str, Any]] = []
    for step in range(50, 4001, 50):
        loss = 2 + 4 * error_rate + 5 * math.exp(-step / 700) + draw.gauss(0, 0.05)
        shared = {"step": step, "seconds": step * (0.25 + error_rate / 3), "loss": loss}
        speed = 2900 + 4000 * error_rate + draw.gauss(0, 60)
        records.append(
            {"kind": "train", "epoch": 1 + step // 1000, "learning_rate": 1e-3, "gradient_norm": 1.2,
             "tokens_per_second": speed, **shared}
        )  # fmt: skip
        if step % 500 == 0:
            bleu = 100 * (1 - error_rate) ** 4 * (1 - math.exp(-min(step, 7000 - step) / 1200))
            selection = {"selected_by": "bleu", "best": step <= 3500}  # BLEU falls at the end
            records.append({"kind": "validation", **shared, "loss": loss + 0.2, "bleu": bleu, **selection})
    return [*records, {"kind": "end", "step": 4000, "seconds": records[-1]["seconds"], "reason": "max_steps=4000"}]


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def make_run() -> Callable[..., Path]:
    """`write_run`, for tests that need a run of their own."""
    return write_run


@pytest.fixture(scope="session")
def make_run_once() -> Callable[..., Path]:
    """`write_run`, for runs that several tests share."""
    return write_run


@pytest.fixture(scope="session")
def finished_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of four evaluated runs, written once; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    for system in SYSTEMS:
        write_run(folder / system, system=system)
    return folder


@pytest.fixture
def runs(finished_runs: Path, tmp_path: Path) -> list[Path]:
    """A copy of the four evaluated runs, which a test may change."""
    shutil.copytree(finished_runs, tmp_path / "runs")
    return [tmp_path / "runs" / system for system in SYSTEMS]
