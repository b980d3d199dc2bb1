// Downloads: the two views as a picture, the analyses as data, and everything as one page that needs no server.

import { html, svg } from "./dom.js";

const STYLES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-dasharray",
  "stroke-opacity",
  "font-size",
  "font-weight",
  "font-family",
  "opacity",
  "visibility",
];
const MARGIN = 16; // around the drawings, in pixels
const SCALE = 2; // pixels of a PNG file for each pixel on the screen

/** Offers a text or a Blob to the reader as a file. */
export function save(name, content, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  html("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** SVG drawings side by side in one, without any need of the page's style sheet. */
export function combine(drawings, title) {
  const copies = drawings.map(copyWithStyle);
  const [widths, heights] = ["width", "height"].map((side) =>
    drawings.map((drawing) => Number(drawing.getAttribute(side))),
  );
  const width = widths.reduce((total, each) => total + each + MARGIN, MARGIN);
  const height = Math.max(...heights) + 2 * MARGIN;
  let x = MARGIN;
  copies.forEach((copy, index) => {
    copy.setAttribute("x", x);
    copy.setAttribute("y", MARGIN);
    x += widths[index] + MARGIN;
  });
  const paper = getComputedStyle(document.body).backgroundColor;
  return svg(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` },
    svg("title", {}, title),
    svg("rect", { width, height, fill: paper }),
    ...copies,
  );
}

/** A copy in which each element has the style of the original as attributes. */
function copyWithStyle(drawing) {
  const copy = drawing.cloneNode(true);
  const originals = [drawing, ...drawing.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((element, index) => {
    const style = getComputedStyle(originals[index]);
    for (const name of STYLES) element.setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "tabindex", "id"]) element.removeAttribute(name);
  });
  return copy;
}

/** An SVG drawing as a PNG file. */
export async function toPng(drawing) {
  const image = new Image();
  const [width, height] = ["width", "height"].map((side) => Number(drawing.getAttribute(side)));
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(drawing))}`;
  await image.decode();
  const canvas = html("canvas", { width: Math.ceil(SCALE * width), height: Math.ceil(SCALE * height) });
  const context = canvas.getContext("2d");
  context.scale(SCALE, SCALE);
  context.drawImage(image, 0, 0, width, height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png")); // null if the canvas is too large
  if (!blob) throw new Error("The drawing is too large for a PNG file: save it as SVG.");
  return blob;
}

/** The self-contained page with other data than it has: {analyses, beams, state}. */
export function fillTemplate(template, data) {
  const json = JSON.stringify(data).replaceAll("<", "\\u003c"); // no text of a translation can end the script
  return template.replace(/(<script type="application\/json" id="data">)[^<]*/, (_, start) => start + json);
}
