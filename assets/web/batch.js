// The gallery of a batch: which cards are shown, in which order, and what stands beside the input.
(() => {
  const root = document.documentElement;
  const at = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll(".card")];
  const tools = at("tools"), large = at("large");
  const labels = Object.fromEntries([...large.querySelectorAll("input")].map((one) => [one.value, one.nextSibling.textContent]));
  let shown = cards, turned = false, open = null;

  at("theme").addEventListener("click", () => {
    const dark = getComputedStyle(root).colorScheme === "dark";
    root.classList.toggle("dark", !dark);
    root.classList.toggle("light", dark);
  });

  // which and in which order; what has no such figure comes last either way
  function compare(key, a, b) {
    const [x, y] = [a.dataset[key], b.dataset[key]];
    if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
    const text = key === "name" || key === "acquired";
    const found = text ? x.localeCompare(y, "en", { numeric: key === "name" }) : Number(x) - Number(y);
    return turned ? -found : found;
  }

  function arrange() {
    const key = at("sort").value.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
    const state = tools.elements.state.value, part = at("find").value.trim().toLowerCase();
    const sorted = [...cards].sort((a, b) => compare(key, a, b) || a.dataset.order - b.dataset.order);
    at("cards").append(...sorted);
    for (const card of cards) {
      card.hidden = !((state === "all" || card.dataset.state === state) && card.dataset.name.toLowerCase().includes(part));
    }
    shown = sorted.filter((card) => !card.hidden);
    at("count").textContent = `${shown.length} of ${cards.length} shown`;
    at("nothing").hidden = shown.length > 0;
  }

  tools.addEventListener("submit", (event) => event.preventDefault());
  tools.addEventListener("input", (event) => {
    if (event.target.name === "every") cards.forEach((card) => put(card, event.target.value));
    else arrange();
  });
  at("turn").addEventListener("click", () => {
    turned = !turned;
    at("turn").textContent = turned ? "Descending" : "Ascending";
    at("turn").setAttribute("aria-pressed", turned);
    arrange();
  });

  // what stands beside the input of a card: fetched when it is asked for
  function put(card, view) {
    const pair = card.querySelector(".pair"), figure = card.querySelector(".output");
    if (!figure || !pair.dataset[view]) return;
    const image = figure.querySelector("img");
    image.src = pair.dataset[view];
    image.alt = `${card.dataset.name}, ${labels[view]}`;
    figure.querySelector("figcaption b").textContent = labels[view];
    card.querySelectorAll(".views input").forEach((one) => { one.checked = one.value === view; });
    card.dataset.view = view;
    legend();
  }

  function legend() {
    at("legend").hidden = !cards.some((card) => card.dataset.view === "detail");
  }

  at("cards").addEventListener("change", (event) => put(event.target.closest(".card"), event.target.value));
  at("cards").addEventListener("click", (event) => {
    const button = event.target.closest(".enlarge");
    if (button) enlarge(button.closest(".card"));
  });

  // one pair, large
  function enlarge(card, view) {
    const pair = card.querySelector(".pair");
    const beside = ["refined", "base", "detail"].filter((name) => pair.dataset[name]);
    const wanted = view || card.dataset.view || beside[0];
    const chosen = beside.includes(wanted) ? wanted : beside[0];
    open = card;
    at("large-name").textContent = card.dataset.name;
    fill(large.querySelector(".input"), card, "input", "Input", pair.dataset.coarse);
    fill(large.querySelector(".output"), card, chosen, labels[chosen], pair.dataset.fine);
    large.querySelector(".where").textContent = card.querySelector(".where").textContent;
    for (const one of large.querySelectorAll(".views input")) {
      one.checked = one.value === chosen;
      one.parentElement.hidden = !beside.includes(one.value);
    }
    large.querySelector(".views").hidden = beside.length < 2;
    at("before").disabled = !near(-1);
    at("after").disabled = !near(1);
    if (!large.open) large.showModal();
  }

  function fill(figure, card, view, label, pixel) {
    const image = figure.querySelector("img"), same = card.querySelector(`.${view === "input" ? "input" : "output"} img`);
    image.width = same.getAttribute("width");
    image.height = same.getAttribute("height");
    image.src = card.querySelector(".pair").dataset[view];
    image.alt = `${card.dataset.name}, ${label}`;
    const name = Object.assign(document.createElement("b"), { textContent: label });
    figure.querySelector("figcaption").replaceChildren(name, ` ${pixel}`);
  }

  function near(step) {
    const pictured = shown.filter((card) => card.querySelector(".pair"));
    return pictured[pictured.indexOf(open) + step];
  }

  function go(step) {
    const next = near(step);
    if (next) enlarge(next, large.querySelector(".views input:checked").value);
  }

  at("before").addEventListener("click", () => go(-1));
  at("after").addEventListener("click", () => go(1));
  at("close").addEventListener("click", () => large.close());
  large.addEventListener("change", (event) => {
    put(open, event.target.value);
    enlarge(open, event.target.value);
  });
  large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
  large.addEventListener("close", () => open.querySelector(".enlarge").focus());
  large.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in steps && event.target.type !== "radio") go(steps[event.key]);
    const choice = [...large.querySelectorAll(".views label:not([hidden]) input")][Number(event.key) - 1];
    if (choice) { choice.checked = true; choice.dispatchEvent(new Event("change", { bubbles: true })); }
  });

  arrange();
})();
