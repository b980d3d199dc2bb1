// The translations of all systems side by side, each with its attention as a small matrix. One of them is selected.

import { showAttention } from "./attention.js";
import { format, html, svg } from "./dom.js";
import { drawMiniature } from "./miniature.js";

const MINIATURE = 170,
  MAX_HEIGHT = 110; // sides of a small matrix, in pixels

/** The cards of all systems. `resultOf` gives the result of a system, see results.js. */
export function drawSystems(systems, resultOf, state, onSelect) {
  return systems.map((system, index) => {
    const { analysis, error, isWaiting } = resultOf(system.name);
    const isSelected = system.name === state.system;
    return html(
      "label",
      { class: isSelected ? "card selected" : "card", "aria-busy": String(isWaiting) },
      html("input", {
        type: "radio",
        name: "system",
        id: `system-${index}`,
        class: "visually-hidden",
        checked: isSelected,
        onchange: () => onSelect(system.name),
      }),
      html("span", { class: "name" }, system.name),
      error ? html("span", { class: "error", role: "alert" }, error) : null,
      analysis && !error
        ? html("bdi", { class: "translation", dir: "auto", lang: system.target }, analysis.text)
        : null,
      analysis && !error ? html("span", { class: "quiet" }, describe(analysis)) : null,
      analysis && !error ? drawSmall(analysis, state, isSelected) : null,
    );
  });
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

function drawSmall(analysis, state, isSelected) {
  const shown = showAttention(analysis, isSelected ? state : { ...state, layer: null, head: null });
  if (shown === null) return html("span", { class: "quiet none" }, "no attention");
  return drawMiniature(shown, `attention of ${analysis.system}`, MINIATURE, MAX_HEIGHT);
}
