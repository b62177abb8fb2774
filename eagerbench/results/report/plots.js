"use strict";
// Draws the figures of a page, in its colours: light, dark, or those of paper.
const DATA = JSON.parse(document.getElementById("data").textContent);
const CONFIG = {displayModeBar: false, responsive: true, showTips: false};

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return {ink: of("--ink"), soft: of("--soft"), grid: of("--grid"), line: of("--line"), panel: of("--panel")};
}

function dressed(layout, width, printing) {
  const colour = printing ? {ink: "#000", soft: "#444", grid: "#ddd", line: "#bbb", panel: "#fff"} : colours();
  const narrow = (printing || width) < 560;
  const found = {...layout, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: !printing,
    font: {family: "system-ui, Segoe UI, Roboto, sans-serif", size: narrow ? 10 : 12, color: colour.ink},
    hoverlabel: {bgcolor: colour.panel, bordercolor: colour.line, font: {color: colour.ink, size: 12}, namelength: -1}};
  if (printing) found.width = printing;
  for (const name of Object.keys(found)) {
    if (/^[xy]axis/.test(name)) {
      found[name] = {...found[name], gridcolor: colour.grid, linecolor: colour.line, zerolinecolor: colour.line,
        fixedrange: true};
    }
  }
  if (narrow && found.margin) found.margin = {...found.margin, l: Math.min(found.margin.l, 52), r: 8};
  return found;
}

function draw(element, figure, printing) {
  return Plotly.react(element, figure.data, dressed(figure.layout, element.clientWidth, printing), CONFIG);
}

const PLOTS = new Map();  // element → its figure, once drawn

async function drawAll() {
  for (const element of document.querySelectorAll("[data-figure]")) {
    const figure = DATA.figures[element.dataset.figure];
    element.style.minHeight = "";
    await draw(element, figure);
    PLOTS.set(element, figure);
  }
}

function redraw(printing) {
  for (const [element, figure] of PLOTS) draw(element, figure, printing);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
addEventListener("beforeprint", () => redraw(660));
addEventListener("afterprint", () => redraw());
drawAll().then(() => { document.documentElement.dataset.drawn = "yes"; });
