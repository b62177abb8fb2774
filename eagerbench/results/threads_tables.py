"""Table of the threads experiment: total throughput of a layout of processes on the cores."""

from typing import Any

from eagerbench.results.grid import Grid

Record = dict[str, Any]


def tables(model: str, records: list[Record]) -> list[Grid]:
    """The best layout first within a variant; variants by their best one."""
    rows = []
    for place in dict.fromkeys((record["batch_size"], record["sequence_length"]) for record in records):
        here = [record for record in records if (record["batch_size"], record["sequence_length"]) == place]
        best = {}
        for record in here:
            best[record["variant"]] = max(best.get(record["variant"], 0.0), record["samples_per_s"])
        for record in sorted(here, key=lambda r: (-best[r["variant"]], r["variant"], -r["samples_per_s"])):
            mark = "*" if record["samples_per_s"] == best[record["variant"]] else ""
            rows.append([f"b{place[0]}-s{place[1]}", record["variant"], f"{record['samples_per_s']:.1f}{mark}",
                         f"{record['instances']} × {record['instance_threads']}",
                         f"{record['session_samples_per_s']:.1f}", f"{record['layout_gain']:.2f}",
                         ", ".join(f"{calls / seconds * record['batch_size']:.1f}" for calls, seconds
                                   in zip(record["instance_calls"], record["instance_s"], strict=True))])
    header = ["batch", "variant", "samples/s", "instances × threads", "this process, all threads", "gain",
              "each instance"]
    return [Grid(f"{model}: threads and instances", header, rows, _note(records))]


def _note(records: list[Record]) -> str:
    best = max(records, key=lambda record: record["samples_per_s"])
    return ("Samples/s of all instances together, processes pinned to cores of their own that ran at the same time; * "
            "best layout of the variant. Gain: over the session's own process with all of its threads, seconds before. "
            f"Best of all: {best['variant']}, {best['instances']} instances of {best['instance_threads']} threads at "
            f"{best['workload'].rsplit('-i', 1)[0]}, {best['samples_per_s']:.1f} samples/s.")
