// From the weights of an analysis to the matrix that is drawn: choose layer and head, group pieces into words, hide the
// end of the sentence. `nmt.translator.attention.Attention` does the same in Python.
//
// Shapes: weights [layers][heads][rows][columns]; a row is what attends, a column what is attended to.

import { labelPieces, labelWord } from "./labels.js";

const EOS = "</s>";

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** The kind of attention to show: the chosen one, or the first that the system has; null if it has none. */
export function chooseKind(analysis, kind) {
  const kinds = Object.keys(analysis.attention);
  return kinds.includes(kind) ? kind : (kinds[0] ?? null);
}

/** One matrix [rows][columns]: a layer and a head by their numbers; null means the mean over all of them. */
export function chooseMatrix(view, layer, head) {
  const pick = (list, numbers, number) => (numbers.includes(number) ? [list[numbers.indexOf(number)]] : list);
  const matrices = pick(view.weights, view.layers, layer).flatMap((heads) => pick(heads, view.heads, head));
  return view.rows.map((_, row) =>
    view.columns.map((_, column) => sum(matrices.map((matrix) => matrix[row][column])) / matrices.length),
  );
}

/** The matrix between words: the columns of a word's pieces are added, and its rows are averaged. The column of a piece
 * that spells parts of several words is divided equally among them. */
export function groupWords(matrix, rowWords, columnWords) {
  const sharing = matrix[0].map((_, piece) => columnWords.filter(({ pieces }) => pieces.includes(piece)).length);
  const byColumns = matrix.map((row) =>
    columnWords.map(({ pieces }) => sum(pieces.map((piece) => row[piece] / sharing[piece]))),
  );
  return rowWords.map(({ pieces }) =>
    columnWords.map((_, column) => sum(pieces.map((piece) => byColumns[piece][column])) / pieces.length),
  );
}

/** The matrix without the last row and column if they are the end of the sentence; each row sums to one again. A row
 * that attends to the end alone becomes zero. The end stays if there is nothing else, as in an empty translation. */
export function hideEos({ rows, columns, weights }) {
  const [numRows, numColumns] = [rows, columns].map((labels) =>
    labels.length > 1 && labels.at(-1) === EOS ? labels.length - 1 : labels.length,
  );
  const rescale = (row) => {
    const total = sum(row) || 1;
    return row.map((weight) => weight / total);
  };
  return {
    rows: rows.slice(0, numRows),
    columns: columns.slice(0, numColumns),
    weights: weights.slice(0, numRows).map((row) => rescale(row.slice(0, numColumns))),
  };
}

/** What is drawn of an analysis: {kind, rows, columns, weights, gold}, or null if the system has no attention.
 *
 * `rows` and `columns` are labels; `gold` are the rectangles of known word links, [row, column, height, width].
 */
export function showAttention(analysis, { kind: wanted, layer, head, words, eos }) {
  const kind = chooseKind(analysis, wanted);
  if (kind === null) return null;
  const view = analysis.attention[kind];
  const matrix = chooseMatrix(view, layer, head);
  const [rowWords, columnWords] = [view.row_words, view.column_words].map((words, side) =>
    joinPatches(words, analysis.picture, kind, side),
  );
  const shown = words
    ? {
        rows: rowWords.map(labelWord),
        columns: columnWords.map(labelWord),
        weights: groupWords(matrix, rowWords, columnWords),
      }
    : { rows: labelPieces(view.rows), columns: labelPieces(view.columns), weights: matrix };
  const links = kind === "cross" && !analysis.picture ? (analysis.gold ?? []) : [];
  return {
    kind,
    gold: links.flatMap(([source, target]) => outline(view, source, target, words)),
    ...(eos ? shown : hideEos(shown)),
  };
}

/** The words of a source, in which all patches of its picture count as one word. */
function joinPatches(words, picture, kind, side) {
  if (!picture || kind === "decoder" || (kind === "cross" && side === 0)) return words;
  const end = picture.first + picture.rows * picture.columns;
  const isPatch = ({ pieces }) => pieces.length && pieces.every((piece) => piece >= picture.first && piece < end);
  const first = words.findIndex(isPatch);
  const patches = { text: "picture", pieces: words.filter(isPatch).flatMap(({ pieces }) => pieces) };
  return words.flatMap((word, index) => (index === first ? [patches] : isPatch(word) ? [] : [word]));
}

/** The rectangle of a word link in a matrix of words or pieces; none if a word was cut off. */
function outline(view, source, target, words) {
  const [row, column] = [view.row_words[target], view.column_words[source]];
  if (!row || !column) return [];
  if (words) return [[target, source, 1, 1]];
  const extent = ({ pieces }) => pieces.at(-1) + 1 - pieces[0];
  return [[row.pieces[0], column.pieces[0], extent(row), extent(column)]];
}
