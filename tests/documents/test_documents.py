"""Documents of each kind, translated by a dictionary: what is translated, and that everything else stays."""

from collections.abc import Sequence, Set
from pathlib import Path

import pytest

from nmt.cli import main
from nmt.data.pharaoh import Link
from nmt.data.words import separate_words
from nmt.documents.html import find_edits as find_html_edits
from nmt.documents.html import translate_html
from nmt.documents.markdown import translate_markdown
from nmt.documents.placement import place_marks
from nmt.documents.plain import is_wrapped, translate_plain
from nmt.documents.segment import Change, Mark, Piece, Segment, render
from nmt.documents.sentences import divide, translate_segments
from nmt.documents.subtitles import translate_subtitles

pytest.importorskip("sentencex")

SENTENCES = {
    "A dog runs.": "Es läuft ein Hund.",
    "A cat sleeps.": "Eine Katze schläft.",
    "A red dog": "Ein roter Hund.",
    "The dog eats a big fish.": "Der Hund frisst einen großen Fisch.",
    "The hot dog runs.": "Der Wurst läuft.",
    "A red big dog.": "一只红色的狗。",
}
"""Translations; the full stop behind "Hund" is one that the source lacks."""

LINKS: dict[str, Set[Link]] = {
    "A dog runs.": {(0, 2), (1, 3), (2, 0), (2, 1), (3, 4)},
    "A red dog": {(0, 0), (1, 1), (2, 2)},
    "The dog eats a big fish.": {(index, index) for index in range(7)},
    "The hot dog runs.": {(0, 0), (1, 1), (2, 1), (3, 2), (4, 3)},
    "A red big dog.": {(0, 0), (0, 1), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6)},
}


@pytest.fixture
def change() -> Change:
    """Translates by the dictionary; other sentences become upper-case, word by word."""

    def translate(sentences: Sequence[str]) -> list[str]:
        return [SENTENCES.get(each, each.upper()) for each in sentences]

    def align(pairs: Sequence[tuple[str, str]]) -> list[Set[Link]]:
        words = [len(separate_words(source)) for source, _ in pairs]
        return [
            LINKS.get(pair[0], {(index, index) for index in range(count)})
            for pair, count in zip(pairs, words, strict=True)
        ]

    return lambda segments: translate_segments(segments, language="en", translate=translate, align=align)


def as_it_is(segment: Segment) -> list[Piece]:
    """The pieces of a segment that nobody has translated."""
    sentences = translate_segments(
        [segment],
        language="en",
        translate=list,
        align=lambda pairs: [{(index, index) for index in range(len(source))} for source, _ in pairs],
    )
    return sentences[0]


def test_plain_text(change: Change) -> None:
    source = (
        "\ufeffA red dog\r\n\r\n"
        "  A dog runs.  A cat sleeps.\t\r\n"
        "* A dog runs.\r\n"
        "2) A dog runs.\r\n"
        "\t\r\n 42 – 43\r\n"
        "See me@x.org.\r\n"
    )
    expected = (
        "\ufeffEin roter Hund\r\n\r\n"
        "  Es läuft ein Hund.  Eine Katze schläft.\t\r\n"
        "* Es läuft ein Hund.\r\n"
        "2) Es läuft ein Hund.\r\n"
        "\t\r\n 42 – 43\r\n"
        "SEE me@x.org.\r\n"
    )
    assert translate_plain(source.encode(), change).decode() == expected
    for text in ("", "\n\n", "--- 1, 2\r\n", "A dog runs.\rA dog runs."):
        assert translate_plain(text.encode(), lambda segments: [as_it_is(each) for each in segments]) == text.encode()


@pytest.mark.parametrize(
    ("source", "translated"),
    [
        ("1    2    3\n----   ----\n", "1    2    3\n----   ----\n"),
        ("* Total:     12   EUR  \n", "* TOTAL:     12   EUR  \n"),
        ("one two\t\tthree \t 4\n", "ONE TWO\t\tTHREE \t 4\n"),
        (("one two" + 40 * " " + "three\n") * 2, ("ONE TWO" + 40 * " " + "THREE\n") * 2),
    ],
)
def test_columns_of_plain_text_stay(source: str, translated: str, change: Change) -> None:
    assert translate_plain(source.encode(), change).decode() == translated


def test_broken_lines_are_joined_and_broken_again(change: Change) -> None:
    lines = [
        "    A dog runs. A cat sleeps. A dog runs. A",
        "    cat sleeps. A dog runs. A cat sleeps. A",
        "    dog runs.",
    ]
    assert is_wrapped(lines)
    assert not is_wrapped(lines[::-1])  # the second line would fit into the first one
    assert not is_wrapped(["one", "two"])
    result = translate_plain("\n".join([*lines, "", "A dog runs.\n"]).encode(), change).decode()
    assert result == (
        "    Es läuft ein Hund. Eine Katze schläft.\n    Es läuft ein Hund. Eine Katze schläft.\n"
        "    Es läuft ein Hund. Eine Katze schläft.\n    Es läuft ein Hund.\n\nEs läuft ein Hund.\n"
    )


def test_a_short_word_before_a_full_stop_is_no_number(change: Change) -> None:
    for text in ("Mr. Brown has a dog.", "Yes. I know him.", "(He) sleeps.", "mix. It is one."):
        assert translate_plain(text.encode(), change).decode() == text.upper()
    for bullet in ("1. ", "a) ", "(iv) ", "B. ", "XII) "):
        assert translate_plain(f"{bullet}A dog runs.".encode(), change).decode() == f"{bullet}Es läuft ein Hund."
    lines = [
        "The old man said that nobody had ever told him about",
        "it. Then he went home, and the dog went home too.",
    ]
    assert is_wrapped(lines)


MARKDOWN = """\
---
title: A dog runs.
---
# A *red* dog #

A **dog** runs. The [dog](https://x.org/a "A dog") eats
a `big` fish.

> * A dog runs.
>   A cat sleeps.\\
>   A dog runs.
> 1. ![A dog](dog.png) A cat sleeps.[^1]

| A red dog | **A dog runs.** |
|:---|---|
| `a | b` | 12 |

```sh
echo A dog runs.
```

    A dog runs.

<p>A dog runs.</p>

A _red_ dog
===

[dog]: https://x.org
[^1]: A [dog] runs.
"""

MARKDOWN_TRANSLATED = """\
---
title: A dog runs.
---
# Ein *roter* Hund #

Es läuft ein **Hund**. Der [Hund](https://x.org/a "A dog") frisst einen `big` Fisch.

> * Es läuft ein Hund. Eine Katze schläft.\\
>   Es läuft ein Hund.
> 1. ![A dog](dog.png) Eine Katze schläft.[^1]

| Ein roter Hund | **Es läuft ein Hund.** |
|:---|---|
| `A | B` | 12 |

```sh
echo A dog runs.
```

    A dog runs.

<p>A dog runs.</p>

Ein _roter_ Hund
===

[dog]: https://x.org
[^1]: Es läuft ein [Hund][DOG].
"""


def test_markdown(change: Change) -> None:
    pytest.importorskip("markdown_it")
    assert translate_markdown(MARKDOWN.encode(), change).decode() == MARKDOWN_TRANSLATED.replace(
        "| `A | B` |", "| \\`A | B\\` |"
    )
    # What a translation adds is no markup.
    assert translate_markdown(b"x", lambda _: [[Piece("1. *a* [b] c_d <e>")]]) == b"1\\. \\*a\\* \\[b\\] c_d \\<e>"


def test_what_stands_between_words_keeps_its_spaces() -> None:
    pytest.importorskip("markdown_it")
    for text in (
        "A ![dog](dog.png) runs.",
        "A<!-- big --> dog <b>runs</b> .",
        "A dog<br> runs and <!-- soon --> ![a](a.png) sleeps.",
        "A [![dog](dog.png)](x) runs, **![b](b.png)** too. [![c](c.png)](y)",
        "A \\&lt; b",  # the text &lt;, which is no <
    ):
        assert translate_markdown(text.encode(), lambda segments: list(map(as_it_is, segments))).decode() == text
    # Words on both sides of a line break are two words, and none is lost.
    assert translate_markdown(b"A<br>dog", lambda segments: list(map(as_it_is, segments))) == b"A<br> dog"
    for text in ("<p>A <img src=x> dog</p>", "<p>A <a href=y><img src=x></a> dog</p>", "<p>A<!-- b --> dog</p>"):
        assert translate_html(text.encode(), lambda segments: list(map(as_it_is, segments))).decode() == text
    texts = [edit.segment.text for edit in find_html_edits("<button>Yes</button><button>No</button>")]
    assert texts == ["Yes", "No"]


@pytest.mark.parametrize(
    ("source", "translated"),
    [
        ("~~old price~~ new price", "~~OLD PRICE~~ NEW PRICE"),
        ("**Line one  \nline two**", "**LINE ONE\\\n LINE TWO**"),
        ("> [Line one\\\n> line two](x) ends  \n> here", "> [LINE ONE\\\n>  LINE TWO](x) ENDS\\\n>  HERE"),
        ("\ufeff---\ntitle: A dog\n---\n\none", "\ufeff---\ntitle: A dog\n---\n\nONE"),
        ('+++\ntitle = "A dog"\n+++\none', '+++\ntitle = "A dog"\n+++\nONE'),
        ("\ufeff# A *red* dog", "\ufeff# Ein *roter* Hund"),
        ("> [!NOTE]\n> A dog runs.", "> [!NOTE]\n> Es läuft ein Hund."),
        (":::note\nA dog runs.\n:::", ":::note\nEs läuft ein Hund.\n:::"),
        ("A <b>dog</b> runs.", "Es läuft ein <b>Hund</b>."),
        ("<Sub>A <b>dog</b></SUB> runs.", "Es läuft <Sub>ein <b>Hund</b></SUB>."),
        ("<b>A *dog</b> runs.*", "<b>*Es läuft* ein Hund</b>."),  # no pair
        ("A <b>dog runs.", "Es läuft ein <b>Hund."),
        ("one <code>two *a*\n&lt;`b`</code> three", "ONE <code>two *a* \\<`b`</code> THREE"),
        ('one <span translate="no">two</span> three', 'ONE <span translate="no">two</span> THREE'),
        ("one <kbd>two</kbd>", "ONE <kbd>two</kbd>"),
        ("one <kbd>[two](x)</kbd>", "ONE <kbd>[TWO](x)</kbd>"),
        ("super<wbr>market.", "SUPERMARKET<wbr>."),
        ("The [hot](a) [dog](b) runs.", "Der [Wurst](a)[](b) läuft."),
        ("The **hot** *dog* runs.", "Der **Wurst** läuft."),  # emphasis of nothing would be text
        ("A _red_ big dog.", "一只*红色*的狗。"),
        ("A __red__ _big_ dog.", "一只**红色***的*狗。"),
        ("A *red* *big* dog.", "一只<em>红色</em><em>的</em>狗。"),
        ("1986\\.", "1986\\."),
        ("a \\~~b\\~~ c", "A \\~~B\\~~ C"),
        ("# Key \\#", "# KEY \\#"),
        ("[link](http://a.b/x?a=1&amp;copy;2)", "[LINK](http://a.b/x?a=1&amp;copy;2)"),
        ('[link](x "&amp;copy; \\\\\\" b")', '[LINK](x "&amp;copy; \\\\\\" b")'),
        ("runs[^1].\n\n[^1]: http://x.org", "RUNS[^1].\n\n[^1]: http://x.org"),
    ],
)
def test_what_markdown_keeps(source: str, translated: str, change: Change) -> None:
    pytest.importorskip("markdown_it")
    assert translate_markdown(source.encode(), change).decode() == translated


HTML = """\
<!DOCTYPE html>
<title>A red dog</title><style>p { color: red }</style>
<P class=a>A <b>dog</b>  runs. <a href='x?a=1&amp;b'>The dog
eats</a> a <code>big</code> fish.<br/>A cat sleeps.<!-- A dog runs. -->
<ul><li> A dog runs. <li>12 &amp; 13</ul>
<pre>A dog runs.</pre><p translate="no">A dog runs.</p>
<p>A <span class=notranslate>red</span> dog &lt;3</p><script>"<p>A dog runs.</p>"</script>
"""

HTML_TRANSLATED = """\
<!DOCTYPE html>
<title>Ein roter Hund</title><style>p { color: red }</style>
<P class=a>Es läuft ein <b>Hund</b>. <a href='x?a=1&amp;b'>Der Hund frisst</a> einen <code>big</code> Fisch.<br/>\
Eine Katze schläft.<!-- A dog runs. -->
<ul><li> Es läuft ein Hund. <li>12 &amp; 13</ul>
<pre>A dog runs.</pre><p translate="no">A dog runs.</p>
<p>A <span class=notranslate>red</span> DOG &lt;3</p><script>"<p>A dog runs.</p>"</script>
"""


def test_html(change: Change) -> None:
    assert translate_html(HTML.encode(), change).decode() == HTML_TRANSLATED


@pytest.mark.parametrize(
    ("source", "translated"),
    [
        ("<p>It has 100 m<sup>2</sup> of space.</p>", "<p>IT HAS 100 M<sup>2</sup> OF SPACE.</p>"),
        ("<p>H<sub>2</sub>O is water</p>", "<p>H<sub>2</sub>O IS WATER</p>"),
        ("<p>The dog runs<b>!</b></p>", "<p>THE DOG RUNS<b>!</b></p>"),
        ("<p>Home <span class=a>|</span> Contact us</p>", "<p>HOME <span class=a>|</span> CONTACT US</p>"),
        ("<p><b>×</b> Close it</p>", "<p><b>×</b> CLOSE IT</p>"),
        ("<p>A dog<b> ,</b> runs.</p>", "<p>A DOG<b> ,</b> RUNS.</p>"),
        ("The super<wbr>market is open.", "THE SUPERMARKET<wbr> IS OPEN."),
        ('The super<a id="x"></a>market is open.', 'THE SUPERMARKET<a id="x"></a> IS OPEN.'),
        ("The super<!-- c -->market is open.", "THE SUPERMARKET<!-- c --> IS OPEN."),
        ("A<b></b>B <i>c</i>", "AB<b></b> <i>C</i>"),
    ],
)
def test_marks_of_punctuation_and_of_parts_of_words_stay_there(source: str, translated: str, change: Change) -> None:
    assert translate_html(source.encode(), change).decode() == translated


def test_a_mark_of_punctuation_that_is_gone_is_gone(change: Change) -> None:
    assert (
        translate_html(
            b"<p>A <b>,</b> dog runs.</p>",
            lambda segments: [place_marks(each.text, "Es ist einer", each.marks, set()) for each in segments],
        )
        == b"<p>Es ist einer</p>"
    )


@pytest.mark.parametrize(
    ("source", "translated"),
    [
        ('<ul><li translate="no">a<li>b</ul><p>c', '<ul><li translate="no">a<li>B</ul><p>C'),
        ("<ul><li translate=no>a<ul><li>x<li>y</ul>z</ul>b", "<ul><li translate=no>a<ul><li>x<li>y</ul>z</ul>B"),
        ("<div><p translate=no>a<b>c</b></div>d", "<div><p translate=no>a<b>c</b></div>D"),
        ("<p translate=no>a</b>b<ul><li>c</ul>", "<p translate=no>a</b>b<ul><li>C</ul>"),
        (
            "<td translate=no>a<p>x<td>b<tr translate=no><td>c</table>d",
            "<td translate=no>a<p>x<td>B<tr translate=no><td>c</table>D",
        ),
    ],
)
def test_an_element_without_an_end_tag_ends_where_browsers_end_it(source: str, translated: str, change: Change) -> None:
    assert translate_html(source.encode(), change).decode() == translated


def test_html_in_another_format_stays_in_it(change: Change) -> None:
    head = "<meta charset='iso-8859-1'><p>"
    assert translate_html(f"{head}A dog runs.".encode(), change) == f"{head}Es l&#228;uft ein Hund.".encode()
    head = '<meta http-equiv=Content-Type content="text/html; charset=UTF-8"><p>'
    assert translate_html(f"{head}A dog runs.".encode(), change) == f"{head}Es läuft ein Hund.".encode()


SUBTITLES = """\
1\r
00:00:01,000 --> 00:00:04,500 X1:0\r
The dog eats\r
a <i>big fish</i>.\r
\r
2\r
00:00:05,000 --> 00:00:07,000\r
- A dog runs.\r
- {\\an8}A <b>cat</b> sleeps.\r
"""


def test_subtitles(change: Change) -> None:
    expected = SUBTITLES.replace("The dog eats\r\na <i>big fish</i>.", "Der Hund frisst einen\r\n<i>großen Fisch</i>.")
    expected = expected.replace("A dog runs.", "Es läuft ein Hund.").replace(
        "A <b>cat</b> sleeps", "Eine <b>Katze</b> schläft"
    )
    assert translate_subtitles(SUBTITLES.encode(), change).decode() == expected


def test_subtitles_of_the_web_are_html(change: Change) -> None:
    cue = "00:01.000 --> 00:04.000\n"
    source = f"WEBVTT\n\n{cue}Tom &amp; <i>Bob</i> run\n"
    assert translate_subtitles(source.encode(), change).decode() == f"WEBVTT\n\n{cue}TOM &amp; <i>BOB</i> RUN\n"
    crossed = f"1\n{cue}<i><b>a</i> c</b> d & e\n"
    assert translate_subtitles(crossed.encode(), change).decode() == f"1\n{cue}<i><b>A</i> C</b> D & E\n"


@pytest.mark.parametrize(
    ("source", "translated"),
    [
        ("Hel<00:00:01.500>lo there", "HELLO<00:00:01.500> THERE"),
        ("<i>- How are you doing?</i>\n<i>- Ok.</i>", "<i>- HOW ARE YOU DOING?</i>\n<i>- OK.</i>"),
        ("{\\an8}- How are you\n{\\an8}- Ok.", "{\\an8}- HOW ARE YOU\n{\\an8}- OK."),
        ("<b>TOM:</b> How are you\n<b>ANN</b>: Ok.", "<b>TOM:</b> HOW ARE YOU\n<b>ANN</b>: OK."),
        ("<v Tom>How are you doing?\n<v Ann>Ok.</v>", "<v Tom>HOW ARE YOU DOING?\n<v Ann>OK.</v>"),
    ],
)
def test_what_subtitles_keep(source: str, translated: str, change: Change) -> None:
    cue = "1\n00:00:01,000 --> 00:00:02,000\n"
    assert translate_subtitles(f"{cue}{source}\n".encode(), change).decode() == f"{cue}{translated}\n"


def test_marks_move_with_their_words() -> None:
    source, target = "A dog runs.", "Es läuft ein Hund."
    dog, all_of_it = Mark(2, 5, "<b>", "</b>"), Mark(0, 11, "<i>", "</i>")
    picture, code = Mark(1, 1, "<img>", is_fixed=True), Mark(6, 10, "`runs`", is_fixed=True)
    links = LINKS[source]
    assert render(place_marks(source, target, [all_of_it, dog], links)) == "<i>Es läuft ein <b>Hund</b>.</i>"
    assert render(place_marks(source, target, [picture, code], links)) == "`runs` ein<img> Hund."
    # Without links, by position: the second of three words, and of four.
    assert render(place_marks(source, target, [dog], set())) == "Es <b>läuft</b> ein Hund."
    assert "".join(piece.text for piece in place_marks(source, "", [dog], set())) == ""
    # Marks beside each other share no words: the second one keeps what the first one does not need.
    big, fish = Mark(0, 3, "<b>", "</b>"), Mark(4, 8, "<i>", "</i>")
    for pairs, marked in (
        ({(0, 0), (1, 0), (1, 1)}, "<b>Ein</b> <i>Fisch</i> schwimmt"),
        ({(0, 0), (0, 1), (1, 1)}, "<b>Ein</b> <i>Fisch</i> schwimmt"),
        ({(0, 1), (1, 1)}, "Ein <b>Fisch</b><i></i> schwimmt"),
    ):
        assert render(place_marks("big fish swims", "Ein Fisch schwimmt", [big, fish], pairs)) == marked


def test_a_mark_may_cover_several_sentences(change: Change) -> None:
    text = "A dog runs. A cat sleeps."
    segment = Segment(text, [Mark(0, len(text), "*", "*")])
    assert render(change([segment])[0]) == "*Es läuft ein Hund. Eine Katze schläft.*"
    whole = "".join(part.text for part in divide(Segment(" A b.  C d. "), "en"))
    assert whole == " A b.  C d. "


def test_word(change: Change, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    from nmt.documents.word import translate_word

    document = docx.Document()
    document.add_heading("A red dog", 1)
    paragraph = document.add_paragraph("A d", style="List Bullet")
    paragraph.add_run("og ")
    paragraph.add_run("runs.").bold = True
    paragraph.add_run("\tThe dog eats a big fish.\n12")
    document.add_paragraph("A dog.").runs[0]._r.append(docx.oxml.OxmlElement("w:noBreakHyphen"))
    document.add_table(1, 1).cell(0, 0).text = "A cat sleeps."
    document.sections[0].header.paragraphs[0].text = "A red dog"
    document.save(tmp_path / "in.docx")
    (tmp_path / "out.docx").write_bytes(translate_word((tmp_path / "in.docx").read_bytes(), change))
    result = docx.Document(tmp_path / "out.docx")
    heading, item, hyphen = result.paragraphs
    assert hyphen.text == "A DOG.\u2011"
    assert (heading.style.name, heading.text) == ("Heading 1", "Ein roter Hund")
    assert item.style.name == "List Bullet"
    assert item.text == "Es läuft ein Hund.\tDer Hund frisst einen großen Fisch.\n12"
    assert [(run.text, run.bold) for run in item.runs[:3]] == [("Es läuft", True), (" ein Hund.", None), ("\t", None)]
    assert result.tables[0].cell(0, 0).text == "Eine Katze schläft."
    assert result.sections[0].header.paragraphs[0].text == "Ein roter Hund"


def test_word_keeps_links_and_reads_what_word_has_divided(change: Change, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    from nmt.documents.word import translate_word

    document = docx.Document()
    run = '<w:r><w:rPr><w:u w:val="single"/></w:rPr><w:t>this very long link</w:t></w:r>'
    link = f'<w:hyperlink w:anchor="a">{run}</w:hyperlink>'
    for content in (
        f'<w:r><w:t xml:space="preserve">See </w:t></w:r>{link}<w:r><w:t>.</w:t></w:r>',
        "<!-- a comment --><w:r><w:t>co</w:t><w:softHyphen/><w:t>operate now</w:t></w:r>",
        '<w:smartTag w:element="place"><w:smartTagPr/><w:r><w:t>London</w:t></w:r></w:smartTag>',
        '<w:r><w:t>Price</w:t><w:sym w:font="Symbol" w:char="F0A0"/><w:t xml:space="preserve"> is high</w:t></w:r>',
    ):
        document.element.body.insert(0, parse_xml(f"<w:p {nsdecls('w')}>{content}</w:p>"))
    document.save(tmp_path / "in.docx")
    (tmp_path / "out.docx").write_bytes(translate_word((tmp_path / "in.docx").read_bytes(), change))
    symbol, place, divided, linked = docx.Document(tmp_path / "out.docx").paragraphs
    assert [divided.text, place.text, symbol.text] == ["COOPERATE NOW", "LONDON", "PRICE IS HIGH"]
    assert len(list(symbol._p.iter("{*}sym"))) == 1
    assert (linked.text, [each.text for each in linked.hyperlinks]) == (
        "SEE THIS VERY LONG LINK.",
        ["THIS VERY LONG LINK"],
    )
    assert [run.text for run in linked.runs] == ["SEE ", "."]


TEXT_RUN = '<w:r><w:t xml:space="preserve">{}</w:t></w:r>'
CONTROL = "<w:sdt><w:sdtPr>{}</w:sdtPr><w:sdtContent>{}</w:sdtContent></w:sdt>"


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (
            TEXT_RUN.format("super") + '<w:r><w:footnoteReference w:id="1"/></w:r>' + TEXT_RUN.format("market opens"),
            ["SUPERMARKET", "footnoteReference", " OPENS"],
        ),
        (
            TEXT_RUN.format("Dear ") + CONTROL.format("", TEXT_RUN.format("old friend")) + TEXT_RUN.format(", hello."),
            ["DEAR ", "sdt", "OLD FRIEND", ", HELLO."],
        ),
        (
            TEXT_RUN.format("On ") + CONTROL.format("<w:date/>", TEXT_RUN.format("May 1")) + TEXT_RUN.format(" we go."),
            ["ON ", "sdt", "May 1", " WE GO."],
        ),
        (
            '<w:hyperlink w:anchor="a"><w:r><w:t>one two</w:t><w:br/><w:t>three</w:t></w:r></w:hyperlink>',
            ["hyperlink", "ONE TWO", "br", "hyperlink", "THREE"],
        ),
    ],
)
def test_what_word_keeps(content: str, texts: Sequence[str], change: Change, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    from docx.oxml import parse_xml
    from docx.oxml.ns import nsdecls

    from nmt.documents.word import translate_word

    document = docx.Document()
    document.element.body.insert(0, parse_xml(f"<w:p {nsdecls('w')}>{content}</w:p>"))
    document.save(tmp_path / "in.docx")
    (tmp_path / "out.docx").write_bytes(translate_word((tmp_path / "in.docx").read_bytes(), change))
    paragraph = docx.Document(tmp_path / "out.docx").paragraphs[0]._p
    found = [(each.tag.rpartition("}")[2], each.text) for each in paragraph.iter()]
    kept = ("t", "sdt", "hyperlink", "br", "footnoteReference")
    assert [text if name == "t" else name for name, text in found if name in kept] == texts


def test_the_command(
    trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.md").write_text("# one **two** three\n\n`one`\n", encoding="utf-8")
    words = ["translate", f"run={trained_run}", "format=document", "device=cpu"]
    assert main([*words, f"input={tmp_path / 'in.md'}", f"output={tmp_path / 'out.md'}"]) == 0
    lines = (tmp_path / "out.md").read_text(encoding="utf-8").split("\n")
    assert lines[0].startswith("# ") and lines[0].count("**") == 2 and lines[1:] == ["", "`one`", ""]
    assert capsys.readouterr().err.endswith("translated 1 sentences\n")
    (tmp_path / "terms.tsv").write_text("one\tacht\ntwo\tneun\n", encoding="utf-8")
    monkeypatch.setattr("nmt.translator.terms.list_missing", lambda _, terms: tuple(terms))
    terms = f"terms={tmp_path / 'terms.tsv'}"
    assert main([*words, terms, f"input={tmp_path / 'in.md'}", f"output={tmp_path / 'out.md'}"]) == 0
    assert capsys.readouterr().err.endswith("translated 1 sentences; wanted terms that they lack: 2\n")
    for more, message in [
        (["input=in.xyz"], "input=in.xyz has no name that tells its kind: add document= with txt, md, html, srt, docx"),
        (["input=in.txt", "document=pdf"], "document=pdf is unknown: use one of txt, md, html, srt, docx"),
        (["input=in.txt", "n_best=2"], "n_best, attention and links need format=jsonl"),
        (["input=in.txt", "format=text", "document=md"], "document=md needs format=document"),
    ]:
        assert main([*words, *more]) == 2
        assert message in capsys.readouterr().err


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("nmt.documents.kinds.find_spec", lambda name: None if name == "docx" else object())
    assert main(["translate", "run=runs/none", "format=document", "input=a.docx"]) == 2
    assert capsys.readouterr().err == "nmt translate: format=document needs docx: pip install 'nmt[documents]'\n"
