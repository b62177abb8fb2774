"""Each experiment's plot, from its records; `eagerbench plot` draws the same."""

from collections.abc import Sequence
from typing import Any

from eagerbench.experiments import EXPERIMENTS, Bars, Dots, Experiment, Plot
from eagerbench.results.report import drawing, spread
from eagerbench.results.report.drawing import LEGEND, MARGIN, PALETTE, Figure
from eagerbench.results.report.source import Row
from eagerbench.shown import label

MOST_MODELS = 4  # that figures are drawn of; the tables have all
_ROW, _AROUND = 21, 110  # pixels
_HOVER = "%{y}<br>%{x:.3g}<extra>%{fullData.name}</extra>"
_DASHES = ("solid", "dash", "dot", "dashdot")

Drawn = tuple[Row, str, float, float | None, float | None]  # with the kind of the mark


def figures(name: str, rows: Sequence[Row]) -> list[Figure]:
    """One a model, of the rows of an experiment, for the first models; of lines, one a model and kind."""
    experiment = EXPERIMENTS[name]
    found = [row for row in rows if row.experiment == name and row.usable]
    models = list(dict.fromkeys((row.model, row.record.identity.device) for row in found))
    several = len({device for _, device in models}) > 1
    drawn = []
    for place, (model, device) in enumerate(models[:MOST_MODELS]):
        here = [row for row in found if (row.model, row.record.identity.device) == (model, device)]
        title = f"{model} on {device}" if several else model
        drawn += _of_model(experiment, here, title, f"{name}-{place}")
    return drawn


def _of_model(experiment: Experiment, rows: Sequence[Row], title: str, key: str) -> list[Figure]:
    plot = experiment.plot
    if isinstance(plot, Dots):
        numbers = [one for row in rows if plot.number(row.record) is not None for one in _drawn(plot, row, rows)]
        return [_dots(key, title, plot, numbers)] if numbers else []
    if isinstance(plot, Bars):
        return [_bars(key, title, plot, rows)]
    return _lines(key, title, plot, rows) if plot else []


def _drawn(plot: Dots, row: Row, rows: Sequence[Row]) -> list[Drawn]:
    """Every mark of a row."""
    several = len({plot.kind(one.record) for one in rows}) > 1
    beside = f", {plot.kind(row.record)}" if several else ""
    return [(row, plot.colour(row.record, several), *_number(plot, row)),
            *((row, f"{name}{beside}", value, None, None) for name, value in plot.more(row.record).items())]


def _number(plot: Dots, row: Row) -> tuple[float, float | None, float | None]:
    value, low, high = plot.number(row.record)
    return (value, low, high) if low is not None else spread.around(value, row.bench, plot.power)


def _dots(key: str, title: str, plot: Dots, numbers: Sequence[Drawn]) -> Figure:
    records = list(dict.fromkeys(row.id for row, *_ in numbers))
    drawn = set(drawing.thin(records, most=drawing.MOST_MARKS * len(records) // len(numbers)))
    shown = [one for one in numbers if one[0].id in drawn]
    best: dict[str, float] = {}
    ranked = [one for one in shown if not plot.name or one[1].startswith(plot.name)]
    for row, _, value, *_ in ranked:
        best[row.variant] = (max if plot.most else min)(best.get(row.variant, value), value)
    variants = sorted(best, key=best.__getitem__, reverse=plot.most)
    kinds = list(dict.fromkeys(kind for _, kind, *_ in shown))
    rows = {variant: len(variants) - 1 - place for place, variant in enumerate(variants)}  # the best on top
    data = []
    for place, kind in enumerate(kinds):
        here = [one for one in shown if one[1] == kind]
        beside = 0.66 * ((len(kinds) - 1) / 2 - place) / len(kinds)  # of the row's middle: no mark hides another
        data.append({"type": "scatter", "mode": "markers", "name": label(kind), "x": [one[2] for one in here],
                     "y": [rows[one[0].variant] + beside for one in here],
                     "error_x": drawing.ends([one[2:] for one in here]),
                     "marker": {"color": PALETTE[place % len(PALETTE)], "size": 8,
                                "symbol": ["circle", "diamond", "square"][place // len(PALETTE) % 3]},
                     "text": [label(one[0].variant) for one in here], "customdata": [one[0].id for one in here],
                     "hovertemplate": _HOVER.replace("%{y}", "%{text}")})
    positive = all(one[2] > 0 for one in shown)
    reach = drawing.spanned([one[2:] for one in shown])
    across = drawing.log_axis(plot.across, [*reach, *([plot.line] if plot.line else [])]) if plot.log and positive \
        else drawing.linear_axis(plot.across, range=drawing.from_zero(reach))
    layout = {**_rows_layout(variants, across, len(kinds) > 1), "shapes": _mark(plot.line)}
    layout["yaxis"] = {"tickmode": "array", "tickvals": list(rows.values()), "ticktext": list(map(label, rows)),
                       "range": layout["yaxis"]["range"], "automargin": True, "zeroline": False}
    title = f"{title}, {kinds[0]}" if len(kinds) == 1 else title  # without a legend
    return Figure(key, title, f"{title}: {plot.across}, of {len(variants)} variants, the best on top. "
                  "The table below has the numbers.", data, layout, len(drawn), len(records),
                  (_ROW + 5 * min(len(kinds) - 1, 4)) * len(variants) + _AROUND)


def _mark(at: float | None) -> list[dict[str, Any]]:
    return [] if at is None else [{"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper",
                                   "line": {"color": drawing.GREY, "width": 1.5, "dash": "dot"}}]


def _rows_layout(variants: Sequence[str], across: dict[str, Any], legend: bool) -> dict[str, Any]:
    """Variants below each other, the first one on top."""
    return {"xaxis": across, "yaxis": {"type": "category", "categoryorder": "array", "automargin": True,
                                       "categoryarray": [label(name) for name in reversed(variants)],
                                       "range": [-0.7, len(variants) - 0.3], "dtick": 1},
            "showlegend": legend, "legend": LEGEND, "margin": {**MARGIN, "t": 44 if legend else 16}}


def _bars(key: str, title: str, plot: Bars, rows: Sequence[Row]) -> Figure:
    """A bar a variant, of its first workload; where there are several, the workload is named beside it."""
    several = len({row.workload for row in rows}) > 1
    found = {f"{row.variant}, {row.workload}" if several else row.variant: plot.parts(row.record)
             for row in drawing.thin(rows)}
    order = sorted(found, key=lambda name: sum(found[name].values()))
    names = list(dict.fromkeys(name for parts in found.values() for name in parts))
    data = [{"type": "bar", "orientation": "h", "name": label(name), "x": [found[one].get(name, 0.0) for one in order],
             "y": [label(one) for one in order], "marker": {"color": PALETTE[place % len(PALETTE)]},
             "hovertemplate": _HOVER} for place, name in enumerate(names)]
    layout = {**_rows_layout(order, drawing.linear_axis(plot.across), True), "barmode": "stack", "bargap": 0.35}
    return Figure(key, title, f"{title}: {plot.across}, of {len(order)} variants, the least on top. "
                  "The table below has the numbers.", data, layout, len(order), len(rows), _ROW * len(order) + _AROUND)


def _lines(key: str, title: str, plot: Plot, rows: Sequence[Row]) -> list[Figure]:
    """A figure a kind; where every line would be one point, all kinds as marks in one."""
    points = {(row.variant, kind): (x, row, y) for row in rows
              for (_, kind), series in plot.lines([row.record]).items() for x, y in series.items()}
    if len({x for x, *_ in points.values()}) == 1 and len(points) == len(rows):
        kinds = {id(row.record): kind for (_, kind), (_, row, _) in points.items()}
        (at, _, _), *_ = points.values()
        dots = Dots(lambda record: None, plot.up, plot.read, most=plot.power < 0)
        numbers = [(row, kinds[id(row.record)], *spread.around(y, row.bench, plot.power))
                   for _, row, y in points.values()]
        return [_dots(key, f"{title}, {plot.across.partition(',')[0]} {at:g}", dots, numbers)]
    series: dict[tuple[str, str], list[tuple]] = {}
    for row in rows:
        for place, of_record in plot.lines([row.record]).items():
            series.setdefault(place, []).extend((x, *spread.around(y, row.bench, plot.power))
                                                for x, y in of_record.items())
    variants = list(dict.fromkeys(variant for variant, _ in series))
    every = [one for found in series.values() for one in found]
    if not every:  # no case got as far as a point
        return []
    up = drawing.log_axis(plot.up, [end for one in every for end in one[1:] if end])
    at = sorted({one[0] for one in every})
    figures = []
    for number, kind in enumerate(dict.fromkeys(kind for _, kind in series)):
        here = {variant: sorted(series[variant, kind]) for variant in variants if (variant, kind) in series}
        marks = sum(map(len, here.values()))
        share = min(1.0, drawing.MOST_MARKS / marks)
        thinned = {variant: drawing.thin(found, most=max(2, int(share * len(found))))
                   for variant, found in here.items()}
        data = [_line(label(variant), variants.index(variant), found) for variant, found in thinned.items()]
        across = drawing.log_axis(plot.across, at)
        if len(at) < 9:
            across |= {"tickvals": at, "ticktext": [f"{value:g}" for value in at]}
        legend_rows = -(-len(data) // 4)
        layout = {"xaxis": across, "yaxis": up, "legend": {**LEGEND, "y": -0.2, "yanchor": "top"},
                  "margin": {**MARGIN, "t": 16}}
        figures.append(Figure(f"{key}-{number}", f"{title}, {kind}", f"{title}, {kind}: {plot.up} over {plot.across}, "
                              f"a line for each of {len(data)} variants. The table below has the numbers.", data,
                              layout, sum(len(one["x"]) for one in data), marks, 380 + 20 * legend_rows))
    return figures


def _line(name: str, place: int, found: Sequence[tuple]) -> dict[str, Any]:
    return {"type": "scatter", "mode": "lines+markers", "name": name, "x": [one[0] for one in found],
            "y": [one[1] for one in found], "error_y": drawing.ends([one[1:] for one in found]),
            "line": {"color": PALETTE[place % len(PALETTE)], "dash": _DASHES[place // len(PALETTE) % len(_DASHES)],
                     "width": 1.6},
            "hovertemplate": "%{x}: %{y:.3g}<extra>%{fullData.name}</extra>"}
