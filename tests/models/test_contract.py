"""The contract of `Seq2Seq`, for every architecture: what trainer, search and report rely on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.models import Seq2Seq, Transformer
from nmt.models.attention import KINDS, AttentionRecord, Kind
from nmt.run.weights import load_weights, save_weights

if TYPE_CHECKING:
    from tests.models.conftest import Variant

PAD, BOS, EOS = 0, 1, 2
# Together they contain all ids of both vocabularies; the shortest source is `eos` alone.
SOURCES = [[5, 6, 7, 4, EOS], [EOS], [8, 3, EOS], [9, 10, 5, EOS], [0, 1, EOS]]
TARGETS = [[BOS, 4, 5, 6], [BOS, 7, 8, 9, 10, 11, 12], [BOS], [BOS, 3, 0], [BOS, 2, 1, 5]]

WITH_POSITIONS = ("transformer", "decoder_only", "prefix_lm")
"""The architectures with a table of positions and with a model size instead of an embedding size."""

EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}


def padded(sentences: Sequence[list[int]], *, extra: int = 0, filler: int = PAD) -> tuple[Tensor, Tensor]:
    """Ids and mask of sentences that are padded with `filler`, to `extra` positions more than the longest has."""
    width = max(map(len, sentences)) + extra
    ids = torch.tensor([sentence + [filler] * (width - len(sentence)) for sentence in sentences])
    mask = torch.tensor([[position < len(sentence) for position in range(width)] for sentence in sentences])
    return ids, mask


def step_through(model: Seq2Seq, source: Tensor, mask: Tensor, target: Tensor) -> Tensor:
    """Steps through the target; returns the logits (B, T, V)."""
    memory = model.encode(source, mask)
    state = model.start(memory)
    logits = []
    for token in target.unbind(1):
        step_logits, state = model.step(token, state, memory)
        logits.append(step_logits)
    return torch.stack(logits, 1)


def attention_shapes(variant: Variant) -> dict[Kind, tuple[int, int]]:
    """The number of layers and heads of each kind of attention that an architecture has."""
    if variant.architecture == "lstm":
        return {}
    if variant.architecture.startswith(("decoder_only", "prefix_lm")):
        return dict.fromkeys(KINDS, (variant.num_layers, 2))
    if not variant.architecture.startswith("transformer"):
        return {"cross": (1, 2 if "multi_head" in variant.architecture else 1)}
    decoder = (3 - variant.num_layers, 2)
    return {"cross": decoder, "encoder": (variant.num_layers, 2), "decoder": decoder}


def loss_of(
    model: Seq2Seq, sources: Sequence[list[int]], targets: Sequence[list[int]], *, extra: int = 0, filler: int = PAD
) -> Tensor:
    """The summed negative log-likelihood of each token of the targets given those before it."""
    source, source_mask = padded(sources, extra=extra, filler=filler)
    target, target_mask = padded([[*target, EOS] for target in targets], extra=extra, filler=filler)
    logits = model(source, source_mask, target[:, :-1])
    return F.cross_entropy(logits[target_mask[:, 1:]], target[:, 1:][target_mask[:, 1:]], reduction="sum")


def gradients_of(model: Seq2Seq, loss: Tensor) -> dict[str, Tensor]:
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return dict(zip([name for name, _ in model.named_parameters()], gradients, strict=True))


def test_step_equals_teacher_forcing(model: Seq2Seq) -> None:
    source, mask = padded(SOURCES)
    target, _ = padded(TARGETS)
    logits = model(source, mask, target)
    assert logits.shape == (5, 7, 13)
    torch.testing.assert_close(step_through(model, source, mask, target), logits, **EXACT)


@torch.no_grad()
def test_a_converted_model_steps_in_bfloat16(largest: Variant) -> None:
    model = largest.build().bfloat16()
    source, mask = padded(SOURCES)
    target, _ = padded(TARGETS)
    logits = model(source, mask, target)
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(step_through(model, source, mask, target), logits, rtol=0.0, atol=0.06)


def test_training_under_autocast_is_close_to_float32(largest: Variant) -> None:
    """On every CPU, with or without instructions for bfloat16."""
    model = largest.build(recurrent_dropout=0.2).float()
    results = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            torch.manual_seed(1)
            loss = loss_of(model.train(), SOURCES, TARGETS)
        results.append(torch.cat([loss.view(1), *map(torch.flatten, gradients_of(model, loss).values())]))
    expected, found = results
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 0.05 * expected.norm()


def test_the_output_layer_predicts_from_the_decoder_outputs(model: Seq2Seq) -> None:
    calls = []
    model.vocabulary.output.register_forward_hook(lambda *_: calls.append(1))
    arguments = (*padded(SOURCES), padded(TARGETS)[0])
    decoder_outputs = model.decoder_outputs(*arguments)
    assert decoder_outputs.shape == (5, 7, model.vocabulary.output.in_features)
    assert calls == []  # the loss applies it
    assert torch.equal(model.vocabulary.output(decoder_outputs), model(*arguments))


@pytest.mark.parametrize(("extra", "filler"), [(0, 7), (9, PAD)])
def test_source_padding_changes_nothing(model: Seq2Seq, extra: int, filler: int) -> None:
    target, _ = padded(TARGETS)
    expected = step_through(model, *padded(SOURCES), target)
    source, mask = padded(SOURCES, extra=extra, filler=filler)
    torch.testing.assert_close(model(source, mask, target), expected, **EXACT)
    torch.testing.assert_close(step_through(model, source, mask, target), expected, **EXACT)
    expected_weights = model.attention(*padded(SOURCES), target)
    for kind, weights in model.attention(source, mask, target).items():
        rows, columns = expected_weights[kind].shape[-2:]
        is_real = mask[:, None, None, :rows, None] if kind == "encoder" else torch.tensor(True)  # a row of a real token
        same = weights[..., :rows, :columns] * is_real
        torch.testing.assert_close(same, expected_weights[kind] * is_real, **EXACT)


def test_a_later_target_token_changes_no_earlier_logits(model: Seq2Seq) -> None:
    source, mask = padded(SOURCES)
    target, _ = padded(TARGETS, extra=3)
    logits = model(source, mask, target)
    torch.testing.assert_close(model(source, mask, target[:, :-3]), logits[:, :-3], **EXACT)
    for position in (1, 4, 9):
        changed = target.clone()
        changed[:, position] = (target[:, position] + 3) % 13
        other = model(source, mask, changed)
        torch.testing.assert_close(other[:, :position], logits[:, :position], **EXACT)
        assert ((other[:, position] - logits[:, position]).abs().amax(-1) > 1e-6).all()


def test_logits_depend_on_every_source_token_and_every_earlier_target_token(model: Seq2Seq) -> None:
    target, _ = padded([[BOS, 4, 5, 6, 7]])
    logits = model(*padded([[5, 6, 7, EOS]]), target)[0, -1]
    for position in range(4):
        source = [5, 6, 7, EOS]
        source[position] = 9
        assert (model(*padded([source]), target)[0, -1] - logits).abs().max() > 1e-6
    for position in range(5):
        changed = target.clone()
        changed[0, position] = 9
        assert (model(*padded([[5, 6, 7, EOS]]), changed)[0, -1] - logits).abs().max() > 1e-6


def test_a_batch_equals_its_sentences_one_by_one(model: Seq2Seq) -> None:
    source, mask = padded(SOURCES)
    target, _ = padded(TARGETS)
    together = model(source, mask, target)
    attention = model.attention(source, mask, target)
    for row, (sentence, words) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        alone = (*padded([sentence]), torch.tensor([words]))
        torch.testing.assert_close(model(*alone)[0], together[row, : len(words)], **EXACT)
        torch.testing.assert_close(step_through(model, *alone)[0], together[row, : len(words)], **EXACT)
        for kind, weights in model.attention(*alone).items():
            rows, columns = weights.shape[-2:]
            torch.testing.assert_close(weights[0], attention[kind][row, :, :, :rows, :columns], **EXACT)


def test_gradients_of_a_padded_batch_are_the_sum_of_its_sentences(model: Seq2Seq) -> None:
    sums: dict[str, Any] = {}
    for source, target in zip(SOURCES, TARGETS, strict=True):
        for name, gradient in gradients_of(model, loss_of(model, [source], [target])).items():
            sums[name] = sums.get(name, 0) + gradient
    together = gradients_of(model, loss_of(model, SOURCES, TARGETS, extra=2, filler=5))
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, sums[name], rtol=0.0, atol=1e-10, msg=name)


def test_every_parameter_receives_a_gradient(model: Seq2Seq, variant: Variant) -> None:
    for name, gradient in gradients_of(model, loss_of(model, SOURCES, TARGETS)).items():
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 1e-6, name
        if name.startswith("vocabulary") and variant.architecture != "transformer-pictures":
            # All ids of the smaller vocabulary occur, and every row of the output layer gets a gradient.
            assert (gradient.abs().reshape(gradient.size(0), -1).amax(1) > 1e-9).sum() >= 11, name


def test_attention_weights_sum_to_one_over_the_real_positions(model: Any, variant: Variant) -> None:
    source, mask = padded(SOURCES, extra=2)
    target, _ = padded(TARGETS)
    attention = model.attention(source, mask, target)
    assert {kind: weights.shape[1:3] for kind, weights in attention.items()} == attention_shapes(variant)
    assert model.cross_attention_shape() == attention_shapes(variant).get("cross")
    sizes = {"cross": (7, 7), "encoder": (7, 7), "decoder": (7, 7)}
    for kind, weights in attention.items():
        assert weights.shape[0] == 5
        assert weights.shape[-2:] == sizes[kind]
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1], dtype=torch.float64), **EXACT)
        is_allowed = mask[:, None, None, None, :].expand_as(weights)  # a source position is real
        if kind == "encoder" and variant.architecture.startswith("decoder_only"):
            is_allowed = is_allowed.tril()  # and was read before
        if kind == "decoder":
            is_allowed = torch.ones(7, 7, dtype=torch.bool).tril().expand_as(weights)  # or was read before
        elif kind == "encoder" and isinstance(model, Transformer) and model.encoder.pattern is not None:
            is_allowed = model.encoder.pattern.visible(mask).unsqueeze(1).expand_as(weights)
        assert (weights[~is_allowed] == 0).all()
        assert (weights[is_allowed] > 0).all() or "local" in variant.architecture  # a window does not reach everywhere
    if "cross" in attention:
        assert (attention["cross"][0, :, :, 0] - attention["cross"][0, :, :, 2]).abs().max() > 1e-6  # rows differ


@pytest.mark.parametrize("kinds", [KINDS, ("cross",), ()])
def test_recording_attention_changes_no_output(model: Seq2Seq, variant: Variant, kinds: tuple[Any, ...]) -> None:
    arguments = (*padded(SOURCES, extra=1), padded(TARGETS)[0])
    record = AttentionRecord(*kinds)
    outputs = model.decoder_outputs(*arguments, record=record)
    torch.testing.assert_close(outputs, model.decoder_outputs(*arguments), **EXACT)
    for kind in kinds:
        assert (record.weights(kind) is None) == (kind not in attention_shapes(variant))
    assert model.attention(*arguments, kinds=kinds).keys() == attention_shapes(variant).keys() & set(kinds)


@pytest.mark.parametrize(("before", "rows"), [(0, [3]), (1, [0, 0, 3, 3, 3, 1, 2]), (3, [4, 3, 2, 1, 0])])
def test_selecting_rows_and_stepping_commute(model: Seq2Seq, before: int, rows: list[int]) -> None:
    memory = model.encode(*padded(SOURCES))
    target, _ = padded(TARGETS)
    indices = torch.tensor(rows)
    state = model.start(memory)
    for token in target[:, :before].unbind(1):
        _, state = model.step(token, state, memory)
    chosen_memory = memory.select(indices)
    assert torch.equal(chosen_memory.source_mask, memory.source_mask[indices])

    logits, next_state = model.step(target[:, before], state, memory)
    chosen_logits, chosen_next = model.step(target[indices, before], state.select(indices, indices), chosen_memory)
    torch.testing.assert_close(chosen_logits, logits[indices], **EXACT)
    # States that were selected before the step and after it give the same next step.
    token = target[indices, before + 1]
    one, _ = model.step(token, chosen_next, chosen_memory)
    other, _ = model.step(token, next_state.select(indices, indices), chosen_memory)
    torch.testing.assert_close(one, other, **EXACT)
    # Selecting changed nothing in the old state and memory: the step from them gives the same result as before.
    again, _ = model.step(target[:, before], state, memory)
    torch.testing.assert_close(again, logits, **EXACT)


def test_sentences_can_be_decoded_in_turn_with_one_model(model: Seq2Seq) -> None:
    target = torch.tensor([TARGETS[1]])
    expected = [step_through(model, *padded([source]), target)[0] for source in (SOURCES[0], SOURCES[3])]
    memories = [model.encode(*padded([source])) for source in (SOURCES[0], SOURCES[3])]
    states = [model.start(memory) for memory in memories]
    for position, token in enumerate(target.unbind(1)):
        for side in (0, 1):
            logits, states[side] = model.step(token, states[side], memories[side])
            torch.testing.assert_close(logits[0], expected[side][position], **EXACT)


def test_tied_weights_are_one_tensor_and_counted_once(model: Seq2Seq, variant: Variant) -> None:
    table = model.vocabulary.target.weight
    assert (model.vocabulary.source.weight is table) == variant.shared_vocab
    assert (model.vocabulary.output.weight is table) == variant.tie_output
    embedding_size = 8 if variant.architecture.startswith(WITH_POSITIONS) else 6
    untied = type(variant)(variant.architecture, variant.num_layers, False, False).build().num_parameters()
    saved = 11 * embedding_size * variant.shared_vocab + 13 * embedding_size * variant.tie_output
    assert model.num_parameters() == untied - saved
    table.requires_grad_(False)
    tied_names = 1 + variant.shared_vocab + variant.tie_output
    tied = [p for p in model.state_dict().values() if p.data_ptr() == table.data_ptr()]
    assert len(tied) == tied_names
    assert model.num_parameters() == untied - saved - 13 * embedding_size  # frozen parameters do not count


def test_dropout_is_for_training_only(model: Seq2Seq, variant: Variant) -> None:
    dropping = variant.build(dropout=0.5)
    arguments = (*padded(SOURCES), padded(TARGETS)[0])
    expected = model(*arguments)
    assert torch.equal(model.train()(*arguments), expected)
    assert torch.equal(dropping(*arguments), expected)
    assert torch.equal(dropping(*arguments), expected)
    dropping.train()
    torch.manual_seed(3)
    first, second = dropping(*arguments), dropping(*arguments)
    assert (first - second).abs().max() > 1e-3
    assert (first - expected).abs().max() > 1e-3
    torch.manual_seed(3)
    assert torch.equal(dropping(*arguments), first)


def test_a_model_with_loaded_weights_equals_the_saved_one(model: Seq2Seq, variant: Variant, tmp_path: Path) -> None:
    arguments = (*padded(SOURCES), padded(TARGETS)[0])
    path = tmp_path / "weights.safetensors"
    save_weights(model.state_dict(), path, step=7)
    other = variant.build(seed=2)
    assert not torch.equal(other(*arguments), model(*arguments))
    load_weights(other, path)
    assert torch.equal(other(*arguments), model(*arguments))
    assert (other.vocabulary.output.weight is other.vocabulary.target.weight) == variant.tie_output
    assert (other.vocabulary.source.weight is other.vocabulary.target.weight) == variant.shared_vocab
    numbers = sum(parameter.numel() for parameter in model.parameters()) * 8
    assert numbers < path.stat().st_size < numbers + 8000  # tied weights are written once


def test_only_tables_of_positions_have_a_maximum_length(model: Seq2Seq, variant: Variant) -> None:
    without_table = {"transformer-rotary", "transformer-relative", "transformer-alibi"}
    has_table = variant.architecture.startswith(WITH_POSITIONS) and variant.architecture not in without_table
    assert model.max_length == (24 if has_table else None)
    assert model.device.type == "cpu"
