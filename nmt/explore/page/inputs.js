// The elements of index.html in which the reader types and chooses.

import { byId } from "./dom.js";
import { spell } from "./labels.js";

/** Connects them. `askFor` changes the state and asks the systems; `FREE` lets them translate as they like. */
export function connectInputs({ client, examples, results, state, askFor, FREE }) {
  const source = byId("source");
  source.value = state.get().source;
  source.readOnly = !client.isServed;
  onLine(source, (line) => askFor({ source: line, ...FREE }, { isTyping: true }));

  const choice = byId("examples");
  for (const { source: text, label } of examples) choice.append(new Option(label, text));
  choice.hidden = examples.length < 2;
  choice.addEventListener("change", () => {
    if (!choice.value) return;
    source.value = choice.value;
    askFor({ source: choice.value, ...FREE });
    choice.value = "";
  });

  const [eos, threshold] = [byId("eos"), byId("threshold")];
  eos.checked = state.get().eos;
  eos.addEventListener("change", () => state.set({ eos: eos.checked }));
  threshold.value = state.get().threshold;
  threshold.addEventListener("input", () => state.set({ threshold: Number(threshold.value) }));

  const target = byId("target");
  onLine(target, (line) => line.trim() && askFor({ target: line, prefix: null }, { isTyping: true }));
  byId("clear-target").addEventListener("click", () => askFor(FREE));

  const next = byId("next");
  byId("next-word").addEventListener("submit", (event) => {
    event.preventDefault();
    const start = spell(results.beam()?.tree?.prefix ?? []);
    askFor({ target: null, prefix: `${start} ${next.value}`.trim() || null });
    next.value = "";
  });
  byId("clear-prefix").addEventListener("click", () => askFor(FREE));

  byId("keep").addEventListener("click", () => {
    const { system, source: sentence, target: given, prefix, headsOff } = state.get();
    state.set({ kept: { system, source: sentence, target: given, prefix, headsOff } });
  });
  byId("forget").addEventListener("click", () => state.set({ kept: null }));
}

/** Calls `act` with each text that the reader types, which is one line: Enter does nothing, and a pasted line break is a
 * space. */
function onLine(area, act) {
  area.addEventListener("keydown", (event) => event.key === "Enter" && !event.isComposing && event.preventDefault());
  area.addEventListener("input", () => act(area.value.replaceAll(/\s*\n\s*/g, " ")));
}
