// The status line of this tab: writes only what changed, so that each sentence is heard once.
const box = element.querySelector(".status");
const text = element.querySelector(".status-text");

function draw() {
  const value = props.value || {};
  const share = typeof value.share === "number" ? value.share : null;
  box.dataset.state = value.state || "idle";
  if (text.textContent !== (value.text || "")) text.textContent = value.text || "";
  element.querySelector(".status-clock").textContent = value.clock || "";
  box.classList.toggle("has-bar", share !== null);
  element.querySelector(".status-bar > i").style.width = `${(100 * (share || 0)).toFixed(1)}%`;
}

// Said by the page itself, before anything is sent (a file that is too large).
document.addEventListener("ldsr-ev-say", (event) => {
  props.value = { state: "error", text: event.detail, share: null, clock: null };
  draw();
});
watch("value", draw);
draw();
