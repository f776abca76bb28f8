// Where the time went (same scope as viewer.js): a bar and its parts, and the one part that only the
// browser can measure. The details stay open, and keep the focus, while all other chips are renewed.
const timesBox = $(".times");
const times = { id: null, told: null, drawn: "" };

function timesPart({ name, text }) {
  const line = document.createElement("div");
  line.dataset.part = name;
  line.append(Object.assign(document.createElement("dt"), { textContent: name }));
  line.append(Object.assign(document.createElement("dd"), { textContent: text }));
  return line;
}

function timesGroup({ tone, name, text, parts }) {
  const box = document.createElement("section");
  box.dataset.tone = tone;
  const single = parts.length === 1 && parts[0].name === name.toLowerCase();
  const head = Object.assign(document.createElement("h3"), { textContent: name });
  head.append(Object.assign(document.createElement("b"), { textContent: text }));
  box.classList.toggle("is-single", single);
  const list = document.createElement("dl");
  list.append(...parts.map(timesPart));
  box.append(head, ...(single ? [] : [list]));
  return box;
}

function timesBar(groups) {
  return groups.flatMap(({ tone, name, parts }) =>
    parts.map((one) => {
      const piece = document.createElement("i");
      Object.assign(piece.dataset, { tone, part: one.name });
      piece.style.flexGrow = one.seconds;
      piece.title = `${name}, ${one.name}: ${one.text}`;
      return piece;
    }),
  );
}

// What the server answered last is newer than what came with the result.
function drawTimes() {
  const sent = (props.value || {}).times;
  const value = sent && times.told && times.told.id === sent.id ? times.told : sent;
  timesBox.hidden = !value;
  const text = JSON.stringify(value);
  if (!value || text === times.drawn) return;
  times.drawn = text;
  $(".times-label").textContent = value.label;
  $(".times-total").textContent = value.total;
  $(".times-note").textContent = value.note;
  $(".times-bar").replaceChildren(...timesBar(value.groups));
  $(".times-groups").replaceChildren(...value.groups.map(timesGroup));
  $(".times-help").replaceChildren(...value.help.map((words) => Object.assign(document.createElement("p"), { textContent: words })));
}

async function tellTimes(ask) {
  let told = null;
  try {
    told = await server.timed(ask);
  } catch {
    return; // nothing hangs on it: the part is not there
  }
  if (!told || told.id !== ask.id) return;
  times.told = told;
  drawTimes();
}

// How long the pictures of a new result took to arrive and be decoded, said once. A page that is
// hidden meanwhile decodes nothing until it is looked at again: then nothing is said.
async function timeArrival(began) {
  const { id } = (props.value || {}).times || {};
  if (!id || id === times.id) return;
  times.id = id;
  const images = [...visible().map((name) => panes[name].querySelector("img")), overlay];
  const asked = images.filter((image) => (wanted.get(image) || "").startsWith("ldsr/r/"));
  const pictures = asked.map((image) => /([^/]+)\.png$/.exec(wanted.get(image))[1]);
  let hidden = document.hidden;
  const look = () => (hidden = hidden || document.hidden);
  document.addEventListener("visibilitychange", look);
  const there = await Promise.all(asked.map((image) => arriving.get(image)));
  const seconds = (performance.now() - began) / 1000;
  document.removeEventListener("visibilitychange", look);
  if (!hidden && there.length && there.every(Boolean)) tellTimes({ id, seconds, pictures });
}

// The scores of this result have been computed on the Evaluate tab.
document.addEventListener("ldsr-scored", () => times.id && tellTimes({ id: times.id }));
