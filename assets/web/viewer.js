// The before / after viewer. Everything shown comes from one JSON value; pictures are fetched by
// address. Drag or arrow keys move the border; + and - zoom; zoomed in, the picture is dragged.
const $ = (selector) => element.querySelector(selector);
const root = $(".viewer");
const frame = $(".v-frame");
const images = { before: $(".v-before img"), after: $(".v-after img") };
const clip = $(".v-after");
const line = $(".v-line");
const handle = $(".v-handle");
const view = { position: 50, zoom: 1, x: 0, y: 0, colours: "true" };
const ZOOMS = [1, 2, 4, 8];
const wanted = {};

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function place() {
  const limit = (view.zoom - 1) / view.zoom / 2;
  view.x = clamp(view.x, -limit, limit);
  view.y = clamp(view.y, -limit, limit);
  const move = `scale(${view.zoom}) translate(${100 * view.x}%, ${100 * view.y}%)`;
  for (const image of Object.values(images)) {
    image.style.transform = move;
    image.style.imageRendering = view.zoom >= 4 ? "pixelated" : "auto";
  }
  clip.style.clipPath = `inset(0 0 0 ${view.position}%)`;
  line.style.left = `${view.position}%`;
  handle.setAttribute("aria-valuenow", String(Math.round(view.position)));
  handle.setAttribute("aria-valuetext", `${Math.round(view.position)} % before`);
  $(".v-factor").textContent = `${view.zoom}×`;
  root.classList.toggle("is-zoomed", view.zoom > 1);
  $(".v-tag-before").classList.toggle("is-covered", view.position < 22);
  $(".v-tag-after").classList.toggle("is-covered", view.position > 78);
}

function zoomBy(direction) {
  const at = ZOOMS.indexOf(view.zoom) + direction;
  view.zoom = ZOOMS[clamp(at, 0, ZOOMS.length - 1)];
  place();
}

// A new picture takes the place of the old one only once it is decoded: no flicker.
async function show(which, urls) {
  const url = urls ? urls[view.colours] : "";
  if (wanted[which] === url) return;
  wanted[which] = url;
  const image = images[which];
  if (!url) {
    image.removeAttribute("src");
    delete image.dataset.url;
    image.classList.remove("is-there");
    return;
  }
  const next = new Image();
  next.src = url;
  try {
    await next.decode();
  } catch {
    return;
  }
  if (wanted[which] !== url) return;
  image.src = url;
  image.dataset.url = url;
  image.classList.add("is-there");
  captions();
}

function chip([label, text, title]) {
  const box = document.createElement("div");
  box.className = "chip";
  box.title = title || "";
  if (text.length > 14) box.classList.add("is-wide");
  box.append(Object.assign(document.createElement("span"), { textContent: label }));
  box.append(Object.assign(document.createElement("b"), { textContent: text }));
  return box;
}

function row([label, text]) {
  const box = document.createElement("div");
  box.append(Object.assign(document.createElement("dt"), { textContent: label }));
  box.append(Object.assign(document.createElement("dd"), { textContent: text }));
  return box;
}

function tag(selector, label) {
  const box = $(selector);
  box.replaceChildren();
  if (!label) return;
  box.append(Object.assign(document.createElement("b"), { textContent: label.title }), " " + label.text);
}

// The caption never names a picture that is not on the screen yet.
function captions() {
  const value = props.value || {};
  const [before, after] = value.labels || [];
  const late = value.mode === "result" && images.after.dataset.url !== wanted.after;
  tag(".v-tag-before", before);
  tag(".v-tag-after", late ? { title: "Loading", text: "the finished picture" } : value.after ? after : null);
}

function links(value) {
  for (const link of element.querySelectorAll("[data-link]")) {
    const target = value.links ? value.links[link.dataset.link] : null;
    const href = target && typeof target === "object" ? target[view.colours] : target;
    if (href) link.href = href;
    else link.removeAttribute("href");
  }
  $("[data-copy]").disabled = !value.share;
}

function draw() {
  const value = props.value || {};
  root.dataset.mode = value.mode || "empty";
  if (value.width) {
    frame.style.aspectRatio = `${value.width} / ${value.height}`;
    frame.style.setProperty("--ratio", value.width / value.height);
  }
  show("before", value.before);
  show("after", value.after);
  root.classList.toggle("has-after", Boolean(value.after));
  captions();
  $(".chips").replaceChildren(...(value.chips || []).map(chip));
  $(".provenance").replaceChildren(...(value.provenance || []).map(row));
  links(value);
  place();
}

let drag = null;
frame.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  const onLine = event.target.closest(".v-line") !== null;
  if (!onLine && event.pointerType === "touch" && view.zoom === 1) return;
  const kind = onLine || view.zoom === 1 ? "border" : "pan";
  drag = { kind, x: event.clientX, y: event.clientY };
  frame.setPointerCapture(event.pointerId);
  if (kind === "border") toPointer(event);
  if (onLine) handle.focus({ preventScroll: true });
});
frame.addEventListener("pointermove", (event) => {
  if (!drag) return;
  if (drag.kind === "border") return toPointer(event);
  const size = frame.getBoundingClientRect();
  view.x += (event.clientX - drag.x) / size.width / view.zoom;
  view.y += (event.clientY - drag.y) / size.height / view.zoom;
  drag = { ...drag, x: event.clientX, y: event.clientY };
  place();
});
for (const end of ["pointerup", "pointercancel"]) frame.addEventListener(end, () => (drag = null));
frame.addEventListener("click", (event) => {
  const touched = event.pointerType === "touch" && !event.target.closest(".v-line");
  if (touched && view.zoom === 1) toPointer(event);
});
frame.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  zoomBy(event.deltaY < 0 ? 1 : -1);
}, { passive: false });

function toPointer(event) {
  const size = frame.getBoundingClientRect();
  view.position = clamp((100 * (event.clientX - size.left)) / size.width, 0, 100);
  place();
}

handle.addEventListener("keydown", (event) => {
  const step = event.shiftKey ? 10 : 2;
  const moves = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step };
  if (event.key in moves) view.position = clamp(view.position + moves[event.key], 0, 100);
  else if (event.key === "Home") view.position = 0;
  else if (event.key === "End") view.position = 100;
  else if (event.key === "+" || event.key === "=") return zoomBy(1);
  else if (event.key === "-") return zoomBy(-1);
  else return;
  event.preventDefault();
  place();
});

for (const radio of element.querySelectorAll("input[name=ldsr-colours]")) {
  radio.addEventListener("change", () => {
    view.colours = radio.value;
    draw();
  });
}
for (const button of element.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => zoomBy(Number(button.dataset.zoom)));
}
$("[data-full]").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else $(".v-main").requestFullscreen();
});
$("[data-copy]").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const link = location.origin + location.pathname + props.value.share;
  try {
    await navigator.clipboard.writeText(link);
  } catch {
    const field = Object.assign(document.createElement("textarea"), { value: link });
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
  button.textContent = "Copied";
  button.dataset.copied = link;
  setTimeout(() => (button.textContent = "Copy link"), 1600);
});

watch("value", draw);
draw();
