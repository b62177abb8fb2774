"""`python -m analysis plot`: an experiment's records as one HTML file that needs no network."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.colors import qualitative
from plotly.subplots import make_subplots

from analysis import jsonfile, records, statements
from analysis.corpus import series

Record = dict[str, Any]
Lines = dict[tuple[str, str], dict[int, float]]

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


# Experiment → its lines, and the names of both axes.
PLOTS: dict[str, tuple[Callable[[list[Record]], Lines], str, str]] = {
    "corpus": (corpus_lines, "batch size", "sentences/s"),
    "length": (length_lines, "sequence length, tokens", "latency, ms"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", choices=tuple(PLOTS))
    parser.add_argument("file", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("plot.html"), help="default: plot.html")


def run(chosen: argparse.Namespace) -> int:
    found = statements.records_of(records.read(chosen.file))
    try:
        write(chosen.experiment, found, chosen.output)
    except (KeyError, TypeError) as error:
        raise jsonfile.UnreadableFile(f"{chosen.file}: a record of {chosen.experiment} is not complete ({error}): "
                                      "`python -m analysis check` says more") from None
    except ValueError as error:
        raise jsonfile.UnreadableFile(f"{chosen.file}: {error}") from None
    except OSError as error:
        raise jsonfile.UnreadableFile(f"{chosen.output}: {error.strerror or error}") from None
    print(chosen.output)
    return 0


def write(experiment: str, records: list[Record], file: Path) -> None:
    """One panel a model: a colour a variant, a dash for what else a line stands for.

    Raises:
        ValueError: no record of that experiment.
        OSError: the file cannot be written.
    """
    found = [record for record in records if record.get("experiment") == experiment]
    if not found:
        raise ValueError(f"no record of the experiment {experiment} in it")
    lines_of, across, up = PLOTS[experiment]
    models = list(dict.fromkeys(record["model"] for record in found))
    figure = make_subplots(rows=len(models), subplot_titles=models)
    for row, model in enumerate(models, 1):
        lines = lines_of([record for record in found if record["model"] == model])
        variants = list(dict.fromkeys(variant for variant, _ in lines))
        kinds = list(dict.fromkeys(kind for _, kind in lines))
        for (variant, kind), points in lines.items():
            style = {"color": qualitative.Dark24[variants.index(variant) % 24],
                     "dash": _DASHES[kinds.index(kind) % len(_DASHES)]}
            figure.add_trace(go.Scatter(x=list(points), y=list(points.values()), name=f"{variant}, {kind}",
                                        mode="lines+markers", line=style, legendgroup=f"{variant}, {kind}",
                                        showlegend=row == 1), row=row, col=1)
    figure.update_xaxes(type="log", title=across, dtick=0.30103)  # a tick at every doubling
    figure.update_yaxes(title=up, rangemode="tozero")
    figure.update_layout(height=500 * len(models), title=f"{experiment} experiment", template="plotly_white")
    file.write_text(figure.to_html(include_plotlyjs=True), encoding="utf-8")
