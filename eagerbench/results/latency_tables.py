"""Tables of the latency experiment: speed-ups over eager, and what they cost."""

from typing import Any

from eagerbench.results.grid import Grid, interval
from eagerbench.statistics import WIDEST, says_nothing

Record = dict[str, Any]


def tables(model: str, records: list[Record]) -> list[Grid]:
    return [_speedups(model, records), _costs(model, records)]


def _speedups(model: str, records: list[Record]) -> Grid:
    workloads = list(dict.fromkeys(record["workload"] for record in records))
    variants = list(dict.fromkeys(record["variant"] for record in records))
    by_place = {(record["variant"], record["workload"]): record for record in records}
    known = [record for record in records if not _says_nothing(record)]
    fastest = {(record["tolerance_class"], record["workload"]): record["variant"]
               for record in sorted(known, key=lambda record: record["speedup_vs_eager"])}
    rows = []
    for variant in variants:
        found = [by_place.get((variant, workload)) for workload in workloads]
        rows.append([variant, next(record["tolerance_class"] for record in found if record),
                     *[_ratio(record, fastest) if record else "–" for record in found]])
    note = ("Times faster than eager, with the 95 % interval of this process; * fastest of its tolerance class, a tie "
            "where intervals overlap" + _unknown(records, known) + _fastest(known))
    return Grid(f"{model}: speed-up over eager", ["variant", "tolerance class", *workloads], rows,
                note + _method_check(records))


def _says_nothing(record: Record) -> bool:
    return says_nothing(record["speedup_low"], record["speedup_high"])


def _unknown(records: list[Record], known: list[Record]) -> str:
    if len(known) == len(records):
        return "."
    return f"; ? says nothing: an interval wider than a factor of {WIDEST:g}, or none."


def _fastest(known: list[Record]) -> str:
    if not known:
        return ""
    best = max(known, key=lambda record: record["speedup_vs_eager"])
    return f" Fastest of all: {best['variant']} at {best['workload']}, {best['speedup_vs_eager']:.2f} times eager."


def _ratio(record: Record, fastest: dict[tuple[str, str], str]) -> str:
    mark = "*" if fastest.get((record["tolerance_class"], record["workload"])) == record["variant"] else ""
    mark = "?" if _says_nothing(record) else mark
    return f"{record['speedup_vs_eager']:.2f}{mark}{interval(record['speedup_low'], record['speedup_high'])}"


def _method_check(records: list[Record]) -> str:
    """Eager against itself must come out as 1: the check of the method in every run."""
    eager = [record for record in records if record["variant"] == "eager"
             and None not in (record["speedup_low"], record["speedup_high"])]
    wide = [record["workload"] for record in eager if _says_nothing(record)]
    narrow = [record for record in eager if not _says_nothing(record)]
    off = [record["workload"] for record in narrow if not record["speedup_low"] <= 1 <= record["speedup_high"]]
    said = ""
    if narrow and not off:
        said += f" Eager against itself is 1 within its interval in {len(narrow)} of {len(eager)} workloads."
    if off:
        said += (f" Eager against itself is not 1 within its interval at {', '.join(off)}: expected once in 20, "
                 "more often means that the machine is too noisy for these numbers.")
    if wide:
        said += f" Eager against itself says nothing at {', '.join(wide)}: give more --time-budget."
    return said


def _costs(model: str, records: list[Record]) -> Grid:
    rows = []
    for variant in dict.fromkeys(record["variant"] for record in records):
        found = [record for record in records if record["variant"] == variant]
        last = found[-1]
        rows.append([
            variant,
            f"{max(record['max_abs_error'] for record in found):.1e}",
            f"{min(record['cosine'] for record in found):.5f}",
            _bytes(max((record["peak_rss_bytes"] or 0 for record in found), default=0)),
            _bytes(last["artifact_bytes"]),
            f"{last['build_s']:.1f} s",
            _share(max((record["fraction_of_peak"] or 0 for record in found), default=0)),
            last["engagement"],
        ])
    header = ["variant", "largest error", "cosine", "peak memory", "artifact", "build", "of peak FLOP/s", "engagement"]
    return Grid(f"{model}: error, cost and evidence", header, rows,
                "Errors against eager on real positions, the worst workload. Peak memory of a fresh process.")


def _bytes(count: float) -> str:
    return f"{count / 2**20:.0f} MiB" if count else "–"


def _share(value: float) -> str:
    return f"{value:.0%}" if value else "–"
