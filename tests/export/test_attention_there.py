"""The attention of a model that was exported for transformers, which BertViz and inseq show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nmt.export.conversion import export_system
from nmt.export.huggingface import HuggingFaceFormat
from nmt.export.system import System

transformers = pytest.importorskip("transformers")


def test_the_attention_is_that_of_the_run(make_system: Callable[..., System], lines: list[str], tmp_path: Path) -> None:
    system = make_system("pre_norm")
    export_system(HuggingFaceFormat(), system, lines, tmp_path / "out")
    ours = system.translator.translate(lines[0], attention="all")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out", attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    batch = tokenizer([lines[0]], return_tensors="pt")
    target = torch.tensor([[system.tokenizer.bos_id, *system.tokenizer.target_ids(ours.target_tokens)[:-1]]])
    with torch.inference_mode():
        theirs = model(**batch, decoder_input_ids=target, output_attentions=True)
    assert tokenizer.convert_ids_to_tokens(batch.input_ids[0]) == ours.source_tokens
    pairs = [(theirs.cross_attentions, ours.attention["cross"]), (theirs.encoder_attentions, ours.attention["encoder"])]
    for layers, attention in pairs:
        weights = np.stack([layer[0].numpy() for layer in layers])  # (layers, H, T, S)
        assert weights == pytest.approx(attention.weights, abs=1e-5)


def test_bertviz_and_inseq_show_it(make_system: Callable[..., System], lines: list[str], tmp_path: Path) -> None:
    bertviz, inseq = pytest.importorskip("bertviz"), pytest.importorskip("inseq")
    export_system(HuggingFaceFormat(), make_system("pre_norm"), lines, tmp_path / "out")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out", attn_implementation="eager").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    batch = tokenizer(["one two"], return_tensors="pt")
    ids = model.generate(**batch, max_new_tokens=4)
    outputs = model(**batch, decoder_input_ids=ids, output_attentions=True)
    page = bertviz.head_view(
        encoder_attention=outputs.encoder_attentions,
        decoder_attention=outputs.decoder_attentions,
        cross_attention=outputs.cross_attentions,
        encoder_tokens=tokenizer.convert_ids_to_tokens(batch.input_ids[0]),
        decoder_tokens=tokenizer.convert_ids_to_tokens(ids[0]),
        html_action="return",
    )
    assert "one" in page.data and "left_text" in page.data
    attributed = inseq.load_model(model, "saliency", tokenizer=tokenizer).attribute("one two", show_progress=False)
    [sequence] = attributed.sequence_attributions
    assert [token.token for token in sequence.source] == tokenizer.convert_ids_to_tokens(batch.input_ids[0])
