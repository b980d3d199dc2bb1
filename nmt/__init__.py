"""Neural machine translation whose code is meant to be read and changed, and whose results can be trusted.

Data flows through the packages in this order:

    corpus → tokenizer → batches → model → trainer → run folder → search → translator → metrics → report

A trained system translates with `Translator.load("runs/x").translate("A dog runs.").text`. In a notebook, the
`Translation` shows its alignment, and `RunFolder.open("runs/x")` its learning curves.
"""

from typing import Any

from nmt.display import set_renderer

__all__ = ["RunFolder", "Translation", "Translator"]


def __getattr__(name: str) -> Any:
    """Imports the public names on first use. They need torch, which takes a second; `nmt --help` does without it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from nmt import run, translator

    return getattr(run if name == "RunFolder" else translator, name)


def _render_html(shown: Any) -> str:
    from nmt.notebook import render_html

    return render_html(shown)


set_renderer(_render_html)
