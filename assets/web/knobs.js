// A panel of controls. Its value is {field: value}; a number that cannot be read is null.
// Numbers are typed or dragged; the server says what is out of range, here it is only marked.
const boxes = [...element.querySelectorAll("[data-knob]")];
const host = element.querySelector("[data-presets]");
const presets = host ? JSON.parse(host.dataset.presets) : null;

const field = (box) => box.querySelector("input:not([type=range]), select");
const all = () => document.querySelectorAll("[data-knob]");

function read(box) {
  const input = field(box);
  if (box.dataset.kind === "switch") return input.checked;
  if (box.dataset.kind === "choice") return input.value;
  return input.value === "" ? null : Number(input.value);
}

function write(box, value) {
  const input = field(box);
  if (box.dataset.kind === "switch") input.checked = Boolean(value) && !input.disabled;
  else if (box.dataset.kind === "choice") input.value = value;
  else {
    input.value = value === null ? "" : value;
    const range = box.querySelector("[type=range]");
    if (range && value !== null) range.value = value;
  }
}

function marks() {
  for (const box of boxes) {
    const input = field(box);
    if (box.dataset.kind === "number") {
      const { badInput, rangeOverflow, rangeUnderflow } = input.validity;
      const empty = input.value === "" && !input.placeholder;
      const wrong = badInput || rangeOverflow || rangeUnderflow || empty;
      input.setAttribute("aria-invalid", String(wrong));
    }
  }
  for (const group of element.querySelectorAll("[data-needs]")) {
    group.disabled = !read(element.querySelector(`[data-knob=${group.dataset.needs}]`));
  }
}

// The preset that all controls of the page equal, if there is one.
function markPreset() {
  if (!presets) return;
  const values = Object.fromEntries([...all()].map((box) => [box.dataset.knob, read(box)]));
  for (const radio of host.querySelectorAll("#preset input")) {
    const preset = Object.entries(presets[radio.value]);
    radio.checked = preset.every(([name, value]) => values[name] === value || off(name));
  }
}

const off = (name) => [...all()].some((box) => box.dataset.knob === name && field(box).matches(":disabled"));

function changed() {
  marks();
  props.value = Object.fromEntries(boxes.map((box) => [box.dataset.knob, read(box)]));
  trigger("input");
  document.dispatchEvent(new CustomEvent("ldsr-knobs"));
}

function draw() {
  const value = props.value || {};
  for (const box of boxes) if (box.dataset.knob in value) write(box, value[box.dataset.knob]);
  marks();
  document.dispatchEvent(new CustomEvent("ldsr-knobs"));
}

for (const box of boxes) {
  box.addEventListener("input", (event) => {
    const input = event.target;
    if (input.type === "range") field(box).value = input.value;
    else if (box.dataset.kind === "number") {
      const range = box.querySelector("[type=range]");
      if (range && input.value !== "") range.value = input.value;
    }
    changed();
  });
  // Set from outside (a preset): {value}.
  box.addEventListener("ldsr-set", (event) => {
    write(box, event.detail);
    changed();
  });
}
for (const button of element.querySelectorAll("[data-dice]")) {
  button.addEventListener("click", () => {
    write(button.closest("[data-knob]"), Math.floor(Math.random() * 4294967296));
    changed();
  });
}
for (const radio of element.querySelectorAll("#preset input")) {
  radio.addEventListener("change", () => {
    for (const box of all()) {
      const detail = presets[radio.value][box.dataset.knob];
      if (detail !== undefined) box.dispatchEvent(new CustomEvent("ldsr-set", { detail }));
    }
  });
}
document.addEventListener("ldsr-knobs", markPreset);
watch("value", draw);
draw();
