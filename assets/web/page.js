// Light / dark (follows the system until the person chooses), Ctrl+Enter, and the way to the picture.
(() => {
  const KEY = "ldsr-theme";
  const remembered = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const dark = (remembered() || (system.matches ? "dark" : "light")) === "dark";
    document.body.classList.toggle("dark", dark);
    document.documentElement.style.colorScheme = dark ? "dark" : "light";
  };
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", apply);
  if (document.body) apply();
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-toggle]")) return;
    const dark = document.body.classList.contains("dark");
    try {
      localStorage.setItem(KEY, dark ? "light" : "dark");
    } catch {
      document.body.classList.toggle("dark");
      return;
    }
    apply();
  });
  // How to scroll: at once for who wants little motion.
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  window.ldsrGlide = () => (still.matches ? "instant" : "smooth");
  // A file that is too large is refused before it is sent, in the status line like any other.
  const limit = window.ldsrMaxUpload;
  const refuse = (event, files) => {
    const chosen = [...(files || [])];
    const total = chosen.reduce((sum, file) => sum + file.size, 0);
    if (total <= limit || !event.target.closest("#upload")) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type === "change") event.target.value = "";
    const size = (bytes) => `${Math.round(bytes / 2 ** 20)} MB`;
    const what = chosen.length > 1 ? `${chosen.length} files have` : `${chosen[0].name} has`;
    const text = `${what} ${size(total)}; at most ${size(limit)} can be uploaded: cut out a patch first.`;
    document.dispatchEvent(new CustomEvent("ldsr-say", { detail: text }));
  };
  window.addEventListener("change", (event) => refuse(event, event.target.files), true);
  window.addEventListener("drop", (event) => refuse(event, event.dataTransfer && event.dataTransfer.files), true);
  // Whoever runs from further down, or on a phone, is taken to where the picture appears.
  document.addEventListener("click", (event) => {
    const output = event.target.closest("#run") && document.querySelector("#output");
    if (!output) return;
    const { top } = output.getBoundingClientRect();
    if (top < -200 || top > window.innerHeight - 200) output.scrollIntoView({ behavior: window.ldsrGlide() });
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    const run = document.querySelector("#run");
    if (!run || run.disabled || !run.offsetParent) return;
    event.preventDefault();
    if (document.activeElement && document.activeElement.matches("input")) document.activeElement.blur();
    setTimeout(() => run.click(), 60);
  });
})();
