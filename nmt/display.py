"""How a notebook shows the objects of this package.

The pictures are drawn far above the objects that they show, and imports only point downward. So an object only states
that it can be shown, and `nmt/__init__.py` says who draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_renderers: list[Callable[[Any], str]] = []


def set_renderer(render: Callable[[Any], str]) -> None:
    """Sets the function that returns the HTML of every `Displayed` object."""
    _renderers[:] = [render]


class Displayed:
    """An object that a notebook shows as HTML; `nmt.notebook` draws it."""

    def _repr_html_(self) -> str:
        """Called by notebooks (IPython's protocol for rich display)."""
        [render] = _renderers
        return render(self)
