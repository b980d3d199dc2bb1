"""The table of all sentences in the page, and the attention that is packed into it."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from sacrebleu.metrics.chrf import CHRF

from nmt.evaluation.attention_file import SentenceAttention, read_attention
from nmt.report import sentences
from nmt.report.comparison import compare
from nmt.report.runs import read_runs
from nmt.report.sentences import pack_attention

NAMES = ["lstm", "lstm_bahdanau", "lstm_luong", "transformer"]


class SentenceTable(HTMLParser):
    """The rows of the table: the text of each cell, without its marks."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.marked: list[str] = []
        self.missing: list[str] = []
        self.in_mark = False
        start = page.index("<tbody>", page.index('<table class="sentences'))
        self.feed(page[start : page.index("</tbody>", start)])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("bdi", "small", "th") or (tag == "td" and dict(attrs).get("class") == "number"):
            self.rows[-1].append("")
        elif tag == "i":
            self.missing.append(dict(attrs)["title"] or "")
        elif tag == "mark":
            self.marked.append("")
        self.in_mark = tag == "mark"

    def handle_data(self, data: str) -> None:
        if self.in_mark:
            self.marked[-1] += data
            self.in_mark = False
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def page(finished_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("compared")
    compare([finished_runs / name for name in NAMES], split="test", out=out)
    return (out / "report.html").read_text(encoding="utf-8")


def test_every_sentence_is_a_row_with_the_sentence_chrf_of_sacrebleu(finished_runs: Path, page: str) -> None:
    texts = [
        [(finished_runs / run / "evaluation" / f"test.{name}.txt").read_text("utf-8").split("\n")[:-1] for run in NAMES]
        for name in ("source", "ref", "hyp")
    ]
    table = SentenceTable(page)
    assert len(table.rows) == 60
    for index, row in enumerate(table.rows):
        source, reference = texts[0][0][index], texts[1][0][index]
        hypotheses = [lines[index] for lines in texts[2]]
        scores = [CHRF().sentence_score(hypothesis, [reference]).score for hypothesis in hypotheses]
        figures = [str(index), str(len(source.split())), f"{max(scores) - min(scores):.1f}"]
        cells = [
            cell for text, score in zip(hypotheses, scores, strict=True) for cell in (text.strip(), f"{score:.1f}")
        ]
        assert [cell.strip() for cell in row] == [*figures, source, reference, *cells]


def test_words_that_differ_from_the_reference_are_marked(finished_runs: Path, page: str) -> None:
    """In these systems, which replace words by others."""
    table = SentenceTable(page)
    words = {word for text in table.marked for word in re.findall(r"\w+", text)}
    assert {"ein", "Hund", "rot", "geht"} <= words
    assert "<mark>" in page
    assert len(table.missing) < len(table.marked)


def unpack(page: str) -> list[list[SentenceAttention | None]]:
    match = re.search(r'<script type="text/plain" id="attention">([^<]*)</script>', page)
    assert match is not None
    content = zlib.decompress(base64.b64decode(match[1]))
    return msgspec.json.decode(content, type=list[list[SentenceAttention | None]])


def test_the_page_has_the_attention_of_every_sentence(finished_runs: Path, page: str) -> None:
    stored = [read_attention(finished_runs / name / "evaluation" / "test.attention.gz") for name in NAMES]
    unpacked = unpack(page)
    assert unpacked == [list(sentence) for sentence in zip(*stored, strict=True)]
    assert [attention is None for attention in unpacked[0]] == [True, False, False, False]


def test_attention_that_would_make_the_page_too_large_is_left_out(
    finished_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = read_runs([finished_runs / name for name in NAMES], split="test")
    complete = pack_attention(runs)
    monkeypatch.setattr(sentences, "MAX_ATTENTION_CHARACTERS", len(complete) - 1)
    half = json.loads(zlib.decompress(base64.b64decode(pack_attention(runs))))
    assert half == json.loads(zlib.decompress(base64.b64decode(complete)))[:30]


def test_four_systems_and_a_thousand_sentences_stay_below_five_megabytes(page: str) -> None:
    """These sentences have up to 40 words. The attention has a limit of its own."""
    attention = re.search(r'id="attention">([^<]*)<', page)
    table = re.search(r'<table class="sentences.*?</table>', page, flags=re.DOTALL)
    assert attention is not None
    assert table is not None
    others = len(page.encode()) - len(attention[1]) - len(table[0].encode())
    assert others + len(table[0].encode()) * 1000 / 60 + sentences.MAX_ATTENTION_CHARACTERS < 5e6


def test_the_script_knows_the_columns_of_the_table(page: str) -> None:
    head = page[page.index('<table class="sentences') :].split("</thead>")[0]
    headings = re.findall(r"<th [^>]*>(.*?)</th>", head)
    assert "const FIRST_SYSTEM = 4;" in page
    assert [re.sub("<.*?>", "", heading) for heading in headings[4:]] == NAMES
    assert headings[2:4] == ["spread", "source, reference"]
