// Charts (same scope as compare.js): a map with its histogram, and the profile along a line. plotly
// comes from our own server when the charts are first seen.
const charts = { plotly: null, line: null, map: null, of: "" };
const LINES = {
  input: ["Input", { light: "#64748b", dark: "#94a3b8" }, { dash: "dot" }],
  base: ["Base", { light: "#2563eb", dark: "#7aa7ff" }, {}],
  refined: ["Refined", { light: "#0f766e", dark: "#2dd4bf" }, {}],
  mean: ["Mean", { light: "#b45309", dark: "#fbbf6a" }, {}],
  reference: ["Reference", { light: "#0f1b2a", dark: "#e8eef5" }, {}],
  fitted: ["Fitted", { light: "#7c3aed", dark: "#c4b5fd" }, { dash: "dash" }],
};
const CONFIG = { displayModeBar: false, responsive: true };

function loadPlotly() {
  charts.plotly ||= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = Object.assign(document.createElement("script"), { src: "ldsr/plotly.min.js" });
    script.addEventListener("load", () => resolve(window.Plotly));
    script.addEventListener("error", () => reject(new Error("plotly did not load")));
    document.head.append(script);
  });
  return charts.plotly;
}

async function plot(name, traces, layout) {
  try {
    const plotly = await loadPlotly();
    const box = $(`[data-plot=${name}]`);
    if (!box.offsetParent) return;
    await plotly.react(box, traces, layout, CONFIG);
    return box;
  } catch {
    caption("The charts could not be drawn: plotly's script did not load.");
  }
}

const css = (name) => getComputedStyle(document.body).getPropertyValue(name).trim();

function layoutOf(more) {
  const axis = { gridcolor: css("--line-c"), linecolor: css("--line-c"), zeroline: false, fixedrange: true, automargin: true };
  const { xaxis = {}, yaxis = {}, ...rest } = more;
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(root).fontFamily, size: 11.5, color: css("--ink-2") },
    hoverlabel: { bgcolor: css("--paper"), bordercolor: css("--line-c"), font: { color: css("--ink") } },
    margin: { l: 8, r: 8, t: 6, b: 8 },
    dragmode: false,
    showlegend: false,
    xaxis: { ...axis, ...xaxis },
    yaxis: { ...axis, ...yaxis },
    ...rest,
  };
}

function caption(text) {
  $(".cmp-caption").textContent = text;
}

const heats = () => value().layers.filter((layer) => layer.kind === "heat");

function drawCharts() {
  const there = heats().filter((layer) => !layer.missing);
  if (!there.some((layer) => layer.name === chosen.heat)) chosen.heat = there.length ? there[0].name : null;
  const select = $(".cmp-heat");
  fillSelect(select, heats(), chosen.heat);
  if (!value().bands.includes(chosen.band)) chosen.band = value().bands[0];
  segments($(".cmp-bands"), "ldsr-cmp-band", value().bands.map((band) => [band, band]), chosen.band, (band) => {
    chosen.band = band;
    askProfile();
  });
  charts.line = null;
  if (hand.line) askProfile();
  chooseChart(chosen.chart);
}

function chooseChart(which) {
  chosen.chart = which;
  const line = which === "line";
  for (const radio of $$("[name=ldsr-cmp-chart]")) radio.checked = radio.value === which;
  $(".cmp-heat").hidden = line;
  $(".cmp-bands").hidden = !line;
  $(".cmp-map-charts").hidden = line || !chosen.heat;
  $(".cmp-line-chart").hidden = !line || !charts.line;
  if (line) drawProfile();
  else askMap();
}

async function askMap() {
  const layer = chosen.heat && layerOf(chosen.heat);
  if (!layer) return caption("There is no map of this result.");
  const of = `${now.id} ${layer.name} ${value().drawn}`;
  if (charts.of !== of) {
    const { found, sentence } = await ask("map", `heat/${layer.name}`);
    if (sentence) return caption(sentence);
    if (!found) return;
    Object.assign(charts, { map: found, of });
  }
  if (chosen.chart === "map") drawMapCharts();
}

// Whole numbers to values, a row at a time; -1 is no data.
function unpack({ values, step, rows, cols }) {
  const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
  const whole = new DataView(bytes.buffer);
  const at = (i) => whole.getInt16(2 * i, true);
  return Array.from({ length: rows }, (_, r) =>
    Array.from({ length: cols }, (__, c) => (at(r * cols + c) < 0 ? null : at(r * cols + c) * step)));
}

function scaleOf(colours) {
  return colours.map((colour, i) => [i / (colours.length - 1), colour]);
}

async function drawMapCharts() {
  const layer = layerOf(chosen.heat);
  const { map, histogram } = charts.map;
  const unit = layer.unit ? ` ${layer.unit}` : "";
  const parts = [`${layer.title}: ${layer.text}`, `Median ${sig(histogram.median)}, 95th percentile ${sig(histogram.p95)}${unit}.`];
  if (histogram.beyond > 0) parts.push(`${sig(histogram.beyond)} % are larger than the histogram shows, up to ${sig(histogram.largest)}.`);
  if (map.block > 1) parts.push(`The map shows means of ${map.block} × ${map.block} pixels.`);
  caption(parts.join(" "));
  const box = await plot("map", [mapTrace(map, unit)], mapLayout(map));
  if (box && !box.dataset.linked) {
    box.dataset.linked = "yes";
    box.on("plotly_click", ({ points: [point] }) => setCursor(point.y, point.x, true));
  }
  await plot("histogram", [barTrace(histogram)], barLayout(histogram, layer, unit));
}

const sig = (number) => String(Number(number.toPrecision(3)));

function mapTrace(map, unit) {
  return {
    type: "heatmap",
    z: unpack(map),
    x0: map.pixel / 2,
    dx: map.pixel,
    y0: map.pixel / 2,
    dy: map.pixel,
    zmin: 0,
    zmax: map.top,
    colorscale: scaleOf(value().colours),
    hovertemplate: `row %{y:.0f}, column %{x:.0f}: %{z:.4~g}${unit}<extra></extra>`,
    colorbar: { thickness: 10, outlinewidth: 0, nticks: 5, tickfont: { color: css("--ink-2") }, len: 1, x: 1.01, xpad: 2 },
  };
}

function mapLayout(map) {
  const bare = { showgrid: false, showticklabels: false, ticks: "", showline: false };
  return layoutOf({
    xaxis: { ...bare, constrain: "domain", range: [0, map.cols * map.pixel] },
    yaxis: { ...bare, scaleanchor: "x", constrain: "domain", range: [map.rows * map.pixel, 0] },
  });
}

function barTrace({ edges, share }) {
  return {
    type: "bar",
    x: share.map((_, i) => (edges[i] + edges[i + 1]) / 2),
    y: share,
    width: edges[1] - edges[0],
    marker: { color: dark() ? "#2dd4bf" : "#0f766e", opacity: 0.75, line: { width: 0 } },
    hovertemplate: "%{x:.3~g}: %{y:.2f} % of the pixels<extra></extra>",
  };
}

function barLayout({ edges, share, median, p95 }, layer, unit) {
  const marks = [["median", median, "solid", 1], ["95 %", p95, "dot", 0.9]];
  return layoutOf({
    bargap: 0,
    margin: { l: 8, r: 8, t: 6, b: 8 },
    xaxis: { title: { text: layer.title + (unit ? `,${unit}` : ""), standoff: 6 }, range: [0, edges[edges.length - 1]], nticks: 5 },
    yaxis: { ticksuffix: " %", nticks: 5, range: [0, 1.28 * Math.max(...share)] },
    shapes: marks.map(([, x, dash]) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: css("--ink"), width: 1.4, dash } })),
    annotations: marks.map(([name, x, , y]) => ({
      x, y, yref: "paper", text: `${name} ${sig(x)}`, showarrow: false, xanchor: x > 0.6 * edges[edges.length - 1] ? "right" : "left",
      xshift: x > 0.6 * edges[edges.length - 1] ? -4 : 4, yanchor: "top", bgcolor: css("--ground"), font: { color: css("--ink"), size: 11.5 },
    })),
  });
}

async function askProfile() {
  if (!hand.line) return;
  const [[r0, c0], [r1, c1]] = hand.line.map((end) => end.map((number) => number.toFixed(2)));
  const { found, sentence } = await ask("line", "profile", { r0, c0, r1, c1, band: chosen.band, level: chosen.level });
  if (found) charts.line = found;
  else if (!sentence) return;
  chooseChart("line");
  if (sentence) caption(sentence);
}

const LINE_HINT = "Press Draw a line, then drag from A to B on any picture.";

async function drawProfile() {
  const { line } = charts;
  if (!line) return caption(LINE_HINT);
  const { calibrated } = value();
  const width = line.distance[line.distance.length - 1];
  const unit = line.unit === "m" ? "m" : "pixels";
  const band = line.lines.low ? ` The band is the ${percent()} interval about the samples' mean${calibrated ? "" : ", uncalibrated"}.` : "";
  caption(`${LONG[line.band]} from A to B, ${width.toFixed(1)} ${unit}.${band}`);
  const box = await plot("line", lineTraces(line), layoutOf({
    showlegend: true,
    legend: { orientation: "h", traceorder: "normal", x: 0, y: 1.02, yanchor: "bottom", font: { size: 11.5 } },
    hovermode: "x unified",
    margin: { l: 8, r: 12, t: 30, b: 8 },
    xaxis: { title: { text: `Distance from A, ${unit}`, standoff: 6 }, range: [0, width] },
    yaxis: { title: { text: "Reflectance", standoff: 6 }, tickformat: ".3~f" },
  }));
  if (!box || box.dataset.linked) return;
  box.dataset.linked = "yes";
  box.on("plotly_hover", ({ points: [{ pointIndex }] }) => setCursor(charts.line.rows[pointIndex], charts.line.cols[pointIndex], true));
}

function lineTraces({ distance, lines }) {
  const theme = dark() ? "dark" : "light";
  const found = [];
  if (lines.low) {
    const fill = dark() ? "rgba(251,191,106,.22)" : "rgba(180,83,9,.16)";
    const edge = { type: "scatter", mode: "lines", x: distance, line: { width: 0 }, hoverinfo: "skip", showlegend: false };
    found.push({ ...edge, y: lines.low }, { ...edge, y: lines.high, fill: "tonexty", fillcolor: fill, showlegend: true, name: `${percent()} interval` });
  }
  for (const [name, [title, colours, style]] of Object.entries(LINES)) {
    if (!lines[name]) continue;
    const shape = name === "input" ? { shape: "hvh" } : {};
    found.push({
      type: "scatter", mode: "lines", name: title, x: distance, y: lines[name],
      line: { color: colours[theme], width: 1.6, ...style, ...shape }, hovertemplate: "%{y:.4f}",
    });
  }
  return found;
}

function redraw() {
  if (!seen() || value().mode !== "done") return;
  if (chosen.chart === "line") drawProfile();
  else if (charts.map && chosen.heat) drawMapCharts();
}

function connectCharts() {
  $(".cmp-heat").addEventListener("change", (event) => {
    chosen.heat = event.target.value;
    askMap();
  });
  for (const radio of $$("[name=ldsr-cmp-chart]")) radio.addEventListener("change", () => chooseChart(radio.value));
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}

connect();
