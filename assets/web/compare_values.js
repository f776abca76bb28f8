// Values under the cursor (same scope as compare.js): asked for when it rests, newest first.
const PAUSE = 40; // milliseconds
const LONG = { R: "Red", G: "Green", B: "Blue", NIR: "NIR" };
const resting = { timer: 0, found: null, of: "" };

const four = (number) => (number === null || number === undefined ? "–" : number.toFixed(4));

function lookUp() {
  clearTimeout(resting.timer);
  if (!hand.cursor || value().mode !== "done") return;
  resting.timer = setTimeout(askValues, PAUSE);
}

async function askValues() {
  const { row, col } = hand.cursor;
  const of = `${now.id} ${row} ${col} ${value().ask.query} ${value().drawn}`;
  if (resting.of === of) return;
  const { found, sentence } = await ask("values", "values", { row, col });
  if (sentence) $(".cmp-where").textContent = sentence;
  if (!found) return;
  Object.assign(resting, { found, of });
  drawNumbers();
  if (hand.pinned) tell();
}

// The frame of the table: who has a column, which interval; then the numbers.
function drawValues() {
  const { levels, columns, calibrated, note, samples, drawn } = value();
  const box = $(".cmp-levels");
  box.hidden = levels.length === 0;
  if (!levels.some(([key]) => key === chosen.level) && levels.length) chosen.level = levels[levels.length - 1][0];
  segments(box, "ldsr-cmp-level", levels, chosen.level, (level) => {
    chosen.level = level;
    drawNumbers();
    askProfile();
  });
  const [label, text] = $(".cmp-note").children;
  label.textContent = !drawn ? "" : calibrated ? "Calibrated intervals." : "Uncalibrated intervals.";
  text.textContent = note;
  $(".cmp-note").dataset.kind = !drawn ? "none" : calibrated ? "good" : "ask";
  const heads = columns.map(([name, title]) => (name === "mean" ? `${title} ± ${percent()}` : title));
  const row = document.createElement("tr");
  row.append(...["Band", ...heads].map((title) => Object.assign(make("th", "", title), { scope: "col" })));
  $(".cmp-table thead").replaceChildren(row);
  resting.of = "";
  drawNumbers();
}

const percent = () => `${Math.round(100 * Number(chosen.level))}\u00a0%`;

function drawNumbers() {
  const { bands, columns, calibrated } = value();
  const { found } = resting;
  const at = columns.findIndex(([name]) => name === "mean");
  if (at >= 0) {
    const head = $(".cmp-table thead tr").children[at + 1];
    head.replaceChildren(`Mean ± ${percent()}`);
    if (!calibrated) head.append(make("small", "", "uncalibrated"));
  }
  const rows = bands.map((band, i) => {
    const row = document.createElement("tr");
    row.append(Object.assign(make("th", "", LONG[band] || band), { scope: "row" }));
    row.append(...columns.map(([name]) => cellOf(name, i, found)));
    return row;
  });
  $(".cmp-table tbody").replaceChildren(...rows);
  drawWhere(found);
  drawMapsHere(found);
}

function cellOf(name, band, found) {
  const cell = make("td", "");
  const numbers = found && found.pictures[name];
  cell.dataset.of = name;
  cell.textContent = four(numbers && numbers[band]);
  const half = found && name === "mean" && found.half[chosen.level];
  if (half && half[band] !== null) cell.append(make("small", "", ` ± ${four(half[band])}`));
  return cell;
}

function drawWhere(found) {
  const box = $(".cmp-where");
  if (!found) return (box.textContent = "Point at a picture; a click pins the cursor.");
  const digits = value().unit === "m" ? 2 : 5;
  const at = found.place ? ` · E ${found.place[0].toFixed(digits)}, N ${found.place[1].toFixed(digits)} (${value().crs})` : "";
  box.textContent = `Row ${found.row}, column ${found.col}${at}`;
}

function drawMapsHere(found) {
  const parts = value().maps.flatMap(([name, title, unit]) => {
    const number = found && found.maps[name];
    if (number === null || number === undefined) return [];
    const box = make("span", "", `${title} `);
    const digits = unit === "reflectance" ? 4 : 2;
    box.append(make("b", "", `${number.toFixed(digits)}${unit && unit !== "reflectance" ? ` ${unit}` : ""}`));
    box.dataset.map = name;
    return [box];
  });
  $(".cmp-maps").replaceChildren(...parts);
}

// For whoever cannot see the table: what is under a pinned cursor.
function tell() {
  const { found } = resting;
  const { bands, columns } = value();
  const name = columns.some(([one]) => one === "mean") ? "mean" : columns[columns.length - 1][0];
  const half = found.half[chosen.level];
  const parts = bands.map((band, i) => `${LONG[band] || band} ${four(found.pictures[name][i])}${name === "mean" && half ? ` plus or minus ${four(half[i])}` : ""}`);
  $(".cmp-say").textContent = `Row ${found.row}, column ${found.col}: ${parts.join(", ")}.`;
}
