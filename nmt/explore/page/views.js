// The attention of the selected system: the choices, the lines, the matrix, the table, and all heads.

import { showAttention } from "./attention.js";
import { drawChoice, drawKinds, drawNumbers } from "./controls.js";
import { byId, replaceChildren } from "./dom.js";
import { drawHeads } from "./heads.js";
import { describeCell, describeWord } from "./labels.js";
import { drawLines } from "./lines.js";
import { drawMatrix } from "./matrix.js";
import { drawTable } from "./table.js";

const HINT = "Point at a word, a line or a cell, or move through the words with Tab and the arrow keys.";
const GOLD_HINT = "Orange: word links that are known to be right. ";

const UNITS = [
  [true, "words"],
  [false, "pieces"],
];

/** Draws the choices and the views. `change` gets changes of the state. */
export function drawViews(analysis, kind, now, change) {
  const { layers, heads } = analysis.attention[kind];
  const chooseKind = (chosen) => change({ kind: chosen, layer: null, head: null });
  replaceChildren(byId("kinds"), drawKinds(analysis, kind, chooseKind));
  replaceChildren(
    byId("layers"),
    drawNumbers("layer", "Layer", layers, now.layer, (layer) => change({ layer })),
  );
  replaceChildren(
    byId("heads"),
    drawNumbers("head", "Head", heads, now.head, (head) => change({ head })),
  );
  const units = drawChoice("unit", "Show", UNITS, now.words, (words) => change({ words }), { isPlain: true });
  replaceChildren(byId("units"), units);

  // Both views show the same matrix, and each marks what the reader points at in the other.
  const shown = showAttention(analysis, now);
  const readout = byId("readout");
  const hint = (shown.gold.length ? GOLD_HINT : "") + HINT;
  const isCell = ({ row, column }) => row !== undefined && column !== undefined;
  const describe = (target) =>
    isCell(target) ? describeCell(shown, target.row, target.column) : describeWord(shown, target);
  const onFocus = (target) => {
    for (const view of views) view.highlight(target);
    readout.textContent = target === null ? hint : `${describe(target)}.`;
  };
  const options = { threshold: now.threshold, onFocus };
  const views = [
    drawLines(shown, { ...options, room: byId("lines").clientWidth }),
    drawMatrix(shown, { ...options, room: byId("matrix").clientWidth }),
  ];
  readout.textContent = hint;
  replaceChildren(byId("lines"), views[0].element);
  replaceChildren(byId("matrix"), views[1].element);
  const numbers = byId("numbers");
  const fillTable = () => replaceChildren(byId("table"), numbers.open ? drawTable(shown) : null);
  numbers.ontoggle = fillTable; // a closed table of thousands of cells would only take time
  fillTable();
}

/** Draws the small multiples, unless there is only one head. `switchable` and `onSwitch`: see `drawHeads`. */
export function drawHeadsOf(analysis, kind, now, change, { switchable, onSwitch }) {
  const { layers, heads } = analysis.attention[kind];
  byId("multiples").hidden = layers.length * heads.length === 1;
  const hint = switchable.length ? " Clear its box to switch it off, and see the translation change." : "";
  byId("multiples-help").textContent = `A line for each layer. Click a head to see it large.${hint}`;
  const onChoose = (layer, head) => change({ layer, head });
  const room = byId("tiles").clientWidth;
  replaceChildren(byId("tiles"), ...drawHeads(analysis, now, kind, { switchable, onChoose, onSwitch, room }));
}
