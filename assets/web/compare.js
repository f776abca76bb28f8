// The Compare tab. The value (one JSON object) says what there is; what the person chose stays here
// for as long as the page is open. Nothing is fetched before the tab is seen.
const root = element.querySelector(".cmp");
const $ = (selector) => root.querySelector(selector);
const $$ = (selector) => [...root.querySelectorAll(selector)];
const MOST_PANES = 6;
const chosen = {
  panes: null, colours: "true", level: "0.9", band: "R", heat: null, chart: "map", outlines: true, sample: 0,
};
const now = { drawn: "", id: null };

const value = () => props.value || { mode: "empty" };
const clamp = (number, low, high) => Math.min(high, Math.max(low, number));
const layerOf = (name) => value().layers.find((layer) => layer.name === name);
const dark = () => document.body.classList.contains("dark");
const seen = () => root.offsetParent !== null;

function make(tag, name, text = "") {
  return Object.assign(document.createElement(tag), { className: name, textContent: text });
}

// Radio buttons [[key, title], ...]; says what was chosen.
function segments(box, name, choices, current, pick) {
  const labels = choices.map(([key, title]) => {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name, value: key, checked: key === current });
    radio.addEventListener("change", () => pick(key));
    label.append(radio, make("span", "", title));
    return label;
  });
  box.replaceChildren(...labels);
}

// Layers as the choices of a <select>: what is not there is grey and says why.
function fillSelect(select, layers, current) {
  const groups = { picture: "Pictures", heat: "Maps" };
  const boxes = Object.entries(groups).map(([kind, label]) => {
    const box = Object.assign(document.createElement("optgroup"), { label });
    for (const layer of layers.filter((one) => one.kind === kind)) {
      const option = new Option(layer.title, layer.name, false, layer.name === current);
      option.disabled = Boolean(layer.missing);
      option.title = layer.missing || layer.text;
      box.append(option);
    }
    return box;
  });
  const full = boxes.filter((box) => box.children.length);
  select.replaceChildren(...(full.length === 1 ? [...full[0].children] : full));
  select.value = current;
}

// Asks the server; gives {found} or {sentence}. A newer question of the same kind ends the older.
const asking = {};
async function ask(kind, path, query = {}) {
  if (asking[kind]) asking[kind].abort();
  const control = (asking[kind] = new AbortController());
  const { stem, query: more } = value().ask;
  const text = [new URLSearchParams(query).toString(), more].filter(Boolean).join("&");
  try {
    const response = await fetch(`${stem}/${path}${text ? `?${text}` : ""}`, { signal: control.signal });
    if (!response.ok) return { sentence: await response.text() };
    return { found: await response.json() };
  } catch (error) {
    return error.name === "AbortError" ? {} : { sentence: "The server did not answer." };
  }
}

// Another result: what belonged to the one before is let go; panes and zoom stay.
function renew() {
  const { id, width, height } = value();
  if (id === now.id) return;
  const same = width === now.width && height === now.height;
  Object.assign(now, { id, width, height });
  chosen.sample = 0;
  pause();
  forgetSamples();
  resting.found = null;
  if (same) return;
  Object.assign(view, { zoom: 1, x: 0, y: 0 });
  Object.assign(hand, { cursor: null, pinned: false, line: null });
}

function drawHead() {
  const { name, line } = value();
  $(".cmp-name").textContent = name;
  $(".cmp-line").textContent = line;
}

function draw() {
  if (!seen()) return;
  const text = JSON.stringify(value());
  if (text === now.drawn) return;
  now.drawn = text;
  root.dataset.mode = value().mode;
  if (value().mode !== "done") return (now.id = null);
  renew();
  drawHead();
  drawPanes();
  drawValues();
  drawPlayer();
  drawPlaces();
  drawCharts();
  place();
  lookUp();
}

function connect() {
  connectTools();
  connectHands();
  connectPlayer();
  connectCharts();
  new IntersectionObserver(() => (seen() ? draw() : pause())).observe(root);
  watch("value", draw);
  draw();
}
