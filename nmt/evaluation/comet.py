"""COMET, a learned metric of translations (Rei et al., 2020), computed by the program `comet-score`.

Its package unbabel-comet (2.2.7) needs older versions of numpy, protobuf and huggingface_hub than this project, so it
cannot be installed beside it. It can in an environment of its own, whose program is all that is needed here:

    python3 -m venv comet && comet/bin/pip install unbabel-comet
    PATH=$PATH:$PWD/comet/bin nmt evaluate run=runs/x split=val comet=Unbabel/wmt22-comet-da
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from nmt.errors import UserError
from nmt.evaluation.metrics import Metric
from nmt.evaluation.record import Evaluation, compute_checksum, list_files
from nmt.files import read_bytes, read_text, write_json

PROGRAM = "comet-score"
"""The program of the package unbabel-comet."""

MAX_REASON_CHARACTERS = 200
"""Maximum length of a message of that program that ours quotes."""


def add_comet(
    path: Path, evaluation: Evaluation, *, model: str, on_gpu: bool, remark: Callable[[str], None]
) -> Evaluation:
    """Adds the COMET score of a stored evaluation to it, unless it has one of this model.

    Nothing is translated. COMET knows one reference for each sentence, that of the split. If it cannot be computed, the
    evaluation stays as it is.

    Args:
        path: the evaluation's JSON file, with the texts beside it.
        evaluation: the content of the file.
        model: a model of the Hugging Face hub, such as Unbabel/wmt22-comet-da, or a checkpoint file.
        on_gpu: compute on a GPU.
        remark: receives messages: that COMET is computed, or why it was skipped.
    """
    signature = f"model:{model}"
    old = evaluation.metrics.comet
    if old is not None and old.signature == signature:
        return evaluation
    files = list_files(path.parent, evaluation.split)
    try:
        score = compute_comet(*map(read_text, files[:3]), model=model, on_gpu=on_gpu, remark=remark)
    except UserError as error:
        remark(f"COMET was skipped: {error}")
        return evaluation
    metrics = msgspec.structs.replace(evaluation.metrics, comet=Metric("COMET", score, signature))
    scored = msgspec.structs.replace(evaluation, metrics=metrics)
    scored.checksum = compute_checksum(scored, list(map(read_bytes, files)))
    write_json(path, msgspec.to_builtins(scored))
    return scored


def compute_comet(
    sources: str, hypotheses: str, references: str, *, model: str, on_gpu: bool, remark: Callable[[str], None]
) -> float:
    """The COMET score of texts with one sentence per line, times 100.

    Args:
        remark: receives a message before the computation starts.

    Raises:
        UserError: the program is not installed, or fails, such as without a connection to download the model.
    """
    if shutil.which(PROGRAM) is None:
        raise UserError(
            f"the program {PROGRAM} was not found: install unbabel-comet into an environment of its own, and add its "
            "folder bin to PATH"
        )
    remark(f"{PROGRAM} computes COMET with {model}; the first time, it downloads that model")
    with TemporaryDirectory() as name:
        words = [PROGRAM]
        for option, text in (("-s", sources), ("-t", hypotheses), ("-r", references)):
            file = Path(name) / option
            file.write_text(text.replace("\r", " "), encoding="utf-8")  # it takes a carriage return for a line end
            words += [option, str(file)]
        words += ["--model", model, "--gpus", str(int(on_gpu)), "--quiet", "--only_system"]
        result = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    found = re.findall(r"\tscore: (-?\d+\.\d+)$", result.stdout, flags=re.MULTILINE)
    if result.returncode != 0 or not found:
        lines = (result.stderr or result.stdout).split("\n")
        reason = next((line.strip() for line in reversed(lines) if line.strip()), f"exit code {result.returncode}")
        raise UserError(f"{PROGRAM} failed: {reason[:MAX_REASON_CHARACTERS]}")
    return 100 * float(found[-1])
