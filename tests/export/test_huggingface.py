"""Models of transformers: every variant that it can express, compared with the run by transformers itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nmt.errors import UserError
from nmt.export.conversion import export_system
from nmt.export.huggingface import HuggingFaceFormat
from nmt.export.system import System

transformers = pytest.importorskip("transformers")

CLASSES = {
    "pre_norm": "PegasusForConditionalGeneration",
    "untied": "PegasusForConditionalGeneration",
    "two_vocabularies": "PegasusForConditionalGeneration",
    "post_norm": "MarianMTModel",
    "two_vocabularies_post_norm": "MarianMTModel",
    "multi_query": "MarianMTModel",
}


@pytest.mark.parametrize("variant", CLASSES)
def test_transformers_computes_what_the_run_computes(
    make_system: Callable[..., System], lines: list[str], tmp_path: Path, variant: str
) -> None:
    system, out = make_system(variant), tmp_path / "out"
    record = export_system(HuggingFaceFormat(), system, lines, out)
    assert record.verification.largest_difference < 1e-4
    for comparison in record.verification.comparisons:
        assert comparison.different.keys() <= {"length limit", "length penalty", "search"}

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    assert type(model).__name__ == CLASSES[variant]
    strange = ["</s> <s> one", " one  two", "ünknown ½", "one\u200btwo"]
    encoded = system.tokenizer.encode_source(strange)
    assert [ids[:-1] for ids in tokenizer(strange)["input_ids"]] == encoded


def test_training_continues_there(make_system: Callable[..., System], lines: list[str], tmp_path: Path) -> None:
    """With two vocabularies, whose target ids are not ours."""
    export_system(HuggingFaceFormat(), make_system("two_vocabularies"), lines, tmp_path / "out")
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    batch = tokenizer(["one two"], text_target=["eins zwei"], return_tensors="pt")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    losses = []
    for _ in range(2):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert 0 < losses[1] < losses[0] < 100


def test_a_tag_is_typed_before_a_line(make_system: Callable[..., System], lines: list[str], tmp_path: Path) -> None:
    system = make_system("pre_norm", tags=("2de", "2en"), source_tag="2de")
    record = export_system(HuggingFaceFormat(), system, lines, tmp_path / "out")
    assert record.verification.largest_difference < 1e-4
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    for tag in ("2de", "2en"):
        [ours] = system.tokenizer.encode_source(["one two"], tags=[tag])
        assert tokenizer(f">>{tag}<<one two")["input_ids"][:-1] == ours
    assert 'tokenizer([">>2de<<A dog runs."]' in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("variant", ["learned", "rotary", "relative"])
def test_other_positions_are_refused(make_system: Callable[..., System], variant: str) -> None:
    system = make_system(variant)
    with pytest.raises(UserError, match=rf"it takes sinusoidal positions, not {variant.capitalize()}Positions"):
        HuggingFaceFormat().check(system)
