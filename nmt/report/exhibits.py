"""Arranges the attention of systems as a figure: which matrices stand side by side, and what their titles say.

The heads of a layer stand side by side and the layers below each other; or, if each system has one matrix of a kind,
the systems stand side by side.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from nmt.data.pharaoh import Link
from nmt.data.words import Splitter, find_text_words, separate_words
from nmt.report.figure import Figure, Panel
from nmt.report.heat_map import Block
from nmt.translator import Attention
from nmt.translator.attention import EOS, NAMES


@dataclass(frozen=True)
class Exhibit:
    """The attention of one kind of one system, to be drawn as a matrix for each of its layers and heads.

    Attributes:
        system: name of the system; may be empty.
        attention: between pieces or words.
        is_only: the model has no other layer and head of this kind, so titles need not name them.
        outlines: see `Panel`.
    """

    system: str
    attention: Attention
    is_only: bool = False
    outlines: Sequence[Block] = ()


def build_figure(exhibits: Sequence[Exhibit], *, with_eos: bool = True, caption: str = "") -> Figure:
    """Arranges the attention of systems. The title of the figure says once what all matrices have in common.

    Args:
        exhibits: at least one, in the order of the figure.
        with_eos: show the column and the row of the end-of-sentence piece. Otherwise the remaining weights of a row are
            scaled to sum to one. Either way, a remark states how much of the weight is on that column.
        caption: added to the standard one.

    Raises:
        UserError: see `Figure`.
    """
    # 1. Divide the title parts of the matrices into those that are common to all, and the others.
    singles = [list(_single_heads(exhibit.attention)) for exhibit in exhibits]
    titles = [[_title_parts(exhibit, single) for single in own] for exhibit, own in zip(exhibits, singles, strict=True)]
    common = [len(set(parts)) == 1 for parts in zip(*(parts for own in titles for parts in own), strict=True)]
    different = [not is_common for is_common in common]

    # 2. Arrange the matrices in lines.
    lines: list[list[Panel]] = []
    for index, exhibit in enumerate(exhibits):
        panels = [
            _make_panel(_join(parts, different), single, exhibit.outlines, with_eos=with_eos)
            for parts, single in zip(titles[index], singles[index], strict=True)
        ]
        before = exhibits[index - 1] if index else None
        if before and len(panels) == len(singles[index - 1]) == 1 and before.attention.kind == exhibit.attention.kind:
            lines[-1] += panels
        else:
            num_layers, num_heads = exhibit.attention.weights.shape[:2]
            per_line = num_heads if num_heads > 1 else num_layers
            lines += [panels[start : start + per_line] for start in range(0, len(panels), per_line)]
    return Figure(_join(titles[0][0], common), lines, f"{Figure.caption} {caption}".strip())


def _join(parts: Sequence[str], chosen: Sequence[bool]) -> str:
    """The chosen parts of a title that are not empty."""
    return ", ".join(part for part, is_chosen in zip(parts, chosen, strict=True) if part and is_chosen)


def _single_heads(attention: Attention) -> Iterator[Attention]:
    """The attention of each layer and head by itself, layer by layer."""
    for layer in range(attention.weights.shape[0]):
        for head in range(attention.weights.shape[1]):
            yield replace(
                attention,
                weights=attention.weights[layer : layer + 1, head : head + 1],
                layers=None if attention.layers is None else (attention.layers[layer],),
                heads=None if attention.heads is None else (attention.heads[head],),
            )


def _title_parts(exhibit: Exhibit, single: Attention) -> tuple[str, str, str]:
    """The system, the kind of attention, and the layer and head."""
    name = NAMES[single.kind]
    return exhibit.system, name, "" if exhibit.is_only else single.name.removeprefix(f"{name}, ")


def _make_panel(title: str, single: Attention, outlines: Sequence[Block], *, with_eos: bool) -> Panel:
    remark = ""
    if EOS in single.columns[-1:]:
        remark = f"{single.eos_weight:.2f} of the weight on {EOS}{'' if with_eos else ', left out'}"
    shown = single if with_eos else single.without_eos()
    return Panel(title, shown.columns, shown.rows, shown.matrix, remark, outlines)


def outline_links(
    attention: Attention, links: Collection[Link], *, split: Splitter = separate_words, words: bool
) -> list[Block]:
    """The cells of word links in a matrix of cross-attention.

    Args:
        attention: between pieces.
        links: the indices of a source word and a target word, as `split` counts them.
        words: the matrix that is shown has a row and a column for each word, not for each piece.
    """
    rows, columns = (find_text_words(side, split) for side in (attention.rows, attention.columns))
    blocks = []
    for source, target in sorted(links):
        if source >= len(columns) or target >= len(rows):
            continue  # the model does not take so long a sentence: the word was cut off
        (target_word, row), (source_word, column) = rows[target], columns[source]
        if words:
            blocks.append((target_word, source_word, 1, 1))
        else:
            blocks.append((row[0], column[0], row[-1] + 1 - row[0], column[-1] + 1 - column[0]))
    return blocks
