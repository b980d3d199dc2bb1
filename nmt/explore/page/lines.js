// Attention as lines: what is attended to at the left, what attends at the right, and the thicker a line, the larger the
// weight. The word under the mouse or with the keyboard's focus shows its partners.

import { moveByArrows, shorten, svg, textWidth } from "./dom.js";
import { describeCell, describeWord } from "./labels.js";

// All sizes are in pixels.
const MIN_GAP = 130; // width of the lines
const MAX_GAP = 300;
const ROW = 26; // height of a word
const SMALL_ROW = 19; // and of one where there are many
const MANY = 24; // words
const MARGIN = 10; // between a word and its line
const EDGE = 6; // between a word and the edge
const TOP = 26; // height of the headings
const MAX_THICKNESS = 11; // of the line of a weight of 1
const MIN_THICKNESS = 0.6;
const MAX_MARK = 0.6; // opacity of the mark on a word with a weight of 1

const HEADINGS = {
  cross: { column: "source", row: "translation" },
  encoder: { column: "is attended to", row: "attends" },
  decoder: { column: "is read", row: "predicts the next word" },
};

/** Draws a matrix of `showAttention`, if possible not wider than `room`.
 *
 * Returns {element, highlight}: `highlight` marks a row, a column or a cell, as {row, column}, or nothing, as null.
 * `onFocus` is called with what the reader points at.
 */
export function drawLines(shown, { threshold, onFocus, room }) {
  const layout = layOut(shown, room);
  const { width, height, sides } = layout;
  const curves = drawCurves(shown, layout, threshold);
  const lists = Object.keys(sides).map((side) => drawWords(shown, layout, side, onFocus));
  for (const list of lists) moveByArrows(list);
  const headings = Object.values(sides).map(({ heading, x, anchor }) =>
    svg("text", { class: "heading", x, y: 12, "text-anchor": anchor }, heading),
  );
  const label = `${shown.rows.length} words attend to ${shown.columns.length}`;
  const element = svg(
    "svg",
    { class: "lines", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label },
    ...headings,
    svg("g", { class: "curves", "aria-hidden": "true" }, ...curves),
    svg("g", { class: "gold", "aria-hidden": "true" }, ...drawGold(shown, layout)),
    ...lists,
  );
  return { element, highlight: (target) => highlight(element, curves, lists, shown.weights, target) };
}

/** Where everything stands. The shorter list is in the middle of the longer one's height. */
function layOut({ kind, rows, columns }, room) {
  const headings = HEADINGS[kind];
  const longest = Math.max(rows.length, columns.length);
  const rowHeight = longest > MANY ? SMALL_ROW : ROW;
  const widthOf = (labels) => Math.max(...labels.map((label) => textWidth(shorten(label)))) + MARGIN + EDGE;
  const [left, rowWidth] = [widthOf([headings.column, ...columns]), widthOf([headings.row, ...rows])];
  const right = left + Math.max(MIN_GAP, Math.min(MAX_GAP, room - left - rowWidth));
  const width = right + rowWidth;
  const middle = (labels) => (index) => TOP + (index + 0.5 + (longest - labels.length) / 2) * rowHeight;
  const sides = {
    column: { heading: headings.column, x: left - MARGIN, anchor: "end", y: middle(columns), box: [2, left - 2] },
    row: { heading: headings.row, x: right + MARGIN, anchor: "start", y: middle(rows), box: [right, rowWidth - 2] },
  };
  return { left, right, width, height: TOP + longest * rowHeight + 4, rowHeight, sides };
}

/** The path from a column to a row. Both may be fractions, to reach the middle of several. */
function pathBetween(row, column, { left, right, sides }) {
  const [from, to, middle] = [sides.column.y(column), sides.row.y(row), (left + right) / 2];
  return `M${left} ${from}C${middle} ${from} ${middle} ${to} ${right} ${to}`;
}

/** A line for each weight from the threshold on, the thickest on top. */
function drawCurves(shown, layout, threshold) {
  const cells = shown.weights.flatMap((weights, row) => weights.map((weight, column) => ({ row, column, weight })));
  const visible = cells.filter(({ weight }) => weight >= threshold && weight > 0);
  return visible
    .sort((a, b) => a.weight - b.weight)
    .map(({ row, column, weight }) => {
      const thickness = Math.max(MIN_THICKNESS, MAX_THICKNESS * weight).toFixed(2);
      const data = { "data-row": row, "data-column": column, "data-weight": weight.toFixed(5) };
      const title = svg("title", {}, describeCell(shown, row, column));
      return svg("path", { d: pathBetween(row, column, layout), "stroke-width": thickness, ...data }, title);
    });
}

/** A line for each word link that is known to be right. */
function drawGold({ gold }, layout) {
  return gold.map(([row, column, height, width]) =>
    svg("path", { d: pathBetween(row + (height - 1) / 2, column + (width - 1) / 2, layout) }),
  );
}

/** The words of one side as a list, in which the arrow keys move. */
function drawWords(shown, { rowHeight, sides }, side, onFocus) {
  const { heading, x, anchor, y, box } = sides[side];
  const labels = side === "row" ? shown.rows : shown.columns;
  const words = labels.map((label, index) => {
    const target = { [side]: index };
    const top = y(index) - rowHeight / 2 + 1;
    const place = { x: box[0], y: top, width: box[1], height: rowHeight - 2, rx: 4 };
    const role = { role: "option", "aria-selected": "false", "aria-label": describeWord(shown, target) };
    const [show, hide] = [() => onFocus(target), () => onFocus(null)];
    const events = { onmouseenter: show, onfocus: show, onmouseleave: hide, onblur: hide };
    return svg(
      "g",
      { id: `lines-${side}-${index}`, class: "word", "data-item": true, ...role, ...events },
      svg("rect", { class: "mark", "fill-opacity": 0, ...place }),
      svg("rect", { class: "ring", ...place }),
      svg("text", { x, y: y(index) + 4.5, "text-anchor": anchor }, shorten(label)),
    );
  });
  return svg("g", { role: "listbox", "aria-label": heading }, ...words);
}

/** Marks the lines of a word, and each of its partners as strongly as their weight. */
function highlight(element, curves, [columnList, rowList], weights, target) {
  const hits = (row, column) => target !== null && (target.row ?? row) === row && (target.column ?? column) === column;
  const markWords = (list, side, weightsOf) =>
    [...list.children].forEach((word, index) => {
      const isTarget = target !== null && target[side] === index;
      const strongest = isTarget ? 0 : Math.max(0, ...weightsOf(index));
      word.setAttribute("aria-selected", isTarget);
      word.firstChild.setAttribute("fill-opacity", (MAX_MARK * strongest).toFixed(3));
    });
  element.classList.toggle("focused", target !== null);
  for (const { classList, dataset } of curves)
    classList.toggle("on", hits(Number(dataset.row), Number(dataset.column)));
  markWords(rowList, "row", (row) => weights[row].filter((_, column) => hits(row, column)));
  markWords(columnList, "column", (column) => weights.map((row) => row[column]).filter((_, row) => hits(row, column)));
}
