"""A Transformer as a model of CTranslate2, https://github.com/OpenNMT/CTranslate2, the fast engine for CPUs.

The folder holds model.bin, config.json and the vocabularies, which CTranslate2 reads; the SentencePiece model, which
cuts text into their pieces; and README.md with the lines of Python that translate.

CTranslate2 stores more than the program that reads it must know: the start and the end of a sentence are added to its
input and output. Pieces that no translation contains get a bias of -10,000, since programs do not forbid them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from nmt.data.tokenizer import Tokenizer
from nmt.export.conversion import move_folder
from nmt.export.packages import check_packages
from nmt.export.system import System
from nmt.export.verification import Engine, Output, OwnTranslations
from nmt.models import LearnedPositions, RelativePositions, RotaryPositions, SinusoidalPositions, Transformer
from nmt.models.attention import MultiHeadAttention
from nmt.models.positions import Positions
from nmt.models.transformer.decoder import DecoderLayer
from nmt.models.transformer.encoder import EncoderLayer
from nmt.translator.batch import list_banned_ids

NEVER = -1e4
"""Bias of pieces that no translation contains: their probability becomes 0."""

MIN_POSITIONS = 2048
"""Minimum number of positions in a table: programs cut no line at our limit, and CTranslate2 raises an exception for a
line that is longer than the table."""

BATCH_SIZE = 32
"""Number of lines that are translated together."""

README = """\
# {source} to {target}, for CTranslate2

Exported from the nmt run `{run}`; `export.json` says how its translations were compared.

```python
import ctranslate2, sentencepiece

translator = ctranslate2.Translator("PATH OF THIS FOLDER", compute_type="int8")  # or float32
source = sentencepiece.SentencePieceProcessor("PATH OF THIS FOLDER/{source_model}")
target = sentencepiece.SentencePieceProcessor("PATH OF THIS FOLDER/{target_model}")
pieces = {pieces}[:{max_pieces}]
options = dict(beam_size={beam_size}, length_penalty={exponent}, min_decoding_length=0)
result = translator.translate_batch([pieces], **options)
print(target.decode(result[0].hypotheses[0]))
```

`length_penalty` approximates that of nmt: CTranslate2 divides by another function of the length.
"""


class CTranslate2Format:
    """Writes a Transformer for CTranslate2, and opens it there; see `Format`."""

    name = "ctranslate2"
    packages: tuple[str, ...] = ("ctranslate2",)
    shares_length_penalty = False

    def check(self, system: System) -> None:
        system.transformer(self.name)
        check_packages(self.packages, need=f"format={self.name}")

    def write(self, system: System, own: OwnTranslations, folder: Path) -> None:
        write_model(system.transformer(self.name), system.tokenizer, folder)
        system.tokenizer.save(folder)
        tag, pieces = system.tokenizer.source_tag, 'source.encode("A dog runs.", out_type=str)'
        models = ("tokenizer.model",) * 2 if system.tokenizer.shared else ("source.model", "target.model")
        text = README.format(
            source=system.source,
            target=system.target,
            run=system.run.name,
            source_model=models[0],
            target_model=models[1],
            pieces=pieces if tag is None else f'(["<{tag}>"] + {pieces})',
            max_pieces=system.translator.max_length - 1,
            beam_size=system.search.beam_size,
            exponent=own.exponent,
        )
        (folder / "README.md").write_text(text, encoding="utf-8")

    def open(self, system: System, folder: Path) -> Engine:
        return CTranslate2Engine(folder, system.tokenizer, compute_type="float32")

    def publish(self, folder: Path, out: Path) -> None:
        move_folder(folder, out)


class CTranslate2Engine:
    """CTranslate2 with an exported model on a CPU; see `Engine`.

    Args:
        folder: of the model.
        tokenizer: of the run.
        compute_type: number format of matrix products: float32 or int8.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer, *, compute_type: str) -> None:
        import ctranslate2

        self.tokenizer = tokenizer
        self.translator = ctranslate2.Translator(
            str(folder),
            device="cpu",
            compute_type=compute_type,
            intra_threads=torch.get_num_threads(),
            inter_threads=1,
        )

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode_source(lines)

    def translate(self, lines: Sequence[str], *, beam_size: int, exponent: float, max_tokens: int) -> list[Output]:
        tokenizer = self.tokenizer
        results = self.translator.translate_batch(
            [tokenizer.source_pieces(ids) for ids in self.encode(lines)],
            max_batch_size=BATCH_SIZE,
            beam_size=beam_size,
            length_penalty=exponent,
            max_input_length=0,
            min_decoding_length=0,  # the default allows no empty translation
            max_decoding_length=max_tokens,
            return_end_token=True,
        )
        outputs = [tokenizer.target_ids(result.hypotheses[0]) for result in results]
        return [Output(tokenizer.decode_target(ids), ids) for ids in outputs]

    def score(self, lines: Sequence[str], targets: Sequence[Sequence[int]]) -> list[list[float]]:
        sources = [self.tokenizer.source_pieces(ids) for ids in self.encode(lines)]
        pieces = [self.tokenizer.target_pieces(ids[:-1]) for ids in targets]  # it adds `eos` itself
        results = self.translator.score_batch(sources, pieces, max_batch_size=BATCH_SIZE, max_input_length=0)
        return [list(result.log_probs) for result in results]


def write_model(model: Transformer, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes model.bin, config.json and the vocabularies.

    Args:
        model: with any positions but ALiBi, and without sparse attention.
        tokenizer: of the model.
        folder: exists.
    """
    from ctranslate2.specs import TransformerSpec, transformer_spec

    attention = model.attention_layers()["cross"][0]
    settings: dict[str, Any] = {"pre_norm": isinstance(model.encoder.norm, nn.LayerNorm)}
    settings |= describe_positions(model.encoder.positions)
    if attention.num_key_value_heads < attention.num_heads:
        settings["num_heads_kv"] = attention.num_key_value_heads
    encoder = transformer_spec.TransformerEncoderSpec(len(model.encoder.layers), attention.num_heads, **settings)
    decoder = transformer_spec.TransformerDecoderSpec(len(model.decoder.layers), attention.num_heads, **settings)
    encoder.embeddings[0].weight = to_numpy(model.vocabulary.source.weight)
    decoder.embeddings.weight = to_numpy(model.vocabulary.target.weight)
    for side, stack in ((encoder, model.encoder), (decoder, model.decoder)):
        for spec, layer in zip(side.layer, stack.layers, strict=True):
            set_layer(spec, cast("EncoderLayer | DecoderLayer", layer))
        set_positions(side, stack.positions)
        if settings["pre_norm"]:
            set_norm(side.layer_norm, cast("nn.LayerNorm", stack.norm))
    set_linear(decoder.projection, model.vocabulary.output)
    decoder.projection.bias = to_numpy(ban(model.vocabulary.output.bias, list_banned_ids(tokenizer)))

    model_spec = TransformerSpec(encoder, decoder)
    source = tokenizer.source_pieces(range(tokenizer.source_size))
    target = tokenizer.target_pieces(range(tokenizer.target_size))
    model_spec.register_source_vocabulary(source)
    model_spec.register_target_vocabulary(target)
    config = model_spec.config
    config.bos_token = config.decoder_start_token = target[tokenizer.bos_id]
    config.eos_token, config.unk_token = target[tokenizer.eos_id], target[tokenizer.unk_id]
    config.add_source_eos = True
    model_spec.validate()
    model_spec.optimize(quantization="float32")
    model_spec.save(str(folder))


def ban(bias: Tensor, ids: Sequence[int]) -> Tensor:
    """A copy of the bias (V,) of an output layer after which these pieces have no probability."""
    banned = bias.detach().clone()
    banned[list(ids)] = NEVER
    return banned


def to_numpy(tensor: Tensor) -> Any:
    """The numbers of a weight, row by row."""
    return tensor.detach().contiguous().numpy()


def set_linear(spec: Any, *layers: nn.Linear) -> None:
    """Sets a linear layer of CTranslate2 to one or more of ours that have the same input."""
    spec.weight = to_numpy(torch.cat([layer.weight for layer in layers]))
    spec.bias = to_numpy(torch.cat([layer.bias for layer in layers]))


def set_norm(spec: Any, norm: nn.LayerNorm) -> None:
    """Sets a layer normalisation of CTranslate2 to ours."""
    spec.gamma, spec.beta = to_numpy(norm.weight), to_numpy(norm.bias)


def set_layer(spec: Any, layer: EncoderLayer | DecoderLayer) -> None:
    """Sets a layer of the encoder, or of the decoder, which has cross-attention too."""
    self_attention: MultiHeadAttention = layer.self_attention
    set_linear(spec.self_attention.linear[0], self_attention.query_projection, self_attention.key_value_projection)
    set_linear(spec.self_attention.linear[1], self_attention.output_projection)
    if isinstance(layer, DecoderLayer):
        cross_attention = layer.cross_attention
        set_norm(spec.self_attention.layer_norm, layer.around_self_attention.norm)
        set_linear(spec.attention.linear[0], cross_attention.query_projection)
        set_linear(spec.attention.linear[1], cross_attention.key_value_projection)
        set_linear(spec.attention.linear[2], cross_attention.output_projection)
        set_norm(spec.attention.layer_norm, layer.around_cross_attention.norm)
    else:
        set_norm(spec.self_attention.layer_norm, layer.around_attention.norm)
    set_linear(spec.ffn.linear_0, cast("nn.Linear", layer.feedforward[0]))
    set_linear(spec.ffn.linear_1, cast("nn.Linear", layer.feedforward[3]))
    set_norm(spec.ffn.layer_norm, layer.around_feedforward.norm)


def describe_positions(positions: Positions) -> dict[str, Any]:
    """The settings of CTranslate2's encoder and decoder that stand for our kind of positions."""
    if isinstance(positions, RotaryPositions):
        # rotary_dim=0: all dimensions of a head. Not interleaved: the halves of a head are paired, as ours are.
        return {"rotary_dim": 0, "rotary_interleave": False, "rotary_base": positions.base}
    return {"relative_attention_bias": isinstance(positions, RelativePositions)}


def set_positions(spec: Any, positions: Positions) -> None:
    """Sets the positions of CTranslate2's encoder or decoder to those of ours."""
    if isinstance(positions, RelativePositions):
        import numpy as np

        for layer in spec.layer:
            layer.self_attention.relative_attention_bias = to_numpy(positions.table)  # (num_buckets, H)
            layer.self_attention.relative_attention_max_distance = np.int32(positions.arguments["max_distance"])
    elif isinstance(positions, SinusoidalPositions | LearnedPositions):
        spec.position_encodings.encodings = to_numpy(extend_table(positions))


def extend_table(positions: SinusoidalPositions | LearnedPositions) -> Tensor:
    """The table of positions (P, D) with at least `MIN_POSITIONS` rows; beyond the last learned one, rows repeat it."""
    table = positions.table.detach()  # (max_length, D)
    num_missing = MIN_POSITIONS - len(table)
    if num_missing <= 0:
        return table
    if isinstance(positions, SinusoidalPositions):
        return SinusoidalPositions(model_size=table.size(1), max_length=MIN_POSITIONS).table
    return torch.cat([table, *repeat(table[-1:], num_missing)])
