// Input, base and refined: two of them under one border, or all side by side. Everything shown comes
// from one JSON value; pictures are fetched by address when they are first needed.
const $ = (selector) => element.querySelector(selector);
const $$ = (selector) => [...element.querySelectorAll(selector)];
const root = $(".viewer");
const frame = $(".v-frame");
const overlay = $(".v-overlay");
const twin = overlay.cloneNode();
const line = $(".v-line");
const handle = $(".v-handle");
const NAMES = ["input", "base", "refined"];
const ZOOMS = [1, 2, 4, 8];
const panes = Object.fromEntries(NAMES.map((name) => [name, $(`[data-pane=${name}]`)]));
const view = {
  left: "input", right: "refined", mode: "divider", overlay: "none", colours: "true",
  position: 50, zoom: 1, x: 0, y: 0,
};
const wanted = new Map();
const arriving = new Map(); // of each image: whether its picture came, a promise
const previews = new Map(); // of each image: the newest emerging picture on its way

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const pictures = () => (props.value || {}).pictures || {};
const there = () => NAMES.filter((name) => pictures()[name]);

// What is really on either side: what the person chose where it is there, else the next best.
function sides() {
  const names = there();
  const last = names[names.length - 1];
  const right = names.length < 2 ? null : names.includes(view.right) ? view.right : last;
  const rest = names.filter((name) => name !== right);
  return { left: rest.includes(view.left) ? view.left : rest[0] || null, right };
}

// A map is there for a finished result with a position only; until then, the slider.
function mode() {
  const { url } = (props.value || {}).map || {};
  return view.mode === "map" && !url ? "divider" : view.mode;
}

const visible = () => (mode() === "three" ? there() : Object.values(sides()).filter(Boolean));

// The picture that the PNG shows and that an overlay lies on.
function shownPicture() {
  const names = visible();
  return names.includes("refined") ? "refined" : sides().right || sides().left;
}

function choose(side, name) {
  if (!pictures()[name]) return;
  const now = sides();
  const other = side === "left" ? "right" : "left";
  if (now[other] === name) view[other] = now[side];
  view[side] = name;
  draw();
}

function place() {
  const limit = (view.zoom - 1) / view.zoom / 2;
  view.x = clamp(view.x, -limit, limit);
  view.y = clamp(view.y, -limit, limit);
  placeMarks();
  frame.style.setProperty("--zoom", view.zoom);
  for (const image of $$(".v-frame img, .v-marks")) {
    image.style.transform = `scale(${view.zoom}) translate(${100 * view.x}%, ${100 * view.y}%)`;
    image.style.imageRendering = view.zoom >= 4 ? "pixelated" : "auto";
  }
  const { left, right } = sides();
  const divided = mode() === "divider";
  for (const [name, pane] of Object.entries(panes)) {
    const side = !divided ? "alone" : name === right ? "right" : name === left ? "left" : "off";
    pane.dataset.at = visible().includes(name) ? side : "off";
    pane.style.clipPath = side === "right" ? `inset(0 0 0 ${view.position}%)` : "";
    const hidden = side === "left" ? view.position < 22 : side === "right" && view.position > 78;
    pane.querySelector(".v-tag").classList.toggle("is-covered", hidden);
  }
  line.style.left = `${view.position}%`;
  handle.setAttribute("aria-valuenow", String(Math.round(view.position)));
  handle.setAttribute("aria-valuetext", `${Math.round(view.position)} % ${left || ""}`);
  $(".v-factor").textContent = `${view.zoom}×`;
  root.classList.toggle("is-zoomed", view.zoom > 1);
  root.classList.toggle("is-divided", divided && right !== null);
  root.dataset.view = mode();
}

function zoomBy(direction) {
  const at = ZOOMS.indexOf(view.zoom) + direction;
  view.zoom = ZOOMS[clamp(at, 0, ZOOMS.length - 1)];
  place();
}

// An emerging picture that is late only holds up what comes after it.
function drop(image) {
  if (!previews.has(image)) return;
  previews.get(image).src = "";
  previews.delete(image);
  wanted.delete(image);
}

function show(image, url, done) {
  if (wanted.get(image) === url) return;
  drop(image);
  wanted.set(image, url);
  arriving.set(image, arrive(image, url, done));
}

// What the server no longer keeps is said in its own words.
async function tellGone(url) {
  const answer = url.startsWith("ldsr/r/") && (await fetch(url).catch(() => null));
  if (!answer || answer.status !== 404) return;
  document.dispatchEvent(new CustomEvent("ldsr-say", { detail: await answer.text() }));
}

// A new picture takes the place of the old one only once it is decoded: no flicker.
async function arrive(image, url, done) {
  if (!url) {
    image.removeAttribute("src");
    delete image.dataset.url;
    image.classList.remove("is-there");
    return false;
  }
  const next = new Image();
  next.src = url;
  if (url.startsWith("ldsr/p/")) previews.set(image, next);
  try {
    await next.decode();
  } catch {
    tellGone(url);
    return false;
  }
  if (previews.get(image) === next) previews.delete(image);
  if (wanted.get(image) !== url) return true;
  image.src = url;
  image.dataset.url = url;
  image.classList.add("is-there");
  done();
  return true;
}

// A caption never names a picture that is not on the screen yet.
function caption(name) {
  const box = panes[name].querySelector(".v-tag");
  const picture = pictures()[name];
  const image = panes[name].querySelector("img");
  box.replaceChildren();
  if (!picture) return;
  const late = props.value.mode === "result" && image.dataset.url !== picture.urls[view.colours];
  const title = late ? "Loading" : picture.title;
  box.append(Object.assign(document.createElement("b"), { textContent: title }));
  box.append(" " + (late ? picture.title.toLowerCase() : picture.text));
}

function drawPictures() {
  const seen = visible();
  for (const name of NAMES) {
    const picture = pictures()[name];
    const image = panes[name].querySelector("img");
    if (!picture) show(image, "");
    else if (seen.includes(name)) show(image, picture.urls[view.colours], () => caption(name));
    else drop(image);
    caption(name);
  }
  const { left, right } = sides();
  for (const radio of $$("[data-side] input")) {
    radio.disabled = !pictures()[radio.value] || right === null;
    radio.checked = radio.value === (radio.name === "ldsr-left" ? left : right);
  }
}

function drawOverlay() {
  const overlays = (props.value || {}).overlays || {};
  const chosen = overlays[view.overlay];
  const name = chosen ? shownPicture() : null;
  if (name && overlay.parentElement !== panes[name]) panes[name].querySelector("img").after(overlay);
  show(overlay, chosen ? chosen.url : "", () => {});
  // Clouds lie over the ground, not over a result: both sides of the border show them.
  const { left, right } = sides();
  const other = chosen && chosen.classes && mode() === "divider" && right && (name === left ? right : left);
  if (other) panes[other].querySelector("img").after(twin);
  else twin.remove();
  show(twin, other ? chosen.url : "", () => {});
  overlay.alt = chosen ? chosen.text : "";
  const lacking = (props.value || {}).lacking || {};
  for (const radio of $$("[data-overlays] input")) {
    radio.disabled = radio.value !== "none" && !overlays[radio.value];
    if (radio.value in lacking) radio.parentElement.title = radio.disabled ? lacking[radio.value] : "";
    radio.checked = radio.value === (chosen ? view.overlay : "none");
  }
  legend(chosen);
}

function draw() {
  const began = performance.now();
  const value = props.value || {};
  root.dataset.mode = value.mode || "empty";
  if (value.width) {
    frame.style.setProperty("--ratio", value.width / value.height);
    frame.style.setProperty("--panes", there().length);
  }
  followSampling();
  drawPictures();
  drawOverlay();
  drawFacts();
  drawTrust();
  place();
  drawMap();
  drawWarning();
  timeArrival(began);
}

// The map is another document in a frame, made when it is first asked for.
function drawMap() {
  const { url, why } = (props.value || {}).map || {};
  const radio = $("input[name=ldsr-view][value=map]");
  radio.disabled = !url;
  radio.parentElement.title = url ? "The result on a map" : why || "There is a map once there is a result";
  for (const other of $$("input[name=ldsr-view]")) other.checked = other.value === mode();
  const old = $(".v-map");
  if (mode() !== "map") return old && old.remove();
  const src = `${url}#${document.body.classList.contains("dark") ? "dark" : "light"}`;
  if (old && old.getAttribute("src") === src) return;
  if (old && old.getAttribute("src").split("#")[0] === url) return (old.src = src);
  if (old) old.remove();
  const page = Object.assign(document.createElement("iframe"), { className: "v-map", title: "The result on a map" });
  page.setAttribute("sandbox", "allow-scripts allow-downloads allow-popups allow-popups-to-escape-sandbox");
  page.src = src;
  $(".v-stage").append(page);
}

const dismissed = new Set();

function drawWarning() {
  const { warning, provenance } = props.value || {};
  const which = JSON.stringify([warning, provenance]);
  const box = $(".v-warn");
  box.hidden = !warning || dismissed.has(which);
  const text = box.hidden ? "" : warning;
  if (box.firstElementChild.textContent !== text) box.firstElementChild.textContent = text;
  box.dataset.which = which;
}

function drags() {
  let drag = null;
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const onLine = event.target.closest(".v-line") !== null;
    const divided = root.classList.contains("is-divided");
    if (event.target.closest(".v-pin") || (view.zoom === 1 && event.target.closest(".v-place"))) return;
    if (!onLine && event.pointerType === "touch" && view.zoom === 1) return;
    if (!divided && view.zoom === 1) return;
    const kind = onLine || view.zoom === 1 ? "border" : "pan";
    drag = { kind, x: event.clientX, y: event.clientY };
    frame.setPointerCapture(event.pointerId);
    if (kind === "border") toPointer(event);
    if (onLine) handle.focus({ preventScroll: true });
  });
  frame.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (drag.kind === "border") return toPointer(event);
    const size = panes[shownPicture()].getBoundingClientRect();
    view.x += (event.clientX - drag.x) / size.width / view.zoom;
    view.y += (event.clientY - drag.y) / size.height / view.zoom;
    drag = { ...drag, x: event.clientX, y: event.clientY };
    place();
  });
  for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => (drag = null));
  frame.addEventListener("click", (event) => {
    const touched = event.pointerType === "touch" && !event.target.closest(".v-line, .v-marks");
    if (touched && view.zoom === 1 && root.classList.contains("is-divided")) toPointer(event);
  });
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoomBy(event.deltaY < 0 ? 1 : -1);
  }, { passive: false });
}

function toPointer(event) {
  const size = frame.getBoundingClientRect();
  view.position = clamp((100 * (event.clientX - size.left)) / size.width, 0, 100);
  place();
}

function keys() {
  handle.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 2;
    const moves = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step };
    if (event.key in moves) view.position = clamp(view.position + moves[event.key], 0, 100);
    else if (event.key === "Home") view.position = 0;
    else if (event.key === "End") view.position = 100;
    else return;
    event.preventDefault();
    place();
  });
  frame.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key === "+" || event.key === "=") zoomBy(1);
    else if (event.key === "-") zoomBy(-1);
    else if (event.key in moves && event.target === frame && view.zoom > 1) {
      view.x += (0.1 * moves[event.key][0]) / view.zoom;
      view.y += (0.1 * moves[event.key][1]) / view.zoom;
      place();
    } else return;
    event.preventDefault();
  });
  // 1, 2, 3 choose the right picture, with Shift the left one; never while something is typed.
  document.addEventListener("keydown", (event) => {
    const digit = /^(?:Digit|Numpad)([123])$/.exec(event.code);
    const at = document.activeElement;
    const here = at === document.body || root.contains(at);
    if (!digit || !here || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    choose(event.shiftKey ? "left" : "right", NAMES[digit[1] - 1]);
  });
}

function controls() {
  const choices = { colours: "ldsr-colours", mode: "ldsr-view", overlay: "ldsr-overlay" };
  for (const [key, group] of Object.entries(choices)) {
    for (const radio of $$(`input[name=${group}]`)) {
      radio.addEventListener("change", () => {
        view[key] = radio.value;
        draw();
      });
    }
  }
  for (const radio of $$("[data-side] input")) {
    radio.addEventListener("change", () => choose(radio.name === "ldsr-left" ? "left" : "right", radio.value));
  }
  for (const button of $$("[data-zoom]")) {
    button.addEventListener("click", () => zoomBy(Number(button.dataset.zoom)));
  }
  $(".v-warn button").addEventListener("click", () => {
    dismissed.add($(".v-warn").dataset.which);
    drawWarning();
    frame.focus({ preventScroll: true });
  });
  new MutationObserver(drawMap).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  $("[data-full]").addEventListener("click", () => {
    if (document.fullscreenElement) document.exitFullscreen();
    else $(".v-main").requestFullscreen();
  });
}
