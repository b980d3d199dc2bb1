// The page: loads onnxruntime-web and the model, translates what the reader types, and shows what each word attends to.

import { showAttention } from "./attention.js";
import { byId, replaceChildren } from "./dom.js";
import { drawLines } from "./lines.js";
import { Translator } from "./translator.js";
import { groupPieces } from "./words.js";

const FOLDER = new URL("../", import.meta.url); // of the model
const RUNTIME = "onnxruntime-web";
const FILE = "dist/ort.wasm.bundle.min.mjs"; // it loads the .wasm file beside it
const MIRROR = "https://cdn.jsdelivr.net/npm";
const VIEW = { kind: "cross", layer: null, head: null, words: true, eos: false }; // see attention.js
const MIN_WEIGHT = 0.1; // of a line that is drawn

const showStatus = (text) => (byId("status").textContent = text);

/** onnxruntime-web: from beside the model if `npm install` has put it there, otherwise from a mirror of npm. */
async function loadRuntime() {
  const { dependencies } = await (await fetch(new URL("package.json", FOLDER))).json();
  const local = new URL(`node_modules/${RUNTIME}/`, FOLDER);
  const { ok } = await fetch(new URL("package.json", local), { method: "HEAD" });
  return import(ok ? new URL(FILE, local) : `${MIRROR}/${RUNTIME}@${dependencies[RUNTIME]}/${FILE}`);
}

/** Draws a line from each source word to the words that attend to it. */
function drawAttention({ sourcePieces, targetPieces, weights }) {
  if (!weights) return replaceChildren(byId("lines"));
  const cross = {
    weights,
    layers: weights.map((_, layer) => layer),
    heads: weights[0].map((_, head) => head),
    rows: targetPieces,
    columns: sourcePieces,
    row_words: groupPieces(targetPieces),
    column_words: groupPieces(sourcePieces),
  };
  const shown = showAttention({ attention: { cross } }, VIEW);
  let highlight = null;
  const options = { threshold: MIN_WEIGHT, room: byId("lines").clientWidth, onFocus: (target) => highlight(target) };
  const drawing = drawLines(shown, options);
  highlight = drawing.highlight;
  replaceChildren(byId("lines"), drawing.element);
}

let latest = 0; // number of the translation that was asked for last

async function translate(translator) {
  const number = ++latest;
  const start = performance.now();
  const result = await translator.translate(byId("source").value.replace(/\s*\n\s*/g, " "));
  if (number !== latest) return; // a shorter line, asked for later, may have been done before this one
  byId("translation").textContent = result.text;
  drawAttention(result);
  const remark = result.isCut ? "; the text is too long for the model, and its end is not translated" : "";
  showStatus(`${Math.round(performance.now() - start)} ms${remark}`);
}

async function main() {
  showStatus("Loading the model …");
  const translator = await Translator.load(await loadRuntime(), FOLDER);
  const { source, target } = translator.settings;
  byId("title").textContent = document.title = `${source} → ${target}`;
  byId("translation").lang = target;
  byId("source").lang = source;
  byId("button").disabled = false;
  showStatus("Ready");
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    translate(translator).catch(report);
  });
  byId("source").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    byId("form").requestSubmit();
  });
}

/** Shows an error to the reader, and leaves it to the console. */
function report(error) {
  showStatus(`Failed: ${error.message}`);
  throw error;
}

main().catch(report);
