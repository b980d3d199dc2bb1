#!/usr/bin/env python
"""How training and decoding grow with length, width and beam: curves for docs/performance.md.

    OMP_NUM_THREADS=1 python scripts/growth.py docs/pictures

Writes growth.json, growth-training.png and growth-decoding.png, and prints the tables. One thread, some minutes. A
figure is the median of the rounds; in each round all architectures do their work in turn, so that a busy moment of the
machine falls on all alike. What is counted is the process's own time, without that in which others had the core.
Sentences are of one length, so that nothing is padding; what they say does not matter.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib.pyplot as plt
import torch

from nmt import models, search
from nmt.benchmark.decoding import never_end
from nmt.data.batch import Batch, make_batch
from nmt.data.grammar import generate_pairs
from nmt.data.tokenizer import Tokenizer
from nmt.device import subnormals_as_zero
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.training.distributed import Processes
from nmt.training.loss import Objective
from nmt.training.update import Updater
from nmt.translator import Translator

VOCABULARY = 2000
BATCH_TOKENS = 2048
SENTENCES = 16  # translated at once
LENGTHS, WIDTHS, BEAMS = (8, 16, 32, 64, 128, 256, 512), (64, 128, 256, 512), (1, 2, 4, 8)
LENGTH, WIDTH, BEAM = 32, 128, 4  # what stays as it is while another thing grows
ROUNDS = 3
NAMES = {"lstm": "LSTM", "lstm_bahdanau": "BahdanauLSTM", "lstm_luong": "LuongLSTM", "transformer": "Transformer"}
Curves = dict[str, dict[int, float]]
"""Of each architecture, by what grows."""


def make(name: str, width: int) -> Seq2Seq:
    """A model of one layer if recurrent, of two and two if a Transformer."""
    arguments: dict[str, Any] = {
        "source_vocab_size": VOCABULARY,
        "target_vocab_size": VOCABULARY,
        "shared_vocab": True,
        "dropout": 0.1,
        "tie_output": True,
    }
    if name == "transformer":
        arguments |= {"model_size": width, "feedforward_size": 2 * width, "num_heads": 4, "pre_norm": True}
        arguments |= {"num_encoder_layers": 2, "num_decoder_layers": 2, "max_length": max(LENGTHS) + 2}
    else:
        arguments |= {"embedding_size": width, "hidden_size": width, "num_layers": 1}
    if name == "lstm_bahdanau":
        arguments["attention_size"] = width
    if name == "lstm_luong":
        score = {"class": "GeneralScore", "arguments": {"query_size": width, "value_size": width}}
        arguments |= {"input_feeding": True, "score": score}
    torch.manual_seed(1)
    return build({"class": NAMES[name], "arguments": arguments}, models)


def batch_of(length: int) -> Batch:
    """Sentences of `length` pieces, `eos` included, as many as the budget holds."""
    ids = torch.randint(4, VOCABULARY, (BATCH_TOKENS // length, length - 1)).tolist()
    return make_batch(ids, ids, pad_id=0, bos_id=2, eos_id=3)


def rounds(points: dict[tuple[str, int], Callable[[], float]]) -> Curves:
    """The median of what each point measures, after one time that does not count."""
    found: dict[tuple[str, int], list[float]] = {point: [] for point in points}
    for number in range(ROUNDS + 1):
        for point, measure in points.items():
            value = measure()
            if number > 0:
                found[point].append(value)
    curves: Curves = {name: {} for name in NAMES}
    for (name, size), values in found.items():
        curves[name][size] = median(values)
    return curves


def training(name: str, *, width: int, length: int) -> Callable[[], float]:
    """Measures microseconds of a step per target token."""
    model = make(name, width)
    updater = Updater(
        model=model,
        objective=Objective(model, label_smoothing=0.1),
        optimizer=torch.optim.Adam(model.parameters()),
        autocast=nullcontext,
        clip_norm=1.0,
        processes=Processes(),
    )
    batch = batch_of(length)

    def measure() -> float:
        began = time.process_time()
        updater.update([batch], rate=1e-4, step=1)
        return (time.process_time() - began) * 1e6 / batch.num_tokens

    return measure


def decoding(name: str, tokenizer: Tokenizer, word: str, *, beam: int, length: int) -> Callable[[], float]:
    """Measures milliseconds per sentence of `length` words, each of one piece, into as many pieces."""
    model = make(name, WIDTH).eval()
    never_end(model, tokenizer.eos_id)
    limits = {"max_length_factor": 1.0, "max_length_margin": 1}
    searcher = build({"class": "BeamSearch", "arguments": {"beam_size": beam, "length_penalty": 0.6, **limits}}, search)
    translator = Translator(model, tokenizer, searcher, batch_tokens=SENTENCES * (length + 1))
    lines = [" ".join([word] * length)] * SENTENCES

    def measure() -> float:
        began = time.process_time()
        translator.translate(lines)
        return (time.process_time() - began) * 1e3 / SENTENCES

    return measure


def learned() -> tuple[Tokenizer, str]:
    """A tokenizer of the vocabulary's size, and a word that it has as one piece."""
    pairs = list(itertools.islice(generate_pairs(1), 20_000))
    tokenizer = Tokenizer.train(
        [pair.source for pair in pairs],
        [pair.target for pair in pairs],
        vocab_size=VOCABULARY,
        model_type="bpe",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
    )
    return tokenizer, next(word for word in ("the", "is", "a") if len(tokenizer.encode_source([word] * 1)[0]) == 1)


def draw(path: Path, pictures: list[tuple[str, str, str, Curves]]) -> None:
    """One picture of several curves side by side, both axes logarithmic: a straight line of slope one is linear."""
    figure, axes = plt.subplots(1, len(pictures), figsize=(5.2 * len(pictures), 3.9), layout="constrained")
    for axis, (title, below, beside, curves) in zip(axes, pictures, strict=True):
        for (name, values), marker in zip(curves.items(), "os^D", strict=True):
            axis.plot(list(values), list(values.values()), marker=marker, label=name)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        sizes = list(next(iter(curves.values())))
        axis.set_xticks(sizes, list(map(str, sizes)))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set(title=title, xlabel=below, ylabel=beside)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=110)


def table(below: str, beside: str, curves: Curves) -> str:
    """The figures as Markdown."""
    sizes = list(next(iter(curves.values())))
    rows = [[f"{beside} by {below}", *map(str, sizes)], ["---", *["---:"] * len(sizes)]]
    rows += [[name, *(f"{curves[name][size]:.3g}" for size in sizes)] for name in curves]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@subnormals_as_zero()  # as in nmt train
def main(folder: Path) -> None:
    torch.set_num_threads(1)
    tokenizer, word = learned()
    assert tokenizer.target_size == VOCABULARY
    by_length = rounds({(name, n): training(name, width=WIDTH, length=n) for name in NAMES for n in LENGTHS})
    by_width = rounds({(name, n): training(name, width=n, length=LENGTH) for name in NAMES for n in WIDTHS})
    by_beam = rounds(
        {(name, n): decoding(name, tokenizer, word, beam=n, length=LENGTH) for name in NAMES for n in BEAMS}
    )
    by_pieces = rounds(
        {(name, n): decoding(name, tokenizer, word, beam=BEAM, length=n) for name in NAMES for n in LENGTHS[:-3]}
    )
    token, sentence = "µs per target token", "ms per sentence"
    pieces = "pieces in a sentence"
    shown = {
        "growth-training.png": [
            (f"training, width {WIDTH}", pieces, token, by_length),
            (f"training, {LENGTH} pieces", "width", token, by_width),
        ],
        "growth-decoding.png": [
            (f"decoding, {LENGTH} pieces", "beam size", sentence, by_beam),
            (f"decoding, beam {BEAM}", pieces, sentence, by_pieces),
        ],
    }
    for name, pictures in shown.items():
        draw(folder / name, pictures)
        for title, below, beside, curves in pictures:
            print(f"{title}\n\n{table(below, beside, curves)}\n")
    every = {title: curves for pictures in shown.values() for title, _, _, curves in pictures}
    (folder / "growth.json").write_text(json.dumps(every, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
