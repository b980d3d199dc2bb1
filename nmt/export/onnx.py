"""Any system as ONNX, for onnxruntime on any machine, and for browsers.

The folder holds two graphs (`onnx_graphs`), model.json with what a program has to know besides, the SentencePiece
models, translate.py, which translates by them (`onnx_translator`) and verifies the export, and a page for browsers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nmt.data.tokenizer.description import read_tokenizer_description
from nmt.explore.page import PAGE_FOLDER as EXPLORER_FOLDER
from nmt.export import onnx_translator
from nmt.export.conversion import move_folder
from nmt.export.onnx_graphs import ENCODER_FILE, STEP_FILE, write_graphs
from nmt.export.onnx_translator import SETTINGS_FILE, OnnxTranslator
from nmt.export.packages import check_packages
from nmt.export.system import System
from nmt.export.verification import Engine, Output, OwnTranslations
from nmt.models.seq2seq import Seq2Seq
from nmt.translator.batch import list_banned_ids

PAGE_FOLDER = Path(__file__).parent / "page"
"""index.html and the modules that load the model and translate."""

EXPLORER_FILES = ("attention.js", "dom.js", "labels.js", "lines.js", "style.css")
"""Files of the explorer's page that draw the attention."""

README = """\
# {source} to {target}, for onnxruntime

Exported from the nmt run `{run}`; `export.json` says how its translations were compared.

```sh
pip install onnxruntime sentencepiece
echo "A dog runs." | python translate.py
```

In a browser: serve this folder by any web server for files, such as `python -m http.server`, and open its address. The
page loads onnxruntime-web from cdn.jsdelivr.net, or from this folder after `npm install`. No text leaves the browser.

`encoder.onnx` reads a sentence, `step.onnx` writes one token of its translation, and `model.json` holds the rest. A
step gets what the encoder returned, and the state that the step before returned as `next.…`; see `translate.py`.
"""


class OnnxFormat:
    """Writes any system as ONNX, and opens it with onnxruntime; see `Format`."""

    name = "onnx"
    packages: tuple[str, ...] = ("onnxruntime", "onnxscript")
    shares_length_penalty = True

    def check(self, system: System) -> None:
        check_packages(self.packages, need=f"format={self.name}")

    def write(self, system: System, own: OwnTranslations, folder: Path) -> None:
        model = system.run.model()  # not the one in `system`, whose weights are rearranged
        assert isinstance(model, Seq2Seq), "a run folder holds one model"
        write_graphs(model.eval(), folder)
        system.tokenizer.save(folder)
        settings = json.dumps(describe_model(system, folder), indent=2, ensure_ascii=False)
        (folder / SETTINGS_FILE).write_text(settings + "\n", encoding="utf-8")
        shutil.copyfile(onnx_translator.__file__, folder / "translate.py")
        write_page(folder)
        text = README.format(source=system.source, target=system.target, run=system.run.name)
        (folder / "README.md").write_text(text, encoding="utf-8")

    def open(self, system: System, folder: Path) -> Engine:
        return OnnxEngine(folder, system.search.length_penalty)

    def publish(self, folder: Path, out: Path) -> None:
        move_folder(folder, out)


def write_page(folder: Path) -> None:
    """Writes a page that translates in a browser, without a server, and shows the attention as `nmt explore` does."""
    shutil.copytree(PAGE_FOLDER, folder / "page")
    for name in EXPLORER_FILES:
        shutil.copyfile(EXPLORER_FOLDER / name, folder / "page" / name)
    for name in ("index.html", "package.json"):
        (folder / "page" / name).rename(folder / name)


def describe_model(system: System, folder: Path) -> dict[str, Any]:
    """The content of model.json: what the loop over the graphs has to know.

    Args:
        folder: of the graphs and of the tokenizer.
    """
    tokenizer, search = system.tokenizer, system.search
    files = read_tokenizer_description(folder / "tokenizer.json").files
    return {
        "source": system.source,
        "target": system.target,
        "encoder": ENCODER_FILE,
        "step": STEP_FILE,
        "tokenizer": {"source": files.source, "target": files.target},
        **{name: getattr(tokenizer, name) for name in ("pad_id", "bos_id", "eos_id", "unk_id")},
        "prefix_ids": [] if tokenizer.source_tag is None else [tokenizer.tags[tokenizer.source_tag]],
        "banned_ids": list_banned_ids(tokenizer),
        "max_source_length": system.translator.max_length,
        "max_target_length": system.model.max_length,
        "beam_size": search.beam_size,
        "length_penalty": search.length_penalty,
        "max_length_factor": search.max_length_factor,
        "max_length_margin": search.max_length_margin,
    }


class OnnxEngine:
    """The translator of an exported folder; see `Engine`.

    Args:
        folder: of the model.
        length_penalty: of the run's search, which this translator has too.
    """

    def __init__(self, folder: Path, length_penalty: float) -> None:
        self.translator = OnnxTranslator(folder, num_threads=torch.get_num_threads())
        self.length_penalty = length_penalty

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        return [self.translator.encode(line) for line in lines]

    def translate(self, lines: Sequence[str], *, beam_size: int, exponent: float, max_tokens: int) -> list[Output]:
        length_penalty = self.length_penalty if beam_size > 1 else 0.0
        found = self.translator.search(lines, beam_size=beam_size, length_penalty=length_penalty)
        ids = [[step.token for step in steps] for steps in found]
        return [Output(self.translator.decode(each), each) for each in ids]

    def score(self, lines: Sequence[str], targets: Sequence[Sequence[int]]) -> list[list[float]]:
        return [self.translator.score(line, target) for line, target in zip(lines, targets, strict=True)]
