// The Leaflet side of the map picker: land, grid, tiles, the box and its handle.
const BASE = "ldsr/leaflet/";
const CHOICE = "ldsr-basemap";
const SILENT = "The background map does not answer; the grid, the coordinates and the search still work.";
const STEPS = [45, 30, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const COARSE = 9; // from this zoom on the 1:110m outline would mislead by many pixels
const SHIFTS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

function leaflet() {
  const load = (tag, options) =>
    new Promise((done, fail) => {
      const one = Object.assign(document.createElement(tag), options, { onload: done, onerror: fail });
      document.head.append(one);
    });
  if (window.L) return Promise.resolve();
  return Promise.all([
    load("link", { rel: "stylesheet", href: `${BASE}leaflet.css` }),
    load("script", { src: `${BASE}leaflet.js` }),
  ]);
}

// A provider's attribution is HTML; only its text and its links are let through.
function credit(text) {
  const holder = document.createElement("span");
  for (const node of new DOMParser().parseFromString(text || "", "text/html").body.childNodes) {
    const isLink = node.nodeName === "A" && /^https?:/.test(node.getAttribute("href") || "");
    if (!isLink) {
      holder.append(node.textContent);
      continue;
    }
    const link = document.createElement("a");
    Object.assign(link, { href: node.href, target: "_blank", rel: "noopener", textContent: node.textContent });
    holder.append(link);
  }
  return holder.innerHTML;
}

const isDark = () => document.body.classList.contains("dark");

function remembered(name) {
  try {
    if (name !== undefined) localStorage.setItem(CHOICE, name);
    return localStorage.getItem(CHOICE);
  } catch {
    return null;
  }
}

// How many degrees a box of so many metres has: across, up.
function spans(lat, side) {
  const up = side / 111320;
  return [up / Math.max(0.02, Math.cos((lat * Math.PI) / 180)), up];
}

function makeChart(host) {
  const L = window.L;
  const map = L.map(host, {
    center: [30, 10], zoom: 1, minZoom: 1, maxZoom: 17, scrollWheelZoom: false,
    maxBounds: [[-86, -Infinity], [86, Infinity]], maxBoundsViscosity: 1,
  });
  map.attributionControl.setPrefix(false);
  L.control.scale({ imperial: false, maxWidth: 80 }).addTo(map);
  for (const [name, level] of [["land", 150], ["grid", 250], ["photo", 260]]) {
    map.createPane(name).style.zIndex = level;
    map.getPane(name).style.pointerEvents = "none";
  }
  const land = makeLand(L, map);
  const grid = makeGrid(L, map);
  const tiles = makeTiles(L, map);
  const box = makeBox(L, map);
  const pen = makePen(L, map, host);
  // the wheel scrolls the page until the map is being used
  host.addEventListener("focus", () => map.scrollWheelZoom.enable());
  host.addEventListener("blur", () => root.classList.contains("is-large") || map.scrollWheelZoom.disable());
  map.on("moveend", () => [land, grid, box].forEach((part) => part.draw()));
  map.on("click", (event) => isDrawing() || setBox(event.latlng.lng, event.latlng.lat));
  host.addEventListener("keydown", (event) => chartKey(map, host, event));
  land.draw();
  grid.draw();
  return {
    drawing: pen,
    draw() {
      box.draw();
      tiles.draw();
    },
    resize() {
      map.invalidateSize();
      map.scrollWheelZoom[root.classList.contains("is-large") ? "enable" : "disable"]();
      grid.draw();
    },
    // Moves so that the box can be seen: near it when asked to, or when it would be a mere dot.
    reveal(show) {
      const at = [local.lat, box.lon()];
      const near = Math.max(6, Math.min(14, Math.round(13.3 - Math.log2(Math.max(...kilometres()) / 1.28))));
      if (isArea() ? show : map.getZoom() < 9) map.setView(at, near);
      else if (show) map.setView(at, Math.max(map.getZoom(), near));
    },
  };
}

function chartKey(map, host, event) {
  if (event.target !== host || event.ctrlKey || event.metaKey || event.altKey) return;
  const shift = SHIFTS[event.key];
  if (event.key === "Enter") {
    const centre = map.getCenter();
    setBox(centre.lng, centre.lat);
  } else if (event.shiftKey && shift && hasBox()) {
    const [across, up] = extent(local.lat);
    const lon = local.lon + (shift[0] * across) / 10;
    setBox(lon, local.lat + (shift[1] * up) / 10, { delay: 250 });
    if (!map.getBounds().contains([local.lat, copied(map, local.lon)])) {
      map.panTo([local.lat, copied(map, local.lon)]);
    }
  } else return;
  event.preventDefault();
  event.stopPropagation(); // else Leaflet pans as well
}

// The longitude in that copy of the world which is in view.
const copied = (map, lon) => lon + 360 * Math.round((map.getCenter().lng - lon) / 360);

function makeLand(L, map) {
  const layer = L.layerGroup();
  let rings = [];
  let drawn = null;
  const draw = () => {
    if (map.getZoom() >= COARSE) layer.remove();
    else layer.addTo(map);
    const copy = Math.round(map.getCenter().lng / 360);
    if (copy === drawn || !rings.length) return;
    drawn = copy;
    layer.clearLayers();
    const style = { pane: "land", className: "picker-land", interactive: false, weight: 1, smoothFactor: 1.5 };
    const shown = [-1, 0, 1].flatMap((step) =>
      rings.map((ring) => [ring.map(([lon, lat]) => [Math.max(-86, lat), lon + 360 * (copy + step)])]),
    );
    layer.addLayer(L.polygon(shown, style));
  };
  fetch("ldsr/map/land.json")
    .then((answer) => answer.json())
    .then((outline) => {
      rings = outline.rings;
      draw();
    })
    .catch(() => {}); // the grid alone will do
  return { draw };
}

function makeGrid(L, map) {
  const layer = L.layerGroup().addTo(map);
  const line = (points) =>
    layer.addLayer(L.polyline(points, { pane: "grid", className: "picker-grid", interactive: false, weight: 1 }));
  const label = (at, text, name) => {
    const icon = L.divIcon({ className: `picker-degree ${name}`, html: `<b>${text}</b>`, iconSize: [0, 0] });
    layer.addLayer(L.marker(at, { icon, pane: "grid", interactive: false, keyboard: false }));
  };
  const draw = () => {
    layer.clearLayers();
    const size = map.getSize();
    const perPixel = 360 / (256 * 2 ** map.getZoom());
    const step = STEPS.findLast((one) => one >= 88 * perPixel) || STEPS[0];
    const digits = Math.max(0, Math.ceil(-Math.log10(step)));
    const name = (value, [plus, minus]) =>
      `${Math.abs(value).toFixed(digits)}°${Math.abs(value) < step / 2 ? "" : value > 0 ? plus : minus}`;
    const wide = map.getBounds().pad(0.6);
    const [south, north] = [Math.max(-85, wide.getSouth()), Math.min(85, wide.getNorth())];
    for (let i = Math.ceil(wide.getWest() / step); i * step <= wide.getEast(); i += 1) {
      line([[south, i * step], [north, i * step]]);
      const x = map.latLngToContainerPoint([0, i * step]).x;
      const low = map.containerPointToLatLng([x, size.y - 4]);
      if (x > 122 && x < size.x - 74) label([low.lat, i * step], name(wrapped(i * step), "EW"), "is-lon");
    }
    for (let i = Math.ceil(south / step); i * step <= north; i += 1) {
      line([[i * step, wide.getWest()], [i * step, wide.getEast()]]);
      const y = map.latLngToContainerPoint([i * step, 0]).y;
      const right = map.containerPointToLatLng([size.x - 4, y]);
      if (y > 96 && y < size.y - 26) label([i * step, right.lng], name(i * step, "NS"), "is-lat");
    }
  };
  return { draw };
}

// Tiles are a luxury: three errors without a single tile, and the grid has to do.
function makeTiles(L, map) {
  let layers = null;
  let control = null;
  let choice = remembered();
  let ours = false; // a change that we make ourselves is not a choice of the person
  const use = (name) => {
    if (!layers || !layers[name] || map.hasLayer(layers[name])) return;
    ours = true;
    for (const layer of Object.values(layers)) layer.remove();
    layers[name].addTo(map);
    ours = false;
  };
  const fitting = () => {
    const known = local.basemaps || [];
    if (choice && layers[choice]) return use(choice);
    return use((known.find((one) => Boolean(one.dark) === isDark()) || known[0] || {}).name);
  };
  const make = ({ url, attribution, max_zoom: deepest }) => {
    const layer = L.tileLayer(url, { attribution: credit(attribution), maxNativeZoom: deepest, maxZoom: 17 });
    let [wrong, right] = [0, 0];
    layer.on("add", () => {
      [wrong, right] = [0, 0];
      $(".picker-note").textContent = "";
    });
    layer.on("tileload", () => (right += 1));
    layer.on("tileerror", () => {
      wrong += 1;
      if (right || wrong < 3 || !map.hasLayer(layer)) return;
      $(".picker-note").textContent = SILENT;
      setTimeout(() => layer.remove());
    });
    return layer;
  };
  map.on("baselayerchange", (event) => {
    if (ours) return;
    choice = Object.keys(layers).find((name) => layers[name] === event.layer);
    remembered(choice);
  });
  new MutationObserver(() => layers && $(".picker-note").textContent !== SILENT && fitting()).observe(
    document.body, { attributes: true, attributeFilter: ["class"] },
  );
  const draw = () => {
    if (layers || !local.basemaps || !local.basemaps.length) return;
    layers = Object.fromEntries(local.basemaps.map((one) => [one.name, make(one)]));
    layers["Grid only"] = L.layerGroup();
    control = L.control.layers({}, {}, { position: "topright" });
    for (const [name, layer] of Object.entries(layers)) {
      control.addBaseLayer(layer, Object.assign(document.createElement("i"), { textContent: name }).innerHTML);
    }
    control.addTo(map);
    fitting();
  };
  return { draw };
}

function makeBox(L, map) {
  const style = { interactive: false, weight: 2 };
  const rough = L.polygon([], { ...style, className: "picker-box is-rough" });
  const exact = L.polygon([], { ...style, className: "picker-box", dashArray: "6 4" });
  const icon = L.divIcon({ className: "picker-handle", html: "<i></i>", iconSize: [32, 32] });
  const handle = L.marker([0, 0], { icon, draggable: true, autoPan: true, keyboard: false, title: "Drag the box" });
  let photo = null;
  let dragged = false;
  const lon = () => copied(map, local.lon);
  const roughly = (at) => {
    const [across, up] = extent(at.lat).map((span) => span / 2);
    const corners = [[up, -across], [up, across], [-up, across], [-up, -across]];
    rough.setLatLngs(corners.map(([dy, dx]) => [at.lat + dy, at.lng + dx])).addTo(map);
    exact.remove();
  };
  handle.on("dragstart", () => (dragged = true));
  handle.on("drag", () => roughly(handle.getLatLng()));
  handle.on("dragend", () => {
    dragged = false;
    setBox(handle.getLatLng().lng, handle.getLatLng().lat);
  });
  const draw = () => {
    picture();
    if (!hasBox() || dragged) return;
    handle.setLatLng([local.lat, lon()]).addTo(map);
    if (!local.ring) return roughly(handle.getLatLng());
    const turn = lon() - local.lon + 360 * Math.round((local.lon - local.ring[0][0]) / 360);
    exact.setLatLngs(local.ring.map(([x, y]) => [y, x + turn])).addTo(map);
    rough.remove();
  };
  const picture = () => {
    const wanted = local.picture;
    if (photo && (!wanted || photo.options.key !== JSON.stringify(wanted))) {
      photo.remove();
      photo = null;
    }
    if (!wanted) return;
    const middle = (wanted.bounds[0][1] + wanted.bounds[1][1]) / 2;
    const bounds = wanted.bounds.map(([lat, x]) => [lat, x + copied(map, middle) - middle]);
    if (photo) photo.setBounds(bounds);
    else photo = L.imageOverlay(wanted.url, bounds, { pane: "photo", key: JSON.stringify(wanted) }).addTo(map);
  };
  return { draw, lon };
}
