// Scene jobs: what is offered, and which jobs this browser has. How one looks is in scene_card.js;
// the two files share one scope.
const root = element.querySelector(".sc");
const $ = (selector) => root.querySelector(selector);
const $$ = (selector) => [...root.querySelectorAll(selector)];
const MEMORY = "ldsr-jobs";
const EVERY = 1500; // ms between two looks at open jobs
const OPEN = ["waiting", "starting", "computing", "writing"];
const shared = new URLSearchParams(window.location.search).get("job");
const jobs = new Map(); // by id: {id, key, view}; the newest first
let offered = null; // key of the offer that is shown
let followed = ""; // id of the job that the status line speaks of
let busy = false; // a question about the offer is under way
let timer = null;

function recall() {
  try {
    const found = JSON.parse(localStorage.getItem(MEMORY));
    return Array.isArray(found) ? found.filter((one) => one && typeof one.id === "string") : [];
  } catch {
    return [];
  }
}

function remember(change) {
  try {
    localStorage.setItem(MEMORY, JSON.stringify(change(recall()).slice(0, 50)));
  } catch {
    // private browsing: the jobs are shown until the page is closed
  }
}

const IN_LINE = "The scene job is in the line; its card says how far it is.";
const ENDS = {
  done: ["done", "The scene job is done; its card has the files."],
  failed: ["error", "The scene job has failed; its card says why."],
  stopped: ["idle", "The scene job was stopped; its card can go on with it."],
};

// Only in the place of what the status line says of a scene job: another run may be under way.
function tell(state, text) {
  const detail = { state, text, instead: /^The scene job / };
  document.dispatchEvent(new CustomEvent("ldsr-say", { detail }));
}

const isOpen = (job) => Boolean(job.view) && OPEN.includes(job.view.state);

function write(selector, text, host = root) {
  const one = host.querySelector(selector);
  if (one.textContent !== text) one.textContent = text;
}

// The offer

function ask(what) {
  busy = what === "run";
  const layers = $$(".sc-layers input").filter((box) => box.checked).map((box) => box.value);
  props.value = { ...JSON.parse(JSON.stringify(props.value || {})), ask: what, layers };
  $("[data-run]").disabled = busy;
  trigger("input");
}

function price(offer) {
  const windows = `About ${offer.windows} ${offer.windows === 1 ? "window" : "windows"}, result ${offer.result}.`;
  const time = offer.time
    ? `Expected time: about ${offer.time}, by what was measured on this server.`
    : "How long it takes is not known: nothing alike has been measured on this server yet.";
  const line = offer.before ? `${offer.before} ${offer.before === 1 ? "job is" : "jobs are"} before it.` : "";
  return [windows, time, line].filter(Boolean).join(" ");
}

function drawOffer() {
  const { offer = null, error = "", layers = [] } = props.value || {};
  const fresh = offer && offer.key !== offered;
  offered = offer ? offer.key : null;
  $(".sc-offer").hidden = !offer;
  drawEmpty();
  busy = false;
  $("[data-run]").disabled = false;
  write(".sc-error", error || "");
  if (!offer) return;
  write(".sc-text", `${offer.name}: ${offer.text}`);
  write(".sc-price", offer.windows ? price(offer) : "");
  const can = { detail: offer.refine !== false, uncertainty: offer.draws !== false };
  for (const box of $$(".sc-layers input")) {
    if (fresh) box.checked = layers.includes(box.value);
    box.disabled = !can[box.value];
    if (box.disabled) box.checked = false;
  }
  if (!fresh) return;
  $("#sc-offer-title").focus({ preventScroll: true });
  $(".sc-offer").scrollIntoView({ block: "nearest" });
}

// Without anything to show the card takes no room; what takes none cannot be focused.
function drawEmpty() {
  root.toggleAttribute("data-empty", $(".sc-jobs").hidden && $(".sc-offer").hidden);
}

function takeMade() {
  const made = (props.value || {}).made;
  if (!made || jobs.has(made.id)) return;
  followed = made.id;
  remember((known) => [made, ...known.filter((one) => one.id !== made.id)]);
  const older = [...jobs];
  jobs.clear();
  jobs.set(made.id, { ...made, view: null });
  for (const [id, job] of older) jobs.set(id, job);
  look();
}

// The jobs

async function look() {
  clearTimeout(timer);
  if (!root.isConnected) return;
  const asked = [...jobs.keys()];
  if (asked.length) {
    const query = asked.map((id) => `id=${encodeURIComponent(id)}`).join("&");
    try {
      const answer = await fetch(`ldsr/jobs.json?${query}`, { cache: "no-store" });
      if (answer.ok) take(asked, (await answer.json()).jobs);
    } catch {
      // the server does not answer now: what is known stays, and it is asked again
    }
  }
  drawJobs();
  if ([...jobs.values()].some((job) => isOpen(job) || !job.view)) timer = setTimeout(look, EVERY);
}

// A job the server no longer knows is forgotten; one that was shared is said to be gone.
function take(asked, views) {
  for (const id of asked) {
    const job = jobs.get(id);
    if (!job) continue;
    if (views[id]) {
      job.view = views[id];
      if (id === followed && ENDS[job.view.state]) {
        tell(...ENDS[job.view.state]);
        followed = "";
      }
    } else if (job.key) forget(id);
    else job.view = { id, state: "gone", name: "Scene job", size: null, files: {}, about: {} };
  }
}

function forget(id) {
  jobs.delete(id);
  remember((known) => known.filter((one) => one.id !== id));
}

async function act(job, what, button) {
  button.disabled = true;
  let reply = null;
  try {
    reply = await server.scene_job({ ask: what, id: job.id, key: job.key });
  } catch {
    reply = null;
  }
  button.disabled = false;
  job.refused = !reply || reply.error ? "The server does not answer; try again." : reply.refused;
  if (!job.refused && what === "discard") {
    const next = cards.get(job.id).nextElementSibling;
    forget(job.id);
    drawJobs();
    (next ? next.querySelector("button, a") || next : $(".sc-jobs h2")).focus?.();
    return;
  }
  if (!job.refused && ["go_on", "finish"].includes(what)) {
    followed = job.id;
    tell("done", IN_LINE);
  }
  await look();
}

function begin() {
  for (const { id, key } of recall()) jobs.set(id, { id, key, view: null });
  if (shared && !jobs.has(shared)) jobs.set(shared, { id: shared, key: "", view: null });
  look();
}

// The rest of the scope is there once both files have run.
queueMicrotask(() => {
  $("[data-run]").addEventListener("click", () => busy || ask("run"));
  $("[data-dismiss]").addEventListener("click", () => ask("dismiss"));
  for (const box of $$(".sc-layers input")) box.addEventListener("change", () => ask("price"));
  let later = null;
  document.addEventListener("ldsr-knobs", () => {
    clearTimeout(later);
    if (offered && !busy) later = setTimeout(() => offered && !busy && ask("price"), 500);
  });
  document.addEventListener("visibilitychange", () => document.hidden || look());
  watch("value", () => {
    drawOffer();
    takeMade();
    drawJobs();
  });
  drawOffer();
  begin();
});
