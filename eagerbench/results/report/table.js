// The table of records: filtered, sorted, its columns chosen; what is chosen stands in the address.
const COLUMNS = DATA.columns, ROWS = DATA.rows;
const NUMERIC = COLUMNS.filter((column) => column.numeric);
NUMERIC.forEach((column, place) => { column.place = place; });
COLUMNS.forEach((column, place) => { column.at = place; });
const STEP = ROWS.length > 1000 ? 250 : 500;  // rows shown at once
const byKey = (key) => COLUMNS.find((column) => column.key === key);
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};
const $ = (id) => document.getElementById(id);

const STATE = {};  // key → text, of what is not as it usually is
let section = "", limit = STEP;

function readAddress() {
  const [id, query] = decodeURI(location.hash.slice(1)).includes("?")
    ? [location.hash.slice(1).split("?")[0], location.hash.slice(location.hash.indexOf("?") + 1)]
    : location.hash.includes("=") ? ["", location.hash.slice(1)] : [location.hash.slice(1), null];
  section = decodeURIComponent(id);
  if (query === null) return false;
  for (const key of Object.keys(STATE)) delete STATE[key];
  for (const [key, value] of new URLSearchParams(query)) STATE[key] = value;
  return true;
}

function writeAddress() {
  const query = new URLSearchParams(Object.entries(STATE).filter(([, value]) => value !== "")).toString();
  history.replaceState(null, "", "#" + section + (query ? "?" + query : ""));
}

function set(key, value, target) {
  if (value === "" || value === null) delete STATE[key]; else STATE[key] = value;
  if (target) section = target;
  writeAddress();
}

const shownColumns = () => STATE.cols === undefined
  ? COLUMNS.filter((column) => column.usual)
  : COLUMNS.filter((column) => STATE.cols.split(" ").includes(column.key));

function filtered() {
  const words = (STATE.q || "").toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = COLUMNS.filter((column) => column.choice && STATE[column.key]);
  const found = [];
  for (let index = 0; index < ROWS.length; index++) {
    const row = ROWS[index];
    if (!chosen.every((column) => row[column.at] === STATE[column.key])) continue;
    if (words.length) {
      const text = row.join("\n").toLowerCase();
      // A name that is one whole cell is that name, not every longer one.
      if (!words.every((word) => NAMES.has(word) ? row.some((cell) => cell.toLowerCase() === word) : text.includes(word))) continue;
    }
    found.push(index);
  }
  const key = (STATE.sort || "").replace(/^-/, ""), column = byKey(key);
  if (column) {
    const sign = STATE.sort[0] === "-" ? -1 : 1;
    const of = column.numeric ? (index) => DATA.values[index][column.place] : (index) => ROWS[index][column.at];
    const missing = (value) => value === null || value === "–";
    found.sort((a, b) => {
      const one = of(a), other = of(b);
      if (missing(one) || missing(other)) return missing(one) - missing(other) || a - b;
      return sign * (column.numeric ? one - other : one.localeCompare(other)) || a - b;
    });
  }
  return found;
}
const NAMES = new Set(ROWS.map((row) => row[1].toLowerCase()));

function header(columns) {
  return make("tr", {}, ...columns.map((column) => {
    const active = (STATE.sort || "").replace(/^-/, "") === column.key;
    const down = active && STATE.sort[0] === "-";
    const button = make("button", {type: "button"}, column.title + (active ? (down ? " ↓" : " ↑") : ""));
    button.addEventListener("click", () => {
      set("sort", active ? (down === column.numeric ? column.key : down ? "" : "-" + column.key)
        : (column.numeric ? "-" : "") + column.key, "records");
      render();
      [...document.querySelectorAll("#table thead button")][columns.indexOf(column)].focus();
    });
    const cell = make("th", {scope: "col", className: column.numeric ? "n" : ""}, button);
    cell.setAttribute("aria-sort", active ? (down ? "descending" : "ascending") : "none");
    return cell;
  }));
}

function line(index, columns) {
  const open = STATE.open === DATA.ids[index];
  const row = make("tr", {}, ...columns.map((column, place) => {
    const text = ROWS[index][column.at];
    if (column === opener(columns)) {
      const button = make("button", {type: "button", className: "open"}, text);
      button.setAttribute("aria-expanded", open);
      button.addEventListener("click", () => { set("open", open ? "" : DATA.ids[index], "records"); toggled(index); });
      return make("th", {scope: "row"}, button);
    }
    const cell = make("td", {className: (column.numeric ? "n" : "") + (column.key === "status" ? " " + text : "")}, text);
    return cell;
  }));
  row.dataset.index = index;
  return row;
}

const opener = (columns) => columns.find((column) => column.key === "variant") || columns[0];

function toggled(index) {
  render();
  const button = document.querySelector(`#table tr[data-index="${index}"] .open`);
  if (button) button.focus();
}

function render() {
  const columns = shownColumns(), found = filtered(), table = $("table");
  const shown = found.slice(0, limit);
  const opened = DATA.ids.indexOf(STATE.open);
  const lines = [];
  for (const index of shown) {
    lines.push(line(index, columns));
    if (index === opened) lines.push(details(index, columns.length));
  }
  table.tHead.replaceChildren(header(columns));
  table.tBodies[0].replaceChildren(...lines);
  const some = shown.length < found.length ? `, the first ${shown.length.toLocaleString("en")} shown` : "";
  $("count").textContent = `${found.length.toLocaleString("en")} of ${ROWS.length.toLocaleString("en")} records${some}`;
  $("more").hidden = shown.length === found.length;
  $("more").textContent = `Show ${Math.min(STEP, found.length - shown.length)} more`;
  return found;
}

function quantileTable(detail) {
  const names = {rounds: "rounds, ms", reference: "reference beside it, ms", ratios: "times faster, a turn"};
  const rows = Object.keys(names).filter((key) => detail[key]).map((key) => make("tr", {},
    make("th", {scope: "row"}, names[key]), ...detail[key].map((value) => make("td", {className: "n"}, String(value)))));
  if (!rows.length) return null;
  const head = make("tr", {}, ...["", "count", ...more.quantiles.map((percent) => percent === 50 ? "median" : percent + " %")]
    .map((name) => make("th", {scope: "col", className: "n"}, name)));
  return make("div", {className: "wide", tabIndex: 0}, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function turnTable(detail) {
  if (!detail.turns) return null;
  const row = (name, cells) => make("tr", {}, make("th", {scope: "row"}, name),
    ...cells.map((text) => make("td", {className: "n"}, text)));
  const three = (value) => Number(value.toPrecision(3)).toString();
  const body = make("tbody", {}, row("turn", detail.turns.map((_, place) => String(place + 1))),
    row("this variant, ms", detail.turns.map(([own]) => three(own))),
    row("reference, ms", detail.turns.map(([, reference]) => three(reference))),
    row("times faster", detail.turns.map(([own, reference]) => (reference / own).toFixed(2))));
  const some = detail.all_turns > detail.turns.length ? ` (the first ${detail.turns.length})` : "";
  return make("div", {className: "wide", tabIndex: 0}, make("table", {}, make("caption", {},
    `medians of ${detail.all_turns} turns${some}`), body));
}

let more = null;  // what only an opened row needs, read with the first one

function details(index, wide) {
  more = more || JSON.parse($("details").textContent);
  const detail = more.details[index], names = more.names[more.experiments[index]] || [], values = more.fields[index];
  const list = (pairs) => make("ul", {className: "fields"}, ...pairs.map(([name, value]) =>
    make("li", {}, make("span", {className: "soft"}, name + " "), value)));
  const known = names.map((name, place) => [name, values[place]]).filter(([, value]) => value !== "" && value !== undefined);
  const reason = ROWS[index][byKey("reason").at];
  const inner = make("div", {}, make("code", {}, DATA.ids[index]),
    reason === "–" ? null : make("p", {className: "unusable"}, reason),
    detail.evidence ? make("p", {}, make("b", {}, "Evidence "), detail.evidence) : null,
    detail.facts ? list(Object.entries(detail.facts)) : null, quantileTable(detail), turnTable(detail),
    detail.log ? make("pre", {tabIndex: 0}, detail.log) : null, known.length ? list(known) : null,
    detail.again ? command(detail.again) : null);
  return make("tr", {className: "details"}, make("td", {colSpan: wide}, inner));
}

function command(text) {
  const button = make("button", {type: "button", className: "copy js-only"}, "Copy");
  button.setAttribute("aria-label", "Copy the command that measures this again");
  return make("div", {className: "command"}, make("code", {}, text), button);
}
