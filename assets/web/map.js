// The map picker: what the person wants, and what the server is asked. `local` is the truth; values
// of the server are merged into it when they answer the newest turn. The chart is in map_chart.js,
// the list of scenes in map_scenes.js, areas in scene_area.js; the four files share one scope.
const $ = (selector) => element.querySelector(selector);
const $$ = (selector) => [...element.querySelectorAll(selector)];
const root = $(".picker");
// What the person may change while an answer is under way; such a change outlives the answer.
const OWN = ["lon", "lat", "side", "span", "query", "start", "end", "cloud", "catalogue", "order", "chosen"];
const BLANK = {
  turn: 0, ask: "", lon: null, lat: null, side: 1280, span: null, ring: null, footprint: "", query: "", found: [],
  start: "", end: "", cloud: 40, catalogue: "", catalogues: [], order: "clear", scenes: [], chosen: null,
  basemaps: null, picture: null, message: "", state: "idle",
};
const plain = (value) => JSON.parse(JSON.stringify(value || {}));
const local = { ...BLANK, ...plain(props.value) };
const timers = {};
let sent = { ...local };
let searched = local.scenes.length ? filters(local) : null;
let chart = null;

const wrapped = (lon) => ((((lon + 180) % 360) + 360) % 360) - 180;
const round = (degrees) => Math.round(degrees * 1e6) / 1e6;
const hasBox = () => local.lon !== null && local.lat !== null;

// What a list of scenes depends on: another value of this makes it out of date.
function filters(value) {
  return ["lon", "lat", "side", "span", "start", "end", "cloud", "catalogue"].map((key) => value[key]).join("|");
}

function ask(what) {
  local.turn += 1;
  local.ask = what;
  sent = plain(local);
  props.value = plain(local);
  trigger("input");
}

function askLater(what, delay) {
  clearTimeout(timers[what]);
  timers[what] = setTimeout(() => {
    timers[what] = null;
    ask(what);
  }, delay);
}

// What is true of a box stays true when the next question has been asked meanwhile: its outline,
// and the numbers of its scenes, which trickle in.
function takeLate(value) {
  if (local.basemaps === null && value.basemaps) local.basemaps = value.basemaps;
  if (["lon", "lat", "side", "span"].some((key) => String(value[key]) !== String(local[key]))) return;
  if (!local.ring && value.ring) Object.assign(local, { ring: value.ring, footprint: value.footprint });
  const late = new Map((value.scenes || []).map((scene) => [scene.key, scene]));
  local.scenes = local.scenes.map((scene) => fuller(scene, late.get(scene.key) || scene));
}

// Of two states of one scene that which knows more; the newer one where both know the same.
function fuller(old, scene) {
  const known = (one) => typeof one.box_cloud === "number" || Boolean(one.note);
  return old && known(old) && !known(scene) ? old : scene;
}

function take(value) {
  const unasked = value.turn === null || value.turn === undefined;
  if (!unasked && value.turn !== local.turn) return takeLate(value);
  const { turn: _turn, ask: _ask, ...rest } = value;
  // whoever answers another question repeats the scenes as they were when it was asked
  if (rest.scenes && local.ask !== "scenes") {
    const mine = new Map(local.scenes.map((scene) => [scene.key, scene]));
    rest.scenes = rest.scenes.map((scene) => fuller(mine.get(scene.key), scene));
  }
  for (const key of unasked ? [] : OWN) if (String(local[key]) !== String(sent[key])) delete rest[key];
  Object.assign(local, rest);
  if (!unasked && local.ask === "scenes" && value.state !== "error") searched = filters(value);
}

// Puts the box somewhere: the old outline, and answers about the old box, are void at once.
function setBox(lon, lat, { show = false, delay = 0 } = {}) {
  const at = { lon: round(wrapped(lon)), lat: round(Math.max(-90, Math.min(90, lat))) };
  local.turn += 1;
  Object.assign(local, at, { ring: null, footprint: "", found: [], message: "", state: "idle" });
  draw();
  if (chart) chart.reveal(show);
  askLater("box", delay);
}

function say(message, state) {
  Object.assign(local, { message, state });
  draw();
}

// "46.5, 11.35", "46.5 N 11.35 E", "N 46,5; E 11,35" -> {lon, lat}; null where it is no such text.
function coordinates(text) {
  let tidy = text.trim().toUpperCase().replace(/[°º]/g, " ").replace(/[−–]/g, "-");
  if (/^[^,]*\d,\d+[^,]*[;\s][^,]*\d,\d+[^,]*$/.test(tidy)) tidy = tidy.replace(/,/g, ".");
  const number = "([+-]?\\d+(?:\\.\\d+)?)";
  const after = new RegExp(`^${number}\\s*([NSEW])?[\\s,;]+${number}\\s*([NSEW])?$`).exec(tidy);
  const before = new RegExp(`^([NSEW])\\s*${number}[\\s,;]+([NSEW])\\s*${number}$`).exec(tidy);
  if (!after && !before) return null;
  const [, a, b, c, d] = after || before;
  const pair = after ? [[a, b], [c, d]] : [[b, a], [d, c]];
  const read = pair.map(([digits, letter]) => Number(digits) * (/[SW]/.test(letter || "") ? -1 : 1));
  const along = pair.map(([, letter]) => /[EW]/.test(letter || ""));
  const across = pair.map(([, letter]) => /[NS]/.test(letter || ""));
  if ((along[0] && along[1]) || (across[0] && across[1])) return null;
  const turned = along[0] || across[1];
  return { lat: read[turned ? 1 : 0], lon: read[turned ? 0 : 1] };
}

function seek() {
  local.query = $("[data-query]").value.trim();
  if (!local.query) return;
  const place = coordinates(local.query);
  if (!place) {
    say("Looking for the place.", "busy");
    ask("place");
  } else if (Math.abs(place.lat) > 90 || Math.abs(place.lon) > 360) {
    say("Latitude runs from -90 to 90, longitude from -180 to 180.", "error");
  } else setBox(place.lon, place.lat, { show: true });
}

function drawFound() {
  const list = $(".picker-found");
  const now = JSON.stringify(local.found || []);
  if (list.dataset.now === now) return;
  list.dataset.now = now;
  list.replaceChildren();
  for (const place of local.found || []) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.textContent = place.name;
    button.addEventListener("click", () => {
      setBox(place.lon, place.lat, { show: true });
      $("[data-query]").focus();
    });
    const item = document.createElement("li");
    item.append(button);
    list.append(item);
  }
}

// A field that is being typed into is left alone.
function fill(selector, value) {
  const field = $(selector);
  if (document.activeElement !== field || field.type === "range") field.value = value;
}

function drawFields() {
  fill("[data-query]", local.query);
  fill("[data-lat]", hasBox() ? local.lat.toFixed(5) : "");
  fill("[data-lon]", hasBox() ? local.lon.toFixed(5) : "");
  fill("[data-start]", local.start);
  fill("[data-end]", local.end);
  fill("[data-cloud]", local.cloud);
  $(".picker-cloud output").textContent = `${local.cloud} %`;
  drawArea();
  $(".picker-footprint").textContent = local.footprint || (hasBox() ? " " : "Click the map, or enter a place.");
  const select = $("[data-catalogue]");
  const options = (local.catalogues || []).map(({ key, title }) => new Option(title, key));
  if ([...select.options].map((o) => o.value + o.text).join() !== options.map((o) => o.value + o.text).join()) {
    select.replaceChildren(...options);
  }
  select.value = local.catalogue;
  $("[data-catalogues]").hidden = options.length < 2;
}

function draw() {
  drawFields();
  drawFound();
  const stale = searched !== null && searched !== filters(local);
  root.dataset.state = local.state;
  root.classList.toggle("is-stale", stale);
  const find = $("[data-find]");
  find.disabled = !hasBox();
  find.title = hasBox() ? "" : "Choose a place first";
  find.textContent = stale ? "Find scenes again" : "Find scenes";
  find.classList.toggle("strong", hasBox() && (stale || searched === null));
  $(".picker-message").textContent = local.message || (stale ? "The list is for another box or other limits." : "");
  drawScenes();
  if (chart) chart.draw();
}

// The larger map is a layer over the whole window, with the keyboard kept inside it.
function enlarge(large) {
  const button = $("[data-larger]");
  root.classList.toggle("is-large", large);
  button.setAttribute("aria-pressed", String(large));
  document.documentElement.classList.toggle("picker-open", large);
  for (const [name, value] of [["role", "dialog"], ["aria-modal", "true"]]) {
    if (large) root.setAttribute(name, value);
    else root.removeAttribute(name);
  }
  if (chart) chart.resize();
  button.focus({ preventScroll: large });
}

function keepInside(event) {
  if (!root.isConnected || !root.classList.contains("is-large")) return;
  if (event.key === "Escape") {
    event.preventDefault();
    enlarge(false);
  }
  if (event.key !== "Tab") return;
  const stops = $$("a[href], button, input, select, [tabindex='0']").filter(
    (one) => !one.disabled && one.getClientRects().length > 0,
  );
  const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
  if (document.activeElement !== edge && root.contains(document.activeElement)) return;
  event.preventDefault();
  (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
}

function wire() {
  const query = $("[data-query]");
  query.addEventListener("input", () => (local.query = query.value));
  query.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) seek();
  });
  $("[data-seek]").addEventListener("click", seek);
  for (const field of [$("[data-lat]"), $("[data-lon]")]) {
    field.addEventListener("change", () => {
      const [lat, lon] = [$("[data-lat]").value, $("[data-lon]").value];
      if (lat !== "" && lon !== "" && field.reportValidity()) setBox(Number(lon), Number(lat), { show: true });
    });
  }
  for (const radio of $$(".picker-sides input")) {
    radio.addEventListener("change", () => {
      Object.assign(local, { side: Number(radio.value), span: null });
      if (hasBox()) setBox(local.lon, local.lat, { show: true, delay: 250 });
      else draw();
    });
  }
  for (const key of ["start", "end", "cloud", "catalogue"]) {
    const field = $(`[data-${key}]`);
    field.addEventListener(key === "cloud" ? "input" : "change", () => {
      local[key] = key === "cloud" ? Number(field.value) : field.value;
      draw();
    });
  }
  $("[data-find]").addEventListener("click", () => {
    say("Searching the catalogue.", "busy");
    if (timers.box) {
      clearTimeout(timers.box);
      timers.box = null;
      ask("box");
    }
    ask("scenes");
  });
  $("[data-larger]").addEventListener("click", () => enlarge(!root.classList.contains("is-large")));
  $("[data-close]").addEventListener("click", () => enlarge(false));
  document.addEventListener("keydown", keepInside);
}

// Leaflet is fetched, and the map made, only once there is a place to see it: in a hidden host
// its sizes would be 0.
function wake() {
  const host = $(".picker-chart");
  let asleep = true;
  new ResizeObserver(async () => {
    if (!host.clientWidth || !host.clientHeight) return;
    if (chart) chart.resize();
    if (!asleep) return;
    asleep = false;
    try {
      await leaflet();
    } catch {
      $(".picker-note").textContent = "The map could not be loaded; the fields and the search still work.";
    }
    if (window.L) chart = makeChart(host);
    draw();
    if (chart && hasBox()) chart.reveal(true);
    if (local.basemaps === null) ask("basemaps");
  }).observe(host);
}

// The rest of the scope is there once all four files have run.
queueMicrotask(() => {
  wireScenes();
  wireArea();
  wire();
  watch("value", () => {
    const before = [local.lon, local.lat].join();
    take(plain(props.value));
    // other listeners read the component's value: an answer out of date must not stay there
    props.value = plain(local);
    draw();
    if (chart && hasBox() && before !== [local.lon, local.lat].join()) chart.reveal(true);
  });
  draw();
  wake();
});
