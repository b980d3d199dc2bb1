"""Word: paragraphs in the text, in tables, headers, footers and notes are segments; the formats of runs are marks.

A run is a part of a paragraph with one format. The most frequent format of a paragraph is no mark: it is that of all
text for which no other one has a place.
"""

from __future__ import annotations

import copy
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nmt.documents.segment import Change, Mark, Piece, Segment
from nmt.documents.word_runs import copy_wrapper, divide_runs, find_content, has_break, list_runs, read_text
from nmt.errors import UserError

if TYPE_CHECKING:
    from docx.oxml.xmlchemy import BaseOxmlElement as Element
else:
    Element = Any

TEXT_PARTS = ("header", "footer", "footnotes", "endnotes")
"""How the names of the parts begin that have paragraphs, besides the document itself."""


@dataclass(frozen=True, eq=False)
class RunMark(Mark):
    """The format of some runs of a paragraph.

    Attributes:
        runs: the first one has the format; those of something fixed, such as a picture, are kept as they are.
        link: the hyperlink or the content control around them.
    """

    runs: tuple[Element, ...] = ()
    link: Element | None = None


@dataclass
class Part:
    """A part of a paragraph without breaks, as a segment.

    Attributes:
        parent: the paragraph.
        elements: its children that the translation replaces, in order.
        format: of text without marks.
    """

    parent: Element
    elements: list[Element]
    segment: Segment
    format: Element | None


def translate_word(content: bytes, change: Change) -> bytes:
    """Translates a .docx file. Raises UserError if it is damaged."""
    import docx
    from lxml import etree

    try:
        document = docx.Document(io.BytesIO(content))
    # A damaged file leads to errors of many kinds in the package and those below it.
    except Exception as error:
        raise UserError(f"the document is no .docx file ({error}): a .doc file must be saved as .docx first") from None
    roots = [document.element]
    others = []
    for part in document.part.package.iter_parts():
        if str(part.partname).rpartition("/")[2].startswith(TEXT_PARTS):
            if hasattr(part, "element"):
                roots.append(part.element)
            else:  # python-docx keeps notes as bytes
                root = docx.oxml.parse_xml(part.blob)
                roots.append(root)
                others.append((part, root))
    parts = [part for root in roots for paragraph in _paragraphs(root) for part in divide(paragraph)]
    for part, pieces in zip(parts, change([part.segment for part in parts]), strict=True):
        replace_runs(part, pieces)
    for part, root in others:
        part._blob = etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)
    output = io.BytesIO()
    document.save(output)
    return output.getvalue()


def _paragraphs(root: Element) -> Iterator[Element]:
    from docx.oxml.ns import qn
    from lxml import etree

    # Notes of Word about the old text, where its words may be divided, and comments in the XML.
    ignored = (qn("w:lastRenderedPageBreak"), qn("w:proofErr"), qn("w:softHyphen"), etree.Comment)
    for element in [*root.iter(*ignored)]:
        element.getparent().remove(element)
    for element in [*root.iter(qn("w:smartTag"))]:  # a word that Word has recognised, such as a place
        for child in [each for each in element if each.tag != qn("w:smartTagPr")]:
            element.addprevious(child)
        element.getparent().remove(element)
    for element in [*root.iter(qn("w:noBreakHyphen"))]:  # a character of the text, written as an element
        element.tag, element.text = qn("w:t"), "\u2011"
    yield from root.iter(qn("w:p"))


def divide(paragraph: Element) -> list[Part]:
    """The parts of a paragraph between tabs and line breaks, without those that have no letters."""
    from docx.oxml.ns import qn

    divide_runs(paragraph)
    parts: list[Part] = []
    elements: list[Element] = []
    field_depth = 0
    for child in [*paragraph, None]:
        is_break = child is None or child.tag == qn("w:pPr") or has_break(child)
        if child is not None:
            kinds = [each.get(qn("w:fldCharType")) for each in child.iter(qn("w:fldChar"))]
            field_depth += kinds.count("begin") - kinds.count("end")
        if is_break and elements:
            if part := _make_part(paragraph, elements):
                parts.append(part)
            elements = []
        if not is_break:
            assert child is not None
            elements.append(child)
    return parts if field_depth == 0 else []


def _make_part(paragraph: Element, elements: list[Element]) -> Part | None:
    """The segment of some children of a paragraph; None if it has no letters."""
    from docx.oxml.ns import qn

    segment = Segment()
    marks: list[RunMark] = []
    ends: list[Element] = []
    lengths: Counter[bytes] = Counter()
    formats: dict[bytes | None, Element | None] = {}
    depth = 0
    for element, link in list_runs(elements):
        text = read_text(element) if element.tag in (qn("w:r"), qn("w:sdt")) else ""
        kinds = [each.get(qn("w:fldCharType")) for each in element.iter(qn("w:fldChar"))]
        is_text = element.tag == qn("w:r") and all(each.tag in (qn("w:t"), qn("w:rPr")) for each in element)
        start = len(segment.text)
        segment.text += text
        if is_text and depth == 0:
            key = _format_key(element)
            if link is None:  # the format of a link is no other text's
                formats[key] = element.find(qn("w:rPr"))
                lengths[key] += len(text)
            previous = marks[-1] if marks else None
            if previous and not previous.is_fixed and previous.link is link and _format_key(previous.runs[0]) == key:
                marks[-1] = RunMark(previous.start, len(segment.text), runs=previous.runs, link=link)
            else:
                marks.append(RunMark(start, len(segment.text), runs=(element,), link=link))
        elif depth > 0 and marks and marks[-1].is_fixed:  # the parts of a field belong together
            marks[-1] = RunMark(
                marks[-1].start, len(segment.text), is_fixed=True, runs=(*marks[-1].runs, element), link=link
            )
        elif element.tag.endswith("Start"):  # of a bookmark or a comment, whose end must follow
            marks.insert(0, RunMark(0, 0, is_fixed=True, runs=(element,), link=link))
        elif element.tag.endswith("End"):
            ends.append(element)
        else:
            marks.append(RunMark(start, len(segment.text), is_fixed=True, runs=(element,), link=link))
        depth += kinds.count("begin") - kinds.count("end")
    if not any(map(str.isalpha, segment.text)):
        return None
    marks += [RunMark(len(segment.text), len(segment.text), is_fixed=True, runs=(element,)) for element in ends]
    base = lengths.most_common(1)[0][0] if lengths else None
    segment.marks = [
        mark for mark in marks if mark.is_fixed or mark.link is not None or _format_key(mark.runs[0]) != base
    ]
    return Part(paragraph, elements, segment, formats.get(base))


def _format_key(run: Element) -> bytes:
    """Equal for runs of equal format. Proofing marks and the like do not count."""
    from docx.oxml.ns import qn
    from lxml import etree

    properties = run.find(qn("w:rPr"))
    if properties is None:
        return b""
    ignored = {qn("w:lang"), qn("w:noProof")}
    return b"".join(sorted(etree.tostring(each, method="c14n") for each in properties if each.tag not in ignored))


def replace_runs(part: Part, pieces: list[Piece]) -> None:
    """Replaces the runs of a part by those of its translation."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    anchor = OxmlElement("w:r")
    part.elements[0].addprevious(anchor)
    for element in part.elements:
        part.parent.remove(element)
    link: Element | None = None  # of the piece before
    content = anchor
    for piece in pieces:
        mark = piece.fixed or (piece.marks[-1] if piece.marks else None)
        own = mark if isinstance(mark, RunMark) else None
        if own is not None and own.is_fixed:
            new = list(own.runs)
        else:
            run = OxmlElement("w:r")
            properties = own.runs[0].find(qn("w:rPr")) if own else part.format
            if properties is not None:
                run.append(copy.deepcopy(properties))
            text = OxmlElement("w:t")
            text.text = piece.text
            text.set(qn("xml:space"), "preserve")
            run.append(text)
            new = [run]
        if own is None or own.link is None:
            for each in new:
                anchor.addprevious(each)
        else:
            if link is not own.link:
                wrapper = copy_wrapper(own.link)
                anchor.addprevious(wrapper)
                content = find_content(wrapper)
            content.extend(new)
        link = own.link if own else None
    part.parent.remove(anchor)
