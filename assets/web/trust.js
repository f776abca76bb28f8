// How sure the picture is (same scope as viewer.js): what is said under it, and the places to check,
// outlined over whichever picture is shown and numbered as in the list.
const SVG = "http://www.w3.org/2000/svg";
const marks = $(".v-marks");
const said = $(".v-said");
const trust = { live: false, going: false, since: 0, on: true, held: null, drawn: "" };

const sampled = () => ((props.value || {}).trust || {}).sampled;
const spots = () => (sampled() || {}).places || [];

// The map of the samples is laid over the picture as soon as it emerges.
function followSampling() {
  const live = Boolean((((props.value || {}).overlays || {}).uncertainty || {}).live);
  const { going } = (props.value || {}).trust || {};
  if (going && !trust.going) trust.since = performance.now();
  trust.going = going;
  if (live && !trust.live) view.overlay = "uncertainty";
  trust.live = live;
}

function box(points) {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y);
  return { left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys) };
}

function outline(points, at) {
  const group = document.createElementNS(SVG, "g");
  group.classList.add("v-place");
  group.dataset.place = at;
  for (const name of ["v-casing", "v-stroke"]) {
    const shape = document.createElementNS(SVG, "polygon");
    shape.setAttribute("class", name);
    shape.setAttribute("points", points.map((point) => point.join(",")).join(" "));
    group.append(shape);
  }
  return group;
}

// A number at the corner of its place, on the side where there is room.
function pin({ text, points }, at) {
  const { width, height } = props.value;
  const { left, right, top, bottom } = box(points);
  const button = Object.assign(document.createElement("button"), {
    type: "button", className: "v-pin", textContent: at + 1, ariaLabel: `Place to check ${at + 1}: ${text}`,
  });
  const east = right / width < 0.93;
  const north = top / height > 0.07;
  button.dataset.place = at;
  button.style.left = `${(100 * (east ? right : left)) / width}%`;
  button.style.top = `${(100 * (north ? top : bottom)) / height}%`;
  button.style.setProperty("--x", east ? "0%" : "-100%");
  button.style.setProperty("--y", north ? "-100%" : "0%");
  return button;
}

function entry({ text }, at) {
  const item = document.createElement("li");
  const button = Object.assign(document.createElement("button"), { type: "button", className: "v-check" });
  button.dataset.place = at;
  button.append(Object.assign(document.createElement("i"), { textContent: at + 1, ariaHidden: "true" }), text);
  item.append(button);
  return item;
}

function drawPlaces() {
  const svg = document.createElementNS(SVG, "svg");
  const { width, height } = props.value;
  svg.setAttribute("viewBox", `0 0 ${width || 1} ${height || 1}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(...spots().map(({ points }, at) => outline(points, at)));
  marks.replaceChildren(svg, ...spots().map(pin));
  $(".v-list").replaceChildren(...spots().map(entry));
  hold(null);
}

// Where the outlines lie: over both sides of the border, or over each picture side by side.
function placeMarks() {
  for (const copy of $$(".v-marks.is-copy")) copy.remove();
  const shown = trust.on && spots().length > 0;
  marks.hidden = !shown;
  const beside = mode() === "three";
  const home = beside ? panes[shownPicture()] : frame;
  if (marks.parentElement !== home) home.append(marks);
  if (!beside || !shown) return;
  for (const name of there().filter((other) => panes[other] !== home)) {
    const copy = marks.cloneNode(false);
    copy.classList.add("is-copy");
    copy.append(marks.firstElementChild.cloneNode(true));
    panes[name].append(copy);
  }
}

// Say what is the matter with a place; null says nothing.
function tell(at) {
  const place = at === null ? null : spots()[at];
  for (const part of $$("[data-place]")) part.classList.toggle("is-told", place && Number(part.dataset.place) === at);
  said.hidden = !place || !trust.on;
  if (!place) return;
  const { top, bottom } = box(place.points);
  const middle = ((top + bottom) / 2 / props.value.height - 0.5 + view.y) * view.zoom + 0.5;
  said.dataset.at = middle > 0.6 ? "top" : "bottom";
  said.textContent = `${at + 1}. ${place.text}`;
}

function hold(at) {
  trust.held = at;
  tell(at);
}

function drawTrust() {
  const value = props.value || {};
  const { can, why, ask, text } = value.trust || {};
  const button = $("[data-sample]");
  button.disabled = !can;
  button.title = why || "";
  button.textContent = ask || "How sure is this?";
  const found = sampled();
  root.classList.toggle("is-sampled", Boolean(found));
  for (const [part, words] of [[".v-ended", text || ""], [".v-badge", found ? found.badge : ""], [".v-summary", found ? found.summary : ""], [".v-note", found ? found.note : ""]]) {
    if ($(part).textContent !== words) $(part).textContent = words;
  }
  $(".v-trust").hidden = !found && !text;
  $(".v-badge").title = found ? found.about : "";
  $(".v-badge").classList.toggle("is-calibrated", Boolean(found && found.calibrated));
  $(".v-outlines").hidden = spots().length === 0;
  const now = JSON.stringify([found, value.width, value.height]);
  if (now === trust.drawn) return;
  trust.drawn = now;
  $(".v-widths").replaceChildren(...(found ? found.facts : []).map(chip));
  $(".v-help p").replaceChildren(...(found ? found.help : []).flatMap((part) => [part, document.createElement("br")]));
  drawPlaces();
}

// A place out of sight of a zoomed picture comes to its middle.
function lookAt(at) {
  const { left, right, top, bottom } = box(spots()[at].points);
  if (view.zoom > 1) {
    view.x = 0.5 - (left + right) / 2 / props.value.width;
    view.y = 0.5 - (top + bottom) / 2 / props.value.height;
    place();
  }
  const { top: above, bottom: below } = frame.getBoundingClientRect();
  if (below < 120 || above > window.innerHeight - 120) frame.scrollIntoView({ block: "center", behavior: window.ldsrGlide() });
}

function trusts() {
  const at = (event) => {
    const part = event.target.closest("[data-place]");
    return part ? Number(part.dataset.place) : null;
  };
  const over = (event) => at(event) !== null && tell(at(event));
  const out = (event) => at(event) !== null && tell(trust.held);
  for (const [name, react] of [["pointerover", over], ["pointerout", out], ["focusin", over], ["focusout", out]]) {
    root.addEventListener(name, react);
  }
  root.addEventListener("click", (event) => {
    const one = at(event);
    if (one === null) {
      if (trust.held !== null && event.target.closest(".v-frame")) hold(null);
      return;
    }
    hold(trust.held === one ? null : one);
    if (event.target.closest(".v-check")) lookAt(one);
  });
  root.addEventListener("keydown", (event) => event.key === "Escape" && hold(null));
  $("[data-outlines]").addEventListener("change", (event) => {
    trust.on = event.target.checked;
    place();
    tell(trust.held);
  });
  $("[data-sample]").addEventListener("click", () => {
    if (!trust.going) trigger("apply");
    // the second click of a double click stops nothing
    else if (performance.now() - trust.since > 700) document.querySelector("#cancel").click();
  });
}
