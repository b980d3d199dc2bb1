// Attention as a matrix: a row for each word that attends, a column for each that is attended to, and the darker a cell,
// the larger its weight. The columns of a right-to-left sentence run from right to left.

import { isRightToLeft } from "./attention.js";
import { svg, textWidth } from "./dom.js";

const MAX_CELL = 26,
  MIN_CELL = 12; // side of a cell, in pixels
const DENSE_CELL = 16; // below it, labels are small
const MAX_SMALL_CELL = 14; // in a miniature
const MAX_LABEL = 150; // width of a label
const SHADES = 20; // of the cells in a miniature
const VISIBLE = 0.0005; // the smallest weight that is drawn

/** Draws a matrix of `showAttention` at most `room` pixels wide, if its cells do not become too small; see `drawLines`
 * for what it returns. */
export function drawMatrix(shown, { threshold, onFocus, room }) {
  const { rows, columns, weights } = shown;
  const rightToLeft = isRightToLeft(columns);
  const widest = (labels) => Math.min(MAX_LABEL, Math.max(...labels.map((label) => textWidth(label))));
  const left = widest(rows) + 12;
  const top = widest(columns) * 0.87 + 16; // the labels rise at 60 degrees
  const overhang = widest(columns) * 0.5;
  const cell = Math.max(MIN_CELL, Math.min(MAX_CELL, Math.floor((room - left - overhang) / columns.length)));
  const [across, down] = [cell * columns.length, cell * rows.length];
  const [width, height] = [left + across + overhang, top + down + 4];
  const x = (column) => left + cell * (rightToLeft ? columns.length - 1 - column : column);
  const y = (row) => top + cell * row;

  const cells = weights.flatMap((row, i) =>
    row
      .map((weight, j) =>
        weight < Math.max(threshold, VISIBLE)
          ? null
          : svg(
              "rect",
              {
                x: x(j),
                y: y(i),
                width: cell,
                height: cell,
                "fill-opacity": Math.min(1, weight).toFixed(3),
                "data-row": i,
                "data-column": j,
              },
              svg("title", {}, `${rows[i]} ← ${columns[j]}: ${weight.toFixed(3)}`),
            ),
      )
      .filter((each) => each !== null),
  );
  let grid = "";
  for (let i = 0; i <= columns.length; i++) grid += `M${left + i * cell} ${top}v${down}`;
  for (let i = 0; i <= rows.length; i++) grid += `M${left} ${top + i * cell}h${across}`;
  const links = shown.gold.filter(
    ([row, column, height, width]) => row + height <= rows.length && column + width <= columns.length,
  );
  const outline = links
    .map(
      ([row, column, height, width]) =>
        `M${x(rightToLeft ? column + width - 1 : column)} ${y(row)}h${width * cell}v${height * cell}h${-width * cell}z`,
    )
    .join("");
  const labelClass = cell < DENSE_CELL ? "labels small" : "labels";
  const columnLabels = columns.map((label, j) => {
    const [labelX, labelY] = [x(j) + 0.65 * cell, top - 6];
    return svg("text", { x: labelX, y: labelY, transform: `rotate(-60 ${labelX} ${labelY})` }, label);
  });
  const rowLabels = rows.map((label, i) =>
    svg("text", { x: left - 6, y: y(i) + cell / 2 + 4.5, "text-anchor": "end" }, label),
  );
  const bands = [svg("rect", { class: "band" }), svg("rect", { class: "band" })];
  const element = svg(
    "svg",
    {
      class: "matrix",
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `Matrix of ${rows.length} × ${columns.length} weights`,
    },
    svg("rect", { class: "paper", x: left, y: top, width: across, height: down }),
    svg("g", { class: "cells" }, ...cells),
    svg("path", { class: "grid", d: grid }),
    svg("path", { class: "rim", d: outline }),
    svg("path", { class: "outline", d: outline }),
    ...bands,
    svg("g", { class: labelClass }, ...columnLabels),
    svg("g", { class: labelClass }, ...rowLabels),
  );

  element.addEventListener("pointermove", (event) => {
    const { left: x0, top: y0 } = element.getBoundingClientRect();
    const row = Math.floor((event.clientY - y0 - top) / cell);
    const column = Math.floor((event.clientX - x0 - left) / cell);
    const target = {
      ...(row >= 0 && row < rows.length ? { row } : {}),
      ...(column >= 0 && column < columns.length ? { column: rightToLeft ? columns.length - 1 - column : column } : {}),
    };
    onFocus(Object.keys(target).length ? target : null);
  });
  element.addEventListener("pointerleave", () => onFocus(null));
  const highlight = (target) => {
    place(bands[0], target?.row === undefined ? null : { x: left, y: y(target.row), width: across, height: cell });
    place(bands[1], target?.column === undefined ? null : { x: x(target.column), y: top, width: cell, height: down });
    rowLabels.forEach((label, i) => label.classList.toggle("on", target?.row === i));
    columnLabels.forEach((label, j) => label.classList.toggle("on", target?.column === j));
  };
  return { element, highlight };
}

/** Moves a rectangle, or hides it. */
function place(rectangle, box) {
  rectangle.toggleAttribute("hidden", box === null);
  for (const [key, value] of Object.entries(box ?? { width: 0, height: 0 })) rectangle.setAttribute(key, value);
}

/** A small matrix without labels, at most `room` pixels wide and `maxHeight` high. */
export function drawMiniature({ rows, columns, weights }, label, room, maxHeight = Infinity) {
  const cell = Math.min(MAX_SMALL_CELL, room / columns.length, maxHeight / rows.length);
  const rightToLeft = isRightToLeft(columns);
  const shades = Array.from({ length: SHADES }, () => "");
  weights.forEach((row, i) =>
    row.forEach((weight, j) => {
      const shade = Math.min(SHADES, Math.round(weight * SHADES));
      if (shade > 0) shades[shade - 1] += `M${rightToLeft ? columns.length - 1 - j : j} ${i}h1v1h-1z`;
    }),
  );
  return svg(
    "svg",
    {
      class: "matrix",
      width: cell * columns.length,
      height: cell * rows.length,
      viewBox: `0 0 ${columns.length} ${rows.length}`,
      role: "img",
      "aria-label": label,
    },
    svg("rect", { class: "paper", width: columns.length, height: rows.length }),
    svg("g", { class: "cells" }, ...shades.map((d, index) => svg("path", { d, "fill-opacity": (index + 1) / SHADES }))),
  );
}
