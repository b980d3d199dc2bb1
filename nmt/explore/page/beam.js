// The beam as a tree: a column for each step of the search, and in it the candidates that it considered. Those that it
// dropped are grey, and the path of the best translation is marked.

import { moveByArrows, svg, textWidth } from "./dom.js";
import { isSpecial, labelPieces } from "./labels.js";

const HEIGHT = 24; // of a node, in pixels
const LINE = 32; // of a node with the space below it
const GAP = 34; // between two columns
const PADDING = 7; // in a node, beside its text
const MAX_PRUNED = 5; // candidates of a step that are shown though the search dropped them, the most probable ones

/** Draws a BeamTree. `onPoint` gets the node that the reader points at; `onContinue`, if given, one that is chosen. */
export function drawBeam(tree, { onPoint, onContinue }) {
  const columns = chooseNodes(tree);
  const labels = labelPieces(tree.nodes.map(({ piece }) => piece)); // by id
  const { places, width, height } = layOut(columns, labels);
  const best = new Set(tree.best);
  const nodes = columns.flat();
  const edges = nodes
    .filter(({ parent }) => parent !== null)
    .map((node) => drawEdge(places.get(node.parent), places.get(node.id), stateOf(node, best)));
  const boxes = nodes.map((node) =>
    drawNode(node, labels[node.id], places.get(node.id), stateOf(node, best), { onPoint, onContinue }),
  );
  const group = svg("g", { role: "group", "aria-label": "Candidates, one step after the other" }, ...boxes);
  moveByArrows(group, (index, key) => stepInTree(nodes, columns, index, key));
  const label = "Tree of the beam search";
  return svg(
    "svg",
    { class: "beam", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label },
    svg("g", { class: "edges", "aria-hidden": "true" }, ...edges),
    group,
  );
}

/** Where the nodes stand: {places, width, height}; `places` leads from an id to {x, y, width}. */
function layOut(columns, labels) {
  const places = new Map();
  const widthOf = (node) => textWidth(labels[node.id]) + textWidth(chance(node), 10) + 3 * PADDING;
  let x = 2;
  for (const nodes of columns) {
    const width = Math.max(...nodes.map(widthOf));
    nodes.forEach((node, index) => places.set(node.id, { x, y: 2 + index * LINE, width }));
    x += width + GAP;
  }
  return { places, width: x - GAP + 4, height: Math.max(...columns.map(({ length }) => length)) * LINE + 4 };
}

function drawEdge(from, to, state) {
  const [x, y, toX, toY] = [from.x + from.width, from.y + HEIGHT / 2, to.x, to.y + HEIGHT / 2];
  const middle = (x + toX) / 2;
  return svg("path", { class: state, d: `M${x} ${y}C${middle} ${y} ${middle} ${toY} ${toX} ${toY}` });
}

/** The nodes of each step from top to bottom. Children stand in the order of their parents, so that no lines cross, and
 * the best translation runs along the top. */
function chooseNodes({ nodes, best }) {
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

const chance = (node) => (node.parent === null ? "" : Math.exp(node.log_probability).toFixed(2));

const stateOf = (node, best) => (best.has(node.id) ? "best" : node.state);

/** A box with the label and the probability, which is also a bar. */
function drawNode(node, label, { x, y, width }, state, { onPoint, onContinue }) {
  const isRoot = node.parent === null;
  const choose = onContinue && !isSpecial(node.piece) ? () => onContinue(node) : null; // nothing follows "</s>"
  const status = `${state === "best" ? "on the best path" : state}${choose ? ": continue from here" : ""}`;
  const name = isRoot ? "start" : `${label}, probability ${chance(node)}, ${status}`;
  const onkeydown = (event) => {
    if (!choose || !["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    choose();
  };
  const [show, role] = [() => onPoint(node), choose ? "button" : "img"];
  const barWidth = (width - 10) * Math.exp(node.log_probability);
  return svg(
    "g",
    {
      id: `node-${node.id}`,
      class: `node ${state}`,
      role,
      "data-item": true,
      "aria-label": name,
      onclick: choose,
      onkeydown,
      onfocus: show,
      onmouseenter: show,
    },
    svg("rect", { class: "box", x, y, width, height: HEIGHT, rx: 5 }),
    isRoot ? null : svg("rect", { class: "bar", x: x + 5, y: y + HEIGHT - 4, width: barWidth, height: 2.5 }),
    svg("text", { x: x + PADDING, y: y + 15.5 }, label),
    svg("text", { class: "chance", x: x + width - PADDING, y: y + 15, "text-anchor": "end" }, chance(node)),
  );
}

/** Up and down within a step, left to the parent, right to the best child. */
function stepInTree(all, columns, index, key) {
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
