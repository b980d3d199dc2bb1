"""The contract of `Seq2Seq`, for every architecture: what trainer, search and report rely on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.models import Seq2Seq
from nmt.models.seq2seq import StepOutput
from nmt.run.weights import load_weights, save_weights

if TYPE_CHECKING:
    from tests.models.conftest import Variant

PAD, BOS, EOS = 0, 1, 2
# Together they contain all ids of both vocabularies; the shortest source is `eos` alone.
SOURCES = [[5, 6, 7, 4, EOS], [EOS], [8, 3, EOS], [9, 10, 5, EOS], [0, 1, EOS]]
TARGETS = [[BOS, 4, 5, 6], [BOS, 7, 8, 9, 10, 11, 12], [BOS], [BOS, 3, 0], [BOS, 2, 1, 5]]

EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}


def padded(sentences: Sequence[list[int]], *, extra: int = 0, filler: int = PAD) -> tuple[Tensor, Tensor]:
    """Ids and mask of sentences that are padded with `filler`, to `extra` positions more than the longest has."""
    width = max(map(len, sentences)) + extra
    ids = torch.tensor([sentence + [filler] * (width - len(sentence)) for sentence in sentences])
    mask = torch.tensor([[position < len(sentence) for position in range(width)] for sentence in sentences])
    return ids, mask


def step_through(
    model: Seq2Seq, source: Tensor, mask: Tensor, target: Tensor, *, need_attention: bool = False
) -> tuple[Tensor, list[Any]]:
    """Steps through the target; returns the logits (B, T, V) and the list of attention weights."""
    memory = model.encode(source, mask)
    state = model.start(memory)
    logits, attention = [], []
    for token in target.unbind(1):
        output = model.step(token, state, memory, need_attention=need_attention)
        state = output.state
        logits.append(output.logits)
        attention.append(output.attention_weights)
    return torch.stack(logits, 1), attention


def has_attention(variant: Variant) -> bool:
    return variant.architecture != "lstm"


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


@pytest.mark.parametrize("need_attention", [False, True])
def test_step_equals_teacher_forcing(model: Seq2Seq, need_attention: bool) -> None:
    source, mask = padded(SOURCES)
    target, _ = padded(TARGETS)
    logits = model(source, mask, target)
    assert logits.shape == (5, 7, 13)
    stepped, _ = step_through(model, source, mask, target, need_attention=need_attention)
    torch.testing.assert_close(stepped, logits, **EXACT)


def test_the_output_layer_predicts_from_the_decoder_outputs(model: Seq2Seq) -> None:
    calls = []
    model.vocabulary.output.register_forward_hook(lambda *_: calls.append(1))
    arguments = (*padded(SOURCES), padded(TARGETS)[0])
    decoder_outputs = model.decoder_outputs(*arguments)
    assert decoder_outputs.shape == (5, 7, model.vocabulary.output.in_features)
    assert calls == []  # the loss applies it
    assert torch.equal(model.vocabulary.output(decoder_outputs), model(*arguments))


@pytest.mark.parametrize(("extra", "filler"), [(0, 7), (9, PAD)])
def test_source_padding_changes_nothing(model: Seq2Seq, variant: Variant, extra: int, filler: int) -> None:
    target, _ = padded(TARGETS)
    expected, expected_attention = step_through(model, *padded(SOURCES), target, need_attention=True)
    source, mask = padded(SOURCES, extra=extra, filler=filler)
    torch.testing.assert_close(model(source, mask, target), expected, **EXACT)
    logits, attention = step_through(model, source, mask, target, need_attention=True)
    torch.testing.assert_close(logits, expected, **EXACT)
    if has_attention(variant):
        for weights, expected_weights in zip(attention, expected_attention, strict=True):
            torch.testing.assert_close(weights[..., :5], expected_weights, **EXACT)


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


def test_a_batch_equals_its_sentences_one_by_one(model: Seq2Seq, variant: Variant) -> None:
    source, mask = padded(SOURCES)
    target, _ = padded(TARGETS)
    together = model(source, mask, target)
    _, attention = step_through(model, source, mask, target, need_attention=True)
    for row, (sentence, words) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        alone = padded([sentence])
        logits, alone_attention = step_through(model, *alone, torch.tensor([words]), need_attention=True)
        torch.testing.assert_close(model(*alone, torch.tensor([words]))[0], together[row, : len(words)], **EXACT)
        torch.testing.assert_close(logits[0], together[row, : len(words)], **EXACT)
        if has_attention(variant):
            for step in range(len(words)):
                weights = attention[step][row, ..., : len(sentence)]
                torch.testing.assert_close(alone_attention[step][0], weights, **EXACT)


def test_gradients_of_a_padded_batch_are_the_sum_of_its_sentences(model: Seq2Seq) -> None:
    sums: dict[str, Any] = {}
    for source, target in zip(SOURCES, TARGETS, strict=True):
        for name, gradient in gradients_of(model, loss_of(model, [source], [target])).items():
            sums[name] = sums.get(name, 0) + gradient
    together = gradients_of(model, loss_of(model, SOURCES, TARGETS, extra=2, filler=5))
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, sums[name], rtol=0.0, atol=1e-10, msg=name)


def test_every_parameter_receives_a_gradient(model: Seq2Seq) -> None:
    for name, gradient in gradients_of(model, loss_of(model, SOURCES, TARGETS)).items():
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 1e-6, name
        if name.startswith("vocabulary"):
            # All ids of the smaller vocabulary occur, and every row of the output layer gets a gradient.
            assert (gradient.abs().reshape(gradient.size(0), -1).amax(1) > 1e-9).sum() >= 11, name


def test_attention_weights_sum_to_one_over_the_real_positions(model: Seq2Seq, variant: Variant) -> None:
    source, mask = padded(SOURCES, extra=2)
    target, _ = padded(TARGETS)
    assert step_through(model, source, mask, target)[1] == [None] * 7
    _, attention = step_through(model, source, mask, target, need_attention=True)
    if not has_attention(variant):
        assert attention == [None] * 7
        return
    middle = (3 - variant.num_layers, 2) if variant.architecture.startswith("transformer") else ()  # layers, heads
    for weights in attention:
        assert weights.shape == (5, *middle, 7)
        ones = torch.ones(5, *middle, dtype=torch.float64)
        torch.testing.assert_close(weights.sum(-1), ones, **EXACT)
        real = mask.view(5, *(1 for _ in middle), 7).expand_as(weights)
        assert (weights[~real] == 0).all()
        assert (weights[real] > 0).all()
    assert (attention[0][0] - attention[2][0]).abs().max() > 1e-6  # they differ between steps


def assert_same_step(left: StepOutput[Any], right: StepOutput[Any]) -> None:
    torch.testing.assert_close(left.logits, right.logits, **EXACT)
    if left.attention_weights is not None:
        torch.testing.assert_close(left.attention_weights, right.attention_weights, **EXACT)


@pytest.mark.parametrize(("before", "rows"), [(0, [3]), (1, [0, 0, 3, 3, 3, 1, 2]), (3, [4, 3, 2, 1, 0])])
def test_selecting_rows_and_stepping_commute(model: Seq2Seq, before: int, rows: list[int]) -> None:
    memory = model.encode(*padded(SOURCES))
    target, _ = padded(TARGETS)
    indices = torch.tensor(rows)
    state = model.start(memory)
    for token in target[:, :before].unbind(1):
        state = model.step(token, state, memory).state
    chosen_memory = memory.select(indices)
    assert torch.equal(chosen_memory.source_mask, memory.source_mask[indices])

    first = model.step(target[:, before], state, memory, need_attention=True)
    chosen_state = state.select(indices, indices)
    chosen_first = model.step(target[indices, before], chosen_state, chosen_memory, need_attention=True)
    torch.testing.assert_close(chosen_first.logits, first.logits[indices], **EXACT)
    if first.attention_weights is not None:
        torch.testing.assert_close(chosen_first.attention_weights, first.attention_weights[indices], **EXACT)
    # States that were selected before the step and after it give the same next step.
    token = target[indices, before + 1]
    assert_same_step(
        model.step(token, chosen_first.state, chosen_memory, need_attention=True),
        model.step(token, first.state.select(indices, indices), chosen_memory, need_attention=True),
    )
    # Selecting changed nothing in the old state and memory: the step from them gives the same result as before.
    again = model.step(target[:, before], state, memory, need_attention=True)
    assert_same_step(again, first)


def test_sentences_can_be_decoded_in_turn_with_one_model(model: Seq2Seq) -> None:
    target = torch.tensor([TARGETS[1]])
    expected = [step_through(model, *padded([source]), target)[0][0] for source in (SOURCES[0], SOURCES[3])]
    memories = [model.encode(*padded([source])) for source in (SOURCES[0], SOURCES[3])]
    states = [model.start(memory) for memory in memories]
    for position, token in enumerate(target.unbind(1)):
        for side in (0, 1):
            output = model.step(token, states[side], memories[side])
            states[side] = output.state
            torch.testing.assert_close(output.logits[0], expected[side][position], **EXACT)


def test_tied_weights_are_one_tensor_and_counted_once(model: Seq2Seq, variant: Variant) -> None:
    table = model.vocabulary.target.weight
    assert (model.vocabulary.source.weight is table) == variant.shared_vocab
    assert (model.vocabulary.output.weight is table) == variant.tie_output
    embedding_size = 8 if variant.architecture.startswith("transformer") else 6
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


def test_only_the_transformer_has_a_maximum_length(model: Seq2Seq, variant: Variant) -> None:
    assert model.max_length == (24 if variant.architecture.startswith("transformer") else None)
    assert model.device.type == "cpu"
