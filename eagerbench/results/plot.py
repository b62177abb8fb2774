"""`eagerbench plot`: an experiment's records as one HTML file that needs no network, or as an image."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from eagerbench import jsonfile
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import records
from eagerbench.results.decode import decode
from eagerbench.results.record import Record
from eagerbench.shown import label, one_line, say

_DOUBLING = 0.30103  # a tick of a logarithmic axis at every factor of two
_IMAGES = (".svg", ".png")
_DASHES = ("solid", "dash", "dot", "dashdot")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", choices=[name for name, one in EXPERIMENTS.items() if one.plot])
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("plot.html"),
                        help="an .html file, or an .svg or .png where kaleido is installed (default: plot.html)")


def run(chosen: argparse.Namespace) -> int:
    found, left_out = _drawable(chosen.experiment, records.read(chosen.file))
    try:
        write(chosen.experiment, found, chosen.output)
    except ValueError as error:
        raise jsonfile.UnreadableFile(f"{chosen.file}: {error}") from None
    except OSError as error:
        raise jsonfile.UnreadableFile(f"{chosen.output}: {error.strerror or error}") from None
    for line in left_out:
        say(one_line(f"{chosen.file}: left out: {line}"), error=True)
    say(chosen.output)
    return 4 if left_out else 0


def _drawable(experiment: str, content: dict[str, Any]) -> tuple[list[Record], list[str]]:
    """Records whose times can be used, and a line for each that is none."""
    benchmarks, left_out = records.sound(content)
    found = [decode(bench["extra_info"]) for bench in benchmarks]
    return [record for record in found if record.identity.experiment == experiment and record.conditions.usable], \
        left_out


def write(experiment: str, records: Sequence[Record], file: Path) -> None:
    """A row of panels a model, one for each kind of line, a colour a variant; both axes logarithmic.

    Args:
        records: of that experiment.

    Raises:
        ValueError: no record, or no image can be made.
        OSError: the file cannot be written.
    """
    if not records:
        raise ValueError(f"no record of the experiment {experiment} in it")
    plot = EXPERIMENTS[experiment].plot
    models = list(dict.fromkeys(record.identity.model for record in records))
    panels = {model: plot.lines([record for record in records if record.identity.model == model]) for model in models}
    variants = list(dict.fromkeys(variant for lines in panels.values() for variant, _ in lines))
    kinds = list(dict.fromkeys(kind for lines in panels.values() for _, kind in lines))
    figure = make_subplots(rows=len(models), cols=len(kinds), shared_yaxes=True, horizontal_spacing=0.03,
                           subplot_titles=[label(f"{model}, {kind}") for model in models for kind in kinds])
    told = set()
    for row, lines in enumerate(panels.values(), 1):
        for (variant, kind), points in lines.items():
            index, shown = variants.index(variant), label(variant)
            style = {"color": qualitative.Dark24[index % 24], "dash": _DASHES[index // 24 % len(_DASHES)]}
            figure.add_trace(go.Scatter(x=list(points), y=list(points.values()), name=shown, mode="lines+markers",
                                        line=style, legendgroup=shown, showlegend=variant not in told),
                             row=row, col=kinds.index(kind) + 1)
            told.add(variant)
    figure.update_xaxes(type="log", title=plot.across, dtick=_DOUBLING)
    figure.update_yaxes(type="log", dtick=_DOUBLING)
    figure.update_yaxes(title=plot.up, col=1)
    figure.update_layout(height=450 * len(models), template="plotly_white", margin={"t": 40, "b": 40})
    if file.suffix.lower() in _IMAGES:
        _write_image(figure, file)
    else:
        file.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8", errors="backslashreplace")


def _write_image(figure: go.Figure, file: Path) -> None:
    """Raises ValueError with one line: kaleido may be missing, or not find a browser, and fails in many ways."""
    try:
        figure.write_image(file, width=1100)
    except OSError:
        raise
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"kaleido wrote no image: {reason}; an .html file needs no kaleido") from None
