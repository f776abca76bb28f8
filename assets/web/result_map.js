// The result on a map: two pictures under one border, over a base map or a plain graticule.
// Runs inside the stand-alone file; knows nothing of the page that made it.
function ldsrResultMap(map, layers, config) {
  "use strict";
  const $ = (selector) => document.querySelector(selector);
  const $$ = (selector) => [...document.querySelectorAll(selector)];
  const host = map.getContainer();
  const over = $(".over");
  const line = $(".line");
  const handle = $(".handle");
  const note = $(".note");
  const names = Object.keys(layers).filter((name) => name !== "detail");
  const state = { left: config.left, right: config.right, position: 50 };
  const bounds = L.latLngBounds(config.bounds);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  function sideOf(name) {
    return name === state.left ? "left" : name === state.right ? "right" : "off";
  }

  // Panes have no size of their own: they are cut in the coordinates of the map's layers.
  function cut() {
    const size = map.getSize();
    const x = map.containerPointToLayerPoint([(size.x * state.position) / 100, 0]).x;
    const far = 1e5;
    const left = `polygon(${-far}px ${-far}px, ${x}px ${-far}px, ${x}px ${far}px, ${-far}px ${far}px)`;
    const right = `polygon(${x}px ${-far}px, ${far}px ${-far}px, ${far}px ${far}px, ${x}px ${far}px)`;
    for (const name of Object.keys(layers)) {
      const side = sideOf(name === "detail" && sideOf("refined") !== "off" ? "refined" : name);
      const pane = map.getPane(`ldsr-${name}`);
      pane.style.clipPath = side === "left" ? left : side === "right" ? right : "";
      pane.style.display = side === "off" && name !== "detail" ? "none" : "";
    }
    line.style.left = `${state.position}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(state.position)));
    handle.setAttribute("aria-valuetext", `${Math.round(state.position)} % ${state.left}`);
    for (const tag of $$(".tag")) {
      const side = sideOf(tag.dataset.tag);
      tag.dataset.at = side;
      const width = (100 * (tag.offsetWidth + 24)) / size.x;
      const room = side === "left" ? state.position : 100 - state.position;
      tag.classList.toggle("is-covered", room < width);
    }
  }

  function choose(side, name) {
    const other = side === "left" ? "right" : "left";
    if (state[other] === name) state[other] = state[side];
    state[side] = name;
    for (const radio of $$(".segmented input")) radio.checked = state[radio.name] === radio.value;
    cut();
  }

  function moveTo(event) {
    const box = host.getBoundingClientRect();
    state.position = clamp((100 * (event.clientX - box.left)) / box.width, 0, 100);
    cut();
  }

  function swipe() {
    let held = false;
    line.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      held = true;
      line.setPointerCapture(event.pointerId);
      handle.focus({ preventScroll: true });
      event.preventDefault();
    });
    line.addEventListener("pointermove", (event) => held && moveTo(event));
    for (const end of ["pointerup", "pointercancel"]) line.addEventListener(end, () => (held = false));
    handle.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 2;
      const moves = { ArrowLeft: -step, ArrowDown: -step, ArrowRight: step, ArrowUp: step, Home: -100, End: 100 };
      if (!(event.key in moves)) return;
      state.position = clamp(state.position + moves[event.key], 0, 100);
      event.preventDefault();
      event.stopPropagation();
      cut();
    });
    for (const stop of ["mousedown", "touchstart", "dblclick", "click"]) {
      line.addEventListener(stop, (event) => event.stopPropagation());
    }
  }

  function settings() {
    for (const radio of $$(".segmented input")) radio.addEventListener("change", () => choose(radio.name, radio.value));
    $("[data-opacity]").addEventListener("input", (event) => {
      for (const name of names) layers[name].setOpacity(event.target.value / 100);
      event.target.nextElementSibling.textContent = `${event.target.value} %`;
    });
    const detail = $("[data-detail]");
    const show = () => {
      if (layers.detail) layers.detail.setOpacity(detail.checked ? 0.75 : 0);
      $(".heat").hidden = !detail.checked;
    };
    detail.addEventListener("change", show);
    show();
  }

  function outline() {
    map.createPane("ldsr-outline").style.zIndex = 450;
    const ring = (options) => L.polygon(config.outline, { pane: "ldsr-outline", fill: false, interactive: false, ...options });
    ring({ color: "#08101c", weight: 4, opacity: 0.55 }).addTo(map);
    ring({ color: "#ffffff", weight: 1.6, className: "outline" }).addTo(map);
  }

  const graticule = L.layerGroup();

  // Lines of latitude and longitude at round steps: the ground where there is no base map.
  function drawGraticule() {
    graticule.clearLayers();
    const view = map.getBounds();
    const span = Math.max(view.getEast() - view.getWest(), view.getNorth() - view.getSouth());
    const power = 10 ** Math.floor(Math.log10(span / 4));
    const step = power * [1, 2, 5, 10].find((factor) => factor * power >= span / 6);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
    const style = { color: "var(--grid)", weight: 1, interactive: false, pane: "ldsr-grid" };
    const put = (points, at, text) => {
      graticule.addLayer(L.polyline(points, style));
      const icon = L.divIcon({ className: "grid-label", html: text });
      graticule.addLayer(L.marker(at, { icon, interactive: false, keyboard: false, pane: "ldsr-grid" }));
    };
    for (let lat = Math.ceil(view.getSouth() / step) * step; lat < view.getNorth(); lat += step) {
      const text = `${Math.abs(lat).toFixed(digits)}° ${lat < 0 ? "S" : "N"}`;
      put([[lat, view.getWest()], [lat, view.getEast()]], [lat, view.getWest()], text);
    }
    for (let lon = Math.ceil(view.getWest() / step) * step; lon < view.getEast(); lon += step) {
      const turned = ((lon + 540) % 360) - 180;
      const text = `${Math.abs(turned).toFixed(digits)}° ${turned < 0 ? "W" : "E"}`;
      const x = map.latLngToContainerPoint([view.getNorth(), lon]).x;
      const free = x > 170 && x < map.getSize().x - 170;
      put([[view.getSouth(), lon], [view.getNorth(), lon]], [view.getNorth(), lon], free ? text : "");
    }
  }

  function ground(on) {
    if (on) graticule.addTo(map);
    else graticule.remove();
    if (on) drawGraticule();
  }

  let tiles = null;

  function chooseBasemap(index) {
    if (tiles) tiles.remove();
    tiles = null;
    note.textContent = "";
    const basemap = config.basemaps[index];
    ground(!basemap);
    if (!basemap) return;
    let failed = 0;
    let loaded = 0;
    tiles = L.tileLayer(basemap.url, { attribution: basemap.attribution, maxNativeZoom: basemap.max_zoom, maxZoom: 24 });
    tiles.on("tileload", () => {
      if (loaded++ === 0) ground(false);
      note.textContent = "";
    });
    tiles.on("tileerror", () => {
      if (++failed < 3 || loaded) return;
      ground(true);
      note.textContent = "The base map could not be loaded; the pictures do not need it.";
    });
    tiles.addTo(map);
  }

  function basemaps() {
    map.createPane("ldsr-grid").style.zIndex = 250;
    const select = $("[data-basemap]");
    config.basemaps.forEach((basemap, index) => select.add(new Option(basemap.name, String(index))));
    select.add(new Option("None", "none"));
    select.addEventListener("change", () => chooseBasemap(select.value));
    map.on("moveend resize", () => map.hasLayer(graticule) && drawGraticule());
    const dark = document.documentElement.dataset.scheme === "dark";
    // A file that is opened from disk sends no referrer, which some tile servers ask for.
    const local = location.protocol === "file:" ? config.basemaps.findIndex(({ name }) => name === "Satellite") : -1;
    const fitting = config.basemaps.findIndex((basemap) => basemap.dark === dark);
    const first = local >= 0 ? local : fitting >= 0 ? fitting : config.basemaps.length ? 0 : "none";
    select.value = String(first);
    chooseBasemap(select.value);
  }

  // As the page around it says (#dark, #light), else as the system does.
  function scheme() {
    const system = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => {
      const asked = /^#(dark|light)$/.exec(location.hash);
      document.documentElement.dataset.scheme = asked ? asked[1] : system.matches ? "dark" : "light";
    };
    system.addEventListener("change", follow);
    addEventListener("hashchange", follow);
    follow();
  }

  // Where a pixel of the picture is large on the screen, it is shown as the square it is.
  function sharpen() {
    const [west, east] = [bounds.getSouthWest(), bounds.getNorthEast()].map((at) => map.project(at).x);
    host.classList.toggle("is-close", (east - west) / config.pixels >= 3);
  }

  scheme();
  host.append(over);
  over.hidden = false;
  map.attributionControl.setPrefix('<a href="https://leafletjs.com">Leaflet</a>');
  host.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^=http]");
    if (link) Object.assign(link, { target: "_blank", rel: "noopener" });
  }, true);
  outline();
  swipe();
  settings();
  map.invalidateSize();
  map.fitBounds(bounds, { padding: [28, 28], animate: false });
  map.setMaxBounds(bounds.pad(40));
  map.setMinZoom(4);
  basemaps();
  choose("left", state.left);
  map.on("move zoom viewreset resize zoomend", cut);
  map.on("zoomend", sharpen);
  sharpen();
}
