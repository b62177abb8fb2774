"""A report as tables: on the terminal, as Markdown and in the page."""

from collections.abc import Sequence
from datetime import UTC, datetime

from eagerbench.history.changes import LEAST_AFTER, SETTLED
from eagerbench.history.entry import EAGER, seconds
from eagerbench.history.report import Change, Report, Run, StreamPart
from eagerbench.results.grid import Grid
from eagerbench.shown import count

_SHORT = 10  # digits of a commit
_NOTE = (f"Change: speed after over speed before, with its 95 % interval; below 1 it became slower. Provisional: fewer "
         f"than {SETTLED} runs follow, and it may go away. A history reports; to fail a build, use the gate.")


def headline(report: Report) -> str:
    """`2 changes in 24 series of 1 machine (42 runs, 2026-10-01 to 2026-11-28)`."""
    runs = [run for stream in report.streams for run in stream.runs]
    days = sorted(day(run) for run in runs)
    kinds = len({stream.kind for stream in report.streams})
    series = sum(len(stream.series) for stream in report.streams)
    slower = sum(change.ratio < 1 for _, change in report.changes)
    which = f" ({slower} slower, {len(report.changes) - slower} faster)" if report.changes else ""
    changes = count(len(report.changes), "change") if report.changes else "No change found"
    return (f"{changes}{which} in {series} series of {count(kinds, 'machine')}, "
            f"{count(len(runs), 'run')}, {days[0]} to {days[-1]}")


def grids(report: Report) -> list[Grid]:
    """Changes with their causes, what vanished and what is new, what was left out; the headline is the first title."""
    found = [Grid(headline(report), HEADER, [row(stream, change) for stream, change in report.changes],
                  note(report))]
    found += cause_grids(report)
    for stream in report.streams:
        found += lists(stream)
    if report.left_out:
        found.append(Grid("Left out, as it is no entry", ["file and reason"], [[line] for line in report.left_out]))
    return found


HEADER = ("benchmark", "change", "was → now", "between", "runs before, after", "p at most", "")


def row(stream: StreamPart, change: Change) -> list[str]:
    where = stream.runs[change.before], stream.runs[change.after]
    return [change.bench, f"{change.ratio:.3f}×{_bounds(change)}",
            f"{change.was:.2f} → {change.now:.2f} × {anchor(stream)}",
            " and ".join(moment(run) for run in where), f"{change.runs_before}, {change.runs_after}",
            f"{change.p:.2g}", state(change)]


def _bounds(change: Change) -> str:
    """` [0.914, 0.926]`: steps are of percents."""
    return "" if change.low is None or change.high is None else f" [{change.low:.3f}, {change.high:.3f}]"


def state(change: Change) -> str:
    slower = "slower" if change.ratio < 1 else "faster"
    return f"{slower}, provisional" if change.provisional else slower


def note(report: Report) -> str:
    if report.changes:
        return _NOTE
    runs = max(len(one.runs) for stream in report.streams for one in stream.series)
    least = SETTLED + LEAST_AFTER
    short = f" The longest series has {count(runs, 'run')}; a change needs {least}." if runs < least else ""
    return (f"This looks for changes of {report.least:.1%} or more; at most {report.alpha:.0%} of reports name a false "
            f"one.{short}")


def cause_grids(report: Report) -> list[Grid]:
    """For each pair of runs that changes may lie between: what moved there."""
    found: dict[tuple[int, int, int], tuple[list[str], list[str]]] = {}
    for place, stream in enumerate(report.streams):
        for change in stream.changes:
            causes, benches = found.setdefault((place, change.earliest, change.latest), ([], []))
            causes += [line for line in change.causes if line not in causes]
            benches.append(change.bench)
    rows = []
    for (place, earliest, latest), (causes, benches) in found.items():
        stream = report.streams[place]
        first = stream.runs[max(0, earliest - 1)]
        said = causes or ["nothing that is recorded moved: the same commit, versions and machine facts"]
        rows.append([f"{moment(first)} and {moment(stream.runs[latest])}", stream.kind, "; ".join(said),
                     f"{len(benches)}: {', '.join(benches[:5])}{' …' if len(benches) > 5 else ''}"])
    title = "Candidate causes: what moved between the runs that a change lies between (95 %)"
    return [Grid(title, ("between", "machine", "what moved", "benchmarks"), rows)] if rows else []


def lists(stream: StreamPart) -> list[Grid]:
    """What vanished and what is new, of one machine and anchor."""
    where = f"{stream.kind}, to {anchor(stream)}"
    found = []
    if stream.vanished:
        found.append(Grid(f"Vanished from the newest run ({where})", ("benchmark", "reason"),
                          [list(one) for one in stream.vanished.items()]))
    if stream.new:
        found.append(Grid(f"New in the newest run ({where})", ("benchmark",), [[bench] for bench in stream.new]))
    return found


def anchor(stream: StreamPart) -> str:
    """`eager`, or a revision by its first digits."""
    return stream.anchor if stream.anchor == EAGER or not stream.anchor.isalnum() else stream.anchor[:_SHORT]


def moment(run: Run) -> str:
    """`2026-11-28 09:00 a1b2c3d4e5`."""
    return f"{day(run)} {_at(run):%H:%M} {run.commit[:_SHORT] or 'unknown'}{'+' if run.changed else ''}"


def day(run: Run) -> str:
    return f"{_at(run):%Y-%m-%d}"


def _at(run: Run) -> datetime:
    return datetime.fromtimestamp(seconds(run.started), UTC)


def machine_rows(stream: StreamPart) -> Sequence[Sequence[str]]:
    """Facts of the newest run."""
    return [list(one) for one in {**stream.hardware, **stream.software}.items()]
