// The Study tab, as its maker sees it: preparing a study, and its results.
const LOOK = 700; // ms between two looks at a study that is being prepared
const panel = $(".st-results");
let looking = false;

function drawMethods(methods) {
  const boxes = methods.map((method) => {
    const box = document.createElement("label");
    box.className = "st-check";
    box.append(Object.assign(document.createElement("input"), { type: "checkbox", value: method.key, checked: true }), ` ${method.name}`);
    return box;
  });
  $(".st-methods").replaceChildren($(".st-methods legend"), ...boxes);
}

function drawProgress(now) {
  const box = $(".st-progress");
  box.hidden = !now.text;
  box.dataset.state = now.state;
  $(".st-progress .status-text").textContent = now.text;
  box.classList.toggle("has-bar", typeof now.share === "number");
  $(".st-progress .status-bar i").style.width = `${(100 * (now.share || 0)).toFixed(1)}%`;
  const busy = now.state === "busy";
  $(".st-prepare").disabled = busy;
  $(".st-stop").disabled = !(busy && memory.ticket);
}

async function look() {
  if (looking) return;
  looking = true;
  try {
    let now = await ask("look");
    while (now.state === "busy") {
      drawProgress(now);
      await sleep(LOOK);
      try {
        now = await ask("look");
      } catch (error) {
        if (error.refused) throw error;
      }
    }
    drawProgress(now);
    const mine = memory.ticket !== "";
    remember({ ticket: "" });
    const resting = ["none", "ready", "done", "paused", "loading"].includes(state.phase);
    if (now.state === "done" && mine && resting) {
      await refresh(now.study);
      $(".st-new").open = false;
    }
  } catch (error) {
    drawProgress({ state: "error", text: error.refused ? error.message : "The server cannot be reached." });
  } finally {
    looking = false;
  }
}

$(".st-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const number = (selector) => ($(selector).value === "" ? null : Number($(selector).value));
  const wish = {
    kind: $(".st-kind input:checked").value,
    methods: $$(".st-methods input:checked").map((box) => box.value),
    exposure: number(".st-exposure"),
    seed: number(".st-seed"),
  };
  try {
    const { ticket } = await ask("prepare", wish);
    remember({ ticket });
    look();
  } catch (error) {
    drawProgress({ state: "error", text: error.refused ? error.message : "The server cannot be reached." });
  }
});
$(".st-stop").addEventListener("click", () => {
  $(".st-stop").disabled = true;
  ask("cancel", { ticket: memory.ticket }).catch(() => {});
});
$(".st-kind").addEventListener("change", (event) => {
  for (const note of $$(".st-kind-note")) note.hidden = note.dataset.kind !== event.target.value;
});

function cell(tag, text, name = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className: name });
}

// One row a method: name, its interval on a line from 0 to 1, and the numbers.
function drawTable(table) {
  const box = cell("section", "", "st-table");
  const rows = table.rows.map((row) => {
    const line = cell("li", "", "st-row");
    const scale = cell("span", "", "st-scale");
    scale.setAttribute("aria-hidden", "true");
    const band = cell("i", "", "st-band");
    const dot = cell("b", "", "st-dot");
    const [low, at, high] = row.at.map((share) => 100 * share);
    band.style.cssText = `left: ${low}%; width: ${high - low}%`;
    dot.style.left = `${at}%`;
    scale.append(band, dot);
    const numbers = cell("span", "", "st-numbers");
    numbers.append(cell("b", row.text), cell("small", row.range), cell("small", row.detail));
    line.append(cell("span", row.name, "st-method"), scale, numbers);
    return line;
  });
  const axis = cell("li", "", "st-row st-axis");
  axis.setAttribute("aria-hidden", "true");
  const marks = cell("span", "", "st-marks");
  for (const mark of table.marks) {
    const label = cell("span", mark.text);
    label.style.left = `${100 * mark.at}%`;
    marks.append(label);
  }
  axis.append(cell("span", ""), marks, cell("span", ""));
  const list = cell("ul", "", "st-rows");
  list.append(...rows, ...(rows.length ? [axis] : []));
  box.append(cell("h3", table.title), cell("p", table.help, "st-quiet"), list);
  return box;
}

function drawRater(rater) {
  const row = document.createElement("tr");
  const head = cell("th", rater.who);
  head.scope = "row";
  const check = cell("td", rater.check, `is-${rater.state}`);
  row.append(head, ...[rater.answers, rater.catches, rater.median, rater.left].map((text) => cell("td", text)), check);
  return row;
}

async function drawResults() {
  if (!panel.open || !study()) return;
  try {
    const found = await ask("results", { study: memory.study, leave_out: $(".st-leave").checked });
    $(".st-summary").textContent = found.summary;
    $(".st-notes").replaceChildren(...found.notes.map((note) => cell("li", note)));
    $(".st-tables").replaceChildren(...found.tables.map(drawTable));
    $(".st-raters tbody").replaceChildren(...found.raters.map(drawRater));
    $(".st-raters").hidden = found.raters.length === 0;
    $(".st-rule").textContent = found.rule;
  } catch (error) {
    $(".st-summary").textContent = error.refused ? error.message : "The server cannot be reached.";
  }
}

panel.addEventListener("toggle", drawResults);
$(".st-leave").addEventListener("change", drawResults);
$(".st-refresh").addEventListener("click", drawResults);
document.addEventListener("ldsr-study-chosen", () => {
  panel.open = false;
});
$(".st-csv").addEventListener("click", async () => {
  try {
    const { name, text } = await ask("csv", { study: memory.study });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  } catch (error) {
    $(".st-summary").textContent = error.refused ? error.message : "The server cannot be reached.";
  }
});

// Also what "Try again" does where the server was away when the page opened.
async function start() {
  try {
    const hello = await refresh();
    drawMethods(hello.methods);
    $(".st-new").open = !study();
    if (hello.preparing.state === "busy") {
      drawProgress(hello.preparing);
      $(".st-new").open = true;
      look();
    } else {
      remember({ ticket: "" });
    }
  } catch (error) {
    fail(error);
  }
}

start();
