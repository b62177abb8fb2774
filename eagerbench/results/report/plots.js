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

function inked(data, ink) {
  return data.map((trace) => {
    const found = {...trace};
    for (const name of ["error_x", "error_y"]) {
      if (trace[name] && trace[name].color === "ink") found[name] = {...trace[name], color: ink};
    }
    return found;
  });
}

function draw(element, figure, printing) {
  if (!window.Plotly) return null;  // not read yet: drawAll will draw it
  return Plotly.react(element, inked(figure.data, printing ? "#000" : colours().ink), dressed(figure.layout, element.clientWidth, printing), CONFIG);
}

const PLOTS = new Map();  // element → its figure, once drawn

// Says, to whoever waits for the page or measures it, how far it is.
function done(what) {
  if (document.documentElement.dataset[what]) return;
  document.documentElement.dataset[what] = "yes";
  performance.mark(what);
}

// What is in sight first; then the page is ready. The others follow one by one while nobody asks anything of it.
async function drawAll() {
  const left = [...document.querySelectorAll("[data-figure], #explore")];
  const soon = () => new Promise((resolve) => { setTimeout(resolve); });
  const idle = () => new Promise((resolve) => {
    if (window.requestIdleCallback) requestIdleCallback(resolve, {timeout: 1000}); else setTimeout(resolve);
  });
  const ready = () => done("ready");
  const inSight = (element) => {
    const box = element.getBoundingClientRect();
    return box.top < innerHeight && box.bottom > 0;
  };
  while (left.length) {
    const seen = left.findIndex(inSight);
    if (seen < 0) ready();
    await (seen < 0 ? idle() : soon());
    const [element] = left.splice(Math.max(0, left.findIndex(inSight)), 1);
    element.style.minHeight = "";
    if (element.dataset.figure) PLOTS.set(element, DATA.figures[element.dataset.figure]);
    if (PLOTS.has(element) && !element.querySelector("svg")) await draw(element, PLOTS.get(element));
  }
}

function redraw(printing) {
  for (const element of document.querySelectorAll("[data-figure]")) PLOTS.set(element, DATA.figures[element.dataset.figure]);
  for (const [element, figure] of PLOTS) draw(element, figure, printing);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
addEventListener("beforeprint", () => redraw(660));
addEventListener("afterprint", () => redraw());
// Plotly's own script stands behind this one, so that tables and filters work before it is read.
addEventListener("DOMContentLoaded", () => drawAll().then(() => { done("ready"); done("drawn"); }));
