"""ONNX: an exported run in onnxruntime, and in Chromium with onnxruntime-web if NMT_ONNXRUNTIME_WEB names its folder.

`tests/models/test_graph_steps.py` tests every architecture, and `test_page.py` exports a Transformer.
"""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt import Translator
from nmt.cli import main
from nmt.data.tokenizer import Tokenizer
from nmt.export.conversion import export_system
from nmt.export.onnx import OnnxFormat, write_page
from nmt.export.onnx_graphs import OnnxEncoder
from nmt.export.onnx_translator import Beam
from nmt.export.system import System
from nmt.models.dropout import Dropout
from nmt.models.recurrent import BidirectionalEncoder, GRUCell

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ONNXRUNTIME_WEB = os.environ.get("NMT_ONNXRUNTIME_WEB")

LINES = ["one two three", "nine", "", "seven six five four three two one", "two  two \u200b", "zwölf \U0001f600"]
"""Lines of different lengths, one of them empty, and some with characters that the vocabulary lacks."""

TEXTS = [
    *LINES,
    "A dog runs through the snow.",
    "e\u0301 é ậ a\u0323\u0302 ½ m² ，ｆｕｌｌ ﬁ",
    "日本語のテキスト、です。",
    "Привет, мир! Γειά σου. مرحبا بالعالم שלום नमस्ते दुनिया 한국어 ไทย",
    "<s> </s> <unk> ▁x▁ ▅ \ufdd0 a\tb  ",
    "👩‍👩‍👧 ⁇ \u3000 \u0301x",
    "a dog<br>runs <br> <br><br>b",
]
"""Text of several scripts, with spaces and characters that SentencePiece treats in its own way."""

SIGNS = ["<b b> <r r> b< r< <br >"] * 300
"""Lines that make the characters of the symbol "<br>" frequent, so that their pieces compete with it."""


@pytest.fixture(scope="module")
def exported(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder to which a run with input feeding was exported."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    out = tmp_path_factory.mktemp("exported") / "luong"
    assert main(["export", f"run={trained_run}", "format=onnx", f"out={out}"]) == 0
    return out


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of its own."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[str]:
    """The address at which a plain web server for files serves the test's folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_onnxruntime_translates_as_the_run_does(exported: Path, trained_run: Path) -> None:
    record = json.loads((exported / "export.json").read_text(encoding="utf-8"))
    verification = record["verification"]
    assert verification["lines"] == 16 and verification["largest_difference"] < 1e-4
    assert [comparison["same"] for comparison in verification["comparisons"]] == [16, 16]  # greedy, and by a beam
    translations = Translator.load(trained_run, device="cpu").translate(LINES)
    result = run_script(exported, LINES)
    assert result.stdout.splitlines() == [translation.text for translation in translations]
    assert result.stderr == ""


def test_sparse_attention_takes_lines_of_one_block_and_of_several(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path
) -> None:
    """The blocks have 8 positions. A line of three blocks is added to the lines that verify the export."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    system = make_system("sparse")
    assert max(map(len, system.tokenizer.encode_source(lines[:2]))) < 16
    record = export_system(OnnxFormat(), system, lines[:2], tmp_path / "out")
    assert record.verification.lines == 3 and record.verification.largest_difference < 1e-4


def run_script(folder: Path, lines: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Starts translate.py where standard output has another encoding."""
    return subprocess.run(
        [sys.executable, "translate.py"],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        input="\n".join(lines),
        capture_output=True,
        encoding="utf-8",
        check=True,
    )


def test_the_script_says_what_it_cuts(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "short"))
    settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps(settings | {"max_source_length": 4}), encoding="utf-8")
    lines = ["one two", "one two three four five"]
    result = run_script(folder, lines)
    assert result.stderr == "line 2 is too long for the model: its end is not translated\n"
    assert len(result.stdout.splitlines()) == 2


def test_the_operator_of_onnx_reads_sentences_as_the_encoder_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bidirectional GRU of two layers; the exported run has LSTMs."""
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")

    def run_operator(
        operator: str, tensors: Sequence[Tensor], attributes: dict[str, Any], *, version: int, **_: Any
    ) -> list[Tensor]:
        """Computes in onnxruntime what the exporter would write into a graph."""
        names = ["inputs", "weights", "recurrent", "biases", "lengths"]
        arrays = dict(zip(names, (tensor.numpy() for tensor in tensors), strict=True))
        types = {name: onnx.helper.np_dtype_to_tensor_dtype(array.dtype) for name, array in arrays.items()}
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(operator, names, ["outputs", "last"], **attributes)],
            "operator",
            [onnx.helper.make_tensor_value_info(name, types[name], array.shape) for name, array in arrays.items()],
            [onnx.helper.make_tensor_value_info(name, types["inputs"], None) for name in ("outputs", "last")],
        )
        opsets = [onnx.helper.make_opsetid("", version)]
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        return [torch.from_numpy(each) for each in session.run(["outputs", "last"], arrays)]

    monkeypatch.setattr(torch.onnx.ops, "symbolic_multi_out", run_operator)
    encoder = BidirectionalEncoder(
        cell=GRUCell(), input_size=4, hidden_size=6, num_layers=2, dropout=Dropout(0.0)
    ).eval()
    inputs, mask = torch.randn(2, 7, 4), torch.arange(7) < torch.tensor([[7], [3]])  # (2, 7, 4), (2, 7)
    with torch.no_grad():
        expected_outputs, expected_summary = encoder(inputs, mask)
        outputs, summary = OnnxEncoder(encoder)(inputs, mask)
    torch.testing.assert_close(outputs[mask], expected_outputs[mask], rtol=0, atol=1e-6)
    torch.testing.assert_close(summary, expected_summary, rtol=0, atol=1e-6)


def test_a_beam_may_be_larger_than_the_vocabulary() -> None:
    """Of 3 tokens, the 5 slots get the two that are possible."""
    beam = Beam(5, 2, 0.0, bos_id=1, eos_id=2)
    beam.extend(1, np.array([[math.log(0.75), -math.inf, math.log(0.25)]], np.float32), None)
    assert [hypothesis.token for hypothesis in beam.open] == [0]
    assert beam.best.token == 2 and beam.num_free == 4
    assert beam.best_score == pytest.approx(math.log(0.25))


@pytest.mark.browser
def test_pieces_in_javascript_are_those_of_sentencepiece(
    page: Page, serve: str, corpus_folder: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    tokenizers = {"compose": tokenizer}
    for name, normalization, model_type, byte_fallback in (
        ("unigram", "nmt_nfkc", "unigram", True),
        ("bpe", "none", "bpe", False),
    ):
        train: Any = Tokenizer.train
        tokenizers[name] = train(
            [*TEXTS, *SIGNS, *(corpus_folder / "train.en").read_text().splitlines()],
            [],
            vocab_size=400,
            model_type=model_type,
            shared=True,
            character_coverage=0.98,
            byte_fallback=byte_fallback,
            normalization=normalization,
            tags=("2de",),
            symbols=("two", "three t", "<br>"),
        )
    write_page(tmp_path)
    page.goto(f"{serve}/page/style.css")  # any file of the server: its scripts may load its modules
    for name, each in tokenizers.items():
        each.save(tmp_path)
        result = page.evaluate(
            """async (texts) => {
              const { SentencePiece } = await import("/page/sentencepiece.js");
              const file = await fetch("/tokenizer.model", { cache: "no-store" });
              const model = new SentencePiece(new Uint8Array(await file.arrayBuffer()));
              return texts.map((text) => [model.encode(text), model.decode(model.encode(text))]);
            }""",
            TEXTS,
        )
        for text, (ids, decoded) in zip(TEXTS, result, strict=True):
            [expected] = each.encode_source([text])
            if text.strip(" \u200b"):  # the model itself has pieces for text that prints nothing
                assert ids == expected, (name, text)
                assert decoded == each.decode_target(expected), (name, text)


@pytest.mark.browser
def test_pieces_are_grouped_by_words(page: Page, serve: str, tmp_path: Path) -> None:
    write_page(tmp_path)
    page.goto(f"{serve}/page/style.css")
    pieces = ["<2de>", "▁", "<0xC3>", "<0x84>", "pfel", "▁dog", ".", "▁我", "喜欢", "<br>", "▁a", "</s>"]
    words = page.evaluate("async pieces => (await import('/page/words.js')).groupPieces(pieces)", pieces)
    assert [(word["text"], word["pieces"]) for word in words] == [
        ("<2de>", [0]),
        ("Äpfel", [1, 2, 3, 4]),
        ("dog", [5]),
        (".", [6]),
        ("我", [7]),
        ("喜欢", [8]),
        ("<br>", [9]),
        ("a", [10]),
        ("</s>", [11]),
    ]


@pytest.mark.browser
@pytest.mark.skipif(
    ONNXRUNTIME_WEB is None,
    reason="needs NMT_ONNXRUNTIME_WEB, the folder node_modules/onnxruntime-web that `npm install` makes",
)
def test_the_page_translates_without_a_server(
    exported: Path, trained_run: Path, page: Page, serve: str, tmp_path: Path
) -> None:
    assert ONNXRUNTIME_WEB is not None
    shutil.copytree(exported, tmp_path / "model")
    (tmp_path / "model" / "node_modules").mkdir()
    (tmp_path / "model" / "node_modules" / "onnxruntime-web").symlink_to(ONNXRUNTIME_WEB)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: problems.append(request.url) if not request.url.startswith(serve) else None)
    page.goto(f"{serve}/model/")
    page.wait_for_selector("#button:enabled")
    for line in LINES:
        [translation] = Translator.load(trained_run, device="cpu").translate([line], attention="cross")
        page.fill("#source", line)
        page.press("#source", "Enter")
        page.wait_for_function(
            "text => document.getElementById('translation').textContent === text", arg=translation.text
        )
        assert page.locator("#lines .word").count() > 0 or not line
    assert problems == []
