// The sample player (same scope as compare.js): flip through the samples, three in a second.
const EVERY = 333; // milliseconds
const player = { timer: 0, playing: false, loaded: new Map() };

const sampleAddress = (index) => `${value().sample}${index}-${chosen.colours}.png?n=${value().samples}`;

function forgetSamples() {
  player.loaded.clear();
}

// Fetch and decode a sample once, so that flipping is smooth.
function load(index) {
  const url = sampleAddress(index);
  if (!player.loaded.has(url)) {
    const image = new Image();
    image.src = url;
    player.loaded.set(url, image.decode().then(() => image, () => null));
  }
  return player.loaded.get(url);
}

function drawPlayer() {
  const { samples, drawn } = value();
  chosen.sample = clamp(chosen.sample, 0, Math.max(samples - 1, 0));
  $(".cmp-of").textContent = samples ? `sample ${chosen.sample + 1} of ${samples}` : "";
  $(".cmp-drawn").textContent = samples ? drawn : drawn && "The samples were not kept as pictures.";
  const slide = $(".cmp-slide");
  slide.max = Math.max(samples, 1);
  slide.value = chosen.sample + 1;
  slide.setAttribute("aria-valuetext", `sample ${chosen.sample + 1} of ${samples}`);
  for (const control of $$(".cmp-play :is(button, input)")) control.disabled = samples < 2;
  $("[data-play]").setAttribute("aria-pressed", String(player.playing));
  $("[data-play]").setAttribute("aria-label", player.playing ? "Pause" : "Play the samples");
}

// Some pane must show the samples, or the player would play to nobody.
function showSamples() {
  const names = [...panes()];
  if (names.includes("sample")) return;
  const at = ["refined", "base", "mean"].map((name) => names.indexOf(name)).find((i) => i >= 0);
  names[at === undefined ? 0 : at] = "sample";
  choosePanes(names);
}

async function showSample(index) {
  const { samples, id } = value();
  if (!(samples >= 2)) return;
  const wish = ((index % samples) + samples) % samples;
  chosen.sample = wish;
  showSamples();
  drawPlayer();
  await load(wish);
  if (id !== now.id || chosen.sample !== wish) return;
  for (const image of grid.querySelectorAll("[data-layer=sample] img")) show(image, sampleAddress(wish));
}

function pause() {
  clearTimeout(player.timer);
  player.playing = false;
  if (value().mode === "done") drawPlayer();
}

async function play() {
  player.playing = true;
  const { samples } = value();
  for (let i = 0; i < samples; i++) load(i);
  await showSample(chosen.sample);
  next();
}

function next() {
  clearTimeout(player.timer);
  if (!player.playing) return;
  player.timer = setTimeout(async () => {
    if (!player.playing || !seen()) return pause();
    await showSample(chosen.sample + 1);
    next();
  }, EVERY);
}

function step(by) {
  pause();
  showSample(chosen.sample + by);
}

function connectPlayer() {
  $("[data-play]").addEventListener("click", () => (player.playing ? pause() : play()));
  for (const button of $$("[data-step]")) button.addEventListener("click", () => step(Number(button.dataset.step)));
  $(".cmp-slide").addEventListener("input", (event) => step(Number(event.target.value) - 1 - chosen.sample));
  document.addEventListener("keydown", (event) => {
    const by = { ",": -1, ".": 1 }[event.key];
    const at = document.activeElement;
    const here = at === document.body || (root.contains(at) && !at.matches("select"));
    if (!by || !seen() || !here || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    step(by);
  });
}
