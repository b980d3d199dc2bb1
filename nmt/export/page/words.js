// Groups the pieces of a sentence by the words that they spell.

import { isSpecial, spell } from "./labels.js";

/** The words of a list of pieces, {text, pieces}: a word begins with "▁", and a special piece is a word of its own. */
export function groupPieces(pieces) {
  const groups = []; // indices of the pieces of each word
  pieces.forEach((piece, index) => {
    const begins = piece.startsWith("▁") || isSpecial(piece) || index === 0 || isSpecial(pieces[index - 1]);
    if (begins) groups.push([]);
    groups.at(-1).push(index);
  });
  const textOf = (own) => (isSpecial(own[0]) ? own[0] : spell(own));
  return groups.map((group) => ({ text: textOf(group.map((index) => pieces[index])), pieces: group }));
}
