#!/usr/bin/env python
"""Measures the tables of training speed in docs/performance.md on this machine.

    python scripts/speed.py small speed/ data=multi30k data.path=DIR
    python scripts/speed.py large speed/ data=files data.path=DIR device=cuda

`small` are the systems trained on Multi30k; `large` are systems of the literature, for a GPU. Each system is measured
by `nmt benchmark` in a process of its own, with the remaining arguments as overrides, and its result is written to
NAME.json. A system whose file exists is not measured again. At the end, all results in the folder are printed as one
table.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

TRANSFORMER = "model=transformer model.tie_output=true"
RECURRENT = "model.embedding_size=256 model.hidden_size=256"
GROUPS = {
    "small": {
        "lstm": f"model=lstm {RECURRENT}",
        "lstm_bahdanau": f"model=lstm_bahdanau {RECURRENT}",
        "lstm_luong": f"model=lstm_luong {RECURRENT}",
        "lstm_luong-unfed": f"model=lstm_luong {RECURRENT} model.input_feeding=false",
        "transformer": f"{TRANSFORMER} model.model_size=128 model.feedforward_size=256 model.num_heads=4 "
        "model.num_encoder_layers=4 model.num_decoder_layers=4",
    },
    "large": {
        # Vaswani et al. (2017), Table 3: base, and big with its dropout for English-German.
        "transformer-base": f"{TRANSFORMER} model.model_size=512 model.feedforward_size=2048 model.num_heads=8 "
        "model.num_encoder_layers=6 model.num_decoder_layers=6 model.dropout=0.1",
        "transformer-big": f"{TRANSFORMER} model.model_size=1024 model.feedforward_size=4096 model.num_heads=16 "
        "model.num_encoder_layers=6 model.num_decoder_layers=6 model.dropout=0.3",
        # The sizes of NVIDIA's GNMT v2, whose speed is well known.
        "gnmt": "model=lstm_bahdanau model.embedding_size=1024 model.hidden_size=1024 model.score.attention_size=1024 "
        "model.num_layers=4 model.dropout=0.2",
    },
}
COMMON_OVERRIDES = {
    "small": "loader.batch_tokens=4096 model.dropout=0.3",
    "large": "loader.batch_tokens=25000 vocab_size=32000",
}
COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "target tokens a second": lambda part: f"{part['model']['target_tokens_per_second']:,.0f}",
    "tokens of both sides": lambda part: f"{part['model']['tokens_per_second']:,.0f}",
    "plain": lambda part: f"{part['plain']['target_tokens_per_second']:,.0f}",
    "ratio (rounds)": lambda part: "{median:.2f} ({lowest:.2f} to {highest:.2f})".format(**part["ratio"]),
    "step, median / 99th": lambda part: "{p50:.3f} / {p99:.3f} s".format(**part["model"]["step_seconds"]),
    "share of the matrix peak": lambda part: f"{part['model']['share_of_matrix_peak']:.0%}",
    "waiting for data": lambda part: f"{part['model']['waiting_share']:.2%}",
    "memory": lambda part: f"{part['model']['peak_memory_bytes'] / 2**30:.1f} GiB",
}


def measure(group: str, folder: Path, overrides: list[str]) -> None:
    """Runs `nmt benchmark` for each system of the group that has no file in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sizes in GROUPS[group].items():
        out = folder / f"{name}.json"
        if not out.exists():
            words = [*COMMON_OVERRIDES[group].split(), *sizes.split(), "sentences=0", f"out={out}", *overrides]
            subprocess.run([sys.executable, "-m", "nmt", "benchmark", *words], check=True)


def format_table(results: dict[str, dict[str, Any]]) -> str:
    """A Markdown table with one row for each result."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for name, result in results.items():
        cells = [format_cell(result["training"]) for format_cell in COLUMNS.values()]
        lines.append(f"| `{name}`, {result['model']['parameters'] / 1e6:.0f} M | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) < 3 or sys.argv[1] not in GROUPS:
        sys.exit("usage: python scripts/speed.py small|large FOLDER [override …]")
    group, folder, *overrides = sys.argv[1:]
    measure(group, Path(folder), overrides)
    print(format_table({path.stem: json.loads(path.read_text()) for path in sorted(Path(folder).glob("*.json"))}))


if __name__ == "__main__":
    main()
