"""The report as one HTML page: changes first, then every series."""

from collections.abc import Sequence
from dataclasses import dataclass

from eagerbench.history import drawing, text
from eagerbench.history.drawing import Spark
from eagerbench.history.report import Change, Report, Run, SeriesPart, StreamPart
from eagerbench.results.grid import interval
from eagerbench.results.report import look

MOST_RUNS = 60  # of a table
STATUSES = ("slower", "faster")


@dataclass(frozen=True)
class Shown:
    """A series in the page: its newest ratio as text, its picture, and what is said of it."""

    series: SeriesPart
    picture: Spark
    newest: str
    said: str
    changed: bool


@dataclass(frozen=True)
class Section:
    """A machine and anchor in the page."""

    stream: StreamPart
    anchor: str
    series: Sequence[Shown]
    runs: Sequence[Sequence[str]]


def page(report: Report) -> str:
    """The whole page."""
    first, *others = text.grids(report)
    return look.render("history.html.jinja", package="eagerbench.history", report=report, title=text.headline(report),
                       changes=first, others=others, statuses=STATUSES, size=(drawing.WIDTH, drawing.HEIGHT),
                       sections=[_section(stream) for stream in report.streams], machine_rows=text.machine_rows)


def _section(stream: StreamPart) -> Section:
    by_series = {id(one): [] for one in stream.series}
    for change in stream.changes:
        home = next(one for one in stream.series if one.bench == change.bench and change.after in one.runs)
        by_series[id(home)].append(change)
    shown = [_shown(stream, one, sorted(by_series[id(one)], key=lambda change: change.after))
             for one in stream.series]
    runs = [_run(place, run) for place, run in enumerate(stream.runs)][::-1][:MOST_RUNS]
    return Section(stream, text.anchor(stream), sorted(shown, key=lambda one: not one.changed), runs)


def _shown(stream: StreamPart, series: SeriesPart, changes: Sequence[Change]) -> Shown:
    newest = f"{series.ratios[-1]:.2f}×{interval(series.low[-1], series.high[-1])}"
    said = [f"{len(series.runs)} runs, {text.day(stream.runs[series.runs[0]])} to "
            f"{text.day(stream.runs[series.runs[-1]])}"]
    said += [f"{text.state(change)} ({change.ratio:.3f}×) on {text.day(stream.runs[change.after])}"
             for change in changes]
    said += [f"another benchmark before: {series.begins}"] if series.begins else []
    return Shown(series, drawing.spark(series, changes), newest, "; ".join(said), bool(changes))


def _run(place: int, run: Run) -> list[str]:
    return [str(place + 1), text.moment(run), run.branch or "–"]
