"""Two panels of bars with one x: speed above, quality below."""

from collections.abc import Sequence

from eagerbench.case import DEFAULT
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results.decision.budget import CLASSES
from eagerbench.results.decision.types import Verdict
from eagerbench.results.report import advice, drawing
from eagerbench.results.report.drawing import CLASS_COLOURS, GREY, MARGIN, Figure
from eagerbench.results.report.overview import MOST_PANELS, Place, latency_places, place, shape
from eagerbench.results.report.source import Row
from eagerbench.shown import label

_BAR = 24  # pixels


def bars(rows: Sequence[Row], verdicts: dict[Place, Verdict]) -> list[Figure]:
    """Speed with its interval above quality, one x: of the first models, each on its longest workload."""
    places = latency_places(rows)
    mains = [next(key for key in places if key[:2] == model) for model in dict.fromkeys(key[:2] for key in places)]
    return [_panels([row for row in rows if row.experiment == DEFAULT and row.record is not None
                     and place(row) == key], _quality(rows, key), key, verdicts.get(key[:2]), f"panels-{number}")
            for number, key in enumerate(mains[:MOST_PANELS])]


def _quality(rows: Sequence[Row], key: tuple[str, str, str]) -> dict[str, tuple]:
    """The number of the quality experiment by variant; nothing where it did not run."""
    plot = EXPERIMENTS["quality"].plot
    return {row.variant: found for row in rows if row.experiment == "quality" and row.usable
            and (row.model, row.record.identity.device) == key[:2] and (found := plot.number(row.record)) is not None}


def _panels(rows: Sequence[Row], quality: dict[str, tuple], key: tuple, verdict: Verdict | None, name: str) -> Figure:
    out = advice.standing(verdict)
    order = {of_class: number for number, of_class in enumerate(CLASSES)}
    rows = sorted(rows, key=lambda row: (row.variant != "eager", order.get(row.headline.tolerance, len(order)),
                                         -row.headline.floor))
    shown = drawing.thin(rows)
    names = [label(row.variant) for row in shown]
    colours = [CLASS_COLOURS.get(row.headline.tolerance, GREY) for row in shown]
    hollow = [row.variant in out or not row.usable for row in shown]
    measured = 2 * sum(row.variant in quality for row in shown) > len(shown)
    below = [quality.get(row.variant) if measured else (100 * (row.headline.error or 0.0), None, None)
             for row in shown]
    below_title = EXPERIMENTS["quality"].plot.across if measured else "error: difference over output, %"
    speeds = [(row.headline.speedup, row.headline.low, row.headline.high) for row in shown]
    data = [_bar(names, speeds, colours, hollow, "y"), _bar(names, below, colours, hollow, "y2")]
    title = f"{key[0]}, {shape(rows[0])}"
    layout = {
        "xaxis": {"type": "category", "tickangle": -60, "categoryorder": "array", "categoryarray": names,
                  "anchor": "y2", "automargin": True, "dtick": 1},
        "yaxis": drawing.linear_axis("times as fast as eager", domain=[0.47, 1],
                                     range=_span([*speeds, (1.2, None, None)])),
        "yaxis2": {**drawing.linear_axis("", range=_span(below), domain=[0, 0.38]),
                   "title": {"text": _wrapped(below_title), "standoff": 8}},
        "showlegend": False, "bargap": 0.3, "margin": {**MARGIN, "t": 34},
        "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1,
                    "line": {"color": GREY, "width": 1.5, "dash": "dot"}}, *_between(shown)],
        "annotations": _classes(shown)}
    return Figure(name, title, f"{title}: how many times as fast as eager each of {len(shown)} variants is, and below "
                  f"{below_title}. The table of all records has the numbers.", data, layout, len(shown), len(rows), 560,
                  120 + _BAR * len(shown))


def _span(numbers: Sequence[tuple | None]) -> list[float]:
    """Of an axis of bars: every bar, and intervals unless they are out of all proportion."""
    values = [one for one in numbers if one is not None and one[0] is not None]
    return drawing.from_zero(drawing.spanned(values, 1.6)) if values else [0.0, 1.0]


def _wrapped(title: str) -> str:
    """In two lines, to stand beside a low panel."""
    words, line, lines = title.split(), "", []
    for word in words:
        if len(line) + len(word) > 22 and line:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return "<br>".join(map(label, [*lines, line]))


def _bar(names: list[str], values: Sequence[tuple | None], colours: list[str], hollow: list[bool], axis: str) -> dict:
    known = [one if one is not None and one[0] is not None else (None, None, None) for one in values]
    return {"type": "bar", "x": names, "y": [one[0] for one in known], "xaxis": "x", "yaxis": axis,
            "error_y": drawing.ends([(one[0] or 0.0, *one[1:]) for one in known], drawing.INK),
            "marker": {"color": ["rgba(128,136,145,0.12)" if empty else colour
                                 for colour, empty in zip(colours, hollow, strict=True)],
                       "line": {"color": colours, "width": 1.2}},
            "hovertemplate": "%{x}<br>%{y:.3g}<extra></extra>"}


def _groups(rows: Sequence[Row]) -> list[tuple[str, int, int]]:
    """Class, first and last place of each run of bars of one class; eager apart."""
    found: list[tuple[str, int, int]] = []
    for number, row in enumerate(rows):
        name = "" if row.variant == "eager" else row.headline.tolerance
        if found and found[-1][0] == name:
            found[-1] = (name, found[-1][1], number)
        else:
            found.append((name, number, number))
    return found


def _between(rows: Sequence[Row]) -> list[dict]:
    return [{"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": first - 0.5, "x1": first - 0.5,
             "line": {"color": GREY, "width": 0.7}} for _, first, _ in _groups(rows)[1:]]


def _classes(rows: Sequence[Row]) -> list[dict]:
    return [{"text": label(name), "x": (first + last) / 2, "y": 1.0, "yref": "paper", "yanchor": "bottom",
             "showarrow": False, "font": {"size": 11}} for name, first, last in _groups(rows) if name]
