import pytest
import torch
from torch import nn

from nmt import models
from nmt.benchmark.decoding import never_end
from nmt.run.registry import build
from nmt.search import BeamSearch, GreedySearch

EOS = 2
LIMIT = {"max_length_factor": 1.5, "max_length_margin": 1}


@pytest.mark.parametrize(
    "search", [GreedySearch(**LIMIT), BeamSearch(beam_size=3, length_penalty=0.6, **LIMIT)], ids=["greedy", "beam"]
)
def test_every_translation_reaches_its_limit(description, batch, search):
    model = build(description, models).eval()
    with torch.no_grad():
        model.vocabulary.output.bias[EOS] = 100.0  # a model that would end at once
    arguments = {"bos_id": 1, "eos_id": EOS, "banned_ids": [0], "n_best": 1, "need_attention": False}
    assert {len(found[0].tokens) for found in search(model, batch.source, batch.source_mask, **arguments)} == {1}
    never_end(model, EOS)
    limits = [int(length * 1.5) + 1 for length in batch.source_mask.sum(1).tolist()]
    found = search(model, batch.source, batch.source_mask, **arguments)
    assert [len(best[0].tokens) for best in found] == limits
    assert all(best[0].tokens[-1] == EOS and EOS not in best[0].tokens[:-1] for best in found)


def test_a_model_without_an_output_layer_is_named():
    with pytest.raises(ValueError, match=r"Linear has no vocabulary.output.bias.*sentences=0"):
        never_end(nn.Linear(2, 2), EOS)
