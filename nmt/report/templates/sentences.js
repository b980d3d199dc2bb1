// Adds to the table of all sentences: sorting, filtering, and the alignment of a sentence on a click.
"use strict";
(() => {
  const table = document.querySelector("table.sentences");
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  const rows = [...body.rows]; // in the order of the split
  const form = document.querySelector("form.tools");
  const FIRST_SYSTEM = 4; // the column of the first system
  const CELL = 18, SMALL_CELL = 13; // side of a cell of a matrix, in CSS pixels
  const PANEL_MARGIN = 26; // width that a matrix takes beyond its own: the padding around it and the gap beside it
  const MAX_LABEL = 24; // characters of a label

  // Sorting: by the number of a cell, which for a translation is its chrF.
  const numberOf = (row, column) => {
    const cell = row.cells[column];
    return column === 3 ? 0 : parseFloat((cell.querySelector("small") || cell).textContent);
  };
  const sortBy = (column) => {
    const old = headings[column].getAttribute("aria-sort");
    const spreadFirst = column === 2 ? "descending" : "ascending";
    const order = old === null ? spreadFirst : old === "ascending" ? "descending" : "ascending";
    headings.forEach((heading) => heading.removeAttribute("aria-sort"));
    headings[column].setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    closeAll();
    const sorted = [...rows].sort((a, b) => sign * (numberOf(a, column) - numberOf(b, column)));
    body.append(...sorted);
  };
  headings.forEach((heading, column) => {
    if (column === 3) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(column));
    heading.append(button);
  });

  // Filtering: by text, and by whether the translations differ.
  const textOf = (cell) => [...cell.querySelectorAll("bdi")].map((part) => part.textContent).join("\n");
  const texts = rows.map((row) => [...row.cells].slice(3).map(textOf));
  const filter = () => {
    const words = form.elements.text.value.trim().toLowerCase();
    const differ = form.elements.differ.checked;
    closeAll();
    let shown = 0;
    rows.forEach((row, index) => {
      const systems = texts[index].slice(1);
      const matches = texts[index].some((text) => text.toLowerCase().includes(words));
      row.hidden = !matches || (differ && systems.every((text) => text === systems[0]));
      shown += row.hidden ? 0 : 1;
    });
    form.querySelector("output").textContent = `${shown} of ${rows.length} sentences`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());

  // Alignments: unpacked at the first click.
  let unpacked;
  const unpack = async () => {
    const bytes = Uint8Array.from(atob(document.getElementById("attention").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).json();
  };

  // An element of SVG; `text` is its content.
  const namespace = document.querySelector("svg").namespaceURI;
  const draw = (name, attributes, text) => {
    const element = document.createElementNS(namespace, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const ruler = document.createElement("canvas").getContext("2d");
  ruler.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const widthOf = (label) => ruler.measureText(shorten(label)).width;
  const shorten = (label) => ([...label].length > MAX_LABEL ? [...label].slice(0, MAX_LABEL - 1).join("") + "…" : label);

  // The matrix of one translation: a row per target word, a column per source word.
  const drawMatrix = ({ columns, rows, weights }, name, rightToLeft, size) => {
    const place = (column) => (rightToLeft ? columns.length - 1 - column : column);
    const left = Math.max(...rows.map(widthOf)) + 12;
    const top = Math.max(...columns.map(widthOf)) * 0.87 + 16; // the labels rise at 60 degrees
    const ends = columns.map((label, column) => (place(column) + 0.65) * size + widthOf(label) * 0.5);
    const width = left + Math.max(size * columns.length, ...ends) + 8;
    const height = top + size * rows.length + 4;
    const svg = draw("svg", { class: "matrix", role: "img", "aria-label": `alignment matrix of ${name}`, width, height, viewBox: `0 0 ${width} ${height}` });
    svg.append(draw("rect", { class: "paper", x: left, y: top, width: size * columns.length, height: size * rows.length }));
    const cells = draw("g", { class: "cells" });
    rows.forEach((row, y) => {
      columns.forEach((column, x) => {
        const start = 2 * (y * columns.length + x);
        const weight = parseInt(weights.slice(start, start + 2), 16) / 255;
        if (weight === 0) return;
        const cell = draw("rect", { x: left + place(x) * size, y: top + y * size, width: size, height: size, "fill-opacity": weight.toFixed(3) });
        cell.append(draw("title", {}, `${row} ← ${column}: ${weight.toFixed(2)}`));
        cells.append(cell);
      });
    });
    let grid = "";
    for (let x = 0; x <= columns.length; x++) grid += `M${left + x * size} ${top}v${size * rows.length}`;
    for (let y = 0; y <= rows.length; y++) grid += `M${left} ${top + y * size}h${size * columns.length}`;
    const labels = draw("g", { class: "labels" });
    const addLabel = (label, attributes) => {
      const text = draw("text", attributes, shorten(label));
      if (shorten(label) !== label) text.append(draw("title", {}, label));
      labels.append(text);
    };
    columns.forEach((label, column) => {
      const x = left + (place(column) + 0.65) * size;
      addLabel(label, { x, y: top - 5, transform: `rotate(-60 ${x} ${top - 5})` });
    });
    rows.forEach((label, y) => addLabel(label, { x: left - 5, y: top + (y + 0.5) * size + 4, "text-anchor": "end" }));
    svg.append(cells, draw("path", { class: "grid", d: grid }), labels);
    return svg;
  };

  const describe = (message) => Object.assign(document.createElement("p"), { className: "quiet", textContent: message });
  const drawSentence = (attention, row) => {
    const matrices = document.createElement("div");
    matrices.className = "matrices";
    const isRightToLeft = getComputedStyle(row.cells[3].querySelector("bdi")).direction === "rtl";
    const drawAll = (size) =>
      attention.map((matrix, system) => matrix && drawMatrix(matrix, headings[FIRST_SYSTEM + system].textContent.trim(), isRightToLeft, size));
    const widthOfAll = (drawn) => drawn.reduce((sum, svg) => sum + (svg ? Number(svg.getAttribute("width")) + PANEL_MARGIN : 0), 0);
    let drawn = drawAll(CELL);
    if (widthOfAll(drawn) > table.clientWidth) drawn = drawAll(SMALL_CELL); // the cells are small if this makes room
    drawn.forEach((svg, system) => {
      if (svg === null) return;
      const figure = document.createElement("figure");
      const caption = document.createElement("figcaption");
      const heading = headings[FIRST_SYSTEM + system];
      caption.append(...[...heading.querySelectorAll("svg, bdi")].map((part) => part.cloneNode(true)));
      const scroll = document.createElement("div");
      scroll.className = "wide";
      scroll.append(svg);
      figure.append(caption, scroll);
      matrices.append(figure);
    });
    return matrices.childElementCount ? matrices : describe("No system has attention weights for this sentence.");
  };

  // A click opens the alignments of a sentence below its row, and another one closes them.
  const buttonOf = (row) => row.cells[0].querySelector("button");
  const close = (row) => {
    if (row.nextElementSibling?.className === "detail") row.nextElementSibling.remove();
    buttonOf(row).setAttribute("aria-expanded", "false");
  };
  function closeAll() {
    body.querySelectorAll(".detail").forEach((detail) => close(detail.previousElementSibling));
  }
  const toggle = async (row, index) => {
    if (row.nextElementSibling?.className === "detail") return close(row);
    const detail = document.createElement("tr");
    detail.className = "detail";
    const cell = detail.insertCell();
    cell.colSpan = headings.length;
    row.after(detail);
    buttonOf(row).setAttribute("aria-expanded", "true");
    try {
      unpacked = unpacked || unpack();
      const sentences = await unpacked;
      cell.append(index in sentences ? drawSentence(sentences[index], row) : describe("The page has no room for the alignments of this sentence."));
    } catch {
      cell.append(describe("This browser cannot unpack the alignments: use a newer one, or see the sentences above whose matrices are drawn."));
    }
  };
  rows.forEach((row, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.append(...row.cells[0].childNodes);
    row.cells[0].append(button);
    row.addEventListener("click", () => {
      if (!String(getSelection())) toggle(row, index); // a selection of text is no click
    });
  });

  table.classList.add("ready");
  document.querySelectorAll(".needs-script").forEach((element) => (element.hidden = false));
  filter();
})();
