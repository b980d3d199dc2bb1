#!/usr/bin/env python
"""Measures how the cost of training and decoding grows with length, width and beam size.

    OMP_NUM_THREADS=1 python scripts/growth.py docs/pictures

Writes growth.json, growth-training.png and growth-decoding.png for docs/performance.md, and prints the numbers as
tables. It runs on one thread and takes some minutes. A number is the median over the rounds. In each round all
architectures are measured in turn, so that a busy moment of the machine affects all of them. The time is processor time
of this process, which does not include the time in which other processes used the core. All sentences have the same
length, so there is no padding; their content is random, since it does not affect the cost.
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
from nmt.benchmark.decoding import suppress_eos
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

VOCAB_SIZE = 2000
BATCH_TOKENS = 2048
NUM_SENTENCES = 16  # translated at once
LENGTHS, WIDTHS, BEAM_SIZES = (8, 16, 32, 64, 128, 256, 512), (64, 128, 256, 512), (1, 2, 4, 8)
FIXED_LENGTH, FIXED_WIDTH, FIXED_BEAM_SIZE = 32, 128, 4  # while another quantity grows
NUM_ROUNDS = 3
NAMES = {"lstm": "PlainRNN", "lstm_bahdanau": "BahdanauRNN", "lstm_luong": "LuongRNN", "transformer": "Transformer"}
Curves = dict[str, dict[int, float]]
"""Architecture -> {size of the growing quantity: measured cost}."""


def make_model(name: str, width: int) -> Seq2Seq:
    """A recurrent model of one layer, or a Transformer of two encoder and two decoder layers."""
    arguments: dict[str, Any] = {
        "source_vocab_size": VOCAB_SIZE,
        "target_vocab_size": VOCAB_SIZE,
        "shared_vocab": True,
        "dropout": 0.1,
        "embedding_dropout": 0.1,
        "word_dropout": 0.0,
        "tie_output": True,
    }
    if name == "transformer":
        arguments |= {"model_size": width, "feedforward_size": 2 * width, "num_heads": 4, "pre_norm": True}
        arguments["num_key_value_heads"] = 4
        arguments |= {"activation_dropout": 0.1, "attention_dropout": 0.0, "layer_dropout": 0.0}
        arguments |= {"num_encoder_layers": 2, "num_decoder_layers": 2}
        sizes = {"model_size": width, "max_length": max(LENGTHS) + 2}
        arguments["encoder_attention"] = None
        arguments["positions"] = {"class": "SinusoidalPositions", "arguments": sizes}
    else:
        arguments |= {"embedding_size": width, "hidden_size": width, "num_layers": 1}
        arguments |= {"variational_dropout": False, "recurrent_dropout": 0.0, "cell": {"class": "LSTMCell"}}
    sizes = {"query_size": width, "value_size": width}
    if name in ("lstm_bahdanau", "lstm_luong"):
        arguments |= {"encoder_dropout": 0.0, "span": {"class": "GlobalSpan"}}
    if name == "lstm_bahdanau":
        arguments["score"] = {"class": "AdditiveScore", "arguments": sizes | {"attention_size": width}}
    if name == "lstm_luong":
        arguments |= {"input_feeding": True, "score": {"class": "GeneralScore", "arguments": sizes}}
    torch.manual_seed(1)
    return build({"class": NAMES[name], "arguments": arguments}, models)


def random_batch(length: int) -> Batch:
    """A batch of BATCH_TOKENS random pieces on each side, in sentences of `length` pieces, `eos` included."""
    ids = torch.randint(4, VOCAB_SIZE, (BATCH_TOKENS // length, length - 1)).tolist()
    return make_batch(ids, ids, pad_id=0, bos_id=2, eos_id=3)


def measure_in_turn(points: dict[tuple[str, int], Callable[[], float]]) -> Curves:
    """The median of every point's measurements over the rounds; a first round for warm-up does not count."""
    costs: dict[tuple[str, int], list[float]] = {point: [] for point in points}
    for number in range(NUM_ROUNDS + 1):
        for point, measure in points.items():
            cost = measure()
            if number > 0:
                costs[point].append(cost)
    curves: Curves = {name: {} for name in NAMES}
    for (name, size), values in costs.items():
        curves[name][size] = median(values)
    return curves


def training_cost(name: str, *, width: int, length: int) -> Callable[[], float]:
    """Returns a function that measures an update: microseconds per target token."""
    model = make_model(name, width)
    updater = Updater(
        model=model,
        objective=Objective(model, label_smoothing=0.1),
        optimizer=torch.optim.Adam(model.parameters()),
        autocast=nullcontext,
        clip_norm=1.0,
        processes=Processes(),
    )
    batch = random_batch(length)

    def measure() -> float:
        start = time.process_time()
        updater.update([batch], rate=1e-4, step=1)
        return (time.process_time() - start) * 1e6 / batch.num_tokens

    return measure


def decoding_cost(name: str, tokenizer: Tokenizer, word: str, *, beam_size: int, length: int) -> Callable[[], float]:
    """Returns a function that measures decoding: milliseconds per sentence of `length` pieces into as many pieces."""
    model = make_model(name, FIXED_WIDTH).eval()
    suppress_eos(model, tokenizer.eos_id)
    limits = {"max_length_factor": 1.0, "max_length_margin": 1}
    arguments = {"beam_size": beam_size, "length_penalty": 0.6, **limits}
    searcher = build({"class": "BeamSearch", "arguments": arguments}, search)
    translator = Translator(model, tokenizer, searcher, batch_tokens=NUM_SENTENCES * (length + 1))
    lines = [" ".join([word] * length)] * NUM_SENTENCES

    def measure() -> float:
        start = time.process_time()
        translator.translate(lines)
        return (time.process_time() - start) * 1e3 / NUM_SENTENCES

    return measure


def make_tokenizer() -> tuple[Tokenizer, str]:
    """A tokenizer with VOCAB_SIZE pieces, and a word that is one of them."""
    pairs = list(itertools.islice(generate_pairs(1), 20_000))
    tokenizer = Tokenizer.train(
        [pair.source for pair in pairs],
        [pair.target for pair in pairs],
        vocab_size=VOCAB_SIZE,
        model_type="bpe",
        shared=True,
        character_coverage=1.0,
        byte_fallback=False,
        normalization="compose",
    )
    return tokenizer, next(word for word in ("the", "is", "a") if len(tokenizer.encode_source([word] * 1)[0]) == 1)


def draw(path: Path, plots: list[tuple[str, str, str, Curves]]) -> None:
    """Draws plots side by side. Both axes are logarithmic, so linear growth is a straight line of slope one.

    Args:
        plots: (title, label of the x axis, label of the y axis, curves).
    """
    figure, axes = plt.subplots(1, len(plots), figsize=(5.2 * len(plots), 3.9), layout="constrained")
    for axis, (title, x_label, y_label, curves) in zip(axes, plots, strict=True):
        for (name, values), marker in zip(curves.items(), "os^D", strict=True):
            axis.plot(list(values), list(values.values()), marker=marker, label=name)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        sizes = list(next(iter(curves.values())))
        axis.set_xticks(sizes, list(map(str, sizes)))
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set(title=title, xlabel=x_label, ylabel=y_label)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(path, dpi=110)


def format_table(x_label: str, y_label: str, curves: Curves) -> str:
    """The numbers as a Markdown table."""
    sizes = list(next(iter(curves.values())))
    rows = [[f"{y_label} by {x_label}", *map(str, sizes)], ["---", *["---:"] * len(sizes)]]
    rows += [[name, *(f"{curves[name][size]:.3g}" for size in sizes)] for name in curves]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@subnormals_as_zero()  # as in nmt train
def main(folder: Path) -> None:
    torch.set_num_threads(1)
    tokenizer, word = make_tokenizer()
    assert tokenizer.target_size == VOCAB_SIZE
    training_by_length = measure_in_turn(
        {(name, size): training_cost(name, width=FIXED_WIDTH, length=size) for name in NAMES for size in LENGTHS}
    )
    training_by_width = measure_in_turn(
        {(name, size): training_cost(name, width=size, length=FIXED_LENGTH) for name in NAMES for size in WIDTHS}
    )

    def decoding(name: str, *, beam_size: int, length: int) -> Callable[[], float]:
        return decoding_cost(name, tokenizer, word, beam_size=beam_size, length=length)

    decoding_by_beam_size = measure_in_turn(
        {(name, size): decoding(name, beam_size=size, length=FIXED_LENGTH) for name in NAMES for size in BEAM_SIZES}
    )
    short_lengths = LENGTHS[:-3]  # decoding takes as many steps as the sentence has pieces
    decoding_by_length = measure_in_turn(
        {
            (name, size): decoding(name, beam_size=FIXED_BEAM_SIZE, length=size)
            for name in NAMES
            for size in short_lengths
        }
    )
    per_token, per_sentence, pieces = "µs per target token", "ms per sentence", "pieces in a sentence"
    figures = {
        "growth-training.png": [
            (f"training, width {FIXED_WIDTH}", pieces, per_token, training_by_length),
            (f"training, {FIXED_LENGTH} pieces", "width", per_token, training_by_width),
        ],
        "growth-decoding.png": [
            (f"decoding, {FIXED_LENGTH} pieces", "beam size", per_sentence, decoding_by_beam_size),
            (f"decoding, beam {FIXED_BEAM_SIZE}", pieces, per_sentence, decoding_by_length),
        ],
    }
    for name, plots in figures.items():
        draw(folder / name, plots)
        for title, x_label, y_label, curves in plots:
            print(f"{title}\n\n{format_table(x_label, y_label, curves)}\n")
    all_curves = {title: curves for plots in figures.values() for title, _, _, curves in plots}
    (folder / "growth.json").write_text(json.dumps(all_curves, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
