"""The verdict of a gate as one HTML page that needs no network: its tables, and every pair that it follows from."""

import math
from importlib.resources import files
from typing import Any

import jinja2
import plotly.graph_objects as go
from markupsafe import Markup

from eagerbench.gate.stages import stage_of
from eagerbench.results.grid import Grid
from eagerbench.shown import label, visible

_ROW, _MARGIN = 34, 120  # pixels


def page(verdict: dict[str, Any], grids: list[Grid], statuses: list[str]) -> str:
    """The page of a verdict (`judge.judge`) and its tables (`gate.tables`); `statuses` get their colours."""
    duet = verdict["duets"][0]
    facts = [("base", duet["base"]["revision"]), ("head", duet["head"]["revision"]),
             ("measured", ", ".join(f"{one['stage']}: {len(one['pairs'])} pairs, seed {one['seed']}"
                                    for one in verdict["duets"])),
             ("exit code", verdict["exit_code"])]
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_shown).from_string(
        files("eagerbench.gate").joinpath("gate.html.jinja").read_text(encoding="utf-8"))
    shown = figure(verdict).to_html(full_html=False, include_plotlyjs=True) if _judged(verdict) else ""
    return template.render(grids=grids, facts=facts, figure=Markup(shown), statuses=statuses)


def _shown(value: Any) -> Any:
    return value if isinstance(value, Markup) or not isinstance(value, str) else visible(value)


def figure(verdict: dict[str, Any]) -> go.Figure:
    """How much slower head was, in percent: a dot a pair, the estimate with its interval, the floor; one row a
    benchmark, of the stage that its verdict is from."""
    entries = _judged(verdict)
    stages = {name: stage_of([duet for duet in verdict["duets"] if duet["stage"] == name])
              for name in ("screen", "confirm")}
    drawn = go.Figure()
    for name, arm, colour in (("base / base, a pair", "null", "#afb8c1"), ("head / base, a pair", "head", "#54aeff")):
        points = [(_percent(log), label(entry["id"])) for entry in entries
                  for log in getattr(stages[entry["stage"]], arm).get(entry["id"], [])]
        drawn.add_trace(_dots(name, points, {"color": colour, "size": 7}))
    estimates = [(100 * (entry["ratio"] - 1), label(entry["id"])) for entry in entries]
    ends = [[100 * abs((entry[end] or entry["ratio"]) - entry["ratio"]) for entry in entries]
            for end in ("low", "high")]
    drawn.add_trace(_dots("estimate, 95 % interval", estimates, {"color": "#0a3069", "size": 10, "symbol": "diamond"},
                          error_x={"type": "data", "symmetric": False, "array": ends[1], "arrayminus": ends[0]}))
    floors = [(100 * entry["floor"], label(entry["id"])) for entry in entries if entry["floor"] is not None]
    drawn.add_trace(_dots("floor", floors, {"color": "#cf222e", "size": 18, "symbol": "line-ns-open"}))
    drawn.add_vline(0, line_width=1, line_color="#6e7781")
    drawn.update_xaxes(title="head slower than base, %")
    drawn.update_yaxes(categoryorder="array", categoryarray=[label(entry["id"]) for entry in reversed(entries)],
                       automargin=True)
    drawn.update_layout(template="plotly_white", height=_MARGIN + _ROW * len(entries), margin={"t": 20, "b": 60},
                        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})
    return drawn


def _judged(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in verdict["benchmarks"] if "ratio" in entry]


def _dots(name: str, points: list[tuple[float, str]], marker: dict[str, Any], **more: Any) -> go.Scatter:
    across, up = zip(*points, strict=True) if points else ((), ())
    return go.Scatter(x=across, y=up, name=name, mode="markers", marker=marker, **more)


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio)
