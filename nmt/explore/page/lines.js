// Attention as lines: what is attended to at the left, what attends at the right, and the thicker a line, the larger the
// weight. The word under the mouse or with the keyboard's focus shows its partners.

import { describeWord } from "./attention.js";
import { moveByArrows, svg, textWidth } from "./dom.js";

const MIN_GAP = 130,
  MAX_GAP = 300; // width of the lines, in pixels like all sizes here
const ROW = 26,
  SMALL_ROW = 19; // height of a word, and of one where there are many
const MANY = 24; // words
const MARGIN = 10; // between a word and its line
const TOP = 26; // height of the headings
const MAX_THICKNESS = 11; // of the line of a weight of 1
const MAX_LABEL = 170; // width of a word

export const SIDES = {
  cross: ["source", "translation"],
  encoder: ["is attended to", "attends"],
  decoder: ["is read", "predicts the next word"],
};

/** Draws a matrix of `showAttention`, if possible not wider than `room`.
 *
 * Returns {element, highlight}: `highlight` marks a row, a column or a cell, as {row, column}, or nothing, as null.
 * `onFocus` is called with what the reader points at.
 */
export function drawLines(shown, { threshold, onFocus, room }) {
  const { rows, columns, weights } = shown;
  const longest = Math.max(rows.length, columns.length);
  const rowHeight = longest > MANY ? SMALL_ROW : ROW;
  const [columnName, rowName] = SIDES[shown.kind];
  const widest = (labels) => Math.min(MAX_LABEL, Math.max(...labels.map((label) => textWidth(label))));
  const left = widest([columnName, ...columns]) + MARGIN + 6;
  const rowWidth = widest([rowName, ...rows]) + MARGIN + 6;
  const gap = Math.max(MIN_GAP, Math.min(MAX_GAP, room - left - rowWidth));
  const right = left + gap;
  const width = right + rowWidth;
  const height = TOP + longest * rowHeight + 4;
  const middle = (labels) => (index) => TOP + (index + 0.5 + (longest - labels.length) / 2) * rowHeight;
  const [rowY, columnY] = [middle(rows), middle(columns)];

  const curves = weights.flatMap((row, i) =>
    row.map((weight, j) => ({ i, j, weight })).filter(({ weight }) => weight >= threshold && weight > 0),
  );
  curves.sort((a, b) => a.weight - b.weight); // the thickest on top
  const curve = (i, j) =>
    `M${left} ${columnY(j)}C${left + gap / 2} ${columnY(j)} ${right - gap / 2} ${rowY(i)} ${right} ${rowY(i)}`;
  const paths = curves.map(({ i, j, weight }) =>
    svg(
      "path",
      {
        d: curve(i, j),
        "stroke-width": Math.max(0.6, MAX_THICKNESS * weight).toFixed(2),
        "data-row": i,
        "data-column": j,
        "data-weight": weight.toFixed(5),
      },
      svg("title", {}, `${rows[i]} ← ${columns[j]}: ${weight.toFixed(3)}`),
    ),
  );
  const gold = shown.gold.flatMap(([row, column, height, width]) =>
    row + height > rows.length || column + width > columns.length
      ? []
      : [svg("path", { d: curve(row + (height - 1) / 2, column + (width - 1) / 2) })],
  );

  const word = (label, index, side) => {
    const isRow = side === "row";
    const y = isRow ? rowY(index) : columnY(index);
    const target = { [side]: index };
    const box = {
      x: isRow ? right : 2,
      y: y - rowHeight / 2 + 1,
      width: isRow ? width - right - 2 : left - 2,
      height: rowHeight - 2,
      rx: 4,
    };
    return svg(
      "g",
      {
        id: `lines-${side}-${index}`,
        class: "word",
        role: "option",
        "aria-selected": "false",
        "aria-label": describeWord(shown, target),
        "data-item": true,
        onmouseenter: () => onFocus(target),
        onfocus: () => onFocus(target),
        onmouseleave: () => onFocus(null),
        onblur: () => onFocus(null),
      },
      svg("rect", { class: "mark", "fill-opacity": 0, ...box }),
      svg("rect", { class: "ring", ...box }),
      svg(
        "text",
        { x: isRow ? right + MARGIN : left - MARGIN, y: y + 4.5, "text-anchor": isRow ? "start" : "end" },
        label,
      ),
    );
  };
  const list = (labels, side, name) =>
    svg("g", { role: "listbox", "aria-label": name }, ...labels.map((label, index) => word(label, index, side)));
  const lists = [list(columns, "column", columnName), list(rows, "row", rowName)];
  for (const each of lists) moveByArrows(each);
  const heading = (text, x, anchor) => svg("text", { class: "heading", x, y: 12, "text-anchor": anchor }, text);
  const element = svg(
    "svg",
    {
      class: "lines",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "group",
      "aria-label": `${rows.length} words attend to ${columns.length}`,
    },
    heading(columnName, left - MARGIN, "end"),
    heading(rowName, right + MARGIN, "start"),
    svg("g", { class: "curves", "aria-hidden": "true" }, ...paths),
    svg("g", { class: "gold", "aria-hidden": "true" }, ...gold),
    ...lists,
  );
  return { element, highlight: (target) => highlight(element, paths, lists, weights, target) };
}

/** Marks the lines of a word, and each of its partners as strongly as their weight. */
function highlight(element, paths, [columnList, rowList], weights, target) {
  element.classList.toggle("focused", target !== null);
  const hits = (i, j) => target !== null && (target.row ?? i) === i && (target.column ?? j) === j;
  for (const path of paths) path.classList.toggle("on", hits(Number(path.dataset.row), Number(path.dataset.column)));
  const strongest = (index, weightsOf) => Math.max(0, ...weightsOf(index));
  const rowWeights = (i) => weights[i].filter((_, j) => hits(i, j));
  const columnWeights = (j) => weights.map((row) => row[j]).filter((_, i) => hits(i, j));
  [
    [rowList, "row", rowWeights],
    [columnList, "column", columnWeights],
  ].forEach(([list, side, weightsOf]) =>
    [...list.children].forEach((word, index) => {
      const isTarget = target !== null && target[side] === index;
      word.setAttribute("aria-selected", isTarget);
      word.firstChild.setAttribute("fill-opacity", isTarget ? 0 : (0.6 * strongest(index, weightsOf)).toFixed(3));
    }),
  );
}
