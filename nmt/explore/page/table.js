// Attention as numbers, for readers who do not see the drawings, and for those who want to copy them.

import { html } from "./dom.js";

/** A matrix of `showAttention` as a table. */
export function drawTable({ rows, columns, weights }) {
  const head = html(
    "tr",
    {},
    html("td"),
    ...columns.map((label) => html("th", { scope: "col" }, html("bdi", {}, label))),
  );
  const body = weights.map((row, i) =>
    html(
      "tr",
      {},
      html("th", { scope: "row" }, html("bdi", {}, rows[i])),
      ...row.map((weight) => html("td", {}, weight.toFixed(3))),
    ),
  );
  return html("table", {}, html("thead", {}, head), html("tbody", {}, ...body));
}
