// The translation with the probability that the system gives to each word, in numbers and as a colour.

import { html } from "./dom.js";

/** The words of a translation, each as {text, logProbability}: the sum over its pieces. A piece that spells parts of
 * several words counts for the first of them. */
export function scoreWords({ target_words: words, log_probabilities: logProbabilities }) {
  const counted = new Set();
  return words.map(({ text, pieces }) => {
    const own = pieces.filter((piece) => !counted.has(piece));
    own.forEach((piece) => counted.add(piece));
    return { text, logProbability: own.reduce((total, piece) => total + logProbabilities[piece], 0) };
  });
}

/** The words side by side. The less probable a word, the stronger its colour. */
export function drawScoredWords(analysis) {
  return scoreWords(analysis).map(({ text, logProbability }) => {
    const probability = Math.exp(logProbability);
    const word = html(
      "span",
      { class: "scored", title: `log-probability ${logProbability.toFixed(3)}` },
      html("bdi", {}, text),
      html("small", {}, probability < 0.005 ? "<0.01" : probability.toFixed(2)),
    );
    word.style.setProperty("--doubt", (1 - probability).toFixed(3));
    return word;
  });
}
