"""Compares the decoding speed of a trained Transformer with that of CTranslate2 with the same weights.

    pip install '.[export]'
    python scripts/compare_ctranslate2.py runs/multi30k/transformer-seed1 test.en --threads 2

CTranslate2 (https://github.com/OpenNMT/CTranslate2) is the field's fast engine for Transformers on a CPU.
`nmt export format=ctranslate2` writes its models.

Both engines translate the same lines from text to text, with the run's tokenizer and beam size, in float32, with the
same number of threads. They sort the lines by length, and translate them in batches and one at a time. Every round
measures both in turn, in one process. The results are medians over the rounds: sentences per second, and processor
seconds, which depend less on what else the machine does.

The engines rank hypotheses with different length penalties and stop the search at different moments. So their
translations are compared with greedy search, where neither matters.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import ctranslate2
import torch

from nmt import Translator
from nmt.export.ctranslate2 import write_model
from nmt.models import Transformer
from nmt.search import GreedySearch


def measure_seconds(function: Callable[[], object]) -> tuple[float, float]:
    """The time that a call takes: seconds on the clock, and processor seconds of all threads together."""
    clock, processor = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - clock, time.process_time() - processor


class CTranslate2:
    """CTranslate2 with the model of a translator, from text to text."""

    def __init__(self, translator: Translator, *, threads: int, compute_type: str) -> None:
        self.tokenizer = translator.tokenizer
        self.pieces = self.tokenizer.target_pieces(range(self.tokenizer.target_size))
        self.ids = {piece: index for index, piece in enumerate(self.pieces)}
        assert isinstance(translator.model, Transformer), "CTranslate2 needs a Transformer"
        with tempfile.TemporaryDirectory() as folder:
            write_model(translator.model, translator.tokenizer, Path(folder))
            self.engine = ctranslate2.Translator(
                folder, "cpu", compute_type=compute_type, intra_threads=threads, inter_threads=1
            )

    def translate(self, texts: Sequence[str], batch_size: int, beam_size: int) -> list[str]:
        """Translates in batches of `batch_size` sentences; 0 = all in one batch."""
        results = self.engine.translate_batch(
            [self.tokenizer.source_pieces(ids) for ids in self.tokenizer.encode_source(texts)],
            beam_size=beam_size,
            max_batch_size=batch_size,
            length_penalty=0.6,
        )
        return [self.tokenizer.decode_target([self.ids[piece] for piece in result.hypotheses[0]]) for result in results]


def translate_with_nmt(translator: Translator, texts: Sequence[str], batch_tokens: int) -> list[str]:
    """Translates in batches of `batch_tokens` tokens."""
    translator.batch_tokens = batch_tokens
    return [translation.text for translation in translator.translate(texts)]


Times = dict[str, list[tuple[float, float]]]
"""Name of an engine and its batch size -> (seconds, processor seconds) of every measurement."""


def measure(own: Translator, other: CTranslate2, lines: list[str], options: argparse.Namespace) -> tuple[Times, Times]:
    """Times both engines in turn.

    Returns:
        The times of translating all lines in batches, and of translating single lines.
    """
    beam_size = 1 if options.greedy else own.search.beam_size
    in_batches: dict[str, Callable[[], object]] = {
        f"nmt, {size} tokens": partial(translate_with_nmt, own, lines, size) for size in options.batch_tokens
    }
    in_batches |= {
        f"CTranslate2, {size} sentences": partial(other.translate, lines, size, beam_size)
        for size in options.batch_sizes
    }
    one_at_a_time: dict[str, Callable[[str], object]] = {
        "nmt": lambda line: translate_with_nmt(own, [line], 1024),
        "CTranslate2": lambda line: other.translate([line], 0, beam_size),
    }
    batch_times: Times = {name: [] for name in in_batches}
    single_times: Times = {name: [] for name in one_at_a_time}
    for _ in range(options.rounds):
        for name, translate_all in in_batches.items():
            batch_times[name].append(measure_seconds(translate_all))
        for line in lines[: options.singles]:
            for name, translate in one_at_a_time.items():
                single_times[name].append(measure_seconds(partial(translate, line)))
    return batch_times, single_times


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the run folder of a Transformer")
    parser.add_argument("lines", type=Path, help="a file of sentences")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each engine")
    parser.add_argument(
        "--batch-tokens", type=int, nargs="+", default=[512, 1024, 2048, 4096], help="batch sizes of nmt, in tokens"
    )
    parser.add_argument(
        "--batch-sizes", type=int, nargs="+", default=[16, 32, 64, 128], help="batch sizes of CTranslate2"
    )
    parser.add_argument("--compute-type", default="float32", help="number format of CTranslate2: float32 or int8")
    parser.add_argument("--singles", type=int, default=50, help="number of lines also translated one at a time")
    parser.add_argument("--rounds", type=int, default=3, help="number of measurements of each engine")
    parser.add_argument("--greedy", action="store_true", help="compare greedy search")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    lines = options.lines.read_text(encoding="utf-8").splitlines()
    greedy = GreedySearch(max_length_factor=1.5, max_length_margin=10)
    own = Translator.load(options.run, device="cpu", search=greedy if options.greedy else None)
    own.model.eval()
    other = CTranslate2(own, threads=options.threads, compute_type=options.compute_type)

    search, own.search = own.search, greedy
    pairs = zip(translate_with_nmt(own, lines, 1024), other.translate(lines, 64, 1), strict=True)
    num_equal = sum(own_text == other_text for own_text, other_text in pairs)
    own.search = search

    batch_times, single_times = measure(own, other, lines, options)
    report = {
        "ctranslate2": ctranslate2.__version__,
        "compute_type": options.compute_type,
        "threads": options.threads,
        "beam_size": 1 if options.greedy else own.search.beam_size,
        "lines": len(lines),
        "same_when_greedy": num_equal,
        "batches": {
            name: {
                "sentences_per_second": len(lines) / median(clock for clock, _ in times),
                "sentences_per_processor_second": len(lines) / median(processor for _, processor in times),
            }
            for name, times in batch_times.items()
        },
        "one_at_a_time": {
            name: {
                "median_seconds": median(clock for clock, _ in times),
                "p99_seconds": quantiles([clock for clock, _ in times], n=100)[98],
                "median_processor_seconds": median(processor for _, processor in times),
            }
            for name, times in single_times.items()
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
