// Where analyses come from: a server, or the page itself if it is a self-contained file.

const TOO_MANY_REQUESTS = 429; // may succeed later

/** The data inside a self-contained file: {analyses, beams, state}; null in a page that a server sends. */
export function embeddedData() {
  const element = document.getElementById("data");
  return element && JSON.parse(element.textContent);
}

/** The calls of the page, answered by a server (nmt/explore/app.py). A failure is an Error with a message in one line;
 * `isRefusal` says that the same request would fail again. */
export function serverClient() {
  const post = async (path, { system, source, target, prefix, headsOff }, signal) => {
    const body = { system, source, heads_off: headsOff };
    if (target) body.target = target;
    if (prefix) body.prefix = prefix;
    return answer(
      fetch(path, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
        signal,
      }),
    );
  };
  return {
    isServed: true,
    systems: () => answer(fetch("api/systems")),
    examples: () => answer(fetch("api/examples")),
    attention: (query, signal) => post("api/attention", query, signal),
    beam: ({ target, ...query }, signal) => post("api/beam", query, signal),
    template: async () => (await fetch("explorer.html")).text(),
  };
}

async function answer(request) {
  const response = await request.catch((error) => {
    if (error.name === "AbortError") throw error;
    throw new Error("The server does not answer.");
  });
  const content = await response.json().catch(() => ({ detail: `The server answered ${response.status}.` }));
  if (!response.ok) {
    const isRefusal = response.status < 500 && response.status !== TOO_MANY_REQUESTS;
    throw Object.assign(new Error(content.detail), { isRefusal });
  }
  return content;
}

/** The same calls, answered from the data of a self-contained file. */
export function fileClient({ analyses, beams }, template) {
  const sources = [...new Set(analyses.map((analysis) => analysis.source))];
  const names = [...new Set(analyses.map((analysis) => analysis.system))];
  const kindsOf = (name) => analyses.find((analysis) => analysis.system === name).attention;
  const find = async (list, { system, source }) =>
    list.find((each) => each.system === system && each.source === source);
  return {
    isServed: false,
    systems: async () => names.map((name) => ({ name, kinds: kindsOf(name), heads: [], has_beam: true })),
    examples: async () => sources.map((source) => ({ source, label: source, picture: null })),
    attention: async (query) => (await find(analyses, query)) ?? Promise.reject(new Error("Not in this file.")),
    beam: (query) => find(beams, query),
    template: async () => template,
  };
}
