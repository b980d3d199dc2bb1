"""The explorer's page, and the same page as one file that needs neither a server nor a network.

The folder `page/` holds the page as a server sends it: HTML, a style sheet, and JavaScript modules that import each
other. `render_page` puts all of them into one HTML file, with the analyses that it shows. There an import map leads
from the name of each module to its text in a data URL.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nmt.files import read_text

if TYPE_CHECKING:
    from nmt.explore.analysis import Analysis
    from nmt.explore.beam_tree import BeamTree

PAGE_FOLDER = Path(__file__).parent / "page"
"""index.html, style.css and the modules, which a server sends as they are."""

POLICY = "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:"
"""The content security policy of a file: it loads nothing from anywhere."""

STYLE_LINK = '<link rel="stylesheet" href="style.css">'
MAIN_SCRIPT = '<script type="module" src="main.js"></script>'
"""The lines of index.html for which a file has the style sheet and the modules themselves."""

IMPORT = re.compile(r'(?<=from )"\./(\w+\.js)"')
"""The name of another module in an import."""


def render_page(
    analyses: Sequence[Analysis], beams: Sequence[BeamTree] = (), *, state: Mapping[str, Any] | None = None
) -> str:
    """The explorer in one HTML file.

    Args:
        analyses: of one or several sentences, each by one or several systems.
        beams: the searches behind some of them.
        state: what the page shows first, as in `page/state.js`; the rest has that file's defaults.
    """
    page = read_text(PAGE_FOLDER / "index.html")
    data = msgspec.json.encode({"analyses": analyses, "beams": beams, "state": state or {}}).decode()
    parts = {
        STYLE_LINK: f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<style>\n{read_text(PAGE_FOLDER / 'style.css')}</style>",
        MAIN_SCRIPT: f'<script type="application/json" id="data">{escape_script(data)}</script>\n'
        f'<script type="importmap">{escape_script(map_modules())}</script>\n'
        '<script type="module">import "nmt/main.js";</script>',
    }
    for line, replacement in parts.items():
        assert page.count(line) == 1, f"index.html must contain once: {line}"
        page = page.replace(line, replacement)
    return page


def map_modules() -> str:
    """The import map of a file: from the name of each module to a data URL."""
    imports = {}
    for path in sorted(PAGE_FOLDER.glob("*.js")):
        text = IMPORT.sub(r'"nmt/\1"', read_text(path))
        imports[f"nmt/{path.name}"] = f"data:text/javascript;base64,{base64.b64encode(text.encode()).decode('ascii')}"
    return msgspec.json.encode({"imports": imports}).decode()


def escape_script(json: str) -> str:
    """JSON without "<", which occurs only in strings, so that no text in it can end the script around it."""
    return json.replace("<", "\\u003c")
