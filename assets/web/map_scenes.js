// The scenes that were found: radio cards in an order of the person's, and a slider through time.
const cards = new Map();
const percent = (share) => {
  if (share > 0 && share < 0.01) return "under 1 %";
  return share > 0.99 && share < 1 ? "over 99 %" : `${Math.round(100 * share)} %`;
};
const moment = (scene) => `${scene.date}T${scene.time || "00:00"}`;
const byTime = () => [...local.scenes].sort((a, b) => moment(a).localeCompare(moment(b)));

function day(date, long = false) {
  const month = long ? "long" : "short";
  const options = { day: "numeric", month, year: "numeric", timeZone: "UTC" };
  const time = new Date(`${date}T00:00:00Z`);
  return Number.isNaN(time.getTime()) ? date : time.toLocaleDateString("en-GB", options);
}

// Clearest first, those of unknown cloud last; equals, and the other order, by date: newest first.
function sorted() {
  const newest = byTime().reverse();
  if (local.order === "new") return newest;
  const cloud = (value) => (value === null || value === undefined ? Infinity : value);
  const order = (a, b) => (a === b ? 0 : a - b);
  return newest.sort(
    (a, b) =>
      order(cloud(a.box_cloud), cloud(b.box_cloud)) || order(cloud(a.tile_cloud), cloud(b.tile_cloud)),
  );
}

function makeCard(key) {
  const card = document.createElement("label");
  card.className = "picker-card";
  const radio = Object.assign(document.createElement("input"), { type: "radio", name: "ldsr-scene", value: key });
  radio.addEventListener("change", () => choose(key, 150));
  const frame = Object.assign(document.createElement("span"), { className: "picker-thumb" });
  const image = Object.assign(document.createElement("img"), { alt: "", width: 56, height: 56, draggable: false });
  image.loading = "lazy";
  image.addEventListener("load", () => frame.classList.add("is-there"));
  image.addEventListener("error", () => frame.classList.remove("is-there"));
  frame.append(image);
  const text = Object.assign(document.createElement("span"), { className: "picker-facts" });
  for (const name of ["b", "span", "small"]) text.append(document.createElement(name));
  card.append(radio, frame, text);
  return card;
}

function fillCard(card, scene) {
  const known = scene.box_cloud !== null && scene.box_cloud !== undefined;
  const [date, cloud, rest] = card.querySelector(".picker-facts").children;
  const image = card.querySelector("img");
  if ((image.getAttribute("src") || "") !== (scene.thumb || "")) {
    image.parentElement.classList.remove("is-there");
    if (scene.thumb) image.src = scene.thumb;
    else image.removeAttribute("src");
  }
  date.textContent = day(scene.date);
  if (scene.time) date.append(Object.assign(document.createElement("i"), { textContent: scene.time }));
  const tile = typeof scene.tile_cloud === "number" ? `${Math.round(scene.tile_cloud)} % cloud over the tile` : "";
  cloud.textContent = known ? `${percent(scene.box_cloud)} cloud over the box` : tile || "cloud unknown";
  card.classList.toggle("is-pending", !known && local.state === "busy");
  const part = typeof scene.covers === "number" && scene.covers < 0.995 ? `covers ${percent(scene.covers)}` : "";
  rest.textContent = [part, scene.note].filter(Boolean).join(", ");
  card.title = scene.id || "";
  card.querySelector("input").checked = scene.key === local.chosen;
}

// Cards are kept and moved, so that neither focus nor pictures are lost when numbers arrive.
function drawScenes() {
  const list = $(".picker-list");
  const scenes = sorted();
  const keys = new Set(scenes.map((scene) => scene.key));
  for (const [key, card] of cards) {
    if (keys.has(key)) continue;
    card.remove();
    cards.delete(key);
  }
  const focused = document.activeElement;
  scenes.forEach((scene, i) => {
    if (!cards.has(scene.key)) cards.set(scene.key, makeCard(scene.key));
    const card = cards.get(scene.key);
    fillCard(card, scene);
    if (list.children[i] !== card) list.insertBefore(card, list.children[i] || null);
  });
  if (focused !== document.activeElement && list.contains(focused)) focused.focus();
  $(".picker-scenes").hidden = scenes.length === 0;
  $(".picker-count").textContent = scenes.length === 1 ? "1 scene" : `${scenes.length} scenes`;
  for (const radio of $$("input[name=ldsr-order]")) radio.checked = radio.value === local.order;
  drawTime();
}

function drawTime() {
  const scenes = byTime();
  const slider = $("[data-time]");
  const at = scenes.findIndex((scene) => scene.key === local.chosen);
  $(".picker-time").hidden = scenes.length < 2;
  if (!scenes.length) return;
  const marks = $(".picker-time datalist");
  if (marks.children.length !== scenes.length) marks.replaceChildren(...scenes.map((_, i) => new Option("", i)));
  slider.max = Math.max(1, scenes.length - 1);
  slider.value = at < 0 ? scenes.length - 1 : at;
  slider.classList.toggle("is-unset", at < 0);
  slider.setAttribute("aria-valuetext", at < 0 ? "No scene chosen" : day(scenes[at].date, true));
  const [first, now, last] = $(".picker-ends").children;
  first.textContent = day(scenes[0].date);
  last.textContent = day(scenes[scenes.length - 1].date);
  now.textContent = at < 0 ? "" : day(scenes[at].date);
  first.classList.toggle("is-quiet", at === 0);
  last.classList.toggle("is-quiet", at === scenes.length - 1);
}

// Scrolls the list, and nothing but the list, to the chosen card.
function bring(key) {
  const list = $(".picker-list");
  const card = cards.get(key);
  if (!card) return;
  const [inner, outer] = [card.getBoundingClientRect(), list.getBoundingClientRect()];
  if (inner.top < outer.top) list.scrollTop += inner.top - outer.top;
  else if (inner.bottom > outer.bottom) list.scrollTop += inner.bottom - outer.bottom;
}

function choose(key, delay) {
  local.chosen = key;
  draw();
  bring(key);
  askLater("choose", delay);
}

function wireScenes() {
  const slider = $("[data-time]");
  slider.addEventListener("input", () => {
    const scene = byTime()[Number(slider.value)];
    if (scene && scene.key !== local.chosen) choose(scene.key, 300);
  });
  for (const radio of $$("input[name=ldsr-order]")) {
    radio.addEventListener("change", () => {
      local.order = radio.value;
      draw();
    });
  }
}
