// Scores and maps of one evaluation. What is open and chosen stays with the page; the value is read.
const root = element.querySelector(".ev");
const $ = (selector) => root.querySelector(selector);
const $$ = (selector) => [...root.querySelectorAll(selector)];
const chosen = { reference: 0, layer: "error", method: null, open: new Set() };
let drawn = "";

function make(tag, name, text = "") {
  return Object.assign(document.createElement(tag), { className: name, textContent: text });
}

function hush(text) {
  return make("span", "ev-hush", text);
}

// Radio buttons [[key, title], ...]; says what was chosen.
function segments(box, name, choices, now, pick) {
  const labels = choices.map(([key, title]) => {
    const label = document.createElement("label");
    const radio = Object.assign(document.createElement("input"), { type: "radio", name, value: key, checked: key === now });
    radio.addEventListener("change", () => pick(key));
    label.append(radio, make("span", "", title));
    return label;
  });
  box.replaceChildren(...labels);
}

function cell(one, column) {
  const box = make("span", one.best ? "ev-cell is-best" : "ev-cell");
  box.append(hush(`${column}: `));
  if (one.best) box.append(make("span", "ev-best"));
  box.append(make("span", "", one.text));
  if (one.best) box.append(hush(" (best)"));
  box.append(hush("; "));
  return box;
}

function scoreRow(value, row) {
  const host = make("div", "ev-row");
  host.dataset.metric = row.name;
  const box = make("details", "ev-opens");
  box.open = chosen.open.has(row.name);
  box.addEventListener("toggle", () => (box.open ? chosen.open.add(row.name) : chosen.open.delete(row.name)));
  const head = make("summary", "ev-line-of");
  const title = make("span", "ev-metric", row.title);
  if (row.arrow) {
    const arrow = make("span", "ev-arrow", row.arrow);
    arrow.title = row.better;
    arrow.setAttribute("aria-hidden", "true");
    title.append("\u00a0", arrow, hush(`, ${row.better}; `));
  }
  head.append(title);
  const cells = row.cells[chosen.reference] || row.cells[0];
  head.append(...cells.map((one, i) => cell(one, value.columns[i])));
  box.append(head, inside(value, row));
  host.append(box);
  if (row.reason) {
    const why = make("p", "ev-why", row.reason);
    if (row.weights.length) why.append(" ", weightsButton(row));
    host.append(why);
  }
  return host;
}

function weightsButton(row) {
  const each = (key) => [...new Set(row.weights.map((one) => one[key]))].join(row.either ? " or " : " and ");
  const button = make("button", "ev-fetch", `Weights: ${each("size")}, ${each("licence")}`);
  button.type = "button";
  button.setAttribute("aria-haspopup", "dialog");
  button.addEventListener("click", (event) => {
    event.preventDefault();
    showWeights(row);
  });
  return button;
}

function sentence(label, text) {
  const box = make("p", "ev-says");
  box.append(make("b", "", label), ` ${text}`);
  return box;
}

function inside(value, row) {
  const box = make("div", "ev-inside");
  box.append(sentence("Sees.", row.sees), sentence("Misses.", row.misses));
  if (row.cells.length > 1 && !row.reason) {
    const other = row.cells.map((cells, i) => [value.references[i], ...cells.map((one) => one.text)]);
    box.append(numbers(value, other, "Both references"));
  }
  const parts = row.parts[chosen.reference] || row.parts[0] || [];
  if (parts.length) box.append(numbers(value, parts, "Parts"));
  if (row.provenance.length) {
    const made = make("dl", "ev-made");
    for (const [name, text] of row.provenance) made.append(make("dt", "", name), make("dd", "", text));
    box.append(made);
  }
  return box;
}

function numbers(value, rows, title) {
  const table = make("table", "ev-numbers");
  const head = table.createTHead().insertRow();
  for (const text of [title, ...value.columns]) head.append(Object.assign(make("th", "", text), { scope: "col" }));
  const body = table.createTBody();
  for (const [name, ...texts] of rows) {
    const line = body.insertRow();
    line.append(Object.assign(make("th", "", name), { scope: "row" }), ...texts.map((text) => make("td", "", text)));
  }
  return table;
}

function groupOf(value, group) {
  const box = make("section", "ev-group");
  box.append(make("h3", "", group.title), ...group.rows.map((row) => scoreRow(value, row)));
  return box;
}

function drawTable(value) {
  const heads = ["", ...value.columns].map((text) => make("span", "", text));
  $(".ev-columns").replaceChildren(...heads);
  root.style.setProperty("--columns", value.columns.length);
  $(".ev-table > .ev-groups").replaceChildren(...value.groups.map((group) => groupOf(value, group)));
  const folded = $(".ev-folded");
  folded.hidden = value.folded.length === 0;
  folded.querySelector("summary").textContent = `${value.folded.length} more scores need a true picture: choose Wald or Reference`;
  folded.querySelector(".ev-groups").replaceChildren(...value.folded.map((row) => scoreRow(value, { ...row, reason: "" })));
}

function drawMaps(value) {
  const maps = value.maps;
  $(".ev-maps").hidden = !maps;
  if (!maps) return;
  const keys = maps.methods.map((method) => method.key);
  if (!keys.includes(chosen.method)) chosen.method = keys[keys.length - 1];
  const again = (name) => (key) => {
    chosen[name] = key;
    showMap(maps);
  };
  segments($(".ev-layers"), "ldsr-ev-layer", maps.layers.map((layer) => [layer.key, layer.title]), chosen.layer, again("layer"));
  segments($(".ev-methods"), "ldsr-ev-method", maps.methods.map((method) => [method.key, method.title]), chosen.method, again("method"));
  $(".ev-panes").style.setProperty("--ratio", maps.ratio);
  showMap(maps);
}

function showMap(maps) {
  const layer = maps.layers.find((one) => one.key === chosen.layer);
  const title = maps.methods.find((one) => one.key === chosen.method).title;
  const set = (pane, url, alt, caption) => {
    const image = $(`[data-pane=${pane}]`);
    if (image.getAttribute("src") !== url) image.src = url;
    image.alt = alt;
    image.nextElementSibling.textContent = caption;
  };
  set("truth", maps.truths[chosen.reference] || maps.truths[0], "The true picture", "Truth");
  set("picture", maps.pictures[chosen.method], `The picture: ${title}`, title);
  const urls = layer.urls[chosen.reference] || layer.urls[0];
  set("map", urls[chosen.method], `Map: ${layer.title} of ${title}. ${layer.text}`, `${layer.title}, ${title.toLowerCase()}`);
  $(".legend-bar").style.background = `linear-gradient(90deg, ${maps.colours.join(", ")})`;
  $(".legend-ticks").replaceChildren(...layer.ticks.map((text) => make("span", "", text)));
  $(".legend-text").textContent = layer.text;
}

function showWeights(row) {
  $("#ev-weights-title").textContent = `Weights of ${row.title}`;
  $(".ev-either").hidden = !row.either;
  const cards = row.weights.map((one) => {
    const card = make("section", "ev-card");
    const facts = make("dl", "ev-made");
    const lines = [["For", one.purpose], ["Size", one.size], ["Licence", [one.licence, one.remark].filter(Boolean).join(". ")], ["Cite", one.citation]];
    for (const [name, text] of lines) facts.append(make("dt", "", name), make("dd", "", text));
    const line = make("div", "ev-command");
    const copy = make("button", "button", "Copy");
    copy.type = "button";
    copy.addEventListener("click", () => copyText(copy, one.command));
    line.append(make("code", "", one.command), copy);
    card.append(make("h3", "", one.name), facts, line);
    return card;
  });
  $(".ev-list").replaceChildren(...cards);
  $(".ev-weights").showModal();
}

async function copyText(button, text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text });
    button.after(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1600);
}

function stale() {
  const value = props.value || {};
  $(".ev-stale").hidden = value.mode !== "done" || !window.ldsrCurrent || value.of === window.ldsrCurrent;
}

function draw() {
  const value = props.value || { mode: "empty" };
  const text = JSON.stringify(value);
  if (text === drawn) return;
  drawn = text;
  root.dataset.mode = value.mode;
  stale();
  if (value.mode !== "done") return;
  document.dispatchEvent(new CustomEvent("ldsr-scored"));
  if (chosen.reference >= Math.max(value.references.length, 1)) chosen.reference = 0;
  $(".ev-title").textContent = `${value.truth}: ${value.name}`;
  $(".ev-about").textContent = `${value.line} · ${value.date}`;
  $(".ev-remark").textContent = value.remark;
  for (const link of $$("[data-link]")) link.href = value.links[link.dataset.link];
  const box = $(".ev-references");
  box.hidden = value.references.length < 2;
  segments(box, "ldsr-ev-reference", value.references.map((title, i) => [i, title]), chosen.reference, (i) => {
    chosen.reference = i;
    drawTable(value);
    drawMaps(value);
  });
  drawTable(value);
  drawMaps(value);
}

$(".ev-weights").addEventListener("click", (event) => event.target === event.currentTarget && event.currentTarget.close());
document.addEventListener("ldsr-current", stale);
watch("value", draw);
draw();
