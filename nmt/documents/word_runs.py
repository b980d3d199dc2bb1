"""The runs of a paragraph in Word, and the hyperlinks and content controls around them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docx.oxml.xmlchemy import BaseOxmlElement as Element
else:
    Element = Any

FIXED_CONTROLS = frozenset({"dropDownList", "comboBox", "date", "dataBinding", "citation", "equation", "picture"})
"""Properties of content controls whose text Word itself writes."""


def divide_runs(paragraph: Element) -> None:
    """Gives each tab and line break in a paragraph a run of its own, which is in no hyperlink."""
    from docx.oxml.ns import qn

    parents = [
        paragraph,
        *paragraph.findall(qn("w:hyperlink")),
        *paragraph.findall(f"{qn('w:sdt')}/{qn('w:sdtContent')}"),
    ]
    for parent in parents:
        _divide_content(parent)
    for link in paragraph.findall(qn("w:hyperlink")):
        _divide_link(link)


def _divide_content(parent: Element) -> None:
    """Gives each tab, line break and whatever else is no text a run of its own."""
    from docx.oxml.ns import qn

    for run in [each for each in parent if each.tag == qn("w:r")]:
        content = [each for each in run if each.tag != qn("w:rPr")]
        if len(content) < 2 or all(each.tag == qn("w:t") for each in content):
            continue
        last = run
        for child in content[1:]:
            new = copy.deepcopy(run)
            for each in [each for each in new if each.tag != qn("w:rPr")]:
                new.remove(each)
            new.append(child)
            last.addnext(new)
            last = new


def _divide_link(link: Element) -> None:
    """Moves tabs and line breaks out of a hyperlink, which becomes several around them."""
    for child in [each for each in link if has_break(each)]:
        following = copy_wrapper(link)
        following.extend(child.itersiblings())
        link.addnext(following)
        link.addnext(child)
        link = following


def copy_wrapper(wrapper: Element) -> Element:
    """A copy of a hyperlink or a content control without its runs."""
    new = copy.deepcopy(wrapper)
    for run in [*find_content(new)]:
        run.getparent().remove(run)
    return new


def find_content(wrapper: Element) -> Element:
    """The parent of the runs in a hyperlink or a content control."""
    from docx.oxml.ns import qn

    content = wrapper.find(qn("w:sdtContent"))
    return wrapper if content is None else content


def has_break(child: Element) -> bool:
    """Whether an element has a tab or a line break."""
    from docx.oxml.ns import qn

    return child.tag == qn("w:r") and any(each.tag in (qn("w:br"), qn("w:tab"), qn("w:cr")) for each in child)


def list_runs(elements: list[Element]) -> Iterator[tuple[Element, Element | None]]:
    """The runs among the children of a paragraph with the link or control around each, and other elements."""
    from docx.oxml.ns import qn

    for element in elements:
        if element.tag == qn("w:hyperlink") or (element.tag == qn("w:sdt") and _is_text_control(element)):
            yield from ((each, element) for each in find_content(element))
        else:
            yield element, None


def _is_text_control(control: Element) -> bool:
    """Whether a content control has nothing but a line of text, which is the author's own."""
    from docx.oxml.ns import qn

    properties = {str(each.tag).rpartition("}")[2] for each in control.iterfind(f"{qn('w:sdtPr')}/*")}
    is_line = all(each.tag == qn("w:r") and not has_break(each) for each in find_content(control))
    return is_line and FIXED_CONTROLS.isdisjoint(properties) and any(map(str.isalpha, read_text(control)))


def read_text(element: Element) -> str:
    """The text of a run or of a content control."""
    from docx.oxml.ns import qn

    path = qn("w:t") if element.tag == qn("w:r") else f".//{qn('w:t')}"
    return "".join(each.text or "" for each in element.iterfind(path))
