// Attention to a picture: for each word of the translation the picture with light on the patches that it attends to.

import { chooseKind, chooseMatrix } from "./attention.js";
import { html, svg } from "./dom.js";
import { isSpecial } from "./labels.js";

const SIDE = 120; // of a picture, in pixels
const DARKNESS = 0.78; // of a patch without attention

/** The picture itself, then one for each word. The brightest patch of all has the largest weight, and brightness grows
 * with the square root of the weight, so that weights of a tenth can be seen. */
export function drawSpotlights(analysis, state) {
  if (chooseKind(analysis, "cross") !== "cross") return [drawPicture(analysis.picture)];
  const { rows: numRows, columns: numColumns, first } = analysis.picture;
  const view = analysis.attention.cross;
  const matrix = chooseMatrix(view, state.layer, state.head);
  const words = view.row_words.filter(({ text }) => !isSpecial(text));
  const weights = words.map(({ pieces }) =>
    Array.from(
      { length: numRows * numColumns },
      (_, patch) => pieces.reduce((total, piece) => total + matrix[piece][first + patch], 0) / pieces.length,
    ),
  );
  const largest = Math.max(1e-9, ...weights.flat());
  const spots = words.map(({ text }, index) => {
    const onPicture = weights[index].reduce((total, weight) => total + weight, 0).toFixed(2);
    const label = `${text}: ${onPicture} of the attention is on the picture`;
    const light = weights[index].map((weight) => weight / largest);
    return html(
      "figure",
      { class: "spot" },
      html("figcaption", {}, html("bdi", {}, text)),
      drawPicture(analysis.picture, label, light),
      html("small", { class: "quiet" }, `${onPicture} on the picture`),
    );
  });
  return [
    html("figure", { class: "spot" }, html("figcaption", {}, "the picture"), drawPicture(analysis.picture)),
    ...spots,
  ];
}

/** A picture, with relative weights of its patches as light on it. */
export function drawPicture({ image, rows, columns }, label = "the picture", light = null) {
  const [width, height] = [SIDE / columns, SIDE / rows];
  const shade = (weight, index) => {
    const place = { x: (index % columns) * width, y: Math.floor(index / columns) * height, width, height };
    return svg("rect", { ...place, "fill-opacity": (DARKNESS * (1 - Math.sqrt(weight))).toFixed(3) });
  };
  return svg(
    "svg",
    { class: "picture", width: SIDE, height: SIDE, viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img", "aria-label": label },
    svg("image", { href: image, width: SIDE, height: SIDE, preserveAspectRatio: "none" }),
    svg("g", { class: "shade" }, ...(light ?? []).map(shade)),
  );
}
