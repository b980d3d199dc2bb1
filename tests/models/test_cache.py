"""The key/value cache: keys and values are written once and never moved, and later steps do not change a state."""

import math
from typing import Any

import pytest
import torch

from nmt.models import SinusoidalPositions, Transformer
from nmt.models.transformer.cache import Buffer, LayerCache
from nmt.search import BeamSearch
from nmt.search.protocol import SearchRequest

SOURCE = torch.tensor([[4, 5, 2, 0], [6, 7, 8, 2], [3, 2, 0, 0]])
EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-12}


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(1)
    return (
        Transformer(
            source_vocab_size=9,
            target_vocab_size=9,
            shared_vocab=False,
            tie_output=False,
            model_size=8,
            feedforward_size=12,
            num_heads=2,
            num_key_value_heads=2,
            num_encoder_layers=1,
            num_decoder_layers=2,
            dropout=0.0,
            activation_dropout=0.0,
            embedding_dropout=0.0,
            word_dropout=0.0,
            attention_dropout=0.0,
            layer_dropout=0.0,
            pre_norm=True,
            encoder_attention=None,
            positions=SinusoidalPositions(model_size=8, max_length=64),
        )
        .double()
        .eval()
    )


def logits_after(model: Transformer, tokens: list[list[int]]) -> torch.Tensor:
    """The last logits (B, V) of tokens (B, t), by teacher forcing."""
    return model(SOURCE, SOURCE != 0, torch.tensor(tokens))[:, -1]


@torch.no_grad()
def test_two_steps_from_one_state_do_not_disturb_each_other(model: Transformer) -> None:
    memory = model.encode(SOURCE, SOURCE != 0)
    _, first = model.step(torch.tensor([1, 1, 1]), model.start(memory), memory)
    _, left = model.step(torch.tensor([3, 4, 5]), first, memory)
    _, right = model.step(torch.tensor([6, 7, 8]), first, memory)
    for state, before in ((left, [3, 4, 5]), (right, [6, 7, 8])):
        logits, _ = model.step(torch.tensor([4, 4, 4]), state, memory)
        expected = logits_after(model, [[1, token, 4] for token in before])
        torch.testing.assert_close(logits, expected, **EXACT)


@torch.no_grad()
def test_hypotheses_attend_to_their_own_past_only(model: Transformer) -> None:
    """Parents are chosen at random, the number of hypotheses changes, sentences leave and change their order.

    With 30 steps, the buffer has to grow.
    """
    torch.manual_seed(2)
    memory = model.encode(SOURCE, SOURCE != 0)
    state, sentences = model.start(memory), [0, 1, 2]
    prefixes: list[list[list[int]]] = [[[]], [[]], [[]]]
    for step in range(30):
        tokens = torch.randint(3, 9, (len(sentences), len(prefixes[0])))
        logits, state = model.step(tokens.flatten(), state, memory)
        prefixes = [
            [[*prefix, token] for prefix, token in zip(*both, strict=True)]
            for both in zip(prefixes, tokens.tolist(), strict=True)
        ]
        for row, (sentence, prefix) in enumerate(
            (sentence, prefix) for sentence, own in zip(sentences, prefixes, strict=True) for prefix in own
        ):
            source = SOURCE[sentence : sentence + 1]
            expected = model(source, source != 0, torch.tensor([prefix]))[0, -1]
            torch.testing.assert_close(logits[row], expected, **EXACT)
        rows = {9: [2, 0, 1], 19: [1, 2], 25: [0]}.get(step, list(range(len(sentences))))  # of the sentences that stay
        width, next_width = len(prefixes[0]), 1 + step % 4
        parents = torch.randint(0, width, (len(rows), next_width))
        kept = None if rows == [0, 1, 2][: len(sentences)] else torch.tensor(rows)
        state = state.select(torch.tensor(rows).unsqueeze(1) * width + parents, kept)
        memory = memory if kept is None else memory.select(kept)
        prefixes = [[prefixes[row][parent] for parent in own] for row, own in zip(rows, parents.tolist(), strict=True)]
        sentences = [sentences[row] for row in rows]


def test_a_search_writes_each_position_once_and_allocates_the_buffer_twice(
    model: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty steps with three hypotheses of each sentence; `select` of the buffer must not be called."""
    model.vocabulary.output.bias.data[2] = -100.0  # `eos` only at the length limit
    written: list[tuple[int, ...]] = []
    copies: list[tuple[int, int]] = []
    write, copy = LayerCache.write, Buffer.copy

    def recorded_write(self: LayerCache, keys: torch.Tensor, values: torch.Tensor) -> None:
        written.append(tuple(keys.shape))
        write(self, keys, values)

    def recorded_copy(self: Buffer, num_written: int, capacity: int) -> Buffer:
        copies.append((num_written, capacity))
        return copy(self, num_written, capacity)

    monkeypatch.setattr(LayerCache, "write", recorded_write)
    monkeypatch.setattr(Buffer, "copy", recorded_copy)
    monkeypatch.setattr(Buffer, "select", None)
    search = BeamSearch(beam_size=3, length_penalty=0.0, max_length_factor=0.0, max_length_margin=20)
    request = SearchRequest(source=SOURCE, source_mask=SOURCE != 0, bos_id=1, eos_id=2, banned_ids=[0, 1], n_best=1)
    search(model, request)
    assert written == [(3, 2, 1, 4)] * 2 + [(3, 2, 3, 4)] * 38
    assert [num_written for num_written, _ in copies] == [0, 16]


def test_positions_that_were_never_written_have_no_influence(
    model: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New memory may hold NaN, and up to MIN_KEY_POSITIONS positions are read before they are written."""
    empty = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *size: empty(self, *size).fill_(math.nan))
    memory = model.encode(SOURCE, SOURCE != 0)
    state = model.start(memory)
    for position in range(1, 20):
        logits, state = model.step(torch.full((3,), 3), state, memory)
        torch.testing.assert_close(logits, logits_after(model, [[3] * position] * 3), **EXACT)


def test_dropping_a_sentence_without_its_indices_fails(model: Transformer) -> None:
    memory = model.encode(SOURCE, SOURCE != 0)
    with pytest.raises(AssertionError, match="2 of 3 sentences"):
        model.start(memory).select(torch.tensor([0, 1]), None)
