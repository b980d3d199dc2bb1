#!/usr/bin/env python
"""Measures decoding with fewer heads of keys and values (multi-query and grouped-query attention).

    OMP_NUM_THREADS=1 python scripts/key_value_heads.py

Prints the table of docs/mechanisms.md. The Transformers have 3+3 layers, 256 wide, with 8 heads and random weights, and
translate random sentences with a beam of 5 into as many pieces. All are measured in turn; a number is the median of
processor time over the rounds.
"""

import time
from statistics import median

import torch

from nmt.benchmark.decoding import suppress_eos
from nmt.device import subnormals_as_zero
from nmt.models import SinusoidalPositions, Transformer
from nmt.search import BeamSearch
from nmt.search.protocol import SearchRequest

VOCAB_SIZE, MODEL_SIZE, NUM_HEADS, NUM_LAYERS = 8000, 256, 8, 3
KEY_VALUE_HEADS = (8, 2, 1)
BATCHES = ((1, 24), (16, 24), (16, 64))  # sentences, pieces of each
NUM_ROUNDS = 3
BOS, EOS = 1, 2


def make_model(num_key_value_heads: int) -> Transformer:
    torch.manual_seed(1)
    model = Transformer(
        source_vocab_size=VOCAB_SIZE,
        target_vocab_size=VOCAB_SIZE,
        shared_vocab=True,
        tie_output=True,
        model_size=MODEL_SIZE,
        feedforward_size=2 * MODEL_SIZE,
        num_heads=NUM_HEADS,
        num_key_value_heads=num_key_value_heads,
        num_encoder_layers=NUM_LAYERS,
        num_decoder_layers=NUM_LAYERS,
        dropout=0.0,
        embedding_dropout=0.0,
        word_dropout=0.0,
        activation_dropout=0.0,
        attention_dropout=0.0,
        layer_dropout=0.0,
        pre_norm=True,
        positions=SinusoidalPositions(model_size=MODEL_SIZE, max_length=512),
    )
    suppress_eos(model, EOS)
    model.prepare_for_decoding()
    return model


def decode(model: Transformer, num_sentences: int, length: int) -> float:
    """Milliseconds of processor time for each sentence."""
    source = torch.randint(4, VOCAB_SIZE, (num_sentences, length))  # (A, S)
    search = BeamSearch(beam_size=5, length_penalty=0.6, max_length_factor=1.0, max_length_margin=1)
    request = SearchRequest(
        source=source, source_mask=source > 0, bos_id=BOS, eos_id=EOS, banned_ids=[0, BOS], n_best=1
    )
    start = time.process_time()
    search(model, request)
    return (time.process_time() - start) * 1e3 / num_sentences


@subnormals_as_zero()  # as in nmt translate
def main() -> None:
    torch.set_num_threads(1)
    models = {heads: make_model(heads) for heads in KEY_VALUE_HEADS}
    times: dict[tuple[int, int, int], list[float]] = {}
    for number in range(NUM_ROUNDS + 1):
        for batch in BATCHES:
            for heads, model in models.items():
                cost = decode(model, *batch)
                if number > 0:  # the first round warms up
                    times.setdefault((heads, *batch), []).append(cost)
    batches = [f"{count} × {length} pieces" for count, length in BATCHES]
    print(f"| `num_key_value_heads` | bytes per target position | {' | '.join(batches)} |")
    print(f"| ---: {'| ---: ' * (1 + len(BATCHES))}|")
    for heads in KEY_VALUE_HEADS:
        num_bytes = 2 * NUM_LAYERS * heads * MODEL_SIZE // NUM_HEADS * 4  # keys and values in float32
        cells = [f"{median(times[heads, *batch]):.1f} ms" for batch in BATCHES]
        print(f"| {heads} | {num_bytes:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
