"""Scores of given translations in batches, compared with the scores of one after the other."""

import pytest
import torch

from nmt.data.batch import make_batch
from nmt.models.seq2seq import TranslationModel
from nmt.search.forced import force_decode, score_batch
from nmt.search.scoring import LengthPenalty

PAD, BOS, EOS = 0, 1, 2
SOURCES = [[3, 4, 5], [7], [8, 6, 3, 4, 5], []]
TARGETS = [[3, 3, 5, 4], [], [5], [4, 3]]


def test_a_batch_has_the_log_probabilities_of_forced_decoding(model: TranslationModel) -> None:
    batch = make_batch(SOURCES, TARGETS, pad_id=PAD, bos_id=BOS, eos_id=EOS)
    scored = score_batch(model, batch)
    for source, target, log_probabilities in zip(SOURCES, TARGETS, scored, strict=True):
        ids = torch.tensor([[*source, EOS]])
        forced = force_decode(
            model,
            ids,
            torch.ones_like(ids, dtype=torch.bool),
            [*target, EOS],
            bos_id=BOS,
            length_penalty=LengthPenalty(0.6),
        )
        assert log_probabilities == pytest.approx(forced.log_probabilities, abs=1e-5)
