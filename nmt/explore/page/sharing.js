// The buttons that share what is shown: a link, or a file.

import { byId } from "./dom.js";
import { combine, fillTemplate, save, toPng } from "./download.js";

/** Connects the buttons of index.html. */
export function connectSharing({ client, systems, results, state }) {
  const analyses = () => systems.map(({ name }) => results.of(name).analysis).filter((analysis) => analysis !== null);
  const drawings = () => ["lines", "matrix"].map((id) => byId(id).querySelector("svg"));
  const picture = () => combine(drawings(), state.get().source);
  const actions = {
    "copy-link": async () => {
      await navigator.clipboard.writeText(location.href);
      return "copied the link";
    },
    "download-png": async () => save("attention.png", await toPng(picture()), "image/png"),
    "download-svg": () => save("attention.svg", new XMLSerializer().serializeToString(picture()), "image/svg+xml"),
    "download-json": () => save("attention.json", JSON.stringify(analyses(), null, 1), "application/json"),
    "download-html": async () => {
      // The analyses are the answers to the other choices already.
      const choices = { ...state.get(), target: null, prefix: null, headsOff: [], kept: null };
      const tree = results.beam()?.tree;
      const data = { analyses: analyses(), beams: tree ? [tree] : [], state: choices };
      save("attention.html", fillTemplate(await client.template(), data), "text/html");
    },
  };
  const run = async (act) => {
    try {
      byId("status").textContent = (await act()) ?? "";
    } catch (error) {
      byId("status").textContent = error.message;
    }
  };
  for (const [id, act] of Object.entries(actions)) byId(id).addEventListener("click", () => run(act));
  byId("copy-link").hidden = location.protocol === "file:" || !navigator.clipboard;
}
