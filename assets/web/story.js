// Presentation mode: slides, their steps, and the keys; every number comes from the story in the page.
(() => {
  const told = JSON.parse(document.querySelector("#told").textContent);
  const { made, samples } = told;
  const all = (selector, under = document) => [...under.querySelectorAll(selector)];
  const one = (selector, under = document) => under.querySelector(selector);
  const slides = all(".slide");
  const steps = (slide) => Number(slides[slide].dataset.steps || 1);
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const at = { sample: 0, slide: 0, step: 0 };
  const FINE = 4; // pixels of a result across one of the input
  const DN = 0.0001; // reflectance of one digital number of a Level-2A product
  const METRES = { tennisLong: 23.77, tennisWide: 10.97 };
  const PICTURES = {
    input: "Input, 10 m", bicubic: "Enlarged by bicubic interpolation", base: "Base, 2.5 m", refined: "Refined, 2.5 m",
    detail: "Heat map of generated detail", uncertainty: "Heat map of how far other answers differ",
    coarse: "Made coarse, 40 m", wald_bicubic: "Brought back by bicubic", wald_refined: "Brought back and refined",
  };

  // numbers as people read them
  const tidy = (value, digits) => value.toFixed(digits);
  const small = (value) => (value < 0.001 ? tidy(value, 5) : tidy(value, 4));
  const share = (value) => (value < 0.01 && value > 0 ? "less than 1 %" : `${Math.round(100 * value)} %`);
  const title = (metric) => metric.title.split(" ")[0];
  const list = (words) => (words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`);
  const better = (metric, ...pair) => {
    const [a, b] = pair.map((value) => Number(tidy(value, metric.digits))); // as shown
    return metric.better === "higher" ? a > b : a < b;
  };
  const day = (text) => new Date(text).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  const clock = (text) => text.slice(11, 16);
  const short = (sample) => sample.name.split(",")[0];

  const verdict = (sample) => {
    const wins = (metric) => better(metric, metric.values.refined, metric.values.bicubic);
    const won = sample.scores.filter(wins).map(title);
    const lost = sample.scores.filter((metric) => !wins(metric)).map(title);
    if (!lost.length) return "Nearer to the truth than bicubic by every score";
    if (!won.length) return "Further from the truth than bicubic by every score";
    return `Better than bicubic by ${list(won)}, worse by ${list(lost)}`;
  };

  const refining = (sample) => {
    const won = sample.scores.filter((one) => better(one, one.values.refined, one.values.base)).map(title);
    const lost = sample.scores.filter((one) => better(one, one.values.base, one.values.refined)).map(title);
    const parts = [won.length && `gains by ${list(won)}`, lost.length && `loses by ${list(lost)}`].filter(Boolean);
    return `Refining the base ${parts.length ? list(parts) : "changes none of them"}.`;
  };

  const words = (sample) => {
    const { consistency, detail, uncertainty, seconds, size, gsd, crop, steps: taken } = sample;
    const [height, width] = size;
    const km = (pixels) => tidy((pixels * gsd) / 1000, 1);
    const cores = `${made.machine.threads} core${made.machine.threads === 1 ? "" : "s"}`;
    const places = uncertainty.places.length;
    return {
      name: sample.name,
      where: at.slide ? sample.name : "",
      whenWhere: `${sample.place}, ${day(sample.date)}, ${clock(sample.date)} UTC. ${km(width)} km × ${km(height)} km, ${width} × ${height} squares.`,
      description: sample.description,
      inputCaption: at.step ? `${crop[2] * (gsd / FINE)} m across` : `Sentinel-2, ${gsd} m`,
      baseSteps: `${taken.base.computed + taken.base.skipped} steps`,
      look: sample.look,
      doubt: sample.doubt,
      freedom: `Here it was free in ${share(detail.free)} of the pixels. On average the base changed the enlarged picture by ${small(sample.change.base)} of reflectance; the refinement changed the base by ${small(sample.change.refine)}.`,
      cropRule: `Magnified: the ${crop[2] * (gsd / FINE)} m in which most was added to plain enlargement. All pictures share one stretch.`,
      detailTop: `${detail.top}: the most allowed`,
      sampled: `The same input was answered ${uncertainty.samples} times with other noise. Each answer is the input when seen at 10 m; where they differ, the picture is one guess among several.`,
      widthTop: `± ${uncertainty.top} % of the brightness or more`,
      calibration: uncertainty.calibrated
        ? `The half width of the interval that shall hold ${share(made.level)} of the true values: ± ${share(uncertainty.width)} on average. Measured on aerial pictures of one city; other landscapes may differ.`
        : `Uncalibrated: ${uncertainty.why_not}.`,
      placesTitle: places ? `${places} place${places === 1 ? "" : "s"} to check first` : "No place stands out. That is no promise",
      placesNote: places
        ? "What lies within an outline is not to be taken as drawn. No outline is no promise: what all answers get wrong alike cannot be seen here."
        : "What all answers get wrong alike cannot be seen by comparing them.",
      residual: `${small(consistency.after)} of reflectance`,
      residualNote: `Root mean square difference to the input; before the last correction it was ${small(consistency.before)}. One step of the satellite's own scale is ${DN}, so ${tidy(consistency.after / DN, 1)} steps are left, at the worst square ${tidy(consistency.largest / DN, 0)}.`,
      residualTable: `Mean absolute difference at 10 m, measured separately: bicubic ${small(sample.seen_again.bicubic)}, base ${small(sample.seen_again.base)}, refined ${small(sample.seen_again.refined)}.`,
      verdict: verdict(sample),
      refining: refining(sample),
      made: `${made.program}, weights “${made.weights.name}”, preset “${made.preset}”, seed ${made.settings.seed}, ${day(made.date)}. Nothing but the weights that ship with it.`,
      machine: `This place took ${tidy(seconds.total, 1)} s (base ${tidy(seconds.base, 1)} s, refined ${tidy(seconds.refine, 1)} s) on the machine that prepared it: ${cores} of ${made.machine.processor}, ${made.machine.precision}, the quickest of ${made.repeats} runs. Yours differs.`,
      credit: `${sample.attribution}. Picture of ${day(sample.date)}, licence ${sample.licence}. Code and weights Apache-2.0.`,
      last: String(samples.length),
    };
  };

  // filling the slides with a sample
  const SVG = "http://www.w3.org/2000/svg";
  const shape = (parent, kind, values, text) => {
    const node = document.createElementNS(SVG, kind);
    for (const [name, value] of Object.entries(values)) node.setAttribute(name, value);
    if (text) node.textContent = text;
    parent.append(node);
  };
  const grow = (parent, kind, text, className) => {
    const node = document.createElement(kind);
    if (text) node.textContent = text;
    if (className) node.className = className;
    parent.append(node);
    return node;
  };
  const outlined = (svg, kind, values) => ["under", "over"].forEach((name) => shape(svg, kind, { ...values, class: name }));

  function mark(sample) {
    const [left, top, side] = sample.crop;
    const [height, width] = sample.size.map((length) => FINE * length);
    all(".marks").forEach((svg) => {
      svg.replaceChildren();
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    });
    outlined(one("[data-frame]"), "rect", { x: left, y: top, width: side, height: side });
    sample.uncertainty.places.forEach((place, index) => {
      outlined(one("[data-places]"), "polygon", { points: place.points.map((point) => point.join(",")).join(" ") });
      const [x, y] = [0, 1].map((axis) => Math.max(...place.points.map((point) => point[axis])));
      shape(one("[data-places]"), "text", { x: Math.min(x + 4, width - 12), y: Math.min(y + 8, height - 4) }, String(index + 1));
    });
    const [long, wide] = [METRES.tennisLong, METRES.tennisWide].map((metres) => (FINE * metres) / sample.gsd);
    const [x, y] = [left + (side - long) / 2, top + (side - wide) / 2];
    shape(one("[data-court]"), "rect", { x, y, width: long, height: wide, class: "court" });
    const metres = 200;
    const bar = one("[data-bar]");
    bar.textContent = `${metres} m`;
    bar.style.width = `${(100 * metres) / sample.gsd / sample.size[1]}%`;
    all("[data-crop] .lens").forEach((lens) => (lens.style.transform = zoomed(sample)));
  }
  const zoomed = ({ crop: [left, top, side], size: [height, width] }) =>
    `scale(${(FINE * width) / side}) translate(${(-100 * left) / FINE / width}%, ${(-100 * top) / FINE / height}%)`;

  function fill() {
    const sample = samples[at.sample];
    all("[data-picture]").forEach((image) => {
      const name = image.dataset.picture;
      const source = sample.pictures[name].src;
      if (image.getAttribute("src") !== source) image.src = source;
      image.alt = `${PICTURES[name]}: ${sample.name}`;
    });
    mark(sample);
    const places = one("[data-list=places]");
    places.replaceChildren();
    sample.uncertainty.places.forEach((place) => grow(places, "li", place.text));
    const [rows, seen] = [one("[data-list=scores]"), one("[data-list=seen]")];
    rows.replaceChildren();
    seen.replaceChildren();
    for (const metric of sample.scores) {
      const row = grow(rows, "tr");
      const unit = metric.unit ? `, ${metric.unit}` : "";
      grow(row, "th", `${title(metric)}${unit} ${{ higher: "↑", lower: "↓" }[metric.better] || ""}`).scope = "row";
      const values = Object.entries(metric.values);
      for (const [, value] of values) {
        const best = values.every(([, other]) => !better(metric, other, value));
        grow(row, "td", tidy(value, metric.digits), best ? "is-best" : "");
      }
      const pair = grow(seen, "div");
      grow(pair, "dt", title(metric));
      grow(pair, "dd", metric.sees);
      grow(grow(pair, "dd"), "b", "Misses: ").after(metric.misses);
    }
    all(".place").forEach((card) => card.setAttribute("aria-pressed", String(Number(card.dataset.sample) === at.sample)));
  }

  function cards() {
    for (const box of all("[data-cards]")) {
      samples.forEach((sample, index) => {
        const card = grow(box, "button", "", "place");
        card.type = "button";
        card.dataset.sample = index;
        const image = grow(card, "img");
        image.src = sample.pictures.refined.src;
        image.alt = "";
        const label = grow(card, "span");
        grow(label, "kbd", String(index + 1));
        label.append(short(sample));
        card.addEventListener("click", () => choose(index, at.slide === slides.length - 1));
      });
    }
    const progress = one("[data-progress]");
    slides.forEach((slide, index) => {
      const button = grow(grow(progress, "li"), "button");
      button.type = "button";
      button.title = slide.dataset.name;
      button.setAttribute("aria-label", `${index + 1}: ${slide.dataset.name}`);
      button.addEventListener("click", () => go(index, 0));
    });
    all("[data-heat]").forEach((bar) => (bar.style.background = `linear-gradient(90deg, ${told.heat.join(", ")})`));
  }

  // the border between two pictures
  const wiped = one(".is-wiped");
  const divider = one(".divider");
  let moving = 0;
  function cut(percent, slowly = false) {
    const value = Math.min(100, Math.max(0, percent));
    const pane = wiped;
    clearTimeout(moving);
    pane.classList.toggle("is-moving", slowly && !still.matches);
    if (slowly) moving = setTimeout(() => pane.classList.remove("is-moving"), 2000);
    pane.style.setProperty("--cut", `${value}%`);
    divider.classList.toggle("is-left", value < 5);
    divider.classList.toggle("is-right", value > 95);
    divider.setAttribute("aria-valuenow", String(Math.round(value)));
    divider.setAttribute("aria-valuetext", `${Math.round(value)} % input, ${Math.round(100 - value)} % base`);
    const [left, right] = all("figcaption", pane);
    left.classList.toggle("is-faint", value < 25);
    right.classList.toggle("is-faint", value > 75);
  }
  const cutNow = () => Number(divider.getAttribute("aria-valuenow"));
  const hasWipe = () => "wipe" in slides[at.slide].dataset;
  wiped.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    const box = wiped.getBoundingClientRect();
    const grip = 100 * (event.clientX - box.left) / box.width;
    if (event.pointerType === "touch" && Math.abs(grip - cutNow()) > 12) return; // elsewhere a finger turns the page
    const move = (to) => cut((100 * (to.clientX - box.left)) / box.width);
    const end = () => wiped.removeEventListener("pointermove", move);
    wiped.setPointerCapture(event.pointerId);
    wiped.dataset.held = "1";
    wiped.addEventListener("pointermove", move);
    ["pointerup", "pointercancel"].forEach((name) => wiped.addEventListener(name, end, { once: true }));
  });

  // where we are
  function show({ slowly = false, say = true } = {}) {
    const [slide, step] = [slides[at.slide], at.step];
    slides.forEach((each) => (each.hidden = each !== slide));
    all("[data-step]", slide).forEach((part) => {
      const hidden = !part.dataset.step.split(" ").includes(String(step));
      if (part instanceof SVGElement) part.style.display = hidden ? "none" : "";
      else part.hidden = hidden;
    });
    const told = words(samples[at.sample]);
    all("[data-say]").forEach((node) => (node.textContent = told[node.dataset.say]));
    if (hasWipe()) cut(step ? 0 : 100, slowly);
    const input = one("[data-pane=input]");
    input.classList.toggle("is-zooming", slowly && !still.matches);
    one(".lens", input).style.transform = at.slide === 1 && step ? zoomed(samples[at.sample]) : "none";
    one("[data-court]").style.visibility = step ? "visible" : "hidden";
    one("[data-bar]").hidden = at.slide === 1 && step > 0;
    all("[data-progress] button").forEach((button, index) => {
      button.classList.toggle("is-past", index < at.slide);
      if (index === at.slide) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    const count = `${at.slide + 1} / ${slides.length}`;
    one("[data-count]").textContent = count;
    one("[data-do=back]").disabled = !at.slide && !step;
    one("[data-do=on]").disabled = at.slide === slides.length - 1;
    if (say) {
      const parts = all("h1, figcaption span, [data-step]", slide).filter((node) => node.offsetParent && !one("[data-step], h1", node));
      const heard = new Set(parts.map((node) => node.textContent.trim()).filter(Boolean));
      one("[data-live]").textContent = `Slide ${at.slide + 1} of ${slides.length}: ${slide.dataset.name}. ${[...heard].slice(0, 4).join(". ")}`;
      one("#story").scrollTop = 0;
    }
    document.title = `${slide.dataset.name}: ${short(samples[at.sample])} – LDSR Studio`;
    try {
      history.replaceState(null, "", `#${samples[at.sample].key}/${at.slide + 1}/${step + 1}`);
    } catch {
      // a file in a browser that does not let files do this: the address stays as it is
    }
  }
  function go(slide, step, slowly = false) {
    if (slide < 0 || slide >= slides.length) return;
    Object.assign(at, { slide, step: Math.min(Math.max(step, 0), steps(slide) - 1) });
    show({ slowly });
  }
  const on = () => (at.step + 1 < steps(at.slide) ? go(at.slide, at.step + 1, true) : go(at.slide + 1, 0));
  const back = () => (at.step ? go(at.slide, at.step - 1, true) : at.slide && go(at.slide - 1, steps(at.slide - 1) - 1));
  function choose(sample, fromTheStart = false) {
    if (!samples[sample]) return;
    at.sample = sample;
    fill();
    if (!at.slide || fromTheStart) go(1, 0);
    else show();
  }
  function read() {
    const [key, slide, step] = decodeURIComponent(location.hash.slice(1)).split("/");
    const found = samples.findIndex((sample) => sample.key === key);
    if (found < 0) return;
    at.sample = found;
    at.slide = Math.min(Math.max((Number(slide) || 1) - 1, 0), slides.length - 1);
    at.step = Math.min(Math.max((Number(step) || 1) - 1, 0), steps(at.slide) - 1);
  }

  // what the keys and buttons do
  const KEY = "ldsr-theme";
  const remembered = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const dark = (is) => {
    document.body.classList.toggle("dark", is);
    document.documentElement.style.colorScheme = is ? "dark" : "light";
  };
  const help = one("dialog.help");
  const served = location.protocol.startsWith("http");
  const deeds = {
    on, back,
    theme() {
      dark(!document.body.classList.contains("dark"));
      try {
        localStorage.setItem(KEY, document.body.classList.contains("dark") ? "dark" : "light");
      } catch {
        // not remembered, no more
      }
    },
    full() {
      const done = document.fullscreenElement ? document.exitFullscreen() : document.documentElement.requestFullscreen?.();
      if (done) done.catch(() => (one("[data-live]").textContent = "This browser allows no full screen here."));
    },
    help: () => (help.open ? help.close() : help.showModal()),
    close: () => help.close(),
    leave() {
      if (document.fullscreenElement) return document.exitFullscreen();
      if (!served) return go(0, 0);
      if (window.opener) window.close();
      return setTimeout(() => location.assign("../"), window.opener ? 150 : 0);
    },
    black: () => (one("[data-dark]").hidden = !one("[data-dark]").hidden),
    first: () => go(0, 0),
    last: () => go(slides.length - 1, 0),
    up: () => hasWipe() && cut(cutNow() + 4),
    down: () => hasWipe() && cut(cutNow() - 4),
  };
  const KEYS = {
    ArrowRight: "on", " ": "on", PageDown: "on", Enter: "on", n: "on", ArrowLeft: "back", PageUp: "back", Backspace: "back", p: "back",
    Home: "first", End: "last", ArrowUp: "up", ArrowDown: "down", f: "full", d: "theme", b: "black", ".": "black", "?": "help", Escape: "leave",
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (help.open) {
      if (key === "?") help.close();
      return;
    }
    if (!one("[data-dark]").hidden) return event.preventDefault() ?? deeds.black();
    const held = event.target.closest?.("button, a");
    if (held && (key === "Enter" || key === " ")) return;
    if (event.target === divider && ["ArrowLeft", "ArrowRight"].includes(key)) {
      event.preventDefault();
      return cut(cutNow() + (key === "ArrowLeft" ? -4 : 4));
    }
    if (/^[1-9]$/.test(key)) return choose(Number(key) - 1);
    const deed = KEYS[key];
    if (!deed) return;
    if (["up", "down"].includes(deed) && !hasWipe()) return; // then they scroll
    event.preventDefault();
    deeds[deed]();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-do]");
    if (button) deeds[button.dataset.do]();
    if (event.detail && event.target.closest("button")) document.activeElement.blur(); // else the next space presses it again
  });
  one("[data-dark]").addEventListener("click", deeds.black);

  // a tap goes on, at the left edge back; so does a swipe
  let begun = null;
  const story = one("#story");
  story.addEventListener("pointerdown", (event) => (begun = event.button ? null : { x: event.clientX, y: event.clientY }));
  story.addEventListener("pointercancel", () => {
    begun = null;
    delete wiped.dataset.held;
  });
  story.addEventListener("pointerup", (event) => {
    const held = wiped.dataset.held;
    delete wiped.dataset.held;
    if (!begun || held || event.target.closest("button, a, table") || String(getSelection())) return;
    const [x, y] = [event.clientX - begun.x, event.clientY - begun.y];
    begun = null;
    if (Math.abs(x) > 45 && Math.abs(x) > 1.5 * Math.abs(y)) (x < 0 ? on : back)();
    else if (Math.hypot(x, y) < 10) (event.clientX < innerWidth / 5 ? back : on)();
  });

  one("[data-save]").hidden = !served;
  window.addEventListener("hashchange", () => (read(), fill(), show()));
  const wish = remembered();
  dark(wish ? wish === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches);
  cards();
  read();
  fill();
  show({ say: false });
})();
