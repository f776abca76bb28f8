// The status line: writes only what changed, so that a screen reader hears each sentence once.
const box = element.querySelector(".status");
const text = element.querySelector(".status-text");
const clock = element.querySelector(".status-clock");
const bar = element.querySelector(".status-bar > i");

function draw() {
  const value = props.value || {};
  box.dataset.state = value.state || "idle";
  if (text.textContent !== (value.text || "")) text.textContent = value.text || "";
  clock.textContent = value.clock || "";
  const share = typeof value.share === "number" ? value.share : null;
  box.classList.toggle("has-bar", share !== null);
  bar.style.width = (100 * (share || 0)).toFixed(1) + "%";
}

// Said by the page itself: before anything is sent (a file that is too large), or by a card, whose
// sentence takes the place of one on the same matter and of no other.
document.addEventListener("ldsr-say", (event) => {
  const { detail } = event;
  const said = typeof detail === "string" ? { state: "error", text: detail } : detail;
  if (said.instead && !said.instead.test((props.value || {}).text || "")) return;
  props.value = { state: said.state, text: said.text, share: null, clock: null };
  draw();
});
watch("value", draw);
draw();
