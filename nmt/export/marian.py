"""A Transformer as MarianMTModel or PegasusForConditionalGeneration of Hugging Face's transformers.

Both have our architecture, with ReLU and sinusoidal positions: Marian normalises after a sublayer, Pegasus before it.

These classes have one vocabulary. Two of ours become one table: all source pieces, followed by all target pieces. Only
pad, bos, eos and unk exist once. The output layer then has a table of its own, in which source pieces are banned.

Shapes: V source and target pieces in one table, D model size, H heads, G heads of keys and values, d = D / H.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from nmt.data.tokenizer import Tokenizer
from nmt.export.ctranslate2 import NEVER
from nmt.models import Transformer
from nmt.models.attention import MultiHeadAttention
from nmt.models.transformer.decoder import DecoderLayer
from nmt.models.transformer.encoder import EncoderLayer

Weights = dict[str, Tensor]
"""Weights by the names that transformers gives them."""


def write_model(
    model: Transformer, tokenizer: Tokenizer, arguments: dict[str, Any], generation: dict[str, Any], folder: Path
) -> None:
    """Writes model.safetensors, config.json and generation_config.json.

    Args:
        model: with sinusoidal positions.
        tokenizer: of the model.
        arguments: of the model's constructor.
        generation: the content of generation_config.json.
        folder: exists.
    """
    import transformers

    transformers.logging.disable_progress_bar()
    settings: dict[str, Any] = {
        "vocab_size": table_size(tokenizer),
        "d_model": arguments["model_size"],
        "encoder_layers": arguments["num_encoder_layers"],
        "decoder_layers": arguments["num_decoder_layers"],
        "encoder_attention_heads": arguments["num_heads"],
        "decoder_attention_heads": arguments["num_heads"],
        "encoder_ffn_dim": arguments["feedforward_size"],
        "decoder_ffn_dim": arguments["feedforward_size"],
        "activation_function": "relu",
        "dropout": arguments["dropout"],
        "activation_dropout": arguments["activation_dropout"],
        "attention_dropout": arguments["attention_dropout"],
        "encoder_layerdrop": arguments["layer_dropout"],
        "decoder_layerdrop": arguments["layer_dropout"],
        "scale_embedding": True,
        "tie_word_embeddings": tokenizer.shared and arguments["tie_output"],
        "max_position_embeddings": model.max_length,
        "pad_token_id": tokenizer.pad_id,
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": tokenizer.eos_id,
        "decoder_start_token_id": tokenizer.bos_id,
        "forced_eos_token_id": tokenizer.eos_id,
    }
    classes = transformers.MarianConfig, transformers.MarianMTModel
    if arguments["pre_norm"]:
        classes = transformers.PegasusConfig, transformers.PegasusForConditionalGeneration
    config_class, model_class = classes
    theirs = model_class(config_class(**settings))
    missing, unexpected = theirs.load_state_dict(list_weights(model, tokenizer), strict=False)
    positions = {"model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"}
    assert set(missing) <= positions and not unexpected, "transformers has other weights than this module writes"
    theirs.generation_config = transformers.GenerationConfig(**generation)
    theirs.save_pretrained(folder)


def list_target_ids(tokenizer: Tokenizer) -> list[int]:
    """The id that each of our target ids has in transformers."""
    special = {tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    ids = range(tokenizer.target_size)
    return [id if tokenizer.shared or id in special else tokenizer.source_size + id for id in ids]


def table_size(tokenizer: Tokenizer) -> int:
    """The number of rows of the embeddings in transformers."""
    return tokenizer.source_size if tokenizer.shared else tokenizer.source_size + tokenizer.target_size


def list_weights(model: Transformer, tokenizer: Tokenizer) -> Weights:
    """All weights of a model by their names in transformers."""
    weights = dict(list_embeddings(model, tokenizer))
    for side, stack in (("encoder", model.encoder), ("decoder", model.decoder)):
        for index, layer in enumerate(cast("Iterable[EncoderLayer | DecoderLayer]", stack.layers)):
            name = f"model.{side}.layers.{index}"
            weights |= attention_weights(f"{name}.self_attn", layer.self_attention)
            if isinstance(layer, DecoderLayer):
                weights |= attention_weights(f"{name}.encoder_attn", layer.cross_attention)
                weights |= named(f"{name}.self_attn_layer_norm", layer.around_self_attention.norm)
                weights |= named(f"{name}.encoder_attn_layer_norm", layer.around_cross_attention.norm)
            else:
                weights |= named(f"{name}.self_attn_layer_norm", layer.around_attention.norm)
            weights |= named(f"{name}.fc1", layer.feedforward[0])
            weights |= named(f"{name}.fc2", layer.feedforward[3])
            weights |= named(f"{name}.final_layer_norm", layer.around_feedforward.norm)
        weights |= named(f"model.{side}.layer_norm", stack.norm)  # nothing for post-norm, which has no final norm
    return {name: weight.detach() for name, weight in weights.items()}


def list_embeddings(model: Transformer, tokenizer: Tokenizer) -> Iterator[tuple[str, Tensor]]:
    """Embeddings and output layer; see the start of this file for two vocabularies."""
    vocabulary, target_ids = model.vocabulary, list_target_ids(tokenizer)
    size, source = table_size(tokenizer), vocabulary.source.weight  # V, (V_source, D)
    table = torch.zeros(size, source.size(1))
    table[: len(source)] = source  # (V, D)
    output, bias = torch.zeros_like(table), torch.full((1, size), NEVER)  # (V, D), (1, V)
    output[target_ids], bias[0, target_ids] = vocabulary.output.weight, vocabulary.output.bias
    if not tokenizer.shared:
        own_rows = [id for id in range(tokenizer.target_size) if target_ids[id] != id]
        table[[target_ids[id] for id in own_rows]] = vocabulary.target.weight[own_rows]
        table[tokenizer.bos_id] = vocabulary.target.weight[tokenizer.bos_id]  # which no source contains
    for name in ("shared", "encoder.embed_tokens", "decoder.embed_tokens"):
        yield f"model.{name}.weight", table
    yield "lm_head.weight", output
    yield "final_logits_bias", bias


def attention_weights(name: str, attention: MultiHeadAttention) -> Weights:
    """The weights of an attention. Heads that share keys and values get copies of them."""
    weights = named(f"{name}.q_proj", attention.query_projection)
    weights |= named(f"{name}.out_proj", attention.output_projection)
    copies = attention.num_heads // attention.num_key_value_heads
    for kind, parameter in attention.key_value_projection.named_parameters():  # weight (2·G·d, D), bias (2·G·d,)
        heads = parameter.view(2, -1, attention.head_size, *parameter.shape[1:])  # (2, G, d, …)
        keys, values = heads.repeat_interleave(copies, 1).flatten(1, 2)  # 2 × (H·d, …)
        weights |= {f"{name}.k_proj.{kind}": keys, f"{name}.v_proj.{kind}": values}
    return weights


def named(name: str, module: nn.Module) -> Weights:
    """The parameters of a module, which gets another name."""
    return {f"{name}.{kind}": parameter for kind, parameter in module.named_parameters()}
