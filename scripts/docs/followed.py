"""The kept history: what its report says, and how far each series moved."""

import numpy as np

from eagerbench.history import report, store, text
from scripts.docs.kept import RESULTS


def summary() -> tuple[str, list[list[str]]]:
    """The headline, and a row a series: benchmark, runs, median ratio, spread of one run in percent, changes."""
    found = report.of_store(store.read(RESULTS / "history"))
    rows = []
    for stream in found.streams:
        for series in stream.series:
            logs = np.log(series.ratios)
            spread = 1.4826 * np.median(np.abs(logs - np.median(logs)))
            changes = [change for change in stream.changes if change.bench == series.bench]
            rows.append([f"`{series.bench}`", str(len(series.runs)), f"{np.exp(np.median(logs)):.2f}",
                         f"{100 * spread:.1f} %", ", ".join(f"{one.ratio:.3f}×" for one in changes) or "none"])
    return text.headline(found), rows
