"""What a notebook shows: self-contained, escaped HTML of bounded size."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

from nmt import RunFolder, Translation, Translator
from nmt.translator import Attention


class Elements(HTMLParser):
    """Collects the start tags with their attributes, and checks that every tag is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.started: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.started.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.started.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.started)


def make_attention(num_rows: int, num_columns: int, *, heads: int = 1) -> Attention:
    weights = np.full((1, heads, num_rows, num_columns), 1 / num_columns, dtype=np.float32)
    return Attention("cross", weights, ["▁b"] * num_rows, ["▁a"] * num_columns, (0,), tuple(range(heads)))


def make_translation(text: str, num_source: int, num_target: int) -> Translation:
    cross = make_attention(num_target, num_source)
    return Translation(text, -1.25, -2.5, cross.columns, cross.rows, {"cross": cross})


def test_a_translation_shows_its_text_its_matrix_and_its_score() -> None:
    page = Elements(make_translation("ein Hund", 3, 2)._repr_html_())
    assert "ein Hund" in page.text
    assert "Score -1.250" in page.text
    assert page.count("svg") == 1
    assert page.count("rect") == 1 + 6  # the background and the cells


def test_the_page_needs_nothing_else_and_runs_nothing(trained_run: Path) -> None:
    for shown in (make_translation("ein Hund", 3, 2), RunFolder.open(trained_run)):
        html = shown._repr_html_()
        page = Elements(html)
        assert page.count("script") == page.count("link") == page.count("img") == 0
        assert "http" not in html and "@import" not in html and "url(" not in html
        style = re.search(r"<style>(.*?)</style>", html, flags=re.DOTALL)
        assert style is not None
        # The rules must not change the rest of the notebook.
        assert all(line.startswith(".nmt-shown") for line in style[1].strip().splitlines())


def test_text_is_escaped_and_has_its_own_direction() -> None:
    cross = Attention("cross", np.ones((1, 1, 1, 1), dtype=np.float32), ["</s>"], ["▁<i>"], (0,), (0,))
    translation = Translation('<b>&"كلب"', -1.0, -1.0, cross.columns, cross.rows, {"cross": cross})
    page = Elements(translation._repr_html_())
    assert page.count("b") == page.count("i") == 0
    assert '<b>&"كلب"' in page.text
    assert {attributes.get("dir") for tag, attributes in page.started if attributes.get("class") == "text"} == {"auto"}


def test_a_long_sentence_is_shown_in_part() -> None:
    html = make_translation("x", 1023, 1023)._repr_html_()
    assert len(html) < 2**20
    assert "Only the first 60 of 1023 columns and 1023 rows are shown" in Elements(html).text


def test_heads_are_shown_side_by_side() -> None:
    page = Elements(make_attention(3, 2, heads=5)._repr_html_())
    assert page.count("svg") == page.count("figcaption") == 5
    assert "layer 0, head 4" in page.text
    html = make_attention(70, 70, heads=30)._repr_html_()
    assert len(html) < 2**20
    assert Elements(html).count("svg") == 24
    assert "Only the first 24 of 30 heads are shown" in html
    assert "nothing to attend to" in make_attention(0, 3)._repr_html_()


def test_what_is_missing_or_cut_is_said() -> None:
    translation = Translation("x", -1.0, -1.0, ["▁a"], ["▁x"], truncated=True, source_truncated=True)
    text = Elements(translation._repr_html_()).text
    assert "No attention weights" in text
    assert "cut at the length limit" in text
    assert "its end was not translated" in text
    assert "(no words)" in Elements(Translation("", 0.0, 0.0, [], [])._repr_html_()).text


def test_a_run_shows_its_curves(trained_run: Path) -> None:
    page = Elements(RunFolder.open(trained_run)._repr_html_())
    assert page.count("svg") == page.count("polyline") == 5  # losses, BLEU, and two measures of attention
    assert "LuongRNN, 160 steps" in page.text
    assert "best validation BLEU" in page.text


def test_a_damaged_run_shows_what_is_wrong(tmp_path: Path) -> None:
    page = Elements(RunFolder(tmp_path / "<x>")._repr_html_())
    assert "history.jsonl is missing" in page.text
    assert page.count("svg") == page.count("x") == 0


def test_a_single_translation_of_a_run_shows_its_alignment(trained_run: Path) -> None:
    translation = Translator.load(trained_run, device="cpu").translate("one two")
    assert Elements(translation._repr_html_()).count("svg") == 1


def test_importing_the_package_does_not_import_torch() -> None:
    code = "import nmt, sys; sys.exit('torch' in sys.modules or 'jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0
