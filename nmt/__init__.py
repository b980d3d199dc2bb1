"""Neural machine translation whose code is meant to be read and changed, and whose results can be trusted.

Data flows through the packages in this order:

    corpus → tokenizer → batches → model → trainer → run folder → search → translator → metrics → report

A trained system translates with `Translator.load("runs/x").translate(["A dog runs."])[0].text`.
"""

from typing import Any

__all__ = ["Translation", "Translator"]


def __getattr__(name: str) -> Any:
    """Imports the public names on first use. They need torch, which takes a second; `nmt --help` does without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nmt import translator

    return getattr(translator, name)
