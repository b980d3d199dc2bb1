"""The training loss since its last record."""

from __future__ import annotations

import msgspec

from nmt.run.format import Count
from nmt.training.distributed import Processes


class LossMeter(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Sums over the updates since the last record of the training loss. A checkpoint stores them as JSON.

    Attributes:
        nll: negative log-likelihood in nats, of this process's tokens.
        num_tokens: target tokens of this process.
        gradient_norm: sum of the gradient norms.
        num_steps: updates.
        seconds: time that the updates took.
    """

    nll: float = 0.0
    num_tokens: Count = 0
    gradient_norm: float = 0.0
    num_steps: Count = 0
    seconds: float = 0.0

    def add(self, *, nll: float, num_tokens: int, gradient_norm: float) -> None:
        """Adds one update. Its time is added to `seconds` separately."""
        self.nll += nll
        self.num_tokens += num_tokens
        self.gradient_norm += gradient_norm
        self.num_steps += 1

    def means(self, processes: Processes) -> dict[str, float]:
        """Mean loss in nats per token, mean gradient norm, and target tokens per second, over all processes."""
        nll, num_tokens = processes.sum(self.nll, self.num_tokens)
        return {
            "loss": nll / num_tokens,
            "gradient_norm": self.gradient_norm / self.num_steps,
            "tokens_per_second": num_tokens / self.seconds,
        }

    def total(self, processes: Processes) -> LossMeter:
        """The meter with the tokens of all processes, which a checkpoint stores."""
        nll, num_tokens = processes.sum(self.nll, self.num_tokens)
        return msgspec.structs.replace(self, nll=nll, num_tokens=int(num_tokens))

    def drop_tokens(self) -> None:
        """Sets loss and tokens to 0: on resume only the main process keeps those of the checkpoint."""
        self.nll, self.num_tokens = 0.0, 0
