"""The tables of a comparison of saved files."""

from typing import Any

from eagerbench.results.grid import Grid, Row

_JUDGED = {
    2: "Mann–Whitney test on the medians of processes (exact up to 100 files), adjusted by Hochberg. Red on this "
       "machine only: for CI, run a duet.",
    3: "Not tested: two processes of the same code differ, so that one file a side proves nothing. To judge two "
       "commits, run `eagerbench duet`.",
    4: "Not judged: absolute times of two machines say nothing about a commit. The speed-up over eager was measured "
       "within each run and is shown side by side.",
}


def grids(found: dict[str, Any]) -> list[Grid]:
    """Tables of what `compare.compare` found: the benchmarks, what differs between the machines, and three lists."""
    tier = found["tier"]
    title = f"Tier {tier} ({found['tier_name']}): {found['outcome']}. {found['why']}"
    header, make = {2: (_HEADER_2, _row_2), 3: (_HEADER_3, _row_3), 4: (_HEADER_4, _row_4)}[tier]
    parts = [Grid(title, header, [make(row) for row in found["benchmarks"]], _JUDGED[tier])]
    parts += floor_differences(found)
    if found["differences"]:
        parts.append(Grid("What differs between the files' machines and environments", ["field: old → new"],
                          [[line] for line in found["differences"]]))
    return parts + noted(found) + lists(found)


def floor_differences(found: dict[str, Any]) -> list[Grid]:
    """Why a noise floor does not count here, of a comparison or of a verdict."""
    rows = [[line] for line in found.get("floor_differences", [])]
    note = "Until `calibrate` ran here, no floor is below the default and no recorded spread counts."
    return [Grid("The noise floor is not known to be of this machine", ["field: there → here"], rows, note)][:len(rows)]


def noted(found: dict[str, Any]) -> list[Grid]:
    """What changed in the models and is judged all the same: a line for each kind of change."""
    by_kind: dict[str, list[str]] = {}
    for bench, said in found.get("noted", {}).items():
        by_kind.setdefault(said, []).append(bench)
    rows = [[said, f"{len(benches)}", ", ".join(dict.fromkeys(bench.partition("/")[0] for bench in benches))]
            for said, benches in by_kind.items()]
    return [Grid("Changed in the models, with the same weights", ["what", "benchmarks", "models"], rows,
                 "Judged like any other change of code.")] if rows else []


def lists(found: dict[str, Any]) -> list[Grid]:
    """Benchmarks of a comparison or a verdict that are on one side only or not judged; one line for none."""
    vanished = found["vanished"]
    reasons = vanished if isinstance(vanished, dict) else dict.fromkeys(vanished, "")
    rows = [["failed", bench, reason] for bench, reason in found["failed"].items()]
    rows += [["vanished", bench, reason] for bench, reason in reasons.items()]
    rows += [["new", bench, ""] for bench in found["new"]]
    rows += [["changed", bench, reason] for bench, reason in found.get("changed", {}).items()]
    rows += [["unusable", bench, f"not judged by this file: {reason}"]
             for bench, reason in found.get("unusable", {}).items()]
    rows += [["unreadable", bench, reason] for bench, reason in found.get("unreadable", {}).items()]
    title = "Failed, vanished, new, changed, unusable and unreadable benchmarks"
    return [Grid(title, ["", "benchmark", "reason"], rows,
                 "" if rows else "None: both sides have the same benchmarks, and all passed their test.")]


_HEADER_2 = ["benchmark", "verdict", "new / old", "95 % interval", "floor", "p", "files", "reason"]
_HEADER_3 = ["benchmark", "old", "new", "new / old", "verdict", "reason"]
_HEADER_4 = ["benchmark", "old", "new", "old: times eager", "new: times eager"]


def _row_2(row: dict[str, Any]) -> Row:
    p = "–" if row["p_adjusted"] is None else f"{row['p_adjusted']:.2g}"
    floor = "–" if row["floor"] is None else f"{row['floor']:.0%}"
    return [row["id"], row["status"], f"{row['ratio']:.4f}", interval(row), floor, p,
            f"{row['old_files']} / {row['new_files']}", row["reason"]]


def _row_3(row: dict[str, Any]) -> Row:
    return [row["id"], seconds(row["old_s"]), seconds(row["new_s"]), f"{row['ratio']:.3f}", row["status"],
            row["reason"]]


def _row_4(row: dict[str, Any]) -> Row:
    return [row["id"], seconds(row["old_s"]), seconds(row["new_s"]), _speedup(row["old_speedup"]),
            _speedup(row["new_speedup"])]


def _speedup(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return "–"
    text = f"{ratio['value']:.2f}"
    return text if None in (ratio["low"], ratio["high"]) else f"{text} [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def interval(row: dict[str, Any]) -> str:
    return "–" if row["low"] is None else f"{row['low']:.4f} to {row['high']:.4f}"


def seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value / 1e-9:.4g} ns"
