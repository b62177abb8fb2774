"""`eagerbench plot`: an experiment's records as one HTML file that needs no network, or as an image."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from eagerbench import jsonfile
from eagerbench.results import records, statements
from eagerbench.results.corpus_tables import series
from eagerbench.shown import label, one_line, say

Record = dict[str, Any]
Lines = dict[tuple[str, str], dict[int, float]]

_DOUBLING = 0.30103  # a tick of a logarithmic axis at every factor of two
_IMAGES = (".svg", ".png")
_DASHES = ("solid", "dash", "dot", "dashdot")


def corpus_lines(records: list[Record]) -> Lines:
    """Sentences/s over the batch size, a line for each variant and policy."""
    return {place: {size: record["sentences_per_s"] for size, record in by_batch.items()}
            for place, by_batch in series(records).items()}


def length_lines(records: list[Record]) -> Lines:
    """Milliseconds over the sequence length, a line for each variant and batch size."""
    lines: Lines = {}
    for record in sorted(records, key=lambda record: record["sequence_length"]):
        line = lines.setdefault((record["variant"], f"batch {record['batch_size']}"), {})
        line[record["sequence_length"]] = 1e3 * record["call_s"]
    return lines


# Experiment → its lines, and the names of both axes; the fields that the lines are made of.
PLOTS: dict[str, tuple[Callable[[list[Record]], Lines], str, str]] = {
    "corpus": (corpus_lines, "batch size", "sentences/s"),
    "length": (length_lines, "sequence length, tokens", "latency, ms"),
}
_NEEDED = {"corpus": ("model", "variant", "policy", "batch_size", "sentences_per_s"),
           "length": ("model", "variant", "batch_size", "sequence_length", "call_s")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", choices=tuple(PLOTS))
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
    say(f"wrote {chosen.output}")
    return 4 if left_out else 0


def _drawable(experiment: str, content: dict[str, Any]) -> tuple[list[Record], list[str]]:
    """Records with what the lines are made of, and a line for each other one of the experiment."""
    benchmarks, left_out = records.sound(content, absent=False)
    found = []
    for record in statements.records_of({**content, "benchmarks": benchmarks}):
        absent = [name for name in _NEEDED[experiment] if name not in record]
        if record["experiment"] == experiment and absent:
            left_out.append(f"{record.get('bench_id')}: no {', '.join(absent)} in it")
        else:
            found.append(record)
    return found, left_out


def write(experiment: str, records: list[Record], file: Path) -> None:
    """A row of panels a model, one for each policy or batch size, a colour a variant; both axes logarithmic.

    Raises:
        ValueError: no record of that experiment.
        OSError: the file cannot be written.
    """
    found = [record for record in records if record.get("experiment") == experiment]
    if not found:
        raise ValueError(f"no record of the experiment {experiment} in it")
    lines_of, across, up = PLOTS[experiment]
    models = list(dict.fromkeys(record["model"] for record in found))
    panels = {model: lines_of([record for record in found if record["model"] == model]) for model in models}
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
    figure.update_xaxes(type="log", title=across, dtick=_DOUBLING)
    figure.update_yaxes(type="log", dtick=_DOUBLING)
    figure.update_yaxes(title=up, col=1)
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
