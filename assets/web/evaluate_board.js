// The saved runs: one row a method, the newest run first or sorted by a metric.
const root = element.querySelector(".ev-saved");
const $ = (selector) => root.querySelector(selector);
const NEWEST = "newest";
let sortBy = NEWEST;
let drawn = "";

function make(tag, name, text = "") {
  return Object.assign(document.createElement(tag), { className: name, textContent: text });
}

function sorted(value) {
  const rows = value.runs.flatMap((run, age) => run.rows.map((row, i) => ({ run, row, age, i })));
  const metric = value.metrics.find((one) => one.name === sortBy);
  if (!metric) return rows;
  const sign = metric.better === "lower" ? 1 : -1;
  const at = ({ row }) => (row.scores[metric.name] ? sign * row.scores[metric.name].value : Infinity);
  return rows.sort((a, b) => at(a) - at(b) || a.age - b.age || a.i - b.i);
}

function drawHead(value) {
  const heads = ["Method", ...value.metrics, "Run"].map((one) => {
    const head = Object.assign(document.createElement("th"), { scope: "col" });
    if (typeof one === "string") {
      head.textContent = one;
      return head;
    }
    const button = make("button", "ev-by", `${one.title}\u00a0${one.arrow}`);
    button.type = "button";
    button.title = one.help;
    button.addEventListener("click", () => sort(sortBy === one.name ? NEWEST : one.name));
    const way = one.better === "lower" ? "ascending" : "descending";
    head.setAttribute("aria-sort", sortBy === one.name ? way : "none");
    head.append(button);
    return head;
  });
  $("thead tr").replaceChildren(...heads);
}

function link(run, kind) {
  const box = make("a", "ev-file", kind.toUpperCase());
  box.href = run.links[kind];
  box.download = "";
  box.setAttribute("aria-label", `Download the run of ${run.date} as ${kind.toUpperCase()}`);
  return box;
}

function line(value, { run, row, i }) {
  const box = document.createElement("tr");
  box.classList.toggle("is-first", i === 0 && sortBy === NEWEST);
  const head = Object.assign(make("th", "ev-method"), { scope: "row" });
  head.append(make("b", "", row.method), make("small", "", run.weights));
  box.append(head);
  for (const metric of value.metrics) {
    const score = row.scores[metric.name];
    const cell = make("td", "ev-score", score ? score.text : "–");
    cell.dataset.label = `${metric.title}\u00a0${metric.arrow}`;
    cell.title = score ? score.range : "";
    if (score && score.range) cell.append(make("span", "ev-hush", `, ${score.range}`));
    cell.classList.toggle("is-sorted", metric.name === sortBy);
    box.append(cell);
  }
  const newest = sortBy === NEWEST;
  if (i === 0 || !newest) box.append(about(run, newest ? run.rows.length : 1));
  return box;
}

function about(run, rows) {
  const box = make("td", "ev-run");
  box.rowSpan = rows;
  box.classList.toggle("is-short", rows === 1);
  const files = make("span", "ev-files");
  files.append(link(run, "csv"), link(run, "json"));
  const words = `${run.patches} patches · ${run.settings}`;
  box.append(make("b", "", run.date), make("small", "", words), files);
  box.title = `${words}\nSHA-256 of the weights: ${run.sha256}…`;
  return box;
}

function sort(name) {
  sortBy = name;
  drawn = "";
  draw();
}

function draw() {
  const value = props.value || { runs: [], metrics: [] };
  const text = JSON.stringify(value);
  if (text === drawn) return;
  drawn = text;
  const none = value.runs.length === 0;
  root.classList.toggle("is-none", none);
  const options = [[NEWEST, "Newest"], ...value.metrics.map((one) => [one.name, `${one.title} ${one.arrow}`])];
  $("select").replaceChildren(...options.map(([key, title]) => new Option(title, key, false, key === sortBy)));
  drawHead(value);
  $("tbody").replaceChildren(...sorted(value).map((one) => line(value, one)));
}

$("select").addEventListener("change", (event) => sort(event.target.value));
watch("value", draw);
draw();
