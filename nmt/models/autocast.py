"""The number format of activations under autocast."""

from __future__ import annotations

import torch
from torch import Tensor


def to_autocast_format(activations: Tensor) -> Tensor:
    """Converts activations to autocast's number format; outside of autocast they stay as they are.

    Autocast converts the inputs of matrix products, but sums and normalisations keep the format of their inputs. An
    activation that is converted once, at the start, saves a conversion before each product that reads it.
    """
    device_type = activations.device.type
    # On `meta`, where only shapes count, torch knows no autocast.
    if torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type):
        return activations.to(torch.get_autocast_dtype(device_type))
    return activations
