// A matrix of attention weights without labels, for many side by side.

import { svg } from "./dom.js";
import { isRightToLeft } from "./labels.js";

const MAX_CELL = 14; // side of a cell, in pixels
const SHADES = 20; // one path for each, since an element for each cell would be too many

/** Draws a matrix of `showAttention`, at most `room` pixels wide and `maxHeight` high. */
export function drawMiniature({ rows, columns, weights }, label, room, maxHeight = Infinity) {
  const cell = Math.min(MAX_CELL, room / columns.length, maxHeight / rows.length);
  const rightToLeft = isRightToLeft(columns);
  const shades = new Array(SHADES + 1).fill("");
  weights.forEach((row, y) =>
    row.forEach((weight, column) => {
      const x = rightToLeft ? columns.length - 1 - column : column;
      shades[Math.min(SHADES, Math.round(weight * SHADES))] += `M${x} ${y}h1v1h-1z`;
    }),
  );
  const paths = shades.map((d, shade) => svg("path", { d, "fill-opacity": shade / SHADES })).slice(1);
  const size = { width: cell * columns.length, height: cell * rows.length };
  return svg(
    "svg",
    { class: "matrix", ...size, viewBox: `0 0 ${columns.length} ${rows.length}`, role: "img", "aria-label": label },
    svg("rect", { class: "paper", width: columns.length, height: rows.length }),
    svg("g", { class: "cells" }, ...paths),
  );
}
