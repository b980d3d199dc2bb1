// Makes and replaces elements of HTML and SVG.

const SVG = "http://www.w3.org/2000/svg";
const MAX_LABEL = 24; // characters

/** An HTML element. Attributes named `on…` are event listeners; those that are null, undefined or false are left out. */
export function html(name, attributes = {}, ...children) {
  return build(document.createElement(name), attributes, children);
}

/** An SVG element, see `html`. */
export function svg(name, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, name), attributes, children);
}

function build(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The element with an id of index.html. */
export const byId = (id) => document.getElementById(id);

/** Replaces the children of an element. The keyboard's focus moves to the new element with the id of the old one. */
export function replaceChildren(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement.id : "";
  parent.replaceChildren(...children.filter((child) => child !== null));
  if (focused) byId(focused)?.focus({ preventScroll: true });
}

const ruler = document.createElement("canvas").getContext("2d");

/** The width of a text in an SVG, in pixels. */
export function textWidth(text, size = 13) {
  ruler.font = `${size}px ${getComputedStyle(document.body).fontFamily}`;
  return ruler.measureText(text).width;
}

/** A label that is short enough for a drawing. */
export const shorten = (label) =>
  [...label].length > MAX_LABEL ? `${[...label].slice(0, MAX_LABEL - 1).join("")}…` : label;

/** A number with two decimals and a real minus sign, which zero does not get. */
export const format = (number) => number.toFixed(2).replace("-0.00", "0.00").replace("-", "\u2212");

const STEPS = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1, Home: -Infinity, End: Infinity };

/** The index to which a key leads in a list. */
const stepInList = (index, key, length) => Math.max(0, Math.min(length - 1, index + STEPS[key]));

/** Lets the arrow keys move the focus among the children of `group` with an attribute `data-item`. Only one of them is
 * in the page's tab order (the pattern "roving tabindex" of the ARIA Authoring Practices). */
export function moveByArrows(group, step = stepInList) {
  const items = [...group.querySelectorAll("[data-item]")];
  const letTabReach = (chosen) => items.forEach((item) => item.setAttribute("tabindex", item === chosen ? 0 : -1));
  letTabReach(items[0]);
  // Not a listener of the group: Chromium takes every SVG element that listens to the focus for focusable.
  for (const item of items) item.addEventListener("focus", () => letTabReach(item));
  group.addEventListener("keydown", (event) => {
    const index = items.indexOf(event.target);
    if (!(event.key in STEPS) || index < 0) return;
    event.preventDefault();
    items[step(index, event.key, items.length)]?.focus();
  });
}
