// Groups the pieces of a sentence by the words that they spell.

import { isSpecial, isSymbol, spell, UNSPACED } from "./labels.js";

/** The words of a list of pieces, {text, pieces}. A word begins with "▁", with a punctuation mark, or with a character of
 * a script without spaces; a special piece or a symbol such as "<br>" is a word of its own. */
export function groupPieces(pieces) {
  const groups = []; // indices of the pieces of each word
  pieces.forEach((piece, index) => {
    const beginsWord = /^[▁\p{P}]/u.test(piece) || UNSPACED.test([...piece][0]);
    if (beginsWord || isSymbol(piece) || index === 0 || isSymbol(pieces[index - 1])) groups.push([]);
    groups.at(-1).push(index);
  });
  const textOf = (own) => (isSpecial(own[0]) ? own[0] : spell(own));
  return groups.map((group) => ({ text: textOf(group.map((index) => pieces[index])), pieces: group }));
}
