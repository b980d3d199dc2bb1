// The beam as a tree: a column for each step of the search, and in it the candidates that it considered. Those that it
// dropped are grey, and the path of the best translation is marked.

import { labelPiece } from "./attention.js";
import { moveByArrows, svg, textWidth } from "./dom.js";

const HEIGHT = 24,
  LINE = 32; // of a node, and of a node with the space below it, in pixels
const GAP = 34; // between two columns
const PADDING = 7; // in a node, beside its text

const MAX_PRUNED = 5; // candidates of a step that are shown though the search dropped them, the most probable ones

/** Draws a BeamTree. `onPoint` gets the node that the reader points at; `onContinue`, if given, one that is chosen. */
export function drawBeam(tree, { onPoint, onContinue }) {
  const columns = layOut(tree);
  const best = new Set(tree.best);
  const places = new Map(); // id → {x, y, width}
  let x = 2;
  for (const nodes of columns) {
    const width = Math.max(
      ...nodes.map((node) => textWidth(labelOf(node, tree)) + textWidth(chance(node), 10) + 3 * PADDING),
    );
    nodes.forEach((node, index) => places.set(node.id, { x, y: 2 + index * LINE, width }));
    x += width + GAP;
  }
  const height = Math.max(...columns.map((nodes) => nodes.length)) * LINE + 4;
  const all = columns.flat();
  const edges = all
    .filter(({ parent }) => places.has(parent))
    .map((node) => {
      const [from, to] = [places.get(node.parent), places.get(node.id)];
      const [x0, y0, x1, y1] = [from.x + from.width, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
      return svg("path", {
        class: stateOf(node, best),
        d: `M${x0} ${y0}C${x0 + GAP / 2} ${y0} ${x1 - GAP / 2} ${y1} ${x1} ${y1}`,
      });
    });
  const boxes = all.map((node) => drawNode(node, tree, places.get(node.id), best, { onPoint, onContinue }));
  const group = svg("g", { role: "group", "aria-label": "Candidates, one step after the other" }, ...boxes);
  moveByArrows(group, (index, key) => stepInTree(all, columns, best, index, key));
  return svg(
    "svg",
    {
      class: "beam",
      width: x - GAP + 4,
      height,
      viewBox: `0 0 ${x - GAP + 4} ${height}`,
      role: "group",
      "aria-label": "Tree of the beam search",
    },
    svg("g", { class: "edges", "aria-hidden": "true" }, ...edges),
    group,
  );
}

/** The nodes of each step from top to bottom. Children stand in the order of their parents, so that no lines cross, and
 * the best translation runs along the top. */
function layOut({ nodes, best }) {
  const onBestPath = new Set(best);
  const children = Map.groupBy(nodes, ({ parent }) => parent);
  const rank = (node) => (onBestPath.has(node.id) ? Infinity : node.total);
  const columns = [];
  let column = children.get(null);
  while (column.length) {
    columns.push(column);
    const next = column.flatMap(({ id }) => (children.get(id) ?? []).sort((a, b) => rank(b) - rank(a)));
    const pruned = next.filter(({ state }) => state === "pruned").sort((a, b) => b.total - a.total);
    const hidden = new Set(pruned.slice(MAX_PRUNED));
    column = next.filter((node) => !hidden.has(node));
  }
  return columns;
}

const labelOf = (node, tree) =>
  node.parent === null
    ? node.piece || "<s>"
    : labelPiece(
        node.piece,
        0,
        tree.nodes.map(({ piece }) => piece),
      );

const chance = (node) => (node.parent === null ? "" : Math.exp(node.log_probability).toFixed(2));

const stateOf = (node, best) => (best.has(node.id) ? "best" : node.state);

function drawNode(node, tree, { x, y, width }, best, { onPoint, onContinue }) {
  const status = best.has(node.id) ? "on the best path" : node.state;
  const isRoot = node.parent === null;
  const choose = onContinue && !isRoot ? () => onContinue(node) : null;
  return svg(
    "g",
    {
      id: `node-${node.id}`,
      class: `node ${stateOf(node, best)}`,
      role: choose ? "button" : "img",
      "data-item": true,
      "aria-label": isRoot
        ? "start"
        : `${labelOf(node, tree)}, probability ${chance(node)}, ${status}${choose ? ": continue from here" : ""}`,
      onclick: choose,
      onkeydown: (event) => ["Enter", " "].includes(event.key) && choose && (event.preventDefault(), choose()),
      onfocus: () => onPoint(node),
      onmouseenter: () => onPoint(node),
    },
    svg("rect", { class: "box", x, y, width, height: HEIGHT, rx: 5 }),
    isRoot
      ? null
      : svg("rect", {
          class: "bar",
          x: x + 5,
          y: y + HEIGHT - 4,
          width: (width - 10) * Math.exp(node.log_probability),
          height: 2.5,
        }),
    svg("text", { x: x + PADDING, y: y + 15.5 }, labelOf(node, tree)),
    svg("text", { class: "chance", x: x + width - PADDING, y: y + 15, "text-anchor": "end" }, chance(node)),
  );
}

/** Up and down within a step, left to the parent, right to the best child. */
function stepInTree(all, columns, best, index, key) {
  const node = all[index];
  const column = columns.find((nodes) => nodes.includes(node));
  if (key === "ArrowLeft") return all.findIndex(({ id }) => id === node.parent);
  if (key === "ArrowRight") return all.findIndex(({ parent }) => parent === node.id);
  const offsets = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };
  const place = Math.max(0, Math.min(column.length - 1, column.indexOf(node) + offsets[key]));
  return all.indexOf(column[place]);
}

/** The pieces from the start of the tree to a node. */
export function pathTo(tree, node) {
  const byId = new Map(tree.nodes.map((each) => [each.id, each]));
  const pieces = [];
  for (let each = node; each.parent !== null; each = byId.get(each.parent)) pieces.unshift(each.piece);
  return pieces;
}

/** The text that pieces spell. */
export const spell = (pieces) =>
  pieces
    .filter((piece) => !/^<.+>$/.test(piece))
    .join("")
    .replaceAll("▁", " ")
    .trim();
