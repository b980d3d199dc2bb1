"""The masked-pieces objective: its loss equals the formula, and it trains the encoder and nothing of the decoder."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from nmt import models
from nmt.data.batch import Batch, make_batch, mask_all_targets, predict_only
from nmt.errors import UserError
from nmt.models import Seq2Seq
from nmt.run.registry import build
from nmt.training.masked import MaskedObjective, add_head, encoder_parameters


@pytest.fixture
def model(description: dict[str, Any]) -> Seq2Seq:
    """Each architecture with an encoder, with a head."""
    torch.manual_seed(1)
    model: Seq2Seq = build(description, models)
    if type(model).encoder_outputs is Seq2Seq.encoder_outputs:
        pytest.skip("it has no encoder of its own")
    add_head(model)
    return model


@pytest.fixture
def masked_batch() -> Batch:
    """Three texts; two pieces of the first one and one of the others are predicted."""
    texts = [[5, 6, 7, 8], [9, 10], [11, 12, 13]]
    noisy = [[5, 4, 7, 20], [4, 10], [11, 12, 13]]
    predicted = [[False, True, False, True], [True, False], [False, False, True]]
    batch = make_batch(noisy, texts, pad_id=0, bos_id=1, eos_id=2)
    return predict_only(batch, [np.array(flags) for flags in predicted])


def test_the_batch_predicts_the_chosen_pieces(masked_batch: Batch) -> None:
    assert masked_batch.num_tokens == 4
    assert masked_batch.target_indices.tolist() == [1, 3, 5, 12]  # rows of 5: 4 pieces and eos
    assert masked_batch.target_output.flatten()[masked_batch.target_indices].tolist() == [6, 8, 9, 13]
    assert mask_all_targets(masked_batch).num_tokens == 0


def test_loss_and_gradients_equal_the_formula(model: Seq2Seq, masked_batch: Batch) -> None:
    loss, nll = MaskedObjective(model, label_smoothing=0.1)(*masked_batch.tensors)
    parameters = {name: each for name, each in model.named_parameters() if each.requires_grad}
    gradients = torch.autograd.grad(loss, list(parameters.values()))

    # Predictions at four positions, one text at a time.
    losses, nlls = torch.zeros(()), torch.zeros(())
    for row, column, piece in ((0, 1, 6), (0, 3, 8), (1, 0, 9), (2, 2, 13)):
        mask = masked_batch.source_mask[row : row + 1]
        length = int(mask.sum())
        outputs = model.encoder_outputs(masked_batch.source[row : row + 1, :length], mask[:, :length])
        linear, _, norm = model.get_submodule("masked_head").children()
        hidden = F.gelu(linear(outputs[0, column]))
        normalized = (hidden - hidden.mean()) / (hidden.var(correction=0) + 1e-5).sqrt()
        weight, bias = norm.parameters()
        normalized = normalized * weight + bias
        logits = model.vocabulary.output.weight @ normalized + model.vocabulary.output.bias
        losses = losses + F.cross_entropy(logits, torch.tensor(piece), label_smoothing=0.1)
        nlls = nlls + F.cross_entropy(logits, torch.tensor(piece))
    torch.testing.assert_close(loss, losses)
    torch.testing.assert_close(nll, nlls)
    expected = torch.autograd.grad(losses, list(parameters.values()))
    for name, gradient, other in zip(parameters, gradients, expected, strict=True):
        assert bool(gradient.any()), name
        torch.testing.assert_close(gradient, other, msg=name)


def test_the_decoder_is_frozen(model: Seq2Seq) -> None:
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    parts = {name.split(".")[0] for name in trained}
    assert parts == {"vocabulary", "encoder", "masked_head"}
    assert {name for name, _ in model.named_parameters() if name.startswith("encoder.")} <= trained
    without_head = {name for name in trained if not name.startswith("masked_head.")}
    assert encoder_parameters(model) == without_head  # also when the decoder is frozen already


def test_a_model_without_an_encoder_of_its_own_is_refused(
    description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Seq2Seq = build(description, models)
    monkeypatch.setattr(type(model), "encoder_outputs", Seq2Seq.encoder_outputs)
    with pytest.raises(UserError, match=f"{type(model).__name__} has no encoder that could be trained by itself"):
        add_head(model)
