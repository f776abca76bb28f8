// What is evaluated, and the way to a truth; the value is {truth, current}.
const $ = (selector) => element.querySelector(selector);
const radios = [...element.querySelectorAll("input[type=radio]")];
const root = () => document.querySelector("#evaluate");

function draw() {
  const { truth = "none", current = {} } = props.value || {};
  for (const radio of radios) radio.checked = radio.value === truth;
  for (const words of element.querySelectorAll("[data-truth]")) words.hidden = words.dataset.truth !== truth;
  const host = root();
  if (host) host.dataset.truth = truth;
  if (!current.name) return;
  $(".ev-current").toggleAttribute("data-empty", !current.picture);
  $(".ev-name").textContent = current.name;
  $(".ev-line").textContent = current.line || "It comes from the Super-resolve tab.";
  const image = $(".ev-thumb");
  image.hidden = !current.picture;
  if (current.picture && image.getAttribute("src") !== current.picture) image.src = current.picture;
  window.ldsrCurrent = current.key || null;
  document.dispatchEvent(new CustomEvent("ldsr-current"));
}

for (const radio of radios) {
  radio.addEventListener("change", () => {
    props.value = { ...props.value, truth: radio.value };
    trigger("input");
    draw();
  });
}

// On this tab Ctrl + Enter evaluates.
window.addEventListener(
  "keydown",
  (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || !element.offsetParent) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const run = document.querySelector("#ev-run");
    if (run && !run.disabled) run.click();
  },
  true,
);
// Whoever begins from further down, or on a phone, is taken to where it is said how it goes.
document.addEventListener("click", (event) => {
  const main = event.target.closest("#ev-run, #ev-bench") && document.querySelector("#ev-main");
  if (!main) return;
  const { top } = main.getBoundingClientRect();
  if (top < -200 || top > window.innerHeight - 200) main.scrollIntoView({ behavior: window.ldsrGlide() });
});
// A file that is too large is refused before it is sent, in this tab's status line.
function refuse(event, files) {
  const large = [...(files || [])].find((file) => file.size > window.ldsrMaxUpload);
  if (!large || !event.target.closest("#ev-upload")) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.type === "change") event.target.value = "";
  const size = (bytes) => `${Math.round(bytes / 2 ** 20)} MB`;
  const text = `${large.name} has ${size(large.size)}; at most ${size(window.ldsrMaxUpload)} can be uploaded: cut it to the patch's bounds first.`;
  document.dispatchEvent(new CustomEvent("ldsr-ev-say", { detail: text }));
}
window.addEventListener("change", (event) => refuse(event, event.target.files), true);
window.addEventListener("drop", (event) => refuse(event, event.dataTransfer && event.dataTransfer.files), true);
watch("value", draw);
draw();
