// All heads of one kind of attention as small matrices, a line for each layer. A click shows a head large; a check box
// switches it off.

import { showAttention } from "./attention.js";
import { html } from "./dom.js";
import { drawMiniature } from "./miniature.js";

const MIN_TILE = 90; // width of a matrix, in pixels
const MAX_TILE = 200;
const MARGIN = 36; // around a matrix

/** The tiles of an analysis.
 *
 * `switchable` are the names of the heads that can be switched off, `onChoose` gets a layer and a head, and `onSwitch`
 * the names of all heads that shall be off. If possible, a line is not wider than `room`.
 */
export function drawHeads(analysis, state, kind, { switchable, onChoose, onSwitch, room }) {
  const { layers, heads } = analysis.attention[kind];
  const width = Math.max(MIN_TILE, Math.min(MAX_TILE, room / heads.length - MARGIN));
  const tile = (layer, head) => {
    const name = `${kind}.${layer}.${head}`;
    const label = `layer ${layer}, head ${head}`;
    const isOff = state.headsOff.includes(name);
    const isChosen = state.layer === layer && state.head === head;
    const choose = () => (isChosen ? onChoose(null, null) : onChoose(layer, head));
    const toggle = ({ target }) =>
      onSwitch(target.checked ? state.headsOff.filter((each) => each !== name) : [...state.headsOff, name]);
    const box = { type: "checkbox", id: `switch-${name}`, checked: !isOff, onchange: toggle };
    return html(
      "div",
      { class: isOff ? "tile off" : "tile" },
      html(
        "button",
        {
          type: "button",
          id: `head-${name}`,
          "aria-pressed": String(isChosen),
          "aria-label": `Show ${label}`,
          onclick: choose,
        },
        drawMiniature(showAttention(analysis, { ...state, kind, layer, head }), label, width),
      ),
      switchable.includes(name)
        ? html("label", { class: "check" }, html("input", box), ` ${label}`)
        : html("span", { class: "quiet" }, label),
    );
  };
  return layers.map((layer) => html("div", { class: "tiles" }, ...heads.map((head) => tile(layer, head))));
}
