"""Start-up: after how many calls a variant has paid back what it costs to build and load, and the table of it."""

import math
from dataclasses import dataclass
from typing import Any

from eagerbench.results.grid import Grid

Record = dict[str, Any]


@dataclass(frozen=True)
class BreakEven:
    """Calls after which a variant has cost less time than eager.

    Attributes:
        calls: None when it never does, with the reason in `missing`.
        low, high: the same at the ends of the speed-up's interval; `high` is None when it may never be.
    """

    calls: int | None
    low: int | None
    high: int | None
    missing: str | None


def break_even(extra_s: float, eager_call_s: float, speedup: float, speedup_low: float | None,
               speedup_high: float | None) -> BreakEven:
    """(build + load − eager's load) / (eager per call − variant per call), rounded up.

    Args:
        extra_s: the numerator in seconds; 0 or less pays back from the first call on.
        eager_call_s: seconds of an eager call.
        speedup: times faster than eager, with its interval.
    """
    calls = _calls(extra_s, eager_call_s, speedup)
    missing = f"not faster than eager: {speedup:.2f} times" if calls is None else None
    return BreakEven(calls, _calls(extra_s, eager_call_s, speedup_high), _calls(extra_s, eager_call_s, speedup_low),
                     missing)


def _calls(extra_s: float, eager_call_s: float, speedup: float | None) -> int | None:
    if speedup is None or speedup <= 1:
        return None
    return max(0, math.ceil(extra_s / (eager_call_s * (1 - 1 / speedup))))


def tables(model: str, records: list[Record]) -> list[Grid]:
    place = {workload: index for index, workload in enumerate(dict.fromkeys(r["workload"] for r in records))}
    ordered = sorted(records, key=lambda r: (place[r["workload"]], _order(r)))
    rows = []
    for record in ordered:
        rows.append([record["workload"], record["variant"], _break_even(record), _s(record["startup_build_s"]),
                     _s(record.get("startup_save_s")), _s(record["startup_load_s"]), _s(record["startup_imports_s"]),
                     _s(record["startup_first_call_s"]), _s(record["startup_ready_s"]), _bytes(record["disk_bytes"]),
                     f"{1e3 * record['call_s']:.1f}", f"{record['speedup_vs_eager']:.2f}"])
        if "state_dict_load_s" in record:
            rows.append([record["workload"], f"{record['variant']}, pickled state_dict", "", "–",
                         _s(record["state_dict_save_s"]), _s(record["state_dict_load_s"]), "", "",
                         _s(record["state_dict_ready_s"]), _bytes(record["state_dict_bytes"]), "", ""])
    header = ["workload", "variant", "break-even calls", "build, s", "saving, s", "load, s", "imports, s",
              "first call, s", "ready, s", "on disk", "call, ms", "times eager"]
    return [Grid(f"{model}: start-up and size", header, rows, _note(records))]


def _note(records: list[Record]) -> str:
    saved = [record for record in records if "safetensors_save_s" in record]
    return ("Break-even: (build + load − eager's load) / (eager's call − its own), with the ends of the speed-up's "
            "interval. Build: of an artifact once; of any other variant in every process. Saving: what of it went into "
            "writing the file, – where the exporter makes and writes it in one. Load and first call: in a fresh "
            "process, files in the page cache, without imports; ready: imports, load, build and first call together."
            + "".join(f" Eager's weights are saved in {_s(record['safetensors_save_s'])} s as safetensors, in "
                      f"{_s(record['state_dict_save_s'])} s as a state_dict." for record in saved[:1]))


def _order(record: Record) -> tuple[bool, float, float]:
    calls = record["break_even_calls"]
    return calls is None, calls or 0, -record["speedup_vs_eager"]


def _break_even(record: Record) -> str:
    if record["break_even_calls"] is None:
        return f"– ({record['break_even_missing']})"
    low, high = record["break_even_low"], record["break_even_high"]
    interval = "" if low is None else f" [{low}, {'never' if high is None else high}]"
    return f"{record['break_even_calls']}{interval}"


def _s(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.2f}"


def _bytes(count: int | None) -> str:
    return f"{count / 2**20:.1f} MiB" if count else "–"
