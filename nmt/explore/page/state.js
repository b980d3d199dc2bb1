// What the reader has chosen, as one object. The page's address holds it, so that a link shows the same view again.

const DEFAULTS = {
  source: "", // the sentence
  system: null, // the name of the system whose attention is drawn large; null: the first one with attention
  kind: "cross", // cross, encoder or decoder
  layer: null, // null: the mean of all layers
  head: null, // null: the mean of all heads
  words: true, // false: pieces
  eos: true, // false: without the end-of-sentence piece, and the other weights rescaled
  threshold: 0.05, // smaller weights are not drawn
  // What the selected system must do instead of its own translation:
  target: null, // this translation
  prefix: null, // a translation that starts so: a text, or a list of pieces
  headsOff: [], // names of heads that are switched off
  kept: null, // the {system, source, target, prefix, headsOff} to compare with
};

const TEXTS = ["source", "system", "kind", "target"];

/** A state with `get`, `set` for changes, and `subscribe` for functions that are called after each change. */
export function createState(initial) {
  let state = { ...DEFAULTS, ...initial };
  const listeners = [];
  return {
    get: () => state,
    set(changes) {
      state = { ...state, ...changes };
      for (const listener of listeners) listener(state);
    },
    subscribe: (listener) => listeners.push(listener),
  };
}

/** The part of an address after "#": every choice that is not the default. */
export function toHash(state) {
  const parameters = new URLSearchParams();
  for (const [key, standard] of Object.entries(DEFAULTS)) {
    const value = TEXTS.includes(key) ? state[key] : JSON.stringify(state[key]);
    if (value !== (TEXTS.includes(key) ? standard : JSON.stringify(standard)) && value !== null)
      parameters.set(key, value);
  }
  return parameters.toString();
}

/** The choices of an address. What cannot be read, or is not of the default's type, is left out. */
export function fromHash(hash) {
  const choices = {};
  const typeOf = (value) => (Array.isArray(value) ? "list" : typeof value);
  for (const [key, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!Object.hasOwn(DEFAULTS, key)) continue;
    try {
      const choice = TEXTS.includes(key) ? value : JSON.parse(value);
      if (DEFAULTS[key] === null || typeOf(choice) === typeOf(DEFAULTS[key])) choices[key] = choice;
    } catch {
      console.warn(`the address has an unreadable ${key}`);
    }
  }
  return choices;
}

/** What a system is asked: the sentence, and for the selected system also what it must do. */
export function queryFor(state, system) {
  const { source, target, prefix, headsOff } = state;
  return system === state.system
    ? { system, source, target, prefix, headsOff }
    : { system, source, target: null, prefix: null, headsOff: [] };
}
