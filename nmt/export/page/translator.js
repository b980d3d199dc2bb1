// Translates with the ONNX model beside the page, as translate.py does in Python: beam search over two graphs.
//
// The encoder reads the sentence once. A step of the decoder reads the last token of each hypothesis, with the state
// that the step before has returned as "next.…", and gives a logit for each token of the vocabulary.

import { SentencePiece } from "./sentencepiece.js";

const NEXT = "next."; // begins the names of the states that a step returns
const INVISIBLE = /^[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}]*$/u; // a text of which nothing is printed
const LINE_SEPARATORS = /[\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029]/g;

/** The hypotheses of a sentence. A finished one keeps its slot, so a beam of size 1 is greedy search. */
class Beam {
  constructor(size, limit, { bos_id, eos_id, length_penalty }) {
    this.limit = limit; // number of tokens
    this.eosId = eos_id;
    this.lengthPenalty = length_penalty;
    this.numFree = size;
    this.open = [{ before: null, token: bos_id, weights: null, logProbability: 0 }];
    this.parents = [0]; // the open hypothesis before that each open one continues
    this.best = null; // the best finished hypothesis
    this.bestScore = -Infinity;
  }

  /** What the log-probability of a hypothesis of this length is divided by (Wu et al., 2016, Eq. 14). */
  penalty(length) {
    return ((5 + length) / 6) ** this.lengthPenalty;
  }

  /** Replaces the open hypotheses by their best continuations; each row of `logits` and `weights` belongs to one. */
  extend(length, logits, weights) {
    const tokens = length === this.limit ? [this.eosId] : [...logits[0].keys()];
    const candidates = []; // the best continuations, best first
    this.open.forEach(({ logProbability }, parent) => {
      const row = logits[parent];
      const offset = logProbability - logSumExp(row);
      for (const token of tokens) {
        const total = offset + row[token];
        if (total === -Infinity || (candidates.length === this.numFree && total <= candidates.at(-1).total)) continue;
        const place = candidates.findIndex((candidate) => total > candidate.total);
        candidates.splice(place < 0 ? candidates.length : place, 0, { parent, token, total });
        candidates.length = Math.min(candidates.length, this.numFree);
      }
    });
    const continued = [];
    for (const { parent, token, total } of candidates) {
      const hypothesis = { before: this.open[parent], token, weights: weights?.[parent], logProbability: total };
      if (token !== this.eosId) {
        continued.push({ parent, hypothesis });
        continue;
      }
      this.numFree -= 1;
      const score = total / this.penalty(length);
      if (score > this.bestScore) [this.best, this.bestScore] = [hypothesis, score];
    }
    this.open = continued.map(({ hypothesis }) => hypothesis);
    this.parents = continued.map(({ parent }) => parent);
  }

  /** Whether no open hypothesis can become better than the best finished one: more tokens only cost. */
  get isDone() {
    return !this.open.length || this.bestScore >= this.open[0].logProbability / this.penalty(this.limit);
  }
}

/** The model of a folder, in onnxruntime-web. */
export class Translator {
  /** Loads model.json and the files that it names.
   *
   * `ort` is the module onnxruntime-web, `folder` the address of the model, which ends with "/".
   */
  static async load(ort, folder) {
    const read = async (name) => {
      const response = await fetch(new URL(name, folder));
      if (!response.ok) throw new Error(`${name}: the server answers ${response.status}`);
      return response;
    };
    const settings = await (await read("model.json")).json();
    const readBytes = async (name) => new Uint8Array(await (await read(name)).arrayBuffer());
    const options = { executionProviders: ["wasm"] };
    const readGraph = async (name) => ort.InferenceSession.create(await readBytes(name), options);
    const { source, target } = settings.tokenizer;
    const sourceModel = new SentencePiece(await readBytes(source));
    const targetModel = source === target ? sourceModel : new SentencePiece(await readBytes(target));
    const [encoder, step] = [await readGraph(settings.encoder), await readGraph(settings.step)];
    return new Translator({ ort, settings, encoder, step, source: sourceModel, target: targetModel });
  }

  constructor(parts) {
    Object.assign(this, parts);
  }

  /** The ids of all source pieces, without the end of the sentence. */
  encode(line) {
    if (INVISIBLE.test(line)) return [];
    const text = line.replaceAll("\0", " ").replace(/\p{Cs}/gu, "?").replace(/^ +| +$/g, "");
    const ids = this.source.encode(text);
    return ids.length ? [...this.settings.prefix_ids, ...ids] : [];
  }

  /** Translates a line: {text, isCut, sourcePieces, targetPieces, weights}; the pieces include the end of the sentence.
   *
   * The weights are [layers][heads][target pieces][source pieces], or null without attention. `isCut` says whether the
   * line is too long for the model, so that its end is not translated.
   */
  async translate(line, beamSize = this.settings.beam_size) {
    const { bos_id, eos_id, pad_id, banned_ids } = this.settings;
    const ids = this.encode(line);
    if (!ids.length) return { text: "", isCut: false, sourcePieces: [], targetPieces: [], weights: null };
    const source = [...ids.slice(0, this.settings.max_source_length - 1), eos_id];
    const mask = new this.ort.Tensor("bool", new Uint8Array(source.length).fill(1), [1, source.length]);
    const encoded = await this.encoder.run({ source: this.integers(source, [1, source.length]), source_mask: mask });
    const beam = new Beam(beamSize, this.limit(source.length), this.settings);
    const sameForAll = Object.keys(encoded).filter((name) => name.startsWith("memory."));
    let states = Object.fromEntries(Object.entries(encoded).filter(([name]) => name.startsWith("state.")));
    let numHeads = 0;
    for (let length = 1; !beam.isDone; length++) {
      const rows = beam.parents.map(() => 0);
      const token = this.integers(
        beam.open.map((hypothesis) => hypothesis.token),
        [rows.length],
      );
      const inputs = { token, source_mask: this.takeRows(mask, rows) };
      for (const name of sameForAll) inputs[name] = this.takeRows(encoded[name], rows);
      for (const name in states) inputs[name] = this.takeRows(states[name], beam.parents);
      const outputs = await this.step.run(inputs);
      const logits = cutRows(outputs.logits);
      for (const row of logits) for (const id of banned_ids) row[id] = -Infinity;
      beam.extend(length, logits, outputs.weights && cutRows(outputs.weights));
      numHeads = outputs.weights?.dims[2];
      states = Object.fromEntries(Object.keys(states).map((name) => [name, outputs[NEXT + name]]));
    }
    const steps = [];
    for (let last = beam.best; last.before; last = last.before) steps.unshift(last);
    const tokens = steps.map(({ token }) => token);
    const text = this.target.decode(tokens.filter((id) => ![pad_id, bos_id, eos_id].includes(id)));
    return {
      text: text.replace(LINE_SEPARATORS, " "),
      isCut: ids.length >= this.settings.max_source_length,
      sourcePieces: source.map((id) => this.source.pieces[id].piece),
      targetPieces: tokens.map((id) => this.target.pieces[id].piece),
      weights: numHeads ? joinWeights(steps, numHeads, source.length) : null,
    };
  }

  /** The maximum number of target tokens of a sentence; both lengths count its end. */
  limit(sourceLength) {
    const { max_length_factor, max_length_margin, max_target_length } = this.settings;
    const limit = Math.floor(sourceLength * max_length_factor) + max_length_margin;
    return Math.min(limit, max_target_length ?? limit);
  }

  integers(numbers, shape) {
    return new this.ort.Tensor("int64", BigInt64Array.from(numbers, BigInt), shape);
  }

  /** The rows of a tensor with these numbers, in this order. */
  takeRows(tensor, rows) {
    const all = cutRows(tensor);
    const size = all[0].length;
    const data = new tensor.data.constructor(rows.length * size);
    rows.forEach((row, index) => data.set(all[row], index * size));
    return new this.ort.Tensor(tensor.type, data, [rows.length, ...tensor.dims.slice(1)]);
  }
}

/** The weights [layers][heads][steps][columns] from those of each step, layers · heads · columns numbers. */
function joinWeights(steps, numHeads, numColumns) {
  const numLayers = steps[0].weights.length / numHeads / numColumns;
  const range = (size) => [...Array(size).keys()];
  return range(numLayers).map((layer) =>
    range(numHeads).map((head) => {
      const start = (layer * numHeads + head) * numColumns;
      return steps.map(({ weights }) => [...weights.subarray(start, start + numColumns)]);
    }),
  );
}

/** The rows of a tensor as arrays that share its memory. */
function cutRows({ data, dims }) {
  const size = data.length / dims[0];
  return Array.from({ length: dims[0] }, (_, row) => data.subarray(row * size, (row + 1) * size));
}

/** log Σ exp(x), of logits some of which may be -∞. */
function logSumExp(numbers) {
  const largest = numbers.reduce((a, b) => Math.max(a, b), -Infinity);
  return largest + Math.log(numbers.reduce((sum, number) => sum + Math.exp(number - largest), 0));
}
