"""Decoding for the benchmark: every translation reaches its maximum length, whatever the model has learned."""

from typing import Any

import pytest
import torch

from nmt import models
from nmt.benchmark.decoding import suppress_eos
from nmt.data.batch import Batch
from nmt.errors import UserError
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.search import BeamSearch, GreedySearch
from nmt.search.protocol import SearchRequest

EOS = 2
LIMIT: dict[str, Any] = {"max_length_factor": 1.5, "max_length_margin": 1}


@pytest.mark.parametrize(
    "search", [GreedySearch(**LIMIT), BeamSearch(beam_size=3, length_penalty=0.6, **LIMIT)], ids=["greedy", "beam"]
)
def test_every_translation_reaches_its_limit(
    description: dict[str, Any], batch: Batch, search: GreedySearch | BeamSearch
) -> None:
    model: Seq2Seq = build(description, models).eval()
    with torch.no_grad():
        model.get_parameter("vocabulary.output.bias")[EOS] = 100.0  # without help, this model would end at once

    def lengths_of_translations() -> list[int]:
        request = SearchRequest(
            source=batch.source, source_mask=batch.source_mask, bos_id=1, eos_id=EOS, banned_ids=[0], n_best=1
        )
        results = search(model, request)
        tokens = [hypotheses[0].tokens for hypotheses in results]
        assert all(sentence[-1] == EOS and EOS not in sentence[:-1] for sentence in tokens)
        return [len(sentence) for sentence in tokens]

    assert set(lengths_of_translations()) == {1}
    suppress_eos(model, EOS)
    assert lengths_of_translations() == [int(length * 1.5) + 1 for length in batch.source_mask.sum(1).tolist()]


def test_a_model_without_an_output_layer_is_named() -> None:
    with pytest.raises(UserError, match=r"Linear has no parameter vocabulary.output.bias.*sentences=0"):
        suppress_eos(torch.nn.Linear(2, 2), EOS)  # type: ignore[arg-type]
