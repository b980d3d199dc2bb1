"""Scores of given translations in batches, compared with the steps of a search."""

import pytest
import torch

from nmt.data.batch import make_batch
from nmt.models.seq2seq import TranslationModel
from nmt.search.forced import score_batch

PAD, BOS, EOS = 0, 1, 2
SOURCES = [[3, 4, 5], [7], [8, 6, 3, 4, 5], []]
TARGETS = [[3, 3, 5, 4], [], [5], [4, 3]]


def test_a_batch_has_the_log_probabilities_of_single_steps(model: TranslationModel) -> None:
    batch = make_batch(SOURCES, TARGETS, pad_id=PAD, bos_id=BOS, eos_id=EOS)
    for source, target, scored in zip(SOURCES, TARGETS, score_batch(model, batch), strict=True):
        ids = torch.tensor([[*source, EOS]])
        memory = model.encode(ids, torch.ones_like(ids, dtype=torch.bool))
        state, expected = model.start(memory), []
        for token, following in zip([BOS, *target], [*target, EOS], strict=True):
            logits, state = model.step(torch.tensor([token]), state, memory)
            expected.append(logits.softmax(-1)[0, following].log().item())
        assert scored == pytest.approx(expected, abs=1e-5)
