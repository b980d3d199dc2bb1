// The page: connects what the reader does, the state, the answers and the drawings.

import { embeddedData, fileClient, serverClient } from "./api.js";
import { chooseKind } from "./attention.js";
import { drawBeam, pathTo } from "./beam.js";
import { drawComparison } from "./comparison.js";
import { byId, format, html, replaceChildren } from "./dom.js";
import { connectInputs } from "./inputs.js";
import { spell } from "./labels.js";
import { drawSpotlights } from "./picture.js";
import { createResults } from "./results.js";
import { connectSharing } from "./sharing.js";
import { createState, fromHash, queryFor, toHash } from "./state.js";
import { drawSystems } from "./systems.js";
import { drawScoredWords } from "./target.js";
import { drawHeadsOf, drawViews } from "./views.js";

const template = `<!DOCTYPE html>\n${document.documentElement.outerHTML}`; // before anything is drawn
const embedded = embeddedData();
const client = embedded ? fileClient(embedded, template) : serverClient();

const [systems, examples] = await Promise.all([client.systems(), client.examples()]).catch((error) => {
  byId("status").textContent = error.message;
  throw error;
});
const choices = location.hash ? fromHash(location.hash) : embedded?.state;
const state = createState({ source: examples[0]?.source ?? "", ...choices });
if (!systems.some(({ name }) => name === state.get().system)) {
  const hasAttention = ({ kinds }) => Object.keys(kinds).length > 0;
  state.set({ system: (systems.find(hasAttention) ?? systems[0])?.name });
}
let frame = 0; // in which `drawSoon` will draw
const results = createResults(client, systems, () => drawSoon());

/** Changes what the systems are asked, and asks them. */
function askFor(changes, options) {
  results.refresh({ ...state.get(), ...changes }, options);
  state.set(changes);
}

/** Draws once for all answers that arrive together. */
function drawSoon() {
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(() => draw(state.get()));
}

/** Lets the systems translate as they like. */
const FREE = { target: null, prefix: null };

/** Draws everything that depends on the state and the answers. */
function draw(now) {
  const { analysis } = results.of(now.system);
  const kind = analysis && chooseKind(analysis, now.kind);
  const select = (system) => askFor({ system, ...FREE, headsOff: [], layer: null, head: null });
  replaceChildren(byId("systems"), ...drawSystems(systems, results.of, now, select));
  byId("attention").hidden = byId("multiples").hidden = !kind;
  byId("download-png").disabled = byId("download-svg").disabled = !kind;
  byId("picture-section").hidden = !analysis?.picture;
  byId("comparison-section").hidden = !analysis || (!client.isServed && examples.length < 2);
  byId("status").textContent = systems.some(({ name }) => results.of(name).isWaiting) ? "translating" : "";
  if (kind) {
    drawViews(analysis, kind, now, state.set);
    const switchable = systems.find(({ name }) => name === now.system).heads;
    drawHeadsOf(analysis, kind, now, state.set, { switchable, onSwitch: (headsOff) => askFor({ headsOff }) });
  }
  if (analysis?.picture) replaceChildren(byId("picture"), ...drawSpotlights(analysis, now));
  drawTarget(analysis, now);
  drawSearch(results.beam()?.tree, now);
  drawKept(analysis, now);
}

/** The probability of each word of the translation, and the text that the reader may change. A text that the system
 * refuses stays, so that the reader can correct it. */
function drawTarget(analysis, now) {
  byId("target-section").hidden = !analysis && now.target === null;
  const subject = now.target === null ? `the translation by ${now.system}` : `your translation by ${now.system}`;
  const hint = client.isServed ? "Change a word below to see what the system thinks of it. " : "";
  byId("target-help").textContent = analysis
    ? `Log-probability ${format(analysis.log_probability)} of ${subject}. ${hint}` +
      "The stronger the colour, the less probable the word."
    : "";
  replaceChildren(byId("words"), ...(analysis ? drawScoredWords(analysis) : []));
  byId("edit").hidden = !client.isServed;
  if (document.activeElement !== byId("target")) byId("target").value = now.target ?? analysis?.text ?? "";
  byId("clear-target").hidden = now.target === null;
}

/** The tree of the beam search. If the system refuses a prefix there is none, and the reader can start again. */
function drawSearch(tree, now) {
  byId("beam-section").hidden = !tree && now.prefix === null;
  byId("clear-prefix").hidden = now.prefix === null;
  byId("next-word").hidden = !client.isServed;
  byId("prefix").textContent = tree ? spell(tree.prefix) : "";
  byId("beam").hidden = byId("beam-help").hidden = !tree;
  if (!tree) return;
  byId("beam-help").textContent =
    "Each column is a step of the search, with the probability of each next piece. Grey candidates were dropped." +
    (client.isServed ? " Click a piece to continue from there." : "");
  const onPoint = (node) => {
    const score = node.score === null ? "" : `, score ${format(node.score)}`;
    const text = spell(pathTo(tree, node)) || "The start";
    byId("beam-help").textContent = `${text}: log-probability ${format(node.total)}${score}, ${node.state}.`;
  };
  const onContinue = client.isServed ? (node) => askFor({ target: null, prefix: pathTo(tree, node) }) : null;
  replaceChildren(byId("beam"), drawBeam(tree, { onPoint, onContinue }));
}

/** What the reader has kept, beside what is shown now. Another system than that of then gets only the sentence. */
async function drawKept(analysis, now) {
  byId("keep").hidden = now.kept !== null;
  byId("forget").hidden = now.kept === null;
  if (now.kept === null || !analysis) return replaceChildren(byId("comparison"));
  const room = Math.max(280, Math.min(560, byId("comparison-section").clientWidth / 2 - 60));
  const drawing = await results.ask(queryFor(now.kept, now.system)).then(
    (before) => drawComparison(before, analysis, now, room),
    ({ message }) => html("p", { class: "error", role: "alert" }, message),
  );
  if (state.get() !== now) return; // something newer has been drawn
  replaceChildren(byId("comparison"), drawing);
}

connectInputs({ client, examples, results, state, askFor, FREE });
connectSharing({ client, systems, results, state });
state.subscribe((now) => {
  byId("threshold-value").textContent = now.threshold.toFixed(2);
  history.replaceState(null, "", `#${toHash(now)}`);
  draw(now);
});
askFor({});
addEventListener("resize", drawSoon);
addEventListener("hashchange", () => location.reload()); // somebody has pasted a link
