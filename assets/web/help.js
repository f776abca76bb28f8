// One line of help for every control: shown while the pointer rests on it or the keyboard is at it,
// read out as its description, and on touch after "?". A control's line is its title, or the one
// that help.json has for it; a line of a group holds for what is in it.
(() => {
  const LINES = window.ldsrHelp;
  const FIELDS = "input, select, textarea, button, summary, a[href], [tabindex]";
  const bubble = document.createElement("div");
  let at = null; // whose line is shown
  let timer = 0;
  let explaining = false;

  // The line becomes the description of the control that it is about.
  function describe(host, text) {
    const inside = host.matches("label, .knob") && host.querySelector("input:not([aria-hidden]), select");
    const one = inside || host;
    const ours = one.dataset.described !== undefined;
    if (one.hasAttribute("aria-describedby") || (one.hasAttribute("aria-description") && !ours)) return;
    if (one.getAttribute("aria-description") === text) return;
    one.setAttribute("aria-description", text);
    one.dataset.described = "";
  }

  function wire() {
    for (const [selector, text] of Object.entries(LINES)) {
      for (const one of document.querySelectorAll(selector)) {
        const host = (one.matches("input, select") && one.closest("label")) || one;
        if (!host.dataset.help) host.dataset.help = text;
        if (!host.title && !one.title) describe(one, text);
      }
    }
    for (const host of document.querySelectorAll("label[title]")) if (host.title) describe(host, host.title);
  }

  const own = (one) => one.title || one.dataset.title || one.dataset.help || "";

  // Whose line an element shows: its own or that of the nearest around it.
  function hostOf(target) {
    for (let one = target; one && one.closest; one = one.parentElement) if (own(one)) return one;
    return null;
  }

  function hide() {
    clearTimeout(timer);
    bubble.hidden = true;
    if (at && at.dataset.title) {
      if (!at.title) at.title = at.dataset.title;
      delete at.dataset.title;
    }
    at = null;
  }

  function show(host, text) {
    if (at === host && !bubble.hidden) return;
    hide();
    at = host;
    if (host.title) {
      host.dataset.title = host.title; // else the browser's own tooltip covers ours
      host.removeAttribute("title");
    }
    describe(host, text);
    bubble.textContent = text;
    (host.closest("dialog[open]") || document.fullscreenElement || document.querySelector("main") || document.body).append(bubble);
    bubble.hidden = false;
    const { left, top, bottom, width } = host.getBoundingClientRect();
    const [wide, high] = [bubble.offsetWidth, bubble.offsetHeight];
    const x = Math.min(Math.max(8, left + width / 2 - wide / 2), document.documentElement.clientWidth - wide - 8);
    const y = bottom + 8 + high > window.innerHeight ? Math.max(8, top - high - 8) : bottom + 8;
    bubble.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }

  function later(host, text, delay) {
    clearTimeout(timer);
    timer = setTimeout(() => host.isConnected && show(host, text), delay);
  }

  function explain(on) {
    explaining = on;
    document.body.classList.toggle("is-explaining", on);
    for (const button of document.querySelectorAll("[data-explain]")) button.setAttribute("aria-pressed", String(on));
    hide();
  }

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType !== "mouse" || event.target === bubble || event.buttons) return;
    const host = hostOf(event.target);
    clearTimeout(timer);
    if (!host) timer = setTimeout(hide, 250);
    else if (host !== at) later(host, own(host), 450);
  });
  document.addEventListener("focusin", (event) => {
    const target = event.target;
    if (!target.matches(":focus-visible") || !target.matches(FIELDS)) return;
    const host = hostOf(target);
    const text = (host && own(host)) || target.getAttribute("aria-description");
    if (text) later(host && own(host) ? host : target, text, 700);
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    if (explaining) explain(false);
    hide();
  });
  window.addEventListener("resize", hide);
  document.addEventListener("scroll", () => at && !explaining && hide(), { capture: true, passive: true });

  // After "?" a tap or a click on a control says what it does instead of doing it.
  function instead(event) {
    if (!explaining || event.target.closest("[data-explain]")) {
      if (!explaining && event.type === "pointerdown") hide();
      return;
    }
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type !== "click") return;
    const host = hostOf(event.target);
    const text = host ? own(host) : event.target.getAttribute("aria-description");
    if (text) show(host || event.target, text);
    else hide();
  }
  for (const name of ["pointerdown", "mousedown", "click", "change"]) window.addEventListener(name, instead, true);
  document.addEventListener("click", (event) => event.target.closest("[data-explain]") && explain(!explaining));

  // What Gradio and our scripts add later gets its line when it is there.
  function begin() {
    Object.assign(bubble, { id: "ldsr-help", hidden: true });
    bubble.setAttribute("role", "tooltip");
    let waiting = 0;
    const soon = () => {
      clearTimeout(waiting);
      waiting = setTimeout(wire, 150);
    };
    const elements = (record) => [...record.addedNodes].some((node) => node.nodeType === 1 && node !== bubble);
    new MutationObserver((records) => records.some(elements) && soon()).observe(document.body, { childList: true, subtree: true });
    wire();
  }
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
