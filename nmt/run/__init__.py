"""The run folder: the interface between the commands. It holds everything that translation needs."""

from nmt.run.ensemble import open_run
from nmt.run.folder import RunFolder

__all__ = ["RunFolder", "open_run"]
