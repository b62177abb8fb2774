"""The verdict of a gate as one HTML page that needs no network: its tables, and every pair that it follows from."""

import json
import math
from typing import Any

import plotly.graph_objects as go

from eagerbench.gate.stages import stage_of
from eagerbench.results import fingerprint
from eagerbench.results.grid import Grid
from eagerbench.results.report import drawing, look
from eagerbench.shown import label

_ROW, _MARGIN = 34, 120  # pixels


def page(verdict: dict[str, Any], grids: list[Grid], statuses: list[str]) -> str:
    """The page of a verdict (`judge.judge`) and its tables (`gate.tables`); `statuses` get their colours."""
    entries = _judged(verdict)
    figures = []
    if entries:
        drawn = json.loads(figure(verdict).to_json())
        drawn["layout"].pop("template", None)  # the page has colours of its own
        figures.append(drawing.Figure("pairs", "Every pair", "How much slower head was than base, in percent: a dot a "
                                      f"pair, of {len(entries)} benchmarks. The table has the numbers.", drawn["data"],
                                      drawn["layout"], len(entries), len(entries), _MARGIN + _ROW * len(entries)))
    return look.render("gate.html.jinja", figures, package="eagerbench.gate", grids=grids, facts=_facts(verdict),
                       statuses=statuses)


def _facts(verdict: dict[str, Any]) -> list[list[str]]:
    """Rows: when, on what, which commits (or directories)."""
    duets = verdict["duets"]
    machine = fingerprint.of(duets[0].get("machine_info"))
    shown = [("CPU", machine.get("CPU")), ("usable cores", machine.get("usable cores")), ("GPU", machine.get("GPU")),
             ("threads", machine.get("threads")), ("torch", machine.get("torch"))]
    return [["started", ", ".join(str(duet.get("started", "–"))[:16].replace("T", " ") for duet in duets)],
            *([name, value] for name, value in shown if value),
            *([side, str(duets[0][side]["revision"])] for side in ("base", "head")),
            ["measured", ", ".join(f"{one['stage']}: {len(one['pairs'])} pairs, seed {one['seed']}" for one in duets)],
            ["exit code", str(verdict["exit_code"])]]


def figure(verdict: dict[str, Any]) -> go.Figure:
    """How much slower head was, in percent: a dot a pair, the estimate with its interval, the floor; one row a
    benchmark, of the stage that its verdict is from."""
    entries = _judged(verdict)
    stages = {name: stage_of([duet for duet in verdict["duets"] if duet["stage"] == name])
              for name in ("screen", "confirm")}
    drawn = go.Figure()
    arms = ("base / base, a pair", "null", drawing.GREY), ("head / base, a pair", "head", "#54aeff")
    for name, arm, colour in arms:
        points = [(_percent(log), label(entry["id"])) for entry in entries
                  for log in getattr(stages[entry["stage"]], arm).get(entry["id"], [])]
        drawn.add_trace(_dots(name, points, {"color": colour, "size": 7}))
    estimates = [(100 * (entry["ratio"] - 1), label(entry["id"])) for entry in entries]
    ends = [[100 * abs((entry[end] or entry["ratio"]) - entry["ratio"]) for entry in entries]
            for end in ("low", "high")]
    drawn.add_trace(_dots("estimate, 95 % interval", estimates, {"color": drawing.PALETTE[0], "size": 11,
                                                                 "symbol": "diamond"},
                          error_x={"type": "data", "symmetric": False, "array": ends[1], "arrayminus": ends[0]}))
    floors = [(100 * entry["floor"], label(entry["id"])) for entry in entries if entry["floor"] is not None]
    drawn.add_trace(_dots("floor", floors, {"color": drawing.PALETTE[4], "size": 18, "symbol": "line-ns-open"}))
    drawn.add_vline(0, line_width=1, line_color=drawing.GREY)
    drawn.update_xaxes(title="head slower than base, %", automargin=True)
    drawn.update_yaxes(categoryorder="array", categoryarray=[label(entry["id"]) for entry in reversed(entries)],
                       automargin=True)
    drawn.update_layout(margin={"t": 20, "b": 60, "l": 60, "r": 16},
                        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})
    return drawn


def _judged(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in verdict["benchmarks"] if "ratio" in entry]


def _dots(name: str, points: list[tuple[float, str]], marker: dict[str, Any], **more: Any) -> go.Scatter:
    across, up = zip(*points, strict=True) if points else ((), ())
    return go.Scatter(x=across, y=up, name=name, mode="markers", marker=marker, **more)


def _percent(log_ratio: float) -> float:
    return 100 * math.expm1(log_ratio)
