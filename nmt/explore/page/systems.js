// The translations of all systems side by side, each with its attention as a small matrix. One of them is selected.

import { showAttention } from "./attention.js";
import { format, html } from "./dom.js";
import { drawMiniature } from "./miniature.js";

const MAX_WIDTH = 170; // of a small matrix, in pixels
const MAX_HEIGHT = 110;

/** The cards of all systems. `resultOf` gives the result of a system, see results.js. */
export function drawSystems(systems, resultOf, state, onSelect) {
  return systems.map((system, index) => {
    const result = resultOf(system.name);
    const isSelected = system.name === state.system;
    const select = { checked: isSelected, onchange: () => onSelect(system.name) };
    return html(
      "label",
      { class: isSelected ? "card selected" : "card", "aria-busy": String(result.isWaiting) },
      html("input", { type: "radio", name: "system", id: `system-${index}`, class: "visually-hidden", ...select }),
      html("span", { class: "name" }, system.name),
      ...drawResult(result, system.target, isSelected ? state : { ...state, layer: null, head: null }),
    );
  });
}

/** The translation with its attention, or why there is none. */
function drawResult({ analysis, error }, language, state) {
  if (error) return [html("span", { class: "error", role: "alert" }, error)];
  if (!analysis) return [];
  const shown = showAttention(analysis, state);
  return [
    html("bdi", { class: "translation", dir: "auto", lang: language }, analysis.text),
    html("span", { class: "quiet" }, describe(analysis)),
    shown === null
      ? html("span", { class: "quiet" }, "no attention")
      : drawMiniature(shown, `attention of ${analysis.system}`, MAX_WIDTH, MAX_HEIGHT),
  ];
}

/** Score, time and remarks in one line. */
function describe(analysis) {
  const parts = [`score ${format(analysis.score)}`];
  if (analysis.milliseconds !== null) parts.push(`${Math.round(analysis.milliseconds)} ms`);
  if (analysis.truncated) parts.push("cut off at the maximum length");
  if (analysis.source_truncated) parts.push("the sentence is too long: its end is not translated");
  if (analysis.heads_off.length) parts.push(`without ${analysis.heads_off.join(", ")}`);
  return parts.join(" · ");
}
