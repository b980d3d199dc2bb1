// How pieces, words and weights are written for people.

const SPACE = "␣"; // the label of a space
const MAX_PARTNERS = 3; // that the description of a word names
const MIN_NAMED_WEIGHT = 0.005;
export const UNSPACED = new RegExp( // scripts without spaces between words, the same as in nmt/data/words.py
  "[\u0e00-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3005-\u3007\u3040-\u312f\u31a0-\u31bf" +
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\ua4cf\ua980-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f" +
    "\u{1aff0}-\u{1b16f}\u{20000}-\u{3ffff}]",
  "u",
);
const SPECIAL = /^<(pad|s|\/s|unk|mask|\..*)>$/; // pieces that stand for no text wherever they are
const RIGHT_TO_LEFT = /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/gu;

/** A word, or a sign for spaces that belong to no word. */
export const labelWord = ({ text }) => (/^▁+$/.test(text) ? SPACE : text);

/** Pieces as people read them: "▁dog" is "dog", and a piece that continues a word has a dot: "gie" is "·gie". If no piece
 * has the mark "▁", each is a word. */
export function labelPieces(pieces) {
  const areMarked = pieces.some((piece) => piece.startsWith("▁"));
  return pieces.map((piece, index) => {
    const text = piece.replace(/^▁/, "");
    if (isSpecial(piece, index)) return piece;
    if (text === "") return SPACE;
    const continues = areMarked && text === piece && /^[\p{L}\p{M}\p{N}]/u.test(text) && !UNSPACED.test(text);
    return continues ? `·${text}` : text;
  });
}

/** Whether a piece stands for one byte of a character that the vocabulary lacks, such as "<0xC3>". */
const isByte = (piece) => /^<0x[0-9A-F]{2}>$/.test(piece);

/** Whether a piece looks like a user-defined symbol, such as "<br>", or a tag, such as "<2de>". */
export const isSymbol = (piece) => /^<[!-;=?-~]+>$/.test(piece) && !isByte(piece);

/** Whether a piece stands for no text: by its name, such as "</s>", or at index 0 of a sentence as its tag. */
export const isSpecial = (piece, index) => SPECIAL.test(piece) || (index === 0 && isSymbol(piece));

const utf8 = new TextEncoder();
const utf8Decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The text that pieces spell; the bytes of a character are decoded together. */
export function spell(pieces) {
  const bytesOf = (piece) => (isByte(piece) ? [Number(piece.slice(1, -1))] : [...utf8.encode(piece)]);
  const bytes = pieces.filter((piece) => !isSpecial(piece)).flatMap(bytesOf);
  return utf8Decoder.decode(Uint8Array.from(bytes)).replaceAll("▁", " ").trim();
}

/** Whether text with these labels is read from right to left: most of its letters are of such a script. */
export function isRightToLeft(labels) {
  const text = labels.filter((label, index) => !isSpecial(label, index) && !isByte(label)).join("");
  const count = (pattern) => text.match(pattern)?.length ?? 0;
  return count(RIGHT_TO_LEFT) > count(/\p{L}/gu) / 2;
}

/** A label between other words: one of the other direction must not change their order. */
const isolate = (label) => (isRightToLeft([label]) ? `\u2068${label}\u2069` : label);

/** A weight in words: "Hund ← dog: 0.823". */
export function describeCell({ rows, columns, weights }, row, column) {
  return `${isolate(rows[row])} ← ${isolate(columns[column])}: ${weights[row][column].toFixed(3)}`;
}

/** The largest weights of a row or a column in words: "Hund attends to dog 0.82, the 0.10". */
export function describeWord({ rows, columns, weights }, { row, column }) {
  const partners =
    row !== undefined
      ? weights[row].map((weight, index) => ({ weight, label: columns[index] }))
      : weights.map((ofRow, index) => ({ weight: ofRow[column], label: rows[index] }));
  const largest = partners.sort((a, b) => b.weight - a.weight).slice(0, MAX_PARTNERS);
  const named = largest.filter(({ weight }) => weight >= MIN_NAMED_WEIGHT);
  const list = named.map(({ weight, label }) => `${isolate(label)} ${weight.toFixed(2)}`).join(", ") || "nothing";
  return row !== undefined
    ? `${isolate(rows[row])} attends to ${list}`
    : `${isolate(columns[column])} gets the attention of ${list}`;
}
