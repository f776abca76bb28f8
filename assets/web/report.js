// Draws the report's figures in the colours of the page, and again when those change.
(() => {
  const root = document.documentElement;
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const colour = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const wish = window.matchMedia("(prefers-color-scheme: dark)");
  root.classList.toggle("dark", wish.matches);

  function themed(layout, narrow) {
    const ink = colour("--ink-2"), grid = colour("--grid"), line = colour("--line");
    const axis = { gridcolor: grid, zerolinecolor: ink, linecolor: line, tickcolor: line, automargin: true, exponentformat: "power" };
    const made = { ...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: ink, size: narrow ? 11 : 12.5, family: getComputedStyle(document.body).fontFamily },
      hoverlabel: { bgcolor: colour("--paper"), bordercolor: line, font: { color: colour("--ink") } } };
    for (const key of ["xaxis", "yaxis"]) {
      const given = layout[key] || {};
      made[key] = { ...axis, ...given, title: { ...given.title, font: { size: narrow ? 11 : 13 } } };
    }
    if (narrow && !layout.ternary) made.margin = { ...layout.margin, l: 48, r: 10 };
    if (layout.ternary) {
      made.ternary = { ...layout.ternary, bgcolor: "rgba(0,0,0,0)" };
      for (const key of ["aaxis", "baxis", "caxis"]) made.ternary[key] = { ...layout.ternary[key], title: { ...layout.ternary[key].title, font: { size: 13 } }, gridcolor: grid, linecolor: ink };
    }
    return made;
  }

  function draw(place) {
    const views = specs[place.dataset.figure];
    const choice = document.querySelector(`select[data-for="${place.dataset.figure}"]`);
    const spec = views[choice ? choice.value : Object.keys(views)[0]];
    const narrow = place.clientWidth < 480;
    const data = spec.data.map((trace) => ({ ...trace, textfont: { color: colour("--ink") } }));
    Plotly.react(place, data, themed(spec.layout, narrow),
      { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false, doubleClick: "reset" });
  }

  const places = [...document.querySelectorAll(".figure")];
  const all = () => places.forEach(draw);
  document.querySelectorAll("select[data-for]").forEach((choice) =>
    choice.addEventListener("change", () => draw(document.querySelector(`.figure[data-figure="${choice.dataset.for}"]`))));
  document.getElementById("theme").addEventListener("click", () => { root.classList.toggle("dark"); all(); });
  wish.addEventListener("change", () => { root.classList.toggle("dark", wish.matches); all(); });
  all();
})();
