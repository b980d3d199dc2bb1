"""What the training loss is averaged over between two records."""

from __future__ import annotations

from nmt.training.distributed import Processes


class LossMeter:
    """Sums over the steps since the last record.

    Args:
        state: of the window of the run that goes on; empty for a new one.
    """

    def __init__(self, state: dict[str, float]) -> None:
        self.restore(state)

    def restore(self, state: dict[str, float]) -> None:
        self.nll = state.get("nll", 0.0)
        self.norm = state.get("norm", 0.0)
        self.num_tokens = state.get("num_tokens", 0)
        self.num_steps = state.get("num_steps", 0)
        self.seconds = state.get("seconds", 0.0)

    def state(self, processes: Processes) -> dict[str, float]:
        """What `restore` takes up exactly, as JSON values: the sums of all processes, for one of them to go on with."""
        nll, num_tokens = processes.sum(self.nll, self.num_tokens)
        return {
            "nll": nll,
            "norm": self.norm,
            "num_tokens": int(num_tokens),
            "num_steps": self.num_steps,
            "seconds": self.seconds,
        }

    def add(self, nll: float, num_tokens: int, norm: float) -> None:
        """Adds an update; its time is added apart."""
        self.nll += nll
        self.norm += norm
        self.num_tokens += num_tokens
        self.num_steps += 1

    def close(self, processes: Processes) -> dict[str, float]:
        """Means since the last call: the loss in nats per token, the gradient's norm, target tokens per second."""
        nll, num_tokens = processes.sum(self.nll, self.num_tokens)
        facts = {
            "loss": nll / num_tokens,
            "gradient_norm": self.norm / self.num_steps,
            "tokens_per_second": num_tokens / self.seconds,
        }
        self.restore({})
        return facts
