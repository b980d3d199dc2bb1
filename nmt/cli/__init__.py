"""The command line, `nmt COMMAND …`: one file per command, and in `shell/` everything that the commands share."""

from nmt.cli.shell.main import main

__all__ = ["main"]
