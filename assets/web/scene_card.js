// How a scene job looks: one card each, kept and changed, so that focus and pictures stay.
const cards = new Map();
const STATES = {
  waiting: "Waiting", starting: "Starting", computing: "Computing", writing: "Writing the file",
  done: "Done", failed: "Failed", stopped: "Stopped", gone: "No longer kept",
};
const FILES = { cog: "GeoTIFF (COG)", sheet: "Run sheet", stac: "STAC item" };
const CARD = `
  <div class="sc-head"><b class="sc-name"></b><span class="sc-state" role="status"></span></div>
  <p class="sc-about"></p>
  <div class="sc-bar" role="progressbar" aria-valuemin="0"><i></i></div>
  <p class="sc-numbers"></p>
  <p class="sc-message"></p>
  <a class="sc-picture" hidden><img alt="Preview in true colour" width="1" height="1"></a>
  <div class="sc-buttons">
    <a class="button strong" data-file="cog" download></a><a class="button" data-file="sheet" download></a><a class="button" data-file="stac" download></a>
    <button type="button" class="button" data-act="cancel">Cancel</button>
    <button type="button" class="button strong" data-act="go_on">Go on</button>
    <button type="button" class="button" data-act="finish" title="Compute the failed windows once more, then write the file; those that fail again are empty in it.">Finish with gaps</button>
    <button type="button" class="button" data-link>Copy link</button>
    <button type="button" class="button" data-act="discard">Discard</button>
  </div>`;

function span(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  return rest && hours < 24 ? `${hours} h ${rest} min` : `${hours} h`;
}

const megabytes = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${bytes >= 1e7 ? Math.round(bytes / 1e6) : (bytes / 1e6).toFixed(bytes >= 1e5 ? 1 : 2)} MB`);
const pace = (rate) => (rate >= 1 ? `${rate.toFixed(1)} windows a second` : `${(60 * rate).toPrecision(2)} windows a minute`);

function numbers(view) {
  const said = [];
  if (view.state === "waiting") {
    said.push(view.place ? `${view.place} ${view.place === 1 ? "job" : "jobs"} before it` : "next in the line");
  } else if (view.done !== null) said.push(`${view.done} of ${view.windows} windows`);
  else said.push(`${view.windows} windows`);
  if (view.failed) said.push(`${view.failed} failed`);
  if (view.state === "computing" && view.rate) said.push(pace(view.rate));
  if (view.state === "computing" && typeof view.left === "number") said.push(`about ${span(view.left)} left`);
  if (view.state === "done" && view.seconds) said.push(`took ${span(view.seconds)}`);
  if (view.expires) {
    const options = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
    const end = new Date(1000 * view.expires).toLocaleString("en-GB", options);
    said.push(`kept until ${end} at the latest`);
  }
  return said.join(" · ");
}

function about(view) {
  const size = view.size ? `${view.size[1]} x ${view.size[0]} px` : "";
  const { acquired, settings, layers, seed } = view.about;
  return [size, acquired, settings, seed && `seed ${seed}`, layers].filter(Boolean).join(" · ");
}

function makeJob(job) {
  const card = Object.assign(document.createElement("li"), { className: "sc-job", innerHTML: CARD });
  for (const button of card.querySelectorAll("[data-act]")) {
    button.addEventListener("click", () => act(job, button.dataset.act, button));
  }
  const link = card.querySelector("[data-link]");
  link.addEventListener("click", async () => {
    const { origin, pathname } = window.location;
    try {
      await navigator.clipboard.writeText(`${origin}${pathname}?job=${job.id}`);
      link.textContent = "Copied";
    } catch {
      window.prompt("Link to this job", `${origin}${pathname}?job=${job.id}`);
    }
    setTimeout(() => (link.textContent = "Copy link"), 1500);
  });
  return card;
}

function fillBar(card, view) {
  const bar = card.querySelector(".sc-bar");
  const running = ["starting", "computing", "writing"].includes(view.state);
  const done = view.done || 0;
  bar.hidden = !(running || (["stopped", "failed"].includes(view.state) && done));
  bar.setAttribute("aria-label", `Windows of ${view.name}`);
  bar.setAttribute("aria-valuemax", view.windows || 1);
  bar.setAttribute("aria-valuenow", done);
  bar.firstElementChild.style.width = `${(100 * Math.min(1, done / (view.windows || 1))).toFixed(1)}%`;
}

function fillFiles(card, view) {
  for (const link of card.querySelectorAll("[data-file]")) {
    const file = view.files[link.dataset.file];
    link.hidden = !file;
    if (!file) continue;
    const size = link.dataset.file === "cog" ? `, ${megabytes(file.bytes)}` : "";
    Object.assign(link, { href: file.url, download: file.name, textContent: FILES[link.dataset.file] + size });
  }
  const picture = card.querySelector(".sc-picture");
  picture.hidden = !view.preview;
  const image = picture.firstElementChild;
  if (!view.preview || image.getAttribute("src") === view.preview) return;
  [image.width, image.height] = [view.size[1], view.size[0]];
  image.src = picture.href = view.preview;
}

function fillJob(card, job) {
  const { view } = job;
  card.hidden = !view;
  if (!view) return;
  card.dataset.state = view.state;
  write(".sc-name", view.name, card);
  write(".sc-state", view.stopping ? "Stopping" : STATES[view.state] || view.state, card);
  write(".sc-about", about(view), card);
  write(".sc-numbers", view.state === "gone" ? "This link leads to a job that has expired or was discarded." : numbers(view), card);
  write(".sc-message", job.refused || view.message || "", card);
  fillBar(card, view);
  fillFiles(card, view);
  const mine = Boolean(job.key);
  const can = {
    cancel: OPEN.includes(view.state) && !view.stopping,
    go_on: ["stopped", "failed"].includes(view.state),
    finish: view.state === "failed" && view.failed > 0 && view.done > 0,
    discard: ["waiting", "done", "stopped", "failed"].includes(view.state),
  };
  const focused = document.activeElement;
  for (const button of card.querySelectorAll("[data-act]")) button.hidden = !(mine && can[button.dataset.act]);
  card.querySelector("[data-link]").hidden = view.state === "gone";
  if (focused !== document.body && card.contains(focused) && focused.hidden) {
    (card.querySelector(".sc-buttons > :not([hidden])") || card).focus?.();
  }
}

function drawJobs() {
  const list = $(".sc-list");
  for (const [id, card] of cards) {
    if (jobs.has(id)) continue;
    card.remove();
    cards.delete(id);
  }
  [...jobs.values()].forEach((job, i) => {
    if (!cards.has(job.id)) cards.set(job.id, makeJob(job));
    const card = cards.get(job.id);
    if (list.children[i] !== card) list.insertBefore(card, list.children[i] || null);
    fillJob(card, job);
  });
  $(".sc-jobs").hidden = ![...jobs.values()].some((job) => job.view);
  drawEmpty();
}
