"""`eagerbench plot`: an experiment's figures as a report draws them, as one HTML file or as an image."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from eagerbench import jsonfile
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import tables
from eagerbench.results.report import experiments, look, machine, source
from eagerbench.results.report.drawing import Figure
from eagerbench.results.report.source import Source
from eagerbench.shown import label, one_line, say

_IMAGES = (".svg", ".png")
_WIDTH = 1100  # pixels of an image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", choices=[name for name, one in EXPERIMENTS.items() if one.plot])
    parser.add_argument("file", type=Path, metavar="FILE", help="saved file")
    parser.add_argument("-o", "--output", type=Path, default=Path("plot.html"),
                        help="an .html file; .svg or .png if kaleido is installed (default: plot.html)")


def run(chosen: argparse.Namespace) -> int:
    sources = source.read([chosen.file])
    try:
        write(chosen.experiment, sources, chosen.output)
    except ValueError as error:
        raise jsonfile.UnreadableFile(f"{chosen.file}: {error}") from None
    left_out = [line for one in sources for line in one.left_out]
    for line in left_out:
        say(one_line(f"{chosen.file}: left out: {line}"), error=True)
    say(f"wrote {chosen.output}")
    return 4 if left_out else 0


def write(name: str, sources: Sequence[Source], file: Path) -> None:
    """The figures of an experiment: a model each, of lines a model and kind each.

    Raises:
        ValueError: no record, or no image can be made.
        UnreadableFile: the file cannot be written.
    """
    rows = [row for row in source.rows(sources) if row.experiment == name and row.usable]
    figures = experiments.figures(name, rows)
    if not figures:
        raise ValueError(f"no record of the experiment {name} in it" if not rows else
                         f"nothing to draw: no case of the experiment {name} got as far as a result")
    experiment = EXPERIMENTS[name]
    about, title = machine.line(sources), f"{name.capitalize()}: {experiment.question}"
    if file.suffix.lower() in _IMAGES:
        _write_image(together(figures, f"{title}<br><sub>{label(about)}</sub>"), file)
        return
    grids = tables.of_experiment(experiment, [row.record for row in rows])
    jsonfile.write_text(file, look.render("plot.html.jinja", figures, title=title, about=about, grids=grids,
                                          read=experiment.plot.read))


def together(figures: Sequence[Figure], title: str) -> go.Figure:
    """All of them below each other in one, with one legend."""
    heights = [one.height for one in figures]
    made = make_subplots(rows=len(figures), row_heights=[height / sum(heights) for height in heights],
                         vertical_spacing=min(0.3, 70 / sum(heights)) if len(figures) > 1 else 0.0,
                         subplot_titles=[label(one.title) for one in figures])
    told: set[str] = set()
    for row, one in enumerate(figures, 1):
        for trace in one.data:
            made.add_trace({**trace, "showlegend": trace["name"] not in told and len(one.data) > 1,
                            "legendgroup": trace["name"]}, row=row, col=1)
            told.add(trace["name"])
        made.update_xaxes(one.layout["xaxis"], row=row, col=1)
        made.update_yaxes(one.layout["yaxis"], row=row, col=1)
    made.update_layout(template="plotly_white", title={"text": title}, height=sum(heights) + 110, width=_WIDTH,
                       barmode=figures[0].layout.get("barmode", "group"), margin={"t": 100, "b": 50, "l": 60, "r": 20})
    return made


def _write_image(figure: go.Figure, file: Path) -> None:
    """Raises ValueError with one line: kaleido may be missing, or not find a browser, and fails in many ways."""
    try:
        figure.write_image(file)
    except OSError as error:
        raise jsonfile.UnreadableFile(f"{file}: {error.strerror or error}") from None
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"kaleido wrote no image: {reason}; an .html file needs no kaleido") from None
