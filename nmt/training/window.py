"""What the training loss is averaged over between two records."""

from __future__ import annotations

import torch
from torch import Tensor

from nmt.training.processes import Processes


class Window:
    """Sums over the steps since the last record; they stay on the device until then, so that no step waits.

    Args:
        device: the model's.
        state: of the window of the run that goes on; empty for a new one.
    """

    def __init__(self, device: torch.device, state: dict[str, float]) -> None:
        self.device = device
        self.restore(state)

    def restore(self, state: dict[str, float]) -> None:
        self.likelihood = torch.tensor(state.get("likelihood", 0.0), device=self.device)
        self.norm = torch.tensor(state.get("norm", 0.0), device=self.device)
        self.num_tokens = state.get("num_tokens", 0)
        self.num_steps = state.get("num_steps", 0)
        self.seconds = state.get("seconds", 0.0)

    def state(self, processes: Processes) -> dict[str, float]:
        """What `restore` takes up exactly, as JSON values: the sums of all processes, for one of them to go on with."""
        likelihood, num_tokens = processes.sum(float(self.likelihood), self.num_tokens)
        return {
            "likelihood": likelihood,
            "norm": float(self.norm),
            "num_tokens": int(num_tokens),
            "num_steps": self.num_steps,
            "seconds": self.seconds,
        }

    def add(self, likelihood: Tensor, num_tokens: int, norm: Tensor, seconds: float) -> None:
        self.likelihood += likelihood
        self.norm += norm
        self.num_tokens += num_tokens
        self.num_steps += 1
        self.seconds += seconds

    def close(self, processes: Processes) -> dict[str, float]:
        """Means since the last call: the loss in nats per token, the gradient's norm, target tokens per second."""
        likelihood, num_tokens = processes.sum(float(self.likelihood), self.num_tokens)
        facts = {
            "loss": likelihood / num_tokens,
            "gradient_norm": float(self.norm) / self.num_steps,
            "tokens_per_second": num_tokens / self.seconds,
        }
        self.restore({})
        return facts
