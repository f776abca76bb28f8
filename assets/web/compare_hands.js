// Mouse, touch and keys on the panes (same scope as compare.js): zoom, pan, cursor, and a line.
const hand = { cursor: null, pinned: false, line: null, drawing: false };
const STILL = 4; // CSS pixels that a click may move

// Where an event is: shares of its pane, and (row, column) of the picture.
function whereIs(event, stage) {
  const box = stage.getBoundingClientRect();
  const across = (event.clientX - box.left) / box.width;
  const down = (event.clientY - box.top) / box.height;
  const { width, height } = value();
  const col = clamp(((across - view.x) / view.zoom) * width, 0, width);
  const row = clamp(((down - view.y) / view.zoom) * height, 0, height);
  return { across, down, row, col, width: box.width, height: box.height };
}

function setCursor(row, col, pinned = hand.pinned) {
  const { width, height } = value();
  hand.cursor = { row: clamp(Math.floor(row), 0, height - 1), col: clamp(Math.floor(col), 0, width - 1) };
  hand.pinned = pinned;
  placeCursor();
  lookUp();
}

function letGo() {
  hand.pinned = false;
  placeCursor();
}

function setDrawing(on) {
  hand.drawing = on;
  grid.classList.toggle("is-drawing", on);
  $("[data-draw]").setAttribute("aria-pressed", String(on));
  $("[data-draw]").textContent = on ? "Drag from A to B" : "Draw a line";
}

// A finger or the mouse, from down to up; two fingers pinch.
const pointers = new Map();
const stageOf = (event) => event.target.closest(".cmp-stage");

function down(event) {
  const stage = stageOf(event);
  if (!stage || event.button !== 0) return;
  grid.focus({ preventScroll: true });
  const at = whereIs(event, stage);
  pointers.set(event.pointerId, { stage, x: event.clientX, y: event.clientY, moved: false, from: at });
  if (pointers.size === 2) for (const one of pointers.values()) one.moved = true;
  if (hand.drawing) stage.setPointerCapture(event.pointerId);
}

function move(event) {
  const held = pointers.get(event.pointerId);
  if (!held) return hover(event);
  const before = { x: held.x, y: held.y };
  const far = Math.hypot(event.clientX - held.x, event.clientY - held.y) > STILL;
  if (!held.moved && !far) return;
  if (!held.moved) held.stage.setPointerCapture(event.pointerId);
  Object.assign(held, { x: event.clientX, y: event.clientY, moved: true });
  if (pointers.size === 2) return pinch(event.pointerId, before);
  const at = whereIs(event, held.stage);
  if (hand.drawing) return drag(held.from, at);
  view.x += (event.clientX - before.x) / at.width;
  view.y += (event.clientY - before.y) / at.height;
  place();
}

function hover(event) {
  const stage = stageOf(event);
  if (!stage || event.pointerType === "touch" || hand.pinned) return;
  const { row, col } = whereIs(event, stage);
  setCursor(row, col);
}

function drag(from, to) {
  hand.line = [[from.row, from.col], [to.row, to.col]];
  placeLine();
}

// Both fingers keep what was under them: the zoom about their middle, and its movement.
function pinch(id, before) {
  const [[, moved], [, other]] = [...pointers].sort(([one]) => (one === id ? -1 : 1));
  const spread = (one) => Math.hypot(one.x - other.x, one.y - other.y);
  const box = moved.stage.getBoundingClientRect();
  const middle = (one) => [(one.x + other.x) / 2, (one.y + other.y) / 2];
  const [x, y] = middle(moved);
  const [x0, y0] = middle(before);
  view.x += (x - x0) / box.width;
  view.y += (y - y0) / box.height;
  zoomAt(spread(moved) / Math.max(spread(before), 1), (x - box.left) / box.width, (y - box.top) / box.height);
}

function up(event) {
  const held = pointers.get(event.pointerId);
  pointers.delete(event.pointerId);
  if (!held || event.type === "pointercancel") return;
  if (hand.drawing && held.moved) {
    setDrawing(false);
    return askProfile();
  }
  if (held.moved || hand.drawing) return;
  const { row, col } = held.from;
  const { cursor } = hand;
  const again = hand.pinned && cursor.row === Math.floor(row) && cursor.col === Math.floor(col);
  if (again) letGo();
  else setCursor(row, col, true);
}

function wheel(event) {
  const stage = stageOf(event);
  if (!stage || (event.deltaY > 0 && view.zoom === 1)) return; // the page scrolls on
  event.preventDefault();
  const { across, down: lower } = whereIs(event, stage);
  zoomAt(Math.exp(-clamp(event.deltaY, -240, 240) / 400), across, lower);
}

const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function key(event) {
  if (event.target !== grid || event.ctrlKey || event.altKey || event.metaKey) return;
  const arrow = ARROWS[event.key];
  if (arrow && event.shiftKey) moveCursor(arrow);
  else if (arrow && view.zoom > 1) {
    view.y -= 0.1 * arrow[0];
    view.x -= 0.1 * arrow[1];
    place();
  } else if (event.key === "+" || event.key === "=") zoomAt(1.5);
  else if (event.key === "-") zoomAt(1 / 1.5);
  else if (event.key === "0") showAll();
  else if (event.key === "Escape") {
    setDrawing(false);
    letGo();
  } else return;
  event.preventDefault();
}

// From where it is, or from the middle of what is seen.
function moveCursor([rows, cols]) {
  const { width, height } = value();
  const start = hand.cursor || {
    row: Math.floor(((0.5 - view.y) / view.zoom) * height),
    col: Math.floor(((0.5 - view.x) / view.zoom) * width),
  };
  const step = hand.cursor ? 1 : 0;
  setCursor(start.row + step * rows, start.col + step * cols, true);
  keepInSight();
}

function keepInSight() {
  const { width, height } = value();
  const across = view.x + (view.zoom * (hand.cursor.col + 0.5)) / width;
  const lower = view.y + (view.zoom * (hand.cursor.row + 0.5)) / height;
  view.x += clamp(across, 0.05, 0.95) - across;
  view.y += clamp(lower, 0.05, 0.95) - lower;
  place();
}

function connectHands() {
  grid.addEventListener("pointerdown", down);
  grid.addEventListener("pointermove", move);
  for (const end of ["pointerup", "pointercancel"]) grid.addEventListener(end, up);
  grid.addEventListener("wheel", wheel, { passive: false });
  grid.addEventListener("dblclick", (event) => {
    if (!stageOf(event)) return;
    showAll();
    letGo();
  });
  grid.addEventListener("keydown", key);
  $("[data-draw]").addEventListener("click", () => setDrawing(!hand.drawing));
}
