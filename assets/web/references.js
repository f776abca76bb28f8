// Samples by reference: fetched when chosen; greyed, with the reason, where they cannot be.
const buttons = [...element.querySelectorAll("button")];
const note = element.querySelector(".reference-note");

function draw() {
  const closed = (props.value || {}).closed || {};
  for (const button of buttons) {
    const reason = closed[button.dataset.key] || "";
    button.disabled = reason !== "";
    button.title = reason || "Fetched on request, then kept on this server";
  }
  note.textContent = [...new Set(Object.values(closed))].join(" ");
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    props.value = { ...props.value, key: button.dataset.key };
    trigger("input");
  });
}
watch("value", draw);
draw();
