// Areas of the map: larger than what is shown at once, run as a scene job. Sides by buttons, any
// rectangle by dragging on the map or by typing its width and height. Shares the map's one scope.
const AREAS = [5000, 10000, 20000];
const METRES = 111320; // of one degree of latitude
const isArea = () => Boolean(local.span) || AREAS.includes(local.side);
// Kilometres across and up.
const kilometres = () => local.span || [local.side / 1000, local.side / 1000];
const tidy = (length) => Math.round(length * 100) / 100;

// How many degrees the box or the area has at a latitude: across, up.
function extent(lat) {
  const [across, up] = kilometres();
  return [spans(lat, 1000 * across)[0], spans(lat, 1000 * up)[1]];
}

function setArea(span, { lon = local.lon, lat = local.lat, show = true, delay = 0 } = {}) {
  local.span = span.map(tidy);
  if (lon === null || lat === null) return draw();
  setBox(lon, lat, { show, delay });
}

function drawArea() {
  $(".picker-area-size").hidden = !isArea();
  const [across, up] = kilometres();
  fill("[data-across]", isArea() ? across : "");
  fill("[data-up]", isArea() ? up : "");
  for (const radio of $$("input[name=ldsr-box-side]")) {
    radio.checked = !local.span && Number(radio.value) === local.side;
  }
}

function wireArea() {
  for (const field of [$("[data-across]"), $("[data-up]")]) {
    field.addEventListener("change", () => {
      const span = [$("[data-across]"), $("[data-up]")];
      if (span.every((one) => one.value !== "" && one.reportValidity())) {
        setArea(span.map((one) => Number(one.value)), { delay: 100 });
      }
    });
  }
  $("[data-draw]").addEventListener("click", () => drawing(!isDrawing()));
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !isDrawing()) return;
    event.stopPropagation();
    drawing(false);
    $("[data-draw]").focus();
  });
}

const isDrawing = () => root.classList.contains("is-drawing");

function drawing(on) {
  root.classList.toggle("is-drawing", on);
  $("[data-draw]").setAttribute("aria-pressed", String(on));
  if (chart) chart.drawing(on);
  if (!on) return say(local.message === DRAW_IT ? "" : local.message, local.state);
  say(DRAW_IT, "idle");
}

const DRAW_IT = "Drag a rectangle on the map; Escape ends that. Or type its width and height.";

// Drags a rectangle: gives its corners while it goes, and at its end.
function makePen(L, map, host) {
  const outline = L.polygon([], { interactive: false, weight: 2, className: "picker-box is-rough" });
  let from = null;
  const corners = (to) => [from, [from.lat, to.lng], to, [to.lat, from.lng]];
  const at = (event) => map.mouseEventToLatLng(event);
  const down = (event) => {
    if (!isDrawing() || event.button > 0 || event.target.closest(".leaflet-control")) return;
    event.preventDefault();
    event.stopPropagation();
    from = at(event);
    host.setPointerCapture(event.pointerId);
  };
  const move = (event) => {
    if (from) outline.setLatLngs(corners(at(event))).addTo(map);
  };
  const up = (event) => {
    if (!from) return;
    const to = at(event);
    const lat = (from.lat + to.lat) / 2;
    const span = [
      (Math.abs(to.lng - from.lng) * METRES * Math.cos((lat * Math.PI) / 180)) / 1000,
      (Math.abs(to.lat - from.lat) * METRES) / 1000,
    ];
    const lon = (from.lng + to.lng) / 2;
    from = null;
    outline.remove();
    if (Math.min(...span) < 0.1) return; // a click, not a drag
    drawing(false);
    say("", "idle");
    setArea(span, { lon, lat, show: false });
  };
  const stop = () => {
    from = null;
    outline.remove();
  };
  host.addEventListener("pointerdown", down, true);
  host.addEventListener("pointermove", move);
  host.addEventListener("pointerup", up);
  host.addEventListener("pointercancel", stop);
  return (on) => {
    for (const part of [map.dragging, map.boxZoom, map.touchZoom]) part && part[on ? "disable" : "enable"]();
    if (!on) stop();
  };
}
