// Asks for analyses and beams, each query once, also one that is refused. While the reader types, only the answers to
// the last text count.

import { queryFor } from "./state.js";

const PAUSE = 250; // how long the reader must stop typing, in milliseconds
const MAX_REMEMBERED = 300; // answers

/** The answers to the current queries of all systems. `onChange` is called after each change. */
export function createResults(client, systems, onChange) {
  const remembered = new Map(); // call and query as JSON → {answer} or {refusal}
  let current = {}; // the name of a system → {analysis, error, isWaiting}
  let beam = null; // {tree, error} of the selected system
  let controller = new AbortController();
  let timer = 0;

  const ask = async (call, query, signal) => {
    const key = JSON.stringify([call, query]);
    if (!remembered.has(key)) {
      const outcome = await client[call](query, signal).then(
        (answer) => ({ answer }),
        (error) => (error.isRefusal ? { refusal: error } : Promise.reject(error)),
      );
      if (remembered.size >= MAX_REMEMBERED) remembered.clear();
      remembered.set(key, outcome);
    }
    const { answer, refusal } = remembered.get(key);
    if (refusal) throw refusal;
    return answer;
  };

  /** Calls `store` with the answer or the error, unless it is stale by then. */
  const request = async (call, query, store) => {
    const { signal } = controller;
    let outcome;
    try {
      outcome = { answer: await ask(call, query, signal) };
    } catch (error) {
      if (error.name === "AbortError") return;
      outcome = { error: error.message };
    }
    if (signal.aborted) return;
    store(outcome);
    onChange();
  };

  const askAll = (state) => {
    for (const { name } of systems)
      request("attention", queryFor(state, name), ({ answer, error }) => {
        current[name] = { analysis: answer ?? null, error: error ?? null, isWaiting: false };
      });
    if (!systems.find(({ name }) => name === state.system)?.has_beam) beam = null;
    else
      request("beam", queryFor(state, state.system), ({ answer, error }) => {
        beam = { tree: answer ?? null, error: error ?? null };
      });
  };

  return {
    of: (system) => current[system] ?? { analysis: null, error: null, isWaiting: false },
    beam: () => beam,
    /** An analysis of another query than the current one. */
    ask: (query) => ask("attention", query),
    /** Asks for everything that a state needs; when typing, after a pause. What there is waits for the answers. */
    refresh(state, { isTyping = false } = {}) {
      clearTimeout(timer);
      controller.abort();
      controller = new AbortController();
      if (!state.source.trim()) [current, beam] = [{}, null];
      else {
        const wait = ({ name }) => [name, { ...current[name], error: null, isWaiting: true }];
        current = Object.fromEntries(systems.map(wait));
        if (isTyping) timer = setTimeout(askAll, PAUSE, state);
        else askAll(state);
      }
    },
  };
}
