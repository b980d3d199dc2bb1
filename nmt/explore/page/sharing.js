// The buttons that share what is shown: a link, or a file.

import { byId } from "./dom.js";
import { combine, fillTemplate, save, toPng } from "./download.js";

/** Connects the buttons of index.html. */
export function connectSharing({ client, systems, results, state }) {
  const analyses = () => systems.map(({ name }) => results.of(name).analysis).filter((analysis) => analysis !== null);
  const picture = () =>
    combine(
      ["lines", "matrix"].map((id) => byId(id).querySelector("svg")).filter((drawing) => drawing !== null),
      state.get().source,
    );
  const actions = {
    "copy-link": async () => {
      await navigator.clipboard.writeText(location.href);
      return "copied the link";
    },
    "download-png": async () => save("attention.png", await toPng(picture()), "image/png"),
    "download-svg": () => save("attention.svg", new XMLSerializer().serializeToString(picture()), "image/svg+xml"),
    "download-json": () => save("attention.json", JSON.stringify(analyses(), null, 1), "application/json"),
    "download-html": async () => {
      const beams = [results.beam()?.tree].filter(Boolean);
      // The analyses are the answers to these choices already.
      const choices = { ...state.get(), target: null, prefix: null, headsOff: [], kept: null };
      save(
        "attention.html",
        fillTemplate(await client.template(), { analyses: analyses(), beams, state: choices }),
        "text/html",
      );
    },
  };
  for (const [id, act] of Object.entries(actions))
    byId(id).addEventListener("click", async () => {
      const message = await Promise.resolve(act()).catch((error) => error.message);
      byId("status").textContent = message ?? "";
    });
  byId("copy-link").hidden = location.protocol === "file:" || !navigator.clipboard;
}
