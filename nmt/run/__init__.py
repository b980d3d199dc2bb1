"""The run folder: the interface between the commands. It holds everything that translation needs."""

from nmt.run.folder import RunFolder

__all__ = ["RunFolder"]
