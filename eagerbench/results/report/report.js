// Controls of a report: filters, the matrix by reason, any column against any, copying, and the address.
function buildFilters() {
  for (const column of COLUMNS.filter((one) => one.choice)) {
    const values = [...new Set(ROWS.map((row) => row[column.at]))];
    if (values.length < 2) continue;
    const select = make("select", {id: "filter-" + column.key}, make("option", {value: ""}, "all"),
      ...values.map((value) => make("option", {value}, value)));
    select.addEventListener("change", () => { set(column.key, select.value, "records"); refresh(false); });
    $("filters").append(make("label", {}, column.title + " ", select));
  }
  const reset = make("button", {type: "button", id: "reset"}, "Show all");
  reset.addEventListener("click", () => {
    for (const key of Object.keys(STATE)) if (!["reason", "x", "y", "lin"].includes(key)) delete STATE[key];
    set("q", "", "records");
    refresh();
  });
  $("filters").append(reset);
  let waiting;
  $("q").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { set("q", $("q").value, "records"); limit = STEP; refresh(false); }, 90);
  });
  for (const column of COLUMNS) {
    const box = make("input", {type: "checkbox", id: "column-" + column.key});
    box.addEventListener("change", () => {
      const keys = COLUMNS.filter((one) => $("column-" + one.key).checked).map((one) => one.key);
      const usual = COLUMNS.filter((one) => one.usual).map((one) => one.key);
      set("cols", keys.join(" ") === usual.join(" ") ? "" : keys.join(" "), "records");
      refresh(false);
    });
    $("choices").append(make("label", {}, box, " " + column.title));
  }
  for (const id of ["x", "y"]) {
    $(id).append(...NUMERIC.map((column) => make("option", {value: column.key}, column.title)));
    $(id).addEventListener("change", () => { set(id, $(id).value === USUAL[id] ? "" : $(id).value, "records"); explore(filtered()); });
  }
  $("lin").addEventListener("change", () => { set("lin", $("lin").checked ? "1" : "", "records"); explore(filtered()); });
  $("more").addEventListener("click", () => { limit += STEP; render(); });
}

const USUAL = {x: "time", y: "error"};

function showState(query = true) {
  if (query) $("q").value = STATE.q || "";
  for (const column of COLUMNS.filter((one) => one.choice)) {
    const select = $("filter-" + column.key);
    if (select) select.value = STATE[column.key] || "";
  }
  const shown = shownColumns();
  for (const column of COLUMNS) $("column-" + column.key).checked = shown.includes(column);
  for (const id of ["x", "y"]) $(id).value = byKey(STATE[id]) ? STATE[id] : USUAL[id];
  $("lin").checked = STATE.lin === "1";
}

function refresh(query = true) {
  showState(query);
  explore(render());
}

const MOST_MARKS = 500;

function explore(found) {
  const x = byKey($("x").value), y = byKey($("y").value), log = !$("lin").checked;
  const known = (index, column) => DATA.values[index][column.place] !== null;
  const whole = found.filter((index) => known(index, x) && known(index, y));
  const least = Object.fromEntries([x, y].map((column) => [column.key, whole.map((index) => DATA.values[index][column.place])
    .reduce((one, other) => other > 0 && other < one ? other : one, Infinity)]));
  let atEdge = 0;  // zeros have no place on a logarithmic axis: they stand at its beginning
  const value = (index, column) => {
    const number = DATA.values[index][column.place];
    if (!log || number > 0) return number;
    atEdge += 1;
    return Number.isFinite(least[column.key]) ? least[column.key] / 3 : 1e-9;
  };
  const step = Math.max(1, whole.length / MOST_MARKS);
  const shown = step === 1 ? whole : Array.from({length: MOST_MARKS}, (_, place) => whole[Math.floor((place + 0.5) * step)]);
  const classes = byKey("class").at, kinds = [...new Set(shown.map((index) => ROWS[index][classes]))];
  const data = kinds.map((kind) => {
    const here = shown.filter((index) => ROWS[index][classes] === kind);
    return {type: "scatter", mode: "markers", name: kind, x: here.map((index) => value(index, x)),
      y: here.map((index) => value(index, y)), hoverinfo: "text",
      hovertext: here.map((index) => escaped(`${DATA.ids[index]}\n${x.title}: ${ROWS[index][x.at]}\n${y.title}: ${ROWS[index][y.at]}`)),
      marker: {size: 8, color: DATA.colours[kind] || "#808891",
        symbol: here.map((index) => ROWS[index][byKey("status").at] === "timed" ? "circle" : "circle-open")}};
  });
  const axis = (column) => ({title: {text: column.title}, type: log ? "log" : "linear", rangemode: log ? "normal" : "tozero",
    exponentformat: "none", ...(log ? {dtick: "D2"} : {})});
  const layout = {xaxis: axis(x), yaxis: axis(y), height: 420, margin: {l: 64, r: 16, t: 12, b: 52}, showlegend: true,
    legend: {orientation: "h", x: 0, y: -0.2, yanchor: "top"}};
  const lost = found.length - whole.length;
  $("explore-said").textContent = `${shown.length.toLocaleString("en")} of ${found.length.toLocaleString("en")} filtered records drawn`
    + (shown.length < whole.length ? ", evenly chosen" : "") + (lost ? `; ${lost.toLocaleString("en")} have no such number` : "") + (atEdge ? `; ${atEdge.toLocaleString("en")} zeros stand at the edge` : "");
  const figure = {data, layout};
  PLOTS.set($("explore"), figure);
  if (WANTED.has($("explore")) || isDrawn($("explore"))) draw($("explore"), figure);  // else it waits until it is near
}

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/\n/g, "<br>");

function filterMatrix() {
  const select = $("reason");
  if (!select) return;
  const wanted = select.value;
  let rows = 0;
  for (const row of document.querySelectorAll("table.matrix tbody tr")) {
    const cells = [...row.querySelectorAll("td")];
    const has = (cell) => (cell.dataset.reasons || "").split(" ").includes(wanted);
    row.hidden = wanted !== "" && !cells.some(has);
    for (const cell of cells) cell.classList.toggle("other", wanted !== "" && !has(cell));
    rows += row.hidden ? 0 : 1;
  }
  $("reason-said").textContent = wanted === "" ? "" : rows === 1 ? "1 variant" : `${rows} variants`;
}

// Long tables are text until they are unfolded: a browser takes seconds for 10,000 rows that nobody looks at.
function unfold(details) {
  for (const held of details.querySelectorAll(":scope > noscript")) {
    const made = document.createElement("template");
    made.innerHTML = held.textContent;
    held.replaceWith(made.content);
  }
}

async function copy(button) {
  const text = button.parentElement.querySelector("code").textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {  // no permission: select it, to be copied by hand
    const range = document.createRange();
    range.selectNodeContents(button.parentElement.querySelector("code"));
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    button.textContent = "Selected";
    return;
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function go(id) {
  const target = id && $(id);
  if (!target) return;
  target.scrollIntoView();
  target.focus({preventScroll: true});
}

function follow(anchor) {
  const [id, query] = anchor.getAttribute("href").slice(1).split("?");
  if (query !== undefined) {
    for (const key of Object.keys(STATE)) delete STATE[key];
    for (const [key, value] of new URLSearchParams(query)) STATE[key] = value;
  }
  section = id;
  writeAddress();
  if (query !== undefined) refresh();
  go(id);
}

function start() {
  buildFilters();
  readAddress();
  if ($("reason")) {
    $("reason").value = STATE.reason || "";
    $("reason").addEventListener("change", () => { set("reason", $("reason").value, "matrix"); filterMatrix(); });
    filterMatrix();
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy"), anchor = event.target.closest('a[href^="#"]');
    if (button) copy(button);
    if (anchor) { event.preventDefault(); follow(anchor); }
  });
  addEventListener("hashchange", () => { if (readAddress()) { refresh(); filterMatrix(); } go(section); });
  for (const one of document.querySelectorAll("details.later")) one.addEventListener("toggle", () => unfold(one));
  addEventListener("beforeprint", () => document.querySelectorAll("section > details").forEach((one) => { unfold(one); one.open = true; }));
  refresh();
  go(section);
}
start();
