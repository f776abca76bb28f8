// Panes (same scope as compare.js): up to six layers under one CSS transform, cursor and outlines.
// Places are (row, column) in pixels of 2.5 m; the view is in shares of a pane.
const MOST_ZOOM = 32;
const view = { zoom: 1, x: 0, y: 0 };
const grid = $(".cmp-grid");
const SVG = "http://www.w3.org/2000/svg";

const panes = () => chosen.panes || value().panes;

function choosePanes(names) {
  chosen.panes = names.slice(0, MOST_PANES);
  drawPanes();
  place();
}

function makePane() {
  const pane = make("figure", "cmp-pane");
  pane.innerHTML = `<div class="cmp-stage"><div class="cmp-world"><img alt="" draggable="false">
    <svg preserveAspectRatio="none" aria-hidden="true"></svg></div>
    <i class="cmp-cross is-row"></i><i class="cmp-cross is-col"></i>
    <i class="cmp-end" data-end="0">A</i><i class="cmp-end" data-end="1">B</i></div>
    <p class="cmp-missing"></p><div class="cmp-top"><select aria-label="Layer"></select>
    <button type="button" class="cmp-close" title="Remove this pane">&times;</button></div>
    <figcaption class="cmp-bar"><span></span><i></i><span></span></figcaption>`;
  const at = () => [...grid.children].indexOf(pane);
  pane.querySelector("select").addEventListener("change", (event) => {
    choosePanes(panes().map((name, i) => (i === at() ? event.target.value : name)));
  });
  pane.querySelector(".cmp-close").addEventListener("click", () => {
    choosePanes(panes().filter((_, i) => i !== at()));
    grid.focus({ preventScroll: true });
  });
  return pane;
}

function drawPanes() {
  const names = panes();
  const { width, height } = value();
  while (grid.children.length > names.length) grid.lastChild.remove();
  while (grid.children.length < names.length) grid.append(makePane());
  root.style.setProperty("--ratio", width / height);
  root.style.setProperty("--cols", { 1: 1, 2: 2, 3: 3, 4: 2 }[names.length] || 3);
  root.style.setProperty("--rows", names.length > 3 ? 2 : 1);
  root.dataset.panes = names.length;
  names.forEach((name, i) => drawPane(grid.children[i], layerOf(name), i));
  $("[data-add]").disabled = names.length >= MOST_PANES;
}

function drawPane(pane, layer, index) {
  const select = pane.querySelector("select");
  fillSelect(select, value().layers, layer.name);
  select.setAttribute("aria-label", `Layer of pane ${index + 1}`);
  const close = pane.querySelector(".cmp-close");
  close.hidden = panes().length < 2;
  close.setAttribute("aria-label", `Remove pane ${index + 1}, ${layer.title}`);
  pane.dataset.layer = layer.name;
  pane.classList.toggle("is-coarse", layer.coarse);
  pane.classList.toggle("is-missing", Boolean(layer.missing));
  pane.querySelector(".cmp-missing").textContent = layer.missing;
  const image = pane.querySelector("img");
  image.alt = `${layer.title}. ${layer.text}`;
  show(image, layer.missing ? "" : address(layer));
  drawBar(pane.querySelector(".cmp-bar"), layer);
}

function address(layer) {
  if (layer.kind === "heat") return layer.url;
  return layer.name === "sample" ? sampleAddress(chosen.sample) : layer.urls[chosen.colours];
}

function drawBar(bar, layer) {
  bar.hidden = layer.kind !== "heat" || Boolean(layer.missing);
  if (bar.hidden) return;
  const [low, high] = bar.querySelectorAll("span");
  low.textContent = layer.ends[0];
  high.textContent = `${layer.ends[1]}${layer.unit ? ` ${layer.unit}` : ""}`;
  bar.querySelector("i").style.background = `linear-gradient(90deg, ${value().colours.join(", ")})`;
}

// A new picture takes the place of the old one only once it is decoded: no flicker.
const wanted = new WeakMap();
async function show(image, url) {
  if (wanted.get(image) === url) return;
  wanted.set(image, url);
  if (!url) {
    image.removeAttribute("src");
    return image.classList.remove("is-there");
  }
  const next = new Image();
  next.src = url;
  try {
    await next.decode();
  } catch {
    return;
  }
  if (wanted.get(image) !== url) return;
  image.src = url;
  image.classList.add("is-there");
}

// Everything that depends on the view: one transform, set as properties that all panes read.
function place() {
  view.zoom = clamp(view.zoom, 1, MOST_ZOOM);
  view.x = clamp(view.x, 1 - view.zoom, 0);
  view.y = clamp(view.y, 1 - view.zoom, 0);
  const { width } = value();
  const first = grid.firstElementChild;
  const pixel = first ? (first.clientWidth / width) * view.zoom : 1;
  for (const key of ["zoom", "x", "y"]) grid.style.setProperty(`--${key}`, view[key]);
  root.classList.toggle("is-zoomed", view.zoom > 1);
  root.classList.toggle("is-near", pixel >= 2);
  $(".cmp-factor").textContent = `${view.zoom < 10 ? Number(view.zoom.toFixed(1)) : Math.round(view.zoom)}×`;
  placeCursor();
  placeLine();
}

// The cursor stands in the middle of its pixel.
function placeCursor() {
  const { width, height } = value();
  grid.classList.toggle("has-cursor", hand.cursor !== null);
  grid.classList.toggle("is-pinned", hand.pinned);
  if (!hand.cursor) return;
  grid.style.setProperty("--row", (hand.cursor.row + 0.5) / height);
  grid.style.setProperty("--col", (hand.cursor.col + 0.5) / width);
}

function placeLine() {
  const { width, height } = value();
  grid.classList.toggle("has-line", hand.line !== null);
  (hand.line || []).forEach(([row, col], i) => {
    grid.style.setProperty(`--row${i}`, row / height);
    grid.style.setProperty(`--col${i}`, col / width);
  });
  for (const svg of grid.querySelectorAll("svg")) drawShapes(svg);
}

function shape(name, points, kind) {
  const found = document.createElementNS(SVG, name);
  found.setAttribute("points", points);
  found.setAttribute("class", kind);
  return found;
}

function drawShapes(svg) {
  const { width, height, places } = value();
  const line = (hand.line || []).map(([row, col]) => `${col},${row}`).join(" ");
  const what = JSON.stringify([now.id, chosen.outlines, line, places.length]);
  if (svg.dataset.what === what) return;
  svg.dataset.what = what;
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const found = [];
  for (const one of chosen.outlines ? places : []) {
    found.push(shape("polygon", one.points, "cmp-halo"), shape("polygon", one.points, "cmp-outline"));
  }
  if (line) found.push(shape("polyline", line, "cmp-halo"), shape("polyline", line, "cmp-drawn-line"));
  svg.replaceChildren(...found);
}

// Zoom so that what lies under a point (shares of a pane) stays there.
function zoomAt(factor, across = 0.5, down = 0.5) {
  const zoom = clamp(view.zoom * factor, 1, MOST_ZOOM);
  view.x = across - ((across - view.x) * zoom) / view.zoom;
  view.y = down - ((down - view.y) * zoom) / view.zoom;
  view.zoom = zoom;
  place();
}

function showAll() {
  Object.assign(view, { zoom: 1, x: 0, y: 0 });
  place();
}

// Bring a part of the picture (rows and columns) to the middle, with some of what is around it.
function showPart([top, left, bottom, right]) {
  const { width, height } = value();
  const room = 2.5 * Math.max((bottom - top) / height, (right - left) / width, 0.02);
  view.zoom = clamp(1 / room, 1, 12);
  view.x = 0.5 - (view.zoom * (left + right)) / 2 / width;
  view.y = 0.5 - (view.zoom * (top + bottom)) / 2 / height;
  place();
}

function drawPlaces() {
  const { places, nowhere } = value();
  const items = places.map((one, i) => {
    const item = document.createElement("li");
    const button = make("button", "cmp-place");
    button.type = "button";
    button.append(make("b", "", one.title), make("span", "", one.text));
    button.setAttribute("aria-label", `Place ${i + 1}: ${one.title}. ${one.text}`);
    button.addEventListener("click", () => showPart(one.box));
    item.append(button);
    return item;
  });
  $(".cmp-places").replaceChildren(...items);
  const none = $(".cmp-none");
  none.hidden = items.length > 0;
  none.textContent = nowhere;
  $("[data-marks]").disabled = !items.length;
}

function connectTools() {
  for (const radio of $$("[name=ldsr-cmp-colours]")) {
    radio.addEventListener("change", () => {
      chosen.colours = radio.value;
      forgetSamples();
      drawPanes();
    });
  }
  for (const button of $$("[data-by]")) {
    button.addEventListener("click", () => zoomAt(Number(button.dataset.by) > 0 ? 1.5 : 1 / 1.5));
  }
  $("[data-whole]").addEventListener("click", showAll);
  $("[data-marks]").addEventListener("change", (event) => {
    chosen.outlines = event.target.checked;
    placeLine();
  });
  $("[data-add]").addEventListener("click", () => {
    const there = value().layers.filter((layer) => !layer.missing && !panes().includes(layer.name));
    choosePanes([...panes(), (there[0] || value().layers[0]).name]);
  });
  new ResizeObserver(() => seen() && value().mode === "done" && place()).observe(grid);
}
