"""Table of the memory experiment: peaks of fresh processes."""

from typing import Any

from eagerbench.results.grid import Grid

Record = dict[str, Any]


def tables(model: str, records: list[Record]) -> list[Grid]:
    place = {workload: index for index, workload in enumerate(dict.fromkeys(r["workload"] for r in records))}
    gpu = any("peak_gpu_bytes" in record for record in records)
    rows = [[record["workload"], record["variant"], f"{record['peak_rss_vs_eager']:.2f}",
             f"{record['peak_rss_bytes'] / 2**20:.0f}", f"{record['parameter_bytes'] / 2**20:.0f}",
             *([_mib(record.get("peak_gpu_bytes"))] if gpu else []), f"{1e3 * record['call_s']:.1f}"]
            for record in sorted(records, key=lambda r: (place[r["workload"]], r["peak_rss_vs_eager"]))]
    header = ["workload", "variant", "of eager's peak", "peak, MiB", "float32 weights, MiB",
              *(["GPU peak, MiB"] if gpu else []), "call, ms"]
    return [Grid(f"{model}: memory", header, rows,
                 "Peak resident size of a fresh process that loads the variant and calls it twice, runtime and "
                 "libraries included; a variant without an artifact is made there of the float32 model, which is in "
                 "its peak.")]


def _mib(count: int | None) -> str:
    return "–" if count is None else f"{count / 2**20:.0f}"
