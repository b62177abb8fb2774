"""The picture of a decision: error over the time of a call."""

from collections.abc import Sequence

from eagerbench.case import DEFAULT
from eagerbench.results.decision.budget import CLASSES
from eagerbench.results.decision.types import Verdict
from eagerbench.results.numbers import percent
from eagerbench.results.report import advice, drawing
from eagerbench.results.report.drawing import CLASS_COLOURS, GREY, LEGEND, MARGIN, Figure
from eagerbench.results.report.source import Row
from eagerbench.shown import label

Place = tuple[str, str]  # model and device
MOST_PANELS = 4
LEAST_ERROR = 1e-6  # below it everything is drawn alike: a float32 cosine tells no more


def place(row: Row) -> tuple[str, str, str]:
    return row.model, row.record.identity.device, row.workload


def latency_places(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """(model, device, workload) of latency cases: models in their order, the longest call of each first."""
    found: dict[tuple[str, str, str], float] = {}
    for row in rows:
        if row.experiment == DEFAULT and row.record is not None:
            found[place(row)] = max(found.get(place(row), 0.0), row.headline.call_s * (row.headline.speedup or 1))
    models = list(dict.fromkeys(key[:2] for key in found))
    return sorted(found, key=lambda key: (models.index(key[:2]), -found[key]))


def scatters(rows: Sequence[Row], verdicts: dict[Place, Verdict], taken: dict[Place, set[str]]) -> list[Figure]:
    """Error over the time of a call: a figure a workload, of the first ones.

    Args:
        verdicts: what stands, by model and device.
        taken: what is recommended there by any budget.
    """
    return [_scatter([row for row in rows if row.experiment == DEFAULT and row.record is not None
                      and place(row) == key], key, verdicts.get(key[:2]), taken.get(key[:2], set()), f"trade-{number}")
            for number, key in enumerate(latency_places(rows)[:MOST_PANELS])]


def _scatter(rows: Sequence[Row], key: tuple[str, str, str], verdict: Verdict | None, stars: set[str],
             name: str) -> Figure:
    out = advice.standing(verdict)
    front = set(verdict.front) if verdict else set()
    shown = drawing.thin(rows, [row.variant in front | stars | {"eager"} for row in rows])
    ends = {row.id: _time(row) for row in shown}
    data = [_front([row for row in shown if row.variant in front and row.usable], ends)]
    for of_class in dict.fromkeys([*CLASSES, *(row.headline.tolerance for row in shown)]):
        here = [row for row in shown if row.headline.tolerance == of_class]
        data += [_marks(here, of_class, ends, out, stars)] if here else []
    errors = [_error(row) for row in shown]
    up = drawing.log_axis("error: difference over output", [min(*errors, 1e-3), max(*errors, 1e-2)], _share, 0.12)
    up["ticktext"] = [f"<{text}" if at <= LEAST_ERROR * 1.01 else text
                      for at, text in zip(up["tickvals"], up["ticktext"], strict=True)]
    across = drawing.log_axis("time of a call, ms", drawing.spanned(list(ends.values()), 1.6), room=0.12)
    layout = {"xaxis": across, "yaxis": up, "legend": {**LEGEND, "y": -0.17, "yanchor": "top"},
              "margin": {**MARGIN, "t": 12}, "shapes": _over(verdict, across, up)}
    model, device, _ = key
    where = "" if device == "cpu" else f" on {device}"
    title = f"{model}{where}, {shape(rows[0])}"
    return Figure(name, title, f"{title}: error against eager over the time of a call, {len(shown)} variants; the "
                  "table of all records has the numbers.", data, layout, len(shown), len(rows), 460)


def _error(row: Row) -> float:
    """As it is drawn: below LEAST_ERROR everything is rounding."""
    return max(row.headline.error or 0.0, LEAST_ERROR)


def _share(error: float) -> str:
    """`0.001%`, `20%`."""
    return f"{drawing.plain(100 * error)}%"


def shape(row: Row) -> str:
    of = row.record.workload
    return f"batch {of.batch_size} × {of.sequence_length}"


def _time(row: Row) -> tuple[float, float | None, float | None]:
    """Milliseconds of a call; the interval is that of the turns with eager, around eager's time in them."""
    found = row.headline
    call = 1e3 * found.call_s
    if not found.speedup or not found.low or not found.high:
        return call, None, None
    return call, call * found.speedup / found.high, call * found.speedup / found.low


def _front(rows: Sequence[Row], ends: dict) -> dict:
    """Steps through the marks that no other beats in time and error both."""
    steps, best = [], float("inf")
    for row in sorted(rows, key=lambda row: (ends[row.id][0], _error(row))):
        if _error(row) < best:
            best = _error(row)
            steps.append((ends[row.id][0], best))
    return {"type": "scatter", "mode": "lines", "name": "front", "x": [x for x, _ in steps],
            "y": [y for _, y in steps], "line": {"color": GREY, "width": 1.5, "dash": "dot", "shape": "hv"},
            "hoverinfo": "skip", "showlegend": len(steps) > 1}


def _marks(rows: Sequence[Row], of_class: str, ends: dict, out: dict[str, str], stars: set[str]) -> dict:
    colour = CLASS_COLOURS.get(of_class, GREY)
    named = stars | {"eager"}
    return {"type": "scatter", "mode": "markers+text", "name": label(of_class),
            "x": [ends[row.id][0] for row in rows], "y": [_error(row) for row in rows],
            "error_x": drawing.ends([ends[row.id] for row in rows], colour),
            "marker": {"color": colour, "line": {"width": 1.5, "color": colour}, "opacity": 1,
                       "size": [15 if row.variant in stars else 9 for row in rows],
                       "symbol": [_symbol(row, out, stars) for row in rows]},
            "text": [label(row.variant) if row.variant in named else "" for row in rows], "textposition": "top center",
            "hovertext": [_said(row, ends[row.id], out) for row in rows], "hoverinfo": "text",
            "customdata": [row.id for row in rows]}


def _symbol(row: Row, out: dict[str, str], stars: set[str]) -> str:
    if not row.usable or row.variant in out:
        return "circle-open"
    return "star" if row.variant in stars else "circle"


def _said(row: Row, ends: tuple, out: dict[str, str]) -> str:
    call, low, high = ends
    times = f" [{low:.3g}, {high:.3g}]" if low and high else ""
    lines = [f"<b>{label(row.variant)}</b>", f"{call:.3g} ms{times}", f"error {percent(row.headline.error)}"]
    why = row.reason or out.get(row.variant, "")
    return "<br>".join([*lines, *([f"not counted: {label(why)}"] if why else [])])


def _over(verdict: Verdict | None, across: dict, up: dict) -> list[dict]:
    """What the budget does not allow, shaded; as far as these two axes are in it."""
    limits = {judged.limit: judged.allowed for one in (verdict.candidates if verdict else []) for judged in one.judged}
    shade = {"type": "rect", "fillcolor": GREY, "opacity": 0.16, "line": {"width": 0}, "layer": "below"}
    found = []
    if limits.get("max-error"):
        found.append({**shade, "xref": "paper", "x0": 0, "x1": 1, "y0": limits["max-error"],
                      "y1": 10 ** up["range"][1]})
    if limits.get("max-latency-ms"):
        found.append({**shade, "yref": "paper", "y0": 0, "y1": 1, "x0": limits["max-latency-ms"],
                      "x1": 10 ** across["range"][1]})
    return found
