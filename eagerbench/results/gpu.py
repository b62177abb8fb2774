"""`eagerbench gpu`: the tables of a file that `scripts/gpu.sh` wrote (docs/gpu.md)."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from eagerbench import jsonfile
from eagerbench.results import generation_tables as generation
from eagerbench.results import grid, records, statements
from eagerbench.results import padding_tables as padding
from eagerbench.results.grid import Grid, interval

Record = Mapping[str, Any]
_BUSY = ("none", "idle", "application clocks")  # reasons for a clock that no limit has lowered


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", action="store_true", help="as Markdown")


def run(chosen: argparse.Namespace) -> int:
    content = records.read(chosen.file)
    jsonfile.refuse(chosen.file, list(_misshapen(content)) or _problems(content))
    grid.show(tables(content), chosen.markdown)
    return 0


def markdown(content: Mapping[str, Any]) -> str:
    """The tables as `result.md`, with the command that makes them."""
    return ("Made by `eagerbench gpu FILE --markdown` from the JSON beside it.\n\n"
            + grid.as_markdown(tables(content)))


def tables(content: Mapping[str, Any]) -> list[Grid]:
    """Of a benchmark file: the machine, latency, the GPU against the CPU, padding, generation, statements, steps."""
    found = _with_times(content)
    about = (content.get("eagerbench") or {}).get("gpu_machine") or {}
    on_gpu = [record for record in found if record["device"].startswith("cuda")]
    grids = [_machine(about.get("facts") or {}, content)]
    for model in dict.fromkeys(record["model"] for record in on_gpu if record["experiment"] == "latency"):
        grids += _latency(model, [r for r in on_gpu if r["model"] == model and r["experiment"] == "latency"])
    grids += _against_cpu(found)
    for name, made in (("padding", padding.tables), ("generation", generation.tables)):
        here = [record for record in on_gpu if record["experiment"] == name]
        for model in dict.fromkeys(record["model"] for record in here):
            grids += made(model, [record for record in here if record["model"] == model])
    return [*grids, _statements(content), *_steps(about.get("steps") or [], content)]


def _problems(content: dict[str, Any]) -> list[str]:
    """As `check` finds them; a machine where nothing can be installed may lack jsonschema."""
    try:
        return records.problems(content)
    except ModuleNotFoundError:
        return []


def _misshapen(content: Mapping[str, Any]) -> Iterator[str]:
    """A line for each place around the records that has another type than the tables need."""
    for place in ("machine_info.cpu", "eagerbench.gpu_machine.facts.peak_flops_per_s", "eagerbench.thinned"):
        value: Any = content
        for depth, name in enumerate(parts := place.split("."), 1):
            value = value.get(name)
            if not isinstance(value, dict | None):
                yield f"{'.'.join(parts[:depth])} is no object"
            if not isinstance(value, dict):
                break
        else:
            if parts[-1] == "thinned" and type(value.get("rounds_per_turn")) is not int:
                yield f"{place}: no rounds_per_turn"
            if parts[-1] == "peak_flops_per_s":
                yield from (f"{place}.{name} is no number" for name, peak in value.items()
                            if peak is not None and type(peak) not in (int, float))
    yield from jsonfile.number_problems({name: content.get(name) for name in ("machine_info", "eagerbench")})
    about = content.get("eagerbench")
    about = about.get("gpu_machine") if isinstance(about, dict) else None
    steps = about.get("steps") if isinstance(about, dict) else None
    if steps is not None and not (isinstance(steps, list) and all(map(_is_step, steps))):
        yield "eagerbench.gpu_machine.steps: each has step, status and said as texts, and seconds"


def _is_step(step: Any) -> bool:
    return (isinstance(step, dict) and all(isinstance(step.get(name), str) for name in ("step", "status", "said"))
            and type(step.get("seconds")) in (int, float))


def _with_times(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**records.BEFORE, **bench["extra_info"], "wall_s": _wall(bench["stats"])}
            for bench in content["benchmarks"]
            if records.is_ours(bench) and "model" in bench["extra_info"]]


def _wall(stats: Mapping[str, Any]) -> float:
    return stats["median"] if "median" in stats else median(stats["data"])


def _machine(facts: Mapping[str, Any], content: Mapping[str, Any]) -> Grid:
    rows = [[name, str(facts[name])] for name in ("gpu", "driver", "torch", "cuda", "compute_capability",
                                                  "power_limit_w", "max_sm_mhz") if facts.get(name) is not None]
    rows += [[f"{dtype} product", f"{value / 1e12:.1f} TFLOP/s"]
             for dtype, value in (facts.get("peak_flops_per_s") or {}).items() if value]
    cpu = (content.get("machine_info") or {}).get("cpu") or {}
    rows.append(["CPU", str(cpu.get("brand_raw", "unknown"))])
    return Grid("the machine", ["fact", "value"], rows, f"Measured {str(content.get('datetime', ''))[:10]}.")


def _latency(model: str, found: Sequence[Record]) -> Iterator[Grid]:
    workloads = list(dict.fromkeys(record["workload"] for record in found))
    by_place = {(record["variant"], record["workload"]): record for record in found}
    variants = list(dict.fromkeys(record["variant"] for record in found))
    rows = [[name, *(_time(by_place.get((name, workload))) for workload in workloads)] for name in variants]
    yield Grid(f"{model}: latency on the GPU", ["variant", *workloads], rows,
               "Median milliseconds that a user waits (times faster than eager, in turns, with its 95 % interval).")
    rows = [_device_row([by_place[name, workload] for workload in workloads if (name, workload) in by_place])
            for name in variants]
    header = ["variant", "workload", "wall ms", "device ms", "peak MiB", "SM MHz", "throttled"]
    yield Grid(f"{model}: the GPU's own view", header, rows,
               "Of each variant's largest workload. Device: between CUDA events before its first and behind its last "
               "kernel. Clocks and throttling: after each turn. Peak: bytes of the variant's tensors.")


def _time(record: Record | None) -> str:
    if record is None:
        return "–"
    ratio = f"{record['speedup_vs_eager']:.2f}{interval(record['speedup_low'], record['speedup_high'])}"
    return f"{1e3 * record['wall_s']:.2f} ({ratio})"


def _device_row(found: Sequence[Record]) -> list[str]:
    record = max(found, key=lambda one: (one["batch_size"] * one["sequence_length"]))
    device, peak = record.get("device_s"), record.get("peak_gpu_bytes")
    clocks = [value for value in record.get("gpu_sm_mhz") or [] if value is not None]
    seen = dict.fromkeys(reason for value in record.get("gpu_throttle") or [] if value
                         for reason in value.split(", ") if reason not in _BUSY)
    known = any(value is not None for value in record.get("gpu_throttle") or [])
    return [record["variant"], record["workload"], f"{1e3 * record['wall_s']:.2f}",
            f"{1e3 * device:.2f}" if device else "–", f"{peak / 2**20:.0f}" if peak else "–",
            f"{min(clocks)}–{max(clocks)}" if clocks else "–", ", ".join(seen) or ("no" if known else "–")]


def _against_cpu(found: Sequence[Record]) -> Iterator[Grid]:
    eager = [record for record in found if record["experiment"] == "latency" and record["variant"] == "eager"]
    for model in dict.fromkeys(record["model"] for record in eager):
        here = {(record["device"].partition(":")[0], record["workload"]): record for record in eager
                if record["model"] == model}
        places = [workload for device, workload in here if device == "cuda"]
        if not any(device == "cpu" for device, _ in here) or not places:
            continue
        first = here["cuda", places[0]]
        rows = []
        for place in places:
            gpu, cpu = here["cuda", place], here.get(("cpu", place))
            rows.append([place, f"{1e3 * cpu['wall_s']:.1f}" if cpu else "–", f"{1e3 * gpu['wall_s']:.2f}",
                         f"{cpu['wall_s'] / gpu['wall_s']:.1f}" if cpu else "–",
                         f"{gpu['samples_per_s'] / first['samples_per_s']:.1f}"])
        yield Grid(f"{model}: eager on the GPU and on this machine's CPU",
                   ["workload", "CPU ms", "GPU ms", "CPU / GPU", f"samples/s over {places[0]}"], rows,
                   "Float32 on both, in processes of their own: no interval.")


def _statements(content: Mapping[str, Any]) -> Grid:
    sources, published = statements.published()
    of_gpu = [statement for statement in published if "cuda" in str(statement["rule"])]
    made = statements.tables([statements.judge(one, statements.records_of(content)) for one in of_gpu], sources)
    return Grid("published statements about GPUs", made[0].header, made[0].rows, made[0].note)


def _steps(steps: Sequence[Mapping[str, Any]], content: Mapping[str, Any]) -> Iterator[Grid]:
    rows = [[one["step"], one["status"], f"{one['seconds']:.0f}", one["said"]] for one in steps]
    thinned = (content.get("eagerbench") or {}).get("thinned")
    note = (f"Raw rounds are thinned to at most {thinned['rounds_per_turn']} a turn; medians and ratios are of all "
            "rounds.") if thinned else ""
    if rows or note:
        yield Grid("steps", ["step", "outcome", "s", "what it said"], rows, note)
