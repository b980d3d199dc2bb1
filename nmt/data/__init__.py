"""Parallel text: corpora, cleaning, subword pieces, and batches. The public names are the corpora."""

from importlib import import_module
from typing import Any

_MODULES = {
    "FilesCorpus": "nmt.data.corpus",
    "GrammarCorpus": "nmt.data.grammar",
    "HubCorpus": "nmt.data.corpus",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    """Imports the library `datasets`, which takes a second, only when a corpus is asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
