"""A Transformer as a model of Hugging Face's transformers, for translating, further training, or looking inside.

`marian.py` writes the model. MarianTokenizer applies our SentencePiece models unchanged.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nmt.data.tokenizer import Tokenizer
from nmt.data.tokenizer.description import read_models
from nmt.export.conversion import move_folder
from nmt.export.ctranslate2 import BATCH_SIZE, NEVER
from nmt.export.marian import list_target_ids, write_model
from nmt.export.packages import check_packages
from nmt.export.system import System
from nmt.export.verification import Engine, Output, OwnTranslations
from nmt.models import SinusoidalPositions
from nmt.translator.batch import list_banned_ids

README = """\
---
language: ["{source}", "{target}"]
library_name: transformers
tags: [translation]
---

# {source} to {target}

Exported from the nmt run `{run}`; `export.json` says how its translations were compared.

```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("PATH OF THIS FOLDER")
model = AutoModelForSeq2SeqLM.from_pretrained("PATH OF THIS FOLDER")
batch = tokenizer(["{tag}A dog runs."], return_tensors="pt", padding=True, truncation=True)
print(tokenizer.batch_decode(model.generate(**batch), skip_special_tokens=True))
```

`model(**tokenizer(sources, text_target=targets, return_tensors="pt", padding=True)).loss` trains it further. The length
penalty in `generation_config.json` approximates that of nmt.
"""


class HuggingFaceFormat:
    """Writes a Transformer for transformers, and opens it there; see `Format`."""

    name = "huggingface"
    packages: tuple[str, ...] = ("transformers",)
    shares_length_penalty = False

    def check(self, system: System) -> None:
        positions = system.transformer(self.name).encoder.positions
        if not isinstance(positions, SinusoidalPositions):
            system.refuse(self.name, f"it takes sinusoidal positions, not {type(positions).__name__}")
        check_packages(self.packages, need=f"format={self.name}")

    def write(self, system: System, own: OwnTranslations, folder: Path) -> None:
        model, tokenizer = system.transformer(self.name), system.tokenizer
        arguments = system.run.description("model")["arguments"]
        write_model(model, tokenizer, arguments, describe_generation(system, own.exponent), folder)
        write_tokenizer(system, folder)
        text = README.format(
            source=system.source, target=system.target, run=system.run.name, tag=tag_prefix(tokenizer.source_tag)
        )
        (folder / "README.md").write_text(text, encoding="utf-8")

    def open(self, system: System, folder: Path) -> Engine:
        return TransformersEngine(folder, system.tokenizer)

    def publish(self, folder: Path, out: Path) -> None:
        move_folder(folder, out)


class TransformersEngine:
    """transformers with an exported model; see `Engine`.

    Args:
        folder: of the model.
        tokenizer: of the run.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        import transformers

        transformers.logging.set_verbosity_error()
        transformers.logging.disable_progress_bar()
        self.model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.own = tokenizer
        self.target_ids = list_target_ids(tokenizer)
        self.own_ids = {theirs: ours for ours, theirs in enumerate(self.target_ids)}

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        return [ids[:-1] for ids in self.tokenizer(self._tagged(lines))["input_ids"]]

    @torch.inference_mode()
    def translate(self, lines: Sequence[str], *, beam_size: int, exponent: float, max_tokens: int) -> list[Output]:
        outputs = []
        for start in range(0, len(lines), BATCH_SIZE):
            batch = self.tokenizer(self._tagged(lines[start : start + BATCH_SIZE]), return_tensors="pt", padding=True)
            search: dict[str, Any] = {"num_beams": beam_size, "max_new_tokens": max_tokens}
            if beam_size > 1:
                search["length_penalty"] = exponent
            generated = self.model.generate(**batch, **search, do_sample=False, forced_eos_token_id=None)
            texts = self.tokenizer.batch_decode(generated, skip_special_tokens=True)
            outputs += list(map(Output, texts, map(self._to_own, generated.tolist())))
        return outputs

    @torch.inference_mode()
    def score(self, lines: Sequence[str], targets: Sequence[Sequence[int]]) -> list[list[float]]:
        banned = [self.target_ids[id] for id in list_banned_ids(self.own)]
        scores = []
        for line, target in zip(self._tagged(lines), targets, strict=True):
            ids = torch.tensor([[self.own.bos_id, *(self.target_ids[id] for id in target)]])  # (1, 1 + T)
            batch = self.tokenizer([line], return_tensors="pt")
            logits = self.model(**batch, decoder_input_ids=ids[:, :-1]).logits[0]  # (T, V)
            logits[:, banned] = NEVER
            scores.append(logits.log_softmax(-1).gather(1, ids[0, 1:, None]).squeeze(1).tolist())  # T
        return scores

    def _tagged(self, lines: Sequence[str]) -> list[str]:
        """The lines with the run's tag before each, as the tokenizer reads it."""
        return [tag_prefix(self.own.source_tag) + line for line in lines]

    def _to_own(self, ids: Sequence[int]) -> list[int]:
        """Generated ids in our vocabulary: without `bos` at their start and anything after `eos`."""
        own = [self.own_ids[id] for id in ids[1:]]
        return own[: own.index(self.own.eos_id) + 1] if self.own.eos_id in own else own


def describe_generation(system: System, exponent: float) -> dict[str, Any]:
    """The settings of generate() that search like the run."""
    tokenizer, target_ids = system.tokenizer, list_target_ids(system.tokenizer)
    beam_size = system.search.beam_size
    beam = {"num_beams": beam_size, "length_penalty": exponent, "early_stopping": False} if beam_size > 1 else {}
    return {
        **beam,
        "max_new_tokens": system.translator.max_length - 1,
        "suppress_tokens": sorted(target_ids[id] for id in list_banned_ids(tokenizer)),
        "pad_token_id": tokenizer.pad_id,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "decoder_start_token_id": tokenizer.bos_id,
        "forced_eos_token_id": tokenizer.eos_id,
    }


def write_tokenizer(system: System, folder: Path) -> None:
    """Writes the files of MarianTokenizer: the SentencePiece models, and the id of each piece."""
    tokenizer = system.tokenizer
    _, source_model, target_model = read_models(system.run.path / "tokenizer.json")
    (folder / "source.spm").write_bytes(source_model)
    (folder / "target.spm").write_bytes(target_model or source_model)
    names = {f"<{tag}>": tag_prefix(tag) for tag in tokenizer.tags}
    source = tokenizer.source_pieces(range(tokenizer.source_size))
    write_vocabulary({names.get(piece, piece): id for id, piece in enumerate(source)}, folder / "vocab.json")
    if not tokenizer.shared:
        target = tokenizer.target_pieces(range(tokenizer.target_size))
        ids = dict(zip(target, list_target_ids(tokenizer), strict=True))
        write_vocabulary(ids, folder / "target_vocab.json")
    special = {"bos_token": tokenizer.bos_id, "eos_token": tokenizer.eos_id}
    special |= {"pad_token": tokenizer.pad_id, "unk_token": tokenizer.unk_id}
    config = {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": system.source,
        "target_lang": system.target,
        "model_max_length": system.translator.max_length,
        "separate_vocabs": not tokenizer.shared,
        **{name: source[id] for name, id in special.items()},
        "split_special_tokens": True,  # a "</s>" in a text is no end of the sentence
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_vocabulary(ids: dict[str, int], path: Path) -> None:
    """Writes the id of each piece as JSON."""
    path.write_text(json.dumps(ids, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def tag_prefix(tag: str | None) -> str:
    """How MarianTokenizer reads a tag at the start of a line, with no space after it."""
    return "" if tag is None else f">>{tag}<<"
