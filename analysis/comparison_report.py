"""The tables of a comparison of saved files."""

from typing import Any

from analysis.grid import Grid, Row

_JUDGED = {
    2: "Mann–Whitney test on the medians of processes (exact up to 100 files), adjusted by Hochberg. Red on this "
       "machine only: for CI, run a duet.",
    3: "Not tested: two processes of the same code differ, so that one file a side proves nothing. To judge two "
       "commits, run `python -m analysis duet`.",
    4: "Not judged: absolute times of two machines say nothing about a commit. The speed-up over eager was measured "
       "within each run and is shown side by side.",
}


def grids(found: dict[str, Any]) -> list[Grid]:
    """Tables of what `compare.compare` found: the benchmarks, what differs between the machines, and three lists."""
    tier = found["tier"]
    title = f"Tier {tier} ({found['tier_name']}): {found['outcome']}. {found['why']}"
    header, make = {2: (_HEADER_2, _row_2), 3: (_HEADER_3, _row_3), 4: (_HEADER_4, _row_4)}[tier]
    parts = [Grid(title, header, [make(row) for row in found["benchmarks"]], _JUDGED[tier])]
    if found["differences"]:
        parts.append(Grid("What differs between the files' machines and environments", ["field: old → new"],
                          [[line] for line in found["differences"]]))
    return parts + lists(found)


def lists(found: dict[str, Any]) -> list[Grid]:
    """Failed, vanished, new, changed and unreadable benchmarks of a comparison or a verdict; one line for none."""
    vanished = found["vanished"]
    reasons = vanished if isinstance(vanished, dict) else dict.fromkeys(vanished, "")
    rows = [["failed", bench, reason] for bench, reason in found["failed"].items()]
    rows += [["vanished", bench, reason] for bench, reason in reasons.items()]
    rows += [["new", bench, ""] for bench in found["new"]]
    rows += [["changed", bench, reason] for bench, reason in found.get("changed", {}).items()]
    rows += [["unreadable", bench, reason] for bench, reason in found.get("unreadable", {}).items()]
    return [Grid("Failed, vanished, new, changed and unreadable benchmarks", ["", "benchmark", "reason"], rows,
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
