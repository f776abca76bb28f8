// The Study tab, as a rater sees it: a pair is shown for its time, then hidden, then answered.
// The server chooses pair and sides and says nothing of them; study_desk.js prepares and counts.
const root = element.querySelector(".study");
const $ = (selector) => root.querySelector(selector);
const $$ = (selector) => [...root.querySelectorAll(selector)];
const MEMORY = "ldsr-study";
const FIXATION = 600; // ms between two pairs
const RETRY = [500, 1000, 2000, 4000]; // ms between attempts to save an answer; the last one repeats
const RUNNING = ["load", "look", "answer", "save"];
const CARDS = {
  none: ["A study asks people", "Two pictures of one place are shown for a few seconds, then hidden: which one is better, or real? Prepare a study to begin."],
  ready: ["Look, then answer", ""],
  paused: ["Paused", "Your answers are saved. Go on whenever you like."],
  done: ["All pairs were shown", "Thank you. Your answers are saved; the results are below. You can go through the pairs once more."],
  failed: ["Something went wrong", ""],
};
const memory = { rater: "", name: "", study: "", task: 1, pending: null, ticket: "", ...recall() };
const state = { phase: "loading", studies: [], trial: null, shownAt: 0, paused: false, run: 0 };

function recall() {
  try {
    return JSON.parse(localStorage.getItem(MEMORY)) || {};
  } catch {
    return {};
  }
}

function remember(changes) {
  Object.assign(memory, changes);
  try {
    localStorage.setItem(MEMORY, JSON.stringify(memory));
  } catch {
    // private browsing: the study works, but a reload begins as a new rater
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const study = () => state.studies.find((one) => one.id === memory.study) || null;

// Asks the server; throws an Error with a sentence, `.refused` where the server itself said no.
async function ask(what, more = {}) {
  const reply = await server.study({ ask: what, ...more });
  if (!reply || typeof reply !== "object") throw new Error("no reply");
  if (reply.refused) throw Object.assign(new Error(reply.refused), { refused: true });
  if (reply.error) throw new Error(reply.error); // Gradio's own: not an answer of ours
  return reply;
}

function say(text) {
  if ($(".st-say").textContent !== text) $(".st-say").textContent = text;
}

function phase(name, text) {
  state.phase = name;
  root.dataset.phase = name;
  const [title, words] = CARDS[name] || ["", ""];
  $(".st-card-title").textContent = title;
  $(".st-card-text").textContent = text || words;
  $(".st-go").hidden = !["paused", "done", "failed"].includes(name);
  $(".st-go").textContent = name === "done" ? "Once more" : name === "failed" ? "Try again" : "Continue";
  for (const button of $$(".st-answer")) button.disabled = name !== "answer";
  $(".st-skip").hidden = true;
  const running = RUNNING.includes(name);
  for (const control of $$(".st-select, .st-task input, .st-begin")) control.disabled = running;
  if (running) $(".st-begin").textContent = "Continue";
}

function drawStudy() {
  const chosen = study();
  $(".st-chosen").hidden = !chosen;
  $(".st-none").hidden = Boolean(chosen);
  $(".st-results").hidden = !chosen;
  if (!chosen) return;
  $(".st-note").textContent = `${chosen.note} ${chosen.methods}. ${chosen.pairs} pairs, each shown for ${chosen.exposure} s.`;
  for (const radio of $$(".st-task input")) radio.checked = Number(radio.value) === memory.task;
  $(".st-select").value = chosen.id;
  root.dataset.task = memory.task;
  $(".st-question").textContent = chosen.questions[memory.task];
}

function drawStudies() {
  const options = state.studies.map((one) => {
    const option = document.createElement("option");
    option.value = one.id;
    option.textContent = one.title;
    return option;
  });
  $(".st-select").replaceChildren(...options);
  if (!study()) remember({ study: state.studies.length ? state.studies[0].id : "" });
  drawStudy();
}

// What waits for this person: how far they are in the chosen study and task.
async function drawReady() {
  state.run += 1;
  state.trial = null;
  drawStudy();
  if (!study()) return phase("none");
  const run = state.run;
  try {
    const { answered, of } = await ask("where", place());
    if (run !== state.run) return;
    const help = `You will see ${memory.task === 1 ? "the input between two pictures" : "two pictures"} for ${study().exposure} s. Then press 1 or 2.`;
    $(".st-begin").textContent = answered === 0 ? "Begin" : answered === of ? "Once more" : `Continue with pair ${answered + 1} of ${of}`;
    phase("ready", answered === 0 ? help : answered === of ? `You have answered all ${of} pairs of this task.` : `${answered} of ${of} answered. ${help}`);
  } catch (error) {
    fail(error);
  }
}

const place = () => ({ study: memory.study, task: memory.task, rater: memory.rater });

function fail(error) {
  phase("failed", error.refused ? error.message : "The server cannot be reached; what you answered is kept here until it can.");
}

async function begin() {
  state.paused = false;
  state.run += 1;
  phase("load");
  try {
    const name = $(".st-name").value.trim();
    const { rater } = await ask("join", { rater: memory.rater, name });
    remember({ rater, name });
    await save();
    await next();
  } catch (error) {
    fail(error);
  }
}

async function next() {
  const run = (state.run += 1);
  phase("load");
  cover();
  const trial = await ask("next", place());
  if (run !== state.run) return;
  state.trial = trial;
  $(".st-count").textContent = `Pair ${trial.number} of ${trial.of}`;
  $(".st-bar i").style.width = `${(100 * (trial.number - 1)) / trial.of}%`;
  if (trial.seen) return askAgain();
  await show(trial, run);
}

// After a reload: the pair was on the screen before and is not shown a second time.
function askAgain() {
  state.shownAt = performance.now();
  phase("answer");
  $(".st-skip").hidden = false;
  say("This pair was sent before. If you saw it, which one was it?");
}

async function show(trial, run) {
  const panes = memory.task === 1 ? ["left", "input", "right"] : ["left", "right"];
  say("Look …");
  const fixation = sleep(FIXATION);
  const images = panes.map((pane) => $(`[data-pane=${pane}] img`));
  const loads = panes.map((pane, i) => {
    images[i].src = `ldsr/study/${trial.trial}/${pane}.png`;
    return images[i].decode();
  });
  await Promise.all(loads).catch(() => {
    throw Object.assign(new Error("The pictures could not be fetched."), { refused: true });
  });
  await fixation;
  while (document.hidden || !root.offsetParent) await sleep(100);
  if (run !== state.run) return;
  phase("look");
  await sleep(1000 * study().exposure);
  if (run !== state.run) return;
  cover();
  state.shownAt = performance.now();
  phase("answer");
  say("Which one? Press 1 or 2.");
}

function cover() {
  for (const image of $$(".st-pane img")) image.removeAttribute("src");
}

async function answer(choice) {
  if (state.phase !== "answer") return;
  const took = Math.round(performance.now() - state.shownAt);
  const last = state.trial.number === state.trial.of;
  phase("save");
  remember({ pending: { trial: state.trial.trial, rater: memory.rater, choice, ms: took } });
  say("");
  try {
    await save();
    if (last) return finish();
    if (state.paused) return phase("paused");
    await next();
  } catch (error) {
    fail(error);
  }
}

// An answer is kept in the browser until the server has it; saving it twice counts once.
async function save() {
  for (let attempt = 0; memory.pending; attempt += 1) {
    try {
      await ask("vote", memory.pending);
      remember({ pending: null });
    } catch (error) {
      if (error.refused) {
        remember({ pending: null });
        throw error;
      }
      say("Your answer is not saved yet; trying again …");
      await sleep(RETRY[Math.min(attempt, RETRY.length - 1)]);
    }
  }
}

function finish() {
  $(".st-bar i").style.width = "100%";
  phase("done");
  $(".st-begin").textContent = "Once more";
  $(".st-go").focus();
}

async function skip() {
  try {
    await ask("skip", { trial: state.trial.trial, rater: memory.rater });
    await next();
  } catch (error) {
    fail(error);
  }
}

function pause() {
  if (state.phase === "answer" || state.phase === "save") {
    state.paused = true;
    say("The pause begins after this answer.");
  } else if (state.phase === "look" || state.phase === "load") {
    state.paused = true;
    say("The pause begins after this pair.");
  }
}

function change(changes) {
  remember(changes);
  cover();
  drawReady();
  document.dispatchEvent(new CustomEvent("ldsr-study-chosen"));
}

function press(event) {
  const typing = event.target.closest && event.target.closest("input, select, textarea, summary");
  if (!root.isConnected || !root.offsetParent || !RUNNING.includes(state.phase) || typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key === "1" || event.key === "ArrowLeft" || event.key === "ArrowUp") answer("left");
  else if (event.key === "2" || event.key === "ArrowRight" || event.key === "ArrowDown") answer("right");
  else if (event.key === "Escape") pause();
  else return;
  event.preventDefault();
}

document.addEventListener("keydown", press);
$(".st-begin").addEventListener("click", () => {
  $(".st-stage").focus({ preventScroll: true });
  $(".st-stage").scrollIntoView({ block: "nearest" });
  begin();
});
$(".st-go").addEventListener("click", () => (study() ? begin() : start()));
$(".st-skip").addEventListener("click", skip);
$(".st-pause").addEventListener("click", pause);
$(".st-select").addEventListener("change", (event) => change({ study: event.target.value }));
$(".st-task").addEventListener("change", (event) => change({ task: Number(event.target.value) }));
for (const button of $$(".st-answer")) button.addEventListener("click", () => answer(button.dataset.choice));

// Called once by study_desk.js, and again when a study has been prepared.
async function refresh(chosen) {
  const hello = await ask("hello");
  state.studies = hello.studies;
  if (chosen) remember({ study: chosen });
  drawStudies();
  $(".st-name").value = memory.name;
  await save().catch(() => {});
  await drawReady();
  return hello;
}
