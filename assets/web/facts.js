// Beside the pictures (same scope as viewer.js): chips, legend, downloads, prompt sensitivity.
function chip([label, text, title, note]) {
  const box = document.createElement("div");
  box.className = "chip";
  box.title = title || "";
  if (text.length > 14 || note) box.classList.add("is-wide");
  box.append(Object.assign(document.createElement("span"), { textContent: label }));
  box.append(Object.assign(document.createElement("b"), { textContent: text }));
  if (note) box.append(Object.assign(document.createElement("small"), { textContent: note }));
  return box;
}

function row([label, text]) {
  const box = document.createElement("div");
  box.append(Object.assign(document.createElement("dt"), { textContent: label }));
  box.append(Object.assign(document.createElement("dd"), { textContent: text }));
  return box;
}

function swatch([name, colour, share]) {
  const box = document.createElement("li");
  box.append(document.createElement("i"), `${name} ${share}`);
  box.firstElementChild.style.background = colour;
  return box;
}

function legend(chosen) {
  $(".legend").hidden = !chosen;
  if (!chosen) return;
  $(".legend-text").textContent = chosen.text;
  const classes = (chosen.classes || []).map(swatch);
  $(".legend-classes").replaceChildren(...classes);
  $(".legend-classes").hidden = !classes.length;
  for (const part of [".legend-bar", ".legend-ticks", ".legend-unit"]) $(part).hidden = classes.length > 0;
  if (classes.length) return;
  $(".legend-bar").style.background = `linear-gradient(90deg, ${chosen.colours.join(", ")})`;
  const ticks = chosen.ticks.map((text) => Object.assign(document.createElement("span"), { textContent: text }));
  $(".legend-ticks").replaceChildren(...ticks);
  $(".legend-unit").textContent = chosen.unit || "";
}

function links(value) {
  const picture = shownPicture();
  for (const link of $$("[data-link]")) {
    let href = value.links ? value.links[link.dataset.link] : null;
    if (href && link.dataset.link === "png") href = href[picture][view.colours];
    if (href) link.href = href;
    else link.removeAttribute("href");
    // without an address it is no link to a browser, but a link that is off to who hears the page
    for (const [name, off] of [["role", "link"], ["aria-disabled", "true"]]) href ? link.removeAttribute(name) : link.setAttribute(name, off);
  }
  $("[data-copy]").disabled = !value.share;
}

function drawFacts() {
  const value = props.value || {};
  for (const old of $$(".chips > .chip:not(.times)")) old.remove();
  $(".chips").append(...(value.chips || []).map(chip));
  drawTimes();
  $(".provenance").replaceChildren(...(value.provenance || []).map(row));
  const { can, text } = value.sensitivity || { can: false, text: "" };
  $("[data-measure]").disabled = !can;
  if ($(".v-sense-text").textContent !== text) $(".v-sense-text").textContent = text;
  links(value);
}

function facts() {
  $("[data-opacity]").addEventListener("input", (event) => {
    for (const image of [overlay, twin]) image.style.opacity = event.target.value / 100;
    $(".legend-opacity output").textContent = `${event.target.value} %`;
  });
  $("[data-measure]").addEventListener("click", () => trigger("submit"));
  $("[data-copy]").addEventListener("click", async (event) => {
    const button = event.currentTarget;
    const link = location.origin + location.pathname + props.value.share;
    try {
      await navigator.clipboard.writeText(link);
    } catch {
      const area = Object.assign(document.createElement("textarea"), { value: link });
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    button.dataset.copied = link;
    setTimeout(() => (button.textContent = "Copy link"), 1600);
  });
}

drags();
keys();
controls();
facts();
trusts();
watch("value", draw);
draw();
