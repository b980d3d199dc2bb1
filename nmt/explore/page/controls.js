// The choices above the views: kind of attention, layer, head, words or pieces.

import { html } from "./dom.js";

/** Radio buttons in a row. `options` are pairs of a value and a label; if `isPlain`, they need no visible legend. */
export function drawChoice(name, legend, options, chosen, onChoose, { isPlain = false } = {}) {
  const buttons = options.map(([value, label], index) => {
    const choose = { checked: value === chosen, onchange: () => onChoose(value) };
    const input = html("input", { type: "radio", name, id: `${name}-${index}`, class: "visually-hidden", ...choose });
    return html("label", {}, input, html("span", {}, label));
  });
  return html(
    "fieldset",
    { class: "choice" },
    html("legend", { class: isPlain ? "visually-hidden" : null }, legend),
    html("span", { class: "segments" }, ...buttons),
  );
}

/** The choice among the kinds that an analysis has; null if there is only one. */
export function drawKinds(analysis, kind, onChoose) {
  const options = Object.keys(analysis.attention).map((each) => [each, each]);
  return options.length < 2 ? null : drawChoice("kind", "Kind", options, kind, onChoose, { isPlain: true });
}

/** The choice of a layer or a head, or their mean; null if there is only one. */
export function drawNumbers(name, legend, numbers, chosen, onChoose) {
  if (numbers.length < 2) return null;
  const options = [[null, "mean"], ...numbers.map((number) => [number, String(number)])];
  return drawChoice(name, legend, options, numbers.includes(chosen) ? chosen : null, onChoose);
}
