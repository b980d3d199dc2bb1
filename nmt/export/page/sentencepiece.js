// SentencePiece in JavaScript: reads a model file, cuts text into the ids of its pieces, and joins pieces to text.
//
// It does what the library (https://github.com/google/sentencepiece) does for unigram and BPE models: its rules for
// characters, its best segmentation, and its bytes for unknown characters. It does not sample. Where a model writes bytes
// that are no UTF-8, it may decode them to fewer U+FFFD than the library.

const SPACE = "▁"; // stands for a space inside a model
const UNKNOWN_PENALTY = 10; // in nats, below the least probable piece (unigram_model.cc)
const [NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE] = [1, 2, 3, 4, 6]; // types of pieces
const BPE = 2; // type of a model; 1 is unigram
const WIRE_TYPES = { number: 0, eightBytes: 1, bytes: 2, fourBytes: 5 };

const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const decodeUtf8 = (bytes) => utf8Decoder.decode(bytes); // bytes that are no UTF-8 become U+FFFD

/** A model, read from the bytes of its file. */
export class SentencePiece {
  constructor(bytes) {
    // sentencepiece_model.proto: 1 pieces, 2 trainer, 3 normalizer, 5 denormalizer
    const model = readMessage(bytes);
    const trainer = readMessage(model.get(2)[0]);
    this.pieces = model.get(1).map(readPiece);
    this.isBpe = first(trainer, 3, 1) === BPE;
    this.unknownText = trainer.has(44) ? decodeUtf8(trainer.get(44)[0]) : " ⁇ ";
    this.unknownId = this.pieces.findIndex(({ type }) => type === UNKNOWN);
    this.ids = new Map(); // of the pieces that text may have
    this.byteIds = new Map();
    this.pieces.forEach(({ piece, type }, id) => {
      if (type === NORMAL || type === USER_DEFINED) this.ids.set(piece, id);
      if (type === BYTE) this.byteIds.set(byteOf(piece), id);
    });
    const scores = this.pieces.filter(({ type }) => type === NORMAL).map(({ score }) => score);
    this.minScore = scores.reduce((a, b) => Math.min(a, b));
    this.maxScore = scores.reduce((a, b) => Math.max(a, b), 2 ** -126); // never negative (model_interface.cc)
    this.symbols = this.pieces.filter(({ type }) => type === USER_DEFINED).map(({ piece }) => piece);
    this.hasInnerSpaces = this.pieces.some(({ piece }) => piece.includes(SPACE, 1));
    this.maxLength = this.pieces.reduce((longest, { piece }) => Math.max(longest, [...piece].length), 0);
    this.normalizer = new Normalizer(model.get(3)[0], this.symbols);
    this.denormalizer = model.has(5) ? new Normalizer(model.get(5)[0], []) : null;
  }

  /** The ids of the pieces of a text. */
  encode(text) {
    const characters = [...this.normalizer.normalize(text)];
    const pieces = this.isBpe ? this.mergePairs(characters) : this.findBestPath(characters);
    const ids = [];
    let wasUnknown = false;
    for (const piece of pieces) {
      const id = this.ids.get(piece);
      if (id !== undefined) ids.push(id);
      else if (this.byteIds.size) ids.push(...[...utf8.encode(piece)].map((byte) => this.byteIds.get(byte)));
      else if (!wasUnknown) ids.push(this.unknownId); // unknown characters in a row are one piece
      wasUnknown = id === undefined;
    }
    return ids;
  }

  /** The segmentation whose sum of scores is the highest (Viterbi). A character without a piece is one by itself. */
  findBestPath(characters) {
    const ends = [{ score: 0, start: 0 }]; // of the best segmentation up to each position
    for (let start = 0; start < characters.length; start++) {
      let piece = "";
      let hasCharacter = false;
      for (let end = start + 1; end <= characters.length && end - start <= this.maxLength; end++) {
        piece += characters[end - 1];
        const id = this.ids.get(piece);
        if (id === undefined) continue;
        hasCharacter ||= end === start + 1;
        this.offer(ends, end, start, ends[start].score + this.scoreOf(id, piece));
      }
      if (!hasCharacter) this.offer(ends, start + 1, start, ends[start].score + this.minScore - UNKNOWN_PENALTY);
    }
    const pieces = [];
    for (let end = characters.length; end > 0; end = ends[end].start)
      pieces.push(characters.slice(ends[end].start, end).join(""));
    return pieces.reverse();
  }

  /** Keeps a segmentation up to `end` if it is better than the best one so far. */
  offer(ends, end, start, score) {
    if (!(end in ends) || score > ends[end].score) ends[end] = { score: Math.fround(score), start };
  }

  scoreOf(id, piece) {
    const { type, score } = this.pieces[id];
    return type === USER_DEFINED ? utf8.encode(piece).length * this.maxScore - 0.1 : score;
  }

  /** Byte-pair encoding. If no piece goes on behind a space, each word is merged by itself, which takes less time. */
  mergePairs(characters) {
    const words = [];
    for (const part of cutOutSymbols(characters, this.symbols)) {
      if (!words.length || (!this.hasInnerSpaces && part.startsWith(SPACE))) words.push([]);
      words.at(-1).push(part);
    }
    return words.flatMap((parts) => this.mergeParts(parts));
  }

  /** Merges the neighbours with the best score, the leftmost first, until no pair is a piece. */
  mergeParts(parts) {
    for (;;) {
      let best = -1;
      let bestScore = -Infinity;
      for (let index = 0; index + 1 < parts.length; index++) {
        if (this.symbols.includes(parts[index]) || this.symbols.includes(parts[index + 1])) continue;
        const id = this.ids.get(parts[index] + parts[index + 1]);
        if (id !== undefined && this.pieces[id].score > bestScore) [best, bestScore] = [index, this.pieces[id].score];
      }
      if (best < 0) return parts;
      parts.splice(best, 2, parts[best] + parts[best + 1]);
    }
  }

  /** The text of pieces; control pieces such as the end of a sentence have none. */
  decode(ids) {
    let text = "";
    let bytes = [];
    const addBytes = () => {
      text += decodeUtf8(new Uint8Array(bytes));
      bytes = [];
    };
    let isStart = true;
    for (const id of ids) {
      const { piece, type } = this.pieces[id];
      if (type === BYTE) {
        bytes.push(byteOf(piece));
        isStart = false;
        continue;
      }
      addBytes();
      if (type === CONTROL) continue;
      if (type === UNKNOWN) text += this.unknownText;
      else {
        const { addsSpace, removesSpaces } = this.normalizer;
        const isPrefixed = isStart && (addsSpace || removesSpaces) && piece.startsWith(SPACE);
        text += (isPrefixed ? piece.slice(1) : piece).replaceAll(SPACE, " ");
        if (isPrefixed && removesSpaces && piece === SPACE) continue; // more spaces at the start are removed, too
      }
      isStart = false;
    }
    addBytes();
    return this.denormalizer ? this.denormalizer.normalize(text) : text;
  }
}

/** The rules by which a model changes characters (normalizer.cc). */
class Normalizer {
  constructor(bytes, symbols) {
    // sentencepiece_model.proto: 2 rules, 3 add a space at the start, 4 remove further spaces, 5 write spaces as "▁"
    const message = readMessage(bytes);
    [this.addsSpace, this.removesSpaces, this.marksSpaces] = [3, 4, 5].map((field) => first(message, field, 1) === 1);
    this.symbols = symbols.map((symbol) => utf8.encode(symbol)).sort((a, b) => b.length - a.length);
    const rules = message.get(2)?.[0] ?? new Uint8Array();
    this.trie = new Uint32Array();
    if (rules.length) {
      const trieSize = new DataView(rules.buffer, rules.byteOffset).getUint32(0, true); // in bytes
      this.trie = new Uint32Array(rules.slice(4, 4 + trieSize).buffer);
      this.texts = rules.slice(4 + trieSize); // each ends with a 0
    }
  }

  normalize(text) {
    const bytes = utf8.encode(text);
    let result = "";
    for (let start = 0; start < bytes.length; ) {
      const { length, replacement } = this.apply(bytes, start);
      result += replacement;
      start += length;
    }
    if (this.removesSpaces) result = result.replace(/^ +| +$/g, "").replace(/ {2,}/g, " ");
    if (this.addsSpace && result) result = ` ${result}`;
    return this.marksSpaces ? result.replaceAll(" ", SPACE) : result;
  }

  /** The rule for the longest sequence of bytes at `start`: how many bytes it replaces, and by what. */
  apply(bytes, start) {
    const symbol = this.symbols.find((symbol) => symbol.every((byte, index) => bytes[start + index] === byte));
    if (symbol) return { length: symbol.length, replacement: decodeUtf8(symbol) };
    const { length, value } = this.findLongest(bytes, start);
    if (length) return { length, replacement: decodeUtf8(this.texts.subarray(value, this.texts.indexOf(0, value))) };
    let end = start + 1; // no rule: one character, whose further bytes begin with 10
    while (end < bytes.length && (bytes[end] & 0xc0) === 0x80) end++;
    return { length: end - start, replacement: decodeUtf8(bytes.subarray(start, end)) };
  }

  /** Searches the trie, a double array as in https://github.com/s-yata/darts-clone: a unit of 32 bits per node. */
  findLongest(bytes, start) {
    let found = { length: 0, value: 0 };
    if (!this.trie.length) return found;
    const offsetOf = (unit) => (unit >>> 10) << ((unit & 0x200) >>> 6);
    let node = offsetOf(this.trie[0]);
    for (let end = start; end < bytes.length; end++) {
      node ^= bytes[end];
      const unit = this.trie[node];
      if (((unit & 0x800000ff) >>> 0) !== bytes[end]) break; // the node belongs to another byte
      node ^= offsetOf(unit);
      if ((unit >>> 8) & 1) found = { length: end + 1 - start, value: this.trie[node] & 0x7fffffff };
    }
    return found;
  }
}

/** Characters, in which each user-defined symbol is one part. */
function cutOutSymbols(characters, symbols) {
  if (!symbols.length) return characters;
  const text = characters.join("");
  const parts = [];
  for (let start = 0; start < text.length; start += parts.at(-1).length) {
    const matches = symbols.filter((symbol) => text.startsWith(symbol, start));
    const longest = matches.sort((a, b) => b.length - a.length)[0];
    parts.push(longest ?? String.fromCodePoint(text.codePointAt(start)));
  }
  return parts;
}

/** A piece with its score and type (ModelProto.SentencePiece: 1 piece, 2 score, 3 type). */
function readPiece(bytes) {
  const message = readMessage(bytes);
  return { piece: decodeUtf8(message.get(1)[0]), score: first(message, 2, 0), type: first(message, 3, NORMAL) };
}

/** The number in a piece such as "<0x0A>". */
const byteOf = (piece) => Number(piece.slice(1, -1));

const first = (message, field, otherwise) => message.get(field)?.[0] ?? otherwise;

/** The fields of a protocol buffer: a list of values for each number. A value is a number, a 4-byte float, or bytes.
 *
 * https://protobuf.dev/programming-guides/encoding/
 */
function readMessage(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields = new Map();
  let position = 0;
  const readNumber = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[position++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (position < bytes.length) {
    const key = readNumber();
    const [field, type] = [Math.floor(key / 8), key % 8];
    let value;
    if (type === WIRE_TYPES.number) value = readNumber();
    else if (type === WIRE_TYPES.bytes) {
      const length = readNumber();
      value = bytes.subarray(position, (position += length));
    } else {
      value = type === WIRE_TYPES.fourBytes ? view.getFloat32(position, true) : null;
      position += type === WIRE_TYPES.fourBytes ? 4 : 8;
    }
    if (!fields.has(field)) fields.set(field, []);
    fields.get(field).push(value);
  }
  return fields;
}
