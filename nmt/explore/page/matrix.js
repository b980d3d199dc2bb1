// Attention as a matrix: a row for each word that attends, a column for each that is attended to, and the darker a cell,
// the larger its weight. The columns of a right-to-left sentence run from right to left.

import { shorten, svg, textWidth } from "./dom.js";
import { describeCell, isRightToLeft } from "./labels.js";

const MAX_CELL = 26; // side of a cell, in pixels
const MIN_CELL = 12;
const DENSE_CELL = 16; // below it, labels are small
const VISIBLE = 0.0005; // the smallest weight that is drawn

/** Draws a matrix of `showAttention`, not wider than `room` unless its cells would become too small; see `drawLines`
 * for what it returns. */
export function drawMatrix(shown, { threshold, onFocus, room }) {
  const layout = layOut(shown, room);
  const { left, top, across, down, width, height } = layout;
  const outline = drawOutline(shown, layout);
  const bands = { row: svg("rect", { class: "band" }), column: svg("rect", { class: "band" }) };
  const labels = drawLabels(shown, layout);
  const label = `Matrix of ${shown.rows.length} × ${shown.columns.length} weights`;
  const element = svg(
    "svg",
    { class: "matrix", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    svg("rect", { class: "paper", x: left, y: top, width: across, height: down }),
    svg("g", { class: "cells" }, ...drawCells(shown, layout, threshold)),
    svg("path", { class: "grid", d: drawGrid(shown, layout) }),
    svg("path", { class: "rim", d: outline }),
    svg("path", { class: "outline", d: outline }),
    ...Object.values(bands),
    ...Object.values(labels),
  );
  element.addEventListener("pointermove", (event) => onFocus(findCell(element, shown, layout, event)));
  element.addEventListener("pointerleave", () => onFocus(null));
  return { element, highlight: (target) => highlight(bands, labels, layout, target) };
}

/** Where everything stands. The labels of the columns rise at 60 degrees: sin 60° = 0.87, cos 60° = 0.5. */
function layOut({ rows, columns }, room) {
  const rightToLeft = isRightToLeft(columns);
  const widest = (labels) => Math.max(0, ...labels.map((label) => textWidth(shorten(label))));
  const left = widest(rows) + 12;
  const top = widest(columns) * 0.87 + 16;
  const overhang = widest(columns) * 0.5;
  const cell = Math.max(MIN_CELL, Math.min(MAX_CELL, Math.floor((room - left - overhang) / columns.length)));
  const [across, down] = [cell * columns.length, cell * rows.length];
  const mirror = (column) => (rightToLeft ? columns.length - 1 - column : column);
  const x = (column) => left + cell * mirror(column);
  const y = (row) => top + cell * row;
  const [width, height] = [left + across + overhang, top + down + 4];
  return { cell, left, top, across, down, width, height, rightToLeft, mirror, x, y };
}

/** A square for each weight that is large enough. */
function drawCells(shown, { cell, x, y }, threshold) {
  const smallest = Math.max(threshold, VISIBLE);
  const cells = shown.weights.flatMap((weights, row) => weights.map((weight, column) => ({ row, column, weight })));
  return cells
    .filter(({ weight }) => weight >= smallest)
    .map(({ row, column, weight }) => {
      const place = { x: x(column), y: y(row), width: cell, height: cell };
      const data = { "data-row": row, "data-column": column, "fill-opacity": Math.min(1, weight).toFixed(3) };
      return svg("rect", { ...place, ...data }, svg("title", {}, describeCell(shown, row, column)));
    });
}

function drawGrid({ rows, columns }, { cell, left, top, across, down }) {
  const upright = Array.from({ length: columns.length + 1 }, (_, index) => `M${left + index * cell} ${top}v${down}`);
  const level = Array.from({ length: rows.length + 1 }, (_, index) => `M${left} ${top + index * cell}h${across}`);
  return [...upright, ...level].join("");
}

/** The rectangles of the word links that are known to be right. */
function drawOutline({ gold }, { cell, rightToLeft, x, y }) {
  const drawOne = ([row, column, height, width]) => {
    const left = x(rightToLeft ? column + width - 1 : column);
    return `M${left} ${y(row)}h${width * cell}v${height * cell}h${-width * cell}z`;
  };
  return gold.map(drawOne).join("");
}

/** The labels of the rows and of the columns, as two groups. */
function drawLabels({ rows, columns }, { cell, left, top, x, y }) {
  const style = cell < DENSE_CELL ? "labels small" : "labels";
  const row = rows.map((label, index) =>
    svg("text", { x: left - 6, y: y(index) + cell / 2 + 4.5, "text-anchor": "end" }, shorten(label)),
  );
  const column = columns.map((label, index) => {
    const [labelX, labelY] = [x(index) + 0.65 * cell, top - 6];
    return svg("text", { x: labelX, y: labelY, transform: `rotate(-60 ${labelX} ${labelY})` }, shorten(label));
  });
  return { row: svg("g", { class: style }, ...row), column: svg("g", { class: style }, ...column) };
}

/** The row, the column or both to which the mouse points; null outside. */
function findCell(element, { rows, columns }, { cell, left, top, mirror }, event) {
  const box = element.getBoundingClientRect();
  const row = Math.floor((event.clientY - box.top - top) / cell);
  const column = Math.floor((event.clientX - box.left - left) / cell);
  const target = {};
  if (row >= 0 && row < rows.length) target.row = row;
  if (column >= 0 && column < columns.length) target.column = mirror(column);
  return Object.keys(target).length ? target : null;
}

/** Marks a row, a column, or both. */
function highlight(bands, labels, { cell, left, top, across, down, x, y }, target) {
  const { row, column } = target ?? {};
  place(bands.row, row === undefined ? null : { x: left, y: y(row), width: across, height: cell });
  place(bands.column, column === undefined ? null : { x: x(column), y: top, width: cell, height: down });
  [...labels.row.children].forEach((label, index) => label.classList.toggle("on", index === row));
  [...labels.column.children].forEach((label, index) => label.classList.toggle("on", index === column));
}

/** Moves a rectangle, or hides it. */
function place(rectangle, box) {
  rectangle.toggleAttribute("hidden", box === null);
  for (const [key, value] of Object.entries(box ?? { width: 0, height: 0 })) rectangle.setAttribute(key, value);
}
