"""Neural machine translation, to read, to trust and to change.

The way of the data, which is also the order of the packages:

    corpus → tokenizer → batches → model → trainer → run folder → search → translator → metrics → report
"""

from typing import Any

__all__ = ["Translation", "Translator"]


def __getattr__(name: str) -> Any:
    """Imports torch only when a public name is asked for: `nmt --help` does not wait for it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nmt import translator

    return getattr(translator, name)
