// One analysis that the reader has kept, beside the current one.

import { showAttention } from "./attention.js";
import { format, html } from "./dom.js";
import { drawMatrix } from "./matrix.js";

/** Both analyses side by side. Words that only one of the two texts has are marked. */
export function drawComparison(before, after, state, room) {
  const column = (name, analysis, other) => {
    const without = analysis.heads_off.length ? ` · without ${analysis.heads_off.join(", ")}` : "";
    const score = html("span", { class: "quiet" }, ` score ${format(analysis.score)}${without}`);
    return html(
      "figure",
      { class: "panel" },
      html("figcaption", {}, html("strong", {}, name), score),
      html("p", { dir: "auto" }, ...markDifferences(analysis.source, other.source)),
      html("p", { dir: "auto", class: "translation" }, ...markDifferences(analysis.text, other.text)),
      drawAttention(name, analysis, state, room),
    );
  };
  return html("div", { class: "views" }, column("before", before, after), column("after", after, before));
}

function drawAttention(name, analysis, state, room) {
  const shown = showAttention(analysis, state);
  if (shown === null) return null;
  const { element } = drawMatrix(shown, { threshold: state.threshold, onFocus: () => {}, room });
  const label = `Attention ${name}`;
  return html("div", { class: "wide", dir: "ltr", role: "region", tabindex: 0, "aria-label": label }, element);
}

/** The words of a text with spaces between them; those that are not part of a longest common sequence are marked. */
export function markDifferences(text, other) {
  const [words, others] = [text.split(/\s+/), other.split(/\s+/)];
  // lengths[i][j]: of the longest common sequence of words[i:] and others[j:]
  const lengths = Array.from({ length: words.length + 1 }, () => new Array(others.length + 1).fill(0));
  for (let i = words.length - 1; i >= 0; i--)
    for (let j = others.length - 1; j >= 0; j--)
      lengths[i][j] =
        words[i] === others[j] ? lengths[i + 1][j + 1] + 1 : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  const marked = [];
  for (let i = 0, j = 0; i < words.length; i++) {
    while (j < others.length && words[i] !== others[j] && lengths[i][j] === lengths[i][j + 1]) j++;
    const isCommon = j < others.length && words[i] === others[j];
    if (isCommon) j++;
    marked.push(isCommon ? words[i] : html("mark", {}, words[i]), " ");
  }
  return marked;
}
