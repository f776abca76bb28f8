// The land-cover editor. The sliders and the field say the same; either makes the tags "edited".
// Sources, the field and "reset" ask the server, which answers with the whole value.
const fieldset = element.querySelector(".tag-sources");
const field = element.querySelector(".tag-text");
const rows = [...element.querySelectorAll(".tag-row")];
const note = element.querySelector(".tag-note");
const reset = element.querySelector("[data-reset]");

function ask(act, change = {}) {
  props.value = { ...props.value, ...change, act };
  trigger("input");
}

function shares() {
  const weights = rows.map((row) => Number(row.querySelector("input").value));
  const sum = weights.reduce((a, b) => a + b, 0);
  rows.forEach((row, i) => {
    const share = sum > 0 ? weights[i] / sum : 0;
    row.querySelector("output").textContent = share > 0 ? `${Math.round(100 * share)} %` : "–";
    row.classList.toggle("is-there", share >= 0.005);
  });
}

function draw() {
  const value = props.value || {};
  for (const radio of fieldset.querySelectorAll("input")) radio.checked = radio.value === value.source;
  if (document.activeElement !== field || !value.wrong) field.value = value.text || "";
  field.setAttribute("aria-invalid", String(Boolean(value.wrong && value.source === "edited")));
  for (const row of rows) {
    row.querySelector("input").value = value.tags ? value.tags[row.dataset.tag] : 0;
  }
  note.textContent = value.note || "";
  note.classList.toggle("is-wrong", Boolean(value.wrong));
  reset.disabled = value.source === value.own;
  element.querySelector(".tag-now").textContent = value.source === "none" ? "none" : value.text || "";
  shares();
}

fieldset.addEventListener("change", (event) => ask("source", { source: event.target.value }));
field.addEventListener("change", () => ask("text", { source: "edited", text: field.value }));
reset.addEventListener("click", () => ask("reset"));
for (const row of rows) {
  row.querySelector("input").addEventListener("input", () => {
    const weights = rows.map((one) => [one.dataset.tag, Number(one.querySelector("input").value)]);
    const text = weights.filter(([, w]) => w > 0).sort((a, b) => b[1] - a[1]);
    props.value = {
      ...props.value,
      source: "edited",
      tags: Object.fromEntries(weights),
      text: text.map(([tag, w]) => `${tag}:${w.toFixed(2)}`).join(", "),
      note: "Edited by you; the next run uses these tags.",
      wrong: false,
    };
    draw();
  });
}
watch("value", draw);
draw();
