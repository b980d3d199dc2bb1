"""Decoding speed of a trained Transformer beside CTranslate2's with the same weights, in turn, in one process.

    pip install ctranslate2
    python scripts/compare_ctranslate2.py runs/multi30k/transformer-seed1 test.en --threads 2

CTranslate2 (https://github.com/OpenNMT/CTranslate2), which this needs and nmt does not, is the field's fast engine for
models of this kind on a CPU, and so a yardstick. Both translate the same lines from text to text with the run's own
tokenizer and beam size, in float32 and with as many threads, sorted by length, in batches and one at a time; every
round measures both, and figures are the rounds' medians: sentences a second, and processor seconds, which count less of
what else the machine does. The two rank hypotheses by different length penalties, and stop at different moments, so
translations are compared for a greedy search, where neither matters.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import ctranslate2
import torch
from ctranslate2.specs import TransformerSpec

from nmt import Translator
from nmt.models import Transformer
from nmt.models.transformer.sublayers import Residual
from nmt.search import GreedySearch


def set_linear(spec: Any, *layers: torch.nn.Linear) -> None:
    """One layer of CTranslate2's from one or more of ours that read the same."""
    spec.weight = torch.cat([layer.weight for layer in layers]).detach().numpy()
    spec.bias = torch.cat([layer.bias for layer in layers]).detach().numpy()


def set_norm(spec: Any, norm: torch.nn.LayerNorm) -> None:
    spec.gamma, spec.beta = norm.weight.detach().numpy(), norm.bias.detach().numpy()


def set_layer(spec: Any, layer: Any) -> None:
    """A layer of the encoder, or one of the decoder, which has three norms instead of two."""
    attention = layer.self_attention
    set_linear(spec.self_attention.linear[0], attention.query_projection, attention.key_value_projection)
    set_linear(spec.self_attention.linear[1], attention.output_projection)
    norms = [module.norm for module in layer.children() if isinstance(module, Residual)]
    set_norm(spec.self_attention.layer_norm, norms[0])
    if len(norms) == 3:
        attention = layer.cross_attention
        set_linear(spec.attention.linear[0], attention.query_projection)
        set_linear(spec.attention.linear[1], attention.key_value_projection)
        set_linear(spec.attention.linear[2], attention.output_projection)
        set_norm(spec.attention.layer_norm, norms[1])
    set_linear(spec.ffn.linear_0, layer.feedforward[0])
    set_linear(spec.ffn.linear_1, layer.feedforward[3])
    set_norm(spec.ffn.layer_norm, norms[-1])


def convert(translator: Translator, folder: str) -> None:
    """Writes the model as CTranslate2 reads it."""
    model, tokenizer = translator.model, translator.tokenizer
    assert isinstance(model, Transformer), "CTranslate2 has Transformers only"
    pre_norm = isinstance(model.encoder.norm, torch.nn.LayerNorm)
    heads = model.encoder.layers[0].self_attention.num_heads
    spec = TransformerSpec.from_config((len(model.encoder.layers), len(model.decoder.layers)), heads, pre_norm=pre_norm)
    table = model.positions.table.numpy()
    spec.encoder.embeddings[0].weight = model.vocabulary.source.weight.detach().numpy()
    spec.decoder.embeddings.weight = model.vocabulary.target.weight.detach().numpy()
    for side, layers, norm in (
        (spec.encoder, model.encoder.layers, model.encoder.norm),
        (spec.decoder, model.decoder.layers, model.decoder.norm),
    ):
        side.position_encodings.encodings = table
        for theirs, ours in zip(side.layer, layers, strict=True):
            set_layer(theirs, ours)
        if pre_norm:
            set_norm(side.layer_norm, norm)
    set_linear(spec.decoder.projection, model.vocabulary.output)
    source = tokenizer.source_pieces(range(tokenizer.source_size))
    target = tokenizer.target_pieces(range(tokenizer.target_size))
    spec.register_source_vocabulary(source)
    spec.register_target_vocabulary(target)
    spec.config.bos_token = spec.config.decoder_start_token = target[tokenizer.bos_id]
    spec.config.eos_token, spec.config.unk_token = target[tokenizer.eos_id], target[tokenizer.unk_id]
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize(quantization="float32")
    spec.save(folder)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of the clock, and of the processor, all threads together."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="the run folder of a Transformer")
    parser.add_argument("lines", type=Path, help="a file of sentences")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of each engine")
    parser.add_argument(
        "--batch-tokens", type=int, nargs="+", default=[512, 1024, 2048, 4096], help="nmt's, each tried"
    )
    parser.add_argument(
        "--batch-sizes", type=int, nargs="+", default=[16, 32, 64, 128], help="CTranslate2's, in sentences"
    )
    parser.add_argument("--compute-type", default="float32", help="CTranslate2's: float32 or int8")
    parser.add_argument("--singles", type=int, default=50, help="so many lines are also translated one at a time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--greedy", action="store_true", help="a beam of one")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    lines = options.lines.read_text(encoding="utf-8").splitlines()
    greedy = GreedySearch(max_length_factor=1.5, max_length_margin=10)
    own = Translator.load(options.run, device="cpu", search=greedy if options.greedy else None)
    own.model.eval()
    tokenizer = own.tokenizer
    target = tokenizer.target_pieces(range(tokenizer.target_size))
    id_of = {piece: number for number, piece in enumerate(target)}
    with tempfile.TemporaryDirectory() as folder:
        convert(own, folder)
        engine = ctranslate2.Translator(
            folder, "cpu", compute_type=options.compute_type, intra_threads=options.threads, inter_threads=1
        )

    def theirs(texts: Sequence[str], batch_size: int, beam_size: int) -> list[str]:
        sources = [tokenizer.source_pieces(ids) for ids in tokenizer.encode_source(texts)]
        found = engine.translate_batch(
            sources,
            beam_size=beam_size,
            max_batch_size=batch_size,
            length_penalty=0.6,
            disable_unk=True,
            suppress_sequences=[[target[tokenizer.pad_id]], [target[tokenizer.bos_id]]],
        )
        return [tokenizer.decode_target([id_of[piece] for piece in result.hypotheses[0]]) for result in found]

    def ours(texts: Sequence[str], batch_tokens: int) -> list[str]:
        own.batch_tokens = batch_tokens
        return [translation.text for translation in own.translate(texts)]

    search, own.search = own.search, greedy
    both = list(zip(ours(lines, 1024), theirs(lines, 64, 1), strict=True))
    own.search = search
    beam_size = 1 if options.greedy else search.beam_size
    ways = {f"nmt, {size} tokens": (lambda size=size: ours(lines, size)) for size in options.batch_tokens}
    ways |= {f"CTranslate2, {n} sentences": (lambda n=n: theirs(lines, n, beam_size)) for n in options.batch_sizes}
    alone = {"nmt": lambda line: ours([line], 1024), "CTranslate2": lambda line: theirs([line], 0, beam_size)}
    batches: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    latencies: dict[str, list[tuple[float, float]]] = {name: [] for name in alone}
    for _ in range(options.rounds):
        for name, way in ways.items():
            batches[name].append(seconds(way))
        for line in lines[: options.singles]:
            for name, translate in alone.items():
                latencies[name].append(seconds(lambda translate=translate, line=line: translate(line)))
    report = {
        "ctranslate2": ctranslate2.__version__,
        "compute_type": options.compute_type,
        "threads": options.threads,
        "beam_size": beam_size,
        "lines": len(lines),
        "same_when_greedy": sum(one == other for one, other in both),
        "batches": {
            name: {
                "sentences_per_second": len(lines) / median(clock for clock, _ in times),
                "sentences_per_processor_second": len(lines) / median(processor for _, processor in times),
            }
            for name, times in batches.items()
        },
        "one_at_a_time": {
            name: {
                "median_seconds": median(clock for clock, _ in times),
                "p99_seconds": quantiles([clock for clock, _ in times], n=100)[98],
                "median_processor_seconds": median(processor for _, processor in times),
            }
            for name, times in latencies.items()
        },
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
