// The page: connects what the reader does, the state, the answers and the drawings.

import { embeddedData, fileClient, serverClient } from "./api.js";
import { chooseKind, describeWord, showAttention } from "./attention.js";
import { drawBeam, pathTo, spell } from "./beam.js";
import { drawComparison } from "./comparison.js";
import { drawChoice, drawKinds, drawNumbers } from "./controls.js";
import { byId, format, replaceChildren } from "./dom.js";
import { drawHeads } from "./heads.js";
import { drawLines } from "./lines.js";
import { drawMatrix } from "./matrix.js";
import { drawSpotlights } from "./picture.js";
import { createResults } from "./results.js";
import { connectSharing } from "./sharing.js";
import { createState, fromHash, toHash } from "./state.js";
import { drawSystems } from "./systems.js";
import { drawTable } from "./table.js";
import { drawScoredWords } from "./target.js";

const FREE = { target: null, prefix: null }; // a system translates as it likes
const template = document.documentElement.outerHTML; // before anything is drawn
const embedded = embeddedData();
const client = embedded ? fileClient(embedded, `<!DOCTYPE html>\n${template}`) : serverClient();

const [systems, examples] = await Promise.all([client.systems(), client.examples()]);
const first = { source: examples[0]?.source ?? "", system: systems[0]?.name };
const state = createState({ ...first, ...embedded?.state, ...fromHash(location.hash) });
if (!systems.some(({ name }) => name === state.get().system)) state.set({ system: first.system });
const results = createResults(client, systems, () => draw(state.get()));

/** Changes what the systems are asked, and asks them. */
function askFor(changes, options) {
  state.set(changes);
  results.refresh(state.get(), options);
}

/** Draws everything that depends on the state and the answers. */
function draw(now) {
  const { analysis, error } = results.of(now.system);
  const kind = analysis && chooseKind(analysis, now.kind);
  replaceChildren(
    byId("systems"),
    ...drawSystems(systems, results.of, now, (system) =>
      askFor({ system, ...FREE, headsOff: [], layer: null, head: null }),
    ),
  );
  byId("attention").hidden = byId("multiples").hidden = !kind;
  byId("picture-section").hidden = !analysis?.picture;
  byId("target-section").hidden = !analysis;
  byId("comparison-section").hidden = !analysis || (!client.isServed && examples.length < 2);
  byId("status").textContent = systems.some(({ name }) => results.of(name).isWaiting) ? "translating" : "";
  if (kind) drawAttention(analysis, kind, now);
  if (analysis?.picture) replaceChildren(byId("picture"), ...drawSpotlights(analysis, now));
  if (analysis) drawTarget(analysis, error, now);
  drawSearch(results.beam(), now);
  drawKept(analysis, now);
}

/** The controls, both views, the table and the small multiples. */
function drawAttention(analysis, kind, now) {
  const view = analysis.attention[kind];
  replaceChildren(
    byId("kinds"),
    drawKinds(analysis, kind, (chosen) => state.set({ kind: chosen, layer: null, head: null })),
  );
  replaceChildren(
    byId("layers"),
    drawNumbers("layer", "Layer", view.layers, now.layer, (layer) => state.set({ layer })),
  );
  replaceChildren(
    byId("heads"),
    drawNumbers("head", "Head", view.heads, now.head, (head) => state.set({ head })),
  );
  replaceChildren(
    byId("units"),
    drawChoice(
      "unit",
      "Show",
      [
        [true, "words"],
        [false, "pieces"],
      ],
      now.words,
      (words) => state.set({ words }),
      { isPlain: true },
    ),
  );

  const shown = showAttention(analysis, now);
  const readout = byId("readout");
  const hint = `${shown.gold.length ? "Orange: word links that are known to be right. " : ""}Point at a word, a line or a cell, or move through the words with Tab and the arrow keys.`;
  const onFocus = (target) => {
    for (const view of views) view.highlight(target);
    readout.textContent = target === null ? hint : `${describeWord(shown, target)}.`;
  };
  const views = [
    drawLines(shown, { threshold: now.threshold, onFocus, room: byId("lines").clientWidth || 600 }),
    drawMatrix(shown, { threshold: now.threshold, onFocus, room: byId("matrix").clientWidth || 600 }),
  ];
  readout.textContent = hint;
  replaceChildren(byId("lines"), views[0].element);
  replaceChildren(byId("matrix"), views[1].element);
  replaceChildren(byId("table"), drawTable(shown));

  byId("multiples").hidden = view.layers.length * view.heads.length === 1;
  const switchable = client.isServed ? (systems.find(({ name }) => name === now.system).heads ?? []) : [];
  byId("multiples-help").textContent =
    `A line for each layer. Click a head to see it large.${switchable.length ? " Clear its box to switch it off, and see the translation change." : ""}`;
  const actions = {
    switchable,
    onChoose: (layer, head) => state.set({ layer, head }),
    onSwitch: (headsOff) => askFor({ headsOff }),
  };
  replaceChildren(byId("tiles"), ...drawHeads(analysis, now, kind, { ...actions, room: byId("tiles").clientWidth }));
}

/** The probability of each word of the translation, and the text that the reader may change. */
function drawTarget(analysis, error, now) {
  byId("target-help").textContent =
    `Log-probability ${format(analysis.log_probability)} of ${now.target === null ? `the translation by ${now.system}` : `your translation, if ${now.system} must write it`}. ${client.isServed ? "Change a word below to see what the system thinks of it. " : ""}The stronger the colour, the less probable the word.`;
  replaceChildren(byId("words"), ...(error ? [] : drawScoredWords(analysis)));
  byId("edit").hidden = !client.isServed;
  if (document.activeElement !== byId("target")) byId("target").value = now.target ?? analysis.text;
  byId("clear-target").hidden = now.target === null;
}

/** The tree of the beam search. */
function drawSearch(beam, now) {
  byId("beam-section").hidden = !beam?.tree;
  if (!beam?.tree) return;
  const { tree } = beam;
  const help = `Each column is a step of the search with the probabilities of the next piece. Grey candidates were dropped.${client.isServed ? " Click a node to continue from there." : ""}`;
  byId("beam-help").textContent = help;
  byId("prefix").textContent = spell(tree.prefix);
  byId("clear-prefix").hidden = now.prefix === null;
  byId("next-word").hidden = !client.isServed;
  const onPoint = (node) => {
    byId("beam-help").textContent =
      `${spell(pathTo(tree, node)) || "The start"}: log-probability ${format(node.total)}${node.score === null ? "" : `, score ${format(node.score)}`}, ${node.state}.`;
  };
  const onContinue = client.isServed ? (node) => askFor({ target: null, prefix: pathTo(tree, node) }) : null;
  replaceChildren(byId("beam"), drawBeam(tree, { onPoint, onContinue }));
}

/** What the reader has kept, beside what is shown now. */
async function drawKept(analysis, now) {
  byId("keep").hidden = now.kept !== null;
  byId("forget").hidden = now.kept === null;
  const before = now.kept && analysis ? await results.ask({ ...now.kept, system: now.system }).catch(() => null) : null;
  if (state.get() !== now) return;
  const room = Math.min(560, byId("comparison-section").clientWidth / 2 - 60);
  replaceChildren(byId("comparison"), before && drawComparison(before, analysis, now, Math.max(280, room)));
}

/** Connects the elements of index.html. */
function connect() {
  const source = byId("source");
  source.value = state.get().source;
  source.readOnly = !client.isServed;
  source.addEventListener("input", () => askFor({ source: source.value, ...FREE }, { isTyping: true }));
  for (const { source: text, label } of examples) byId("examples").append(new Option(label, text));
  byId("examples").hidden = examples.length < 2;
  byId("examples").addEventListener("change", ({ target }) => {
    if (!target.value) return;
    source.value = target.value;
    askFor({ source: target.value, ...FREE });
    target.value = "";
  });
  byId("eos").checked = state.get().eos;
  byId("eos").addEventListener("change", ({ target }) => state.set({ eos: target.checked }));
  byId("threshold").value = state.get().threshold;
  byId("threshold").addEventListener("input", ({ target }) => state.set({ threshold: Number(target.value) }));
  const target = byId("target");
  target.addEventListener(
    "input",
    () => target.value.trim() && askFor({ target: target.value, prefix: null }, { isTyping: true }),
  );
  byId("clear-target").addEventListener("click", () => askFor(FREE));
  byId("clear-prefix").addEventListener("click", () => askFor(FREE));
  byId("next-word").addEventListener("submit", (event) => {
    event.preventDefault();
    askFor({ target: null, prefix: `${spell(results.beam().tree.prefix)} ${byId("next").value}`.trim() });
    byId("next").value = "";
  });
  byId("keep").addEventListener("click", () => {
    const { source, target, prefix, headsOff } = state.get();
    state.set({ kept: { source, target, prefix, headsOff } });
  });
  byId("forget").addEventListener("click", () => state.set({ kept: null }));
}

connect();
connectSharing({ client, systems, results, state });
state.subscribe((now) => {
  byId("threshold-value").textContent = now.threshold.toFixed(2);
  history.replaceState(null, "", `#${toHash(now)}`);
  draw(now);
});
state.set({});
results.refresh(state.get());
addEventListener("resize", () => draw(state.get()));
