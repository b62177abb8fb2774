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
  return Plotly.react(element, inked(figure.data, printing ? "#000" : colours().ink), dressed(figure.layout, element.clientWidth, printing), CONFIG);
}

const PLOTS = new Map();  // element → its figure, as it is or will be drawn
const WANTED = new Set();  // elements that came near, also where their figure was not there yet
const every = () => [...document.querySelectorAll("[data-figure], #explore")];
const isDrawn = (element) => element.querySelector("svg") !== null;

async function drawOnce(element) {
  WANTED.add(element);
  if (isDrawn(element)) return;
  if (element.dataset.figure) PLOTS.set(element, DATA.figures[element.dataset.figure]);
  if (PLOTS.has(element)) await draw(element, PLOTS.get(element));
  element.style.minHeight = "";
}

// Says, to whoever waits for the page or measures it, how far it is.
function done(what) {
  document.documentElement.dataset[what] = "yes";
  performance.mark(what);
}

// What is in sight, then the page is ready; what is a screen away, then it is drawn. Any other plot is drawn when it
// comes as near: a browser takes seconds for dozens of plots that nobody looks at.
async function drawNear() {
  const soon = () => new Promise((resolve) => { setTimeout(resolve); });
  const within = (screens) => every().filter((element) => {
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.top < (1 + screens) * innerHeight && box.bottom > -screens * innerHeight;
  });
  for (const [screens, what] of [[0, "ready"], [1, "drawn"]]) {
    for (const element of within(screens)) {
      await soon();
      await drawOnce(element);
    }
    done(what);
  }
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      observer.unobserve(entry.target);
      drawOnce(entry.target);
    }
  }, {rootMargin: "100% 0px"});
  every().forEach((element) => observer.observe(element));
}

function redraw(printing) {
  for (const element of every()) {
    if (element.dataset.figure) PLOTS.set(element, DATA.figures[element.dataset.figure]);
    if (PLOTS.has(element) && (printing || isDrawn(element))) draw(element, PLOTS.get(element), printing);
  }
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
addEventListener("beforeprint", () => redraw(660));
addEventListener("afterprint", () => redraw());
