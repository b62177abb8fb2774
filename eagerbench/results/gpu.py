"""`eagerbench gpu`: the tables of a file that `scripts/gpu.sh` wrote (docs/gpu.md)."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from eagerbench import jsonfile
from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import grid, records, statements
from eagerbench.results.decode import decode
from eagerbench.results.grid import Grid, interval
from eagerbench.results.record import Gpu, Identity, Record

_BUSY = ("none", "idle", "application clocks")  # reasons for a clock that no limit has lowered
_TABLED = ("padding", "generation")  # experiments whose own tables are shown


@dataclass(frozen=True)
class Timed:
    """A record, and the median seconds of its rounds."""

    record: Record
    wall_s: float

    @property
    def identity(self) -> Identity:
        return self.record.identity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="result.json of scripts/gpu.sh")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")


def run(chosen: argparse.Namespace) -> int:
    content = records.read(chosen.file)
    jsonfile.refuse(chosen.file, list(_misshapen(content)) or records.problems(content))
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
    on_gpu = [one for one in found if one.identity.device.startswith("cuda")]
    grids = [_machine(about.get("facts") or {}, content)]
    for model, of_model in _by_model(on_gpu, "latency"):
        grids += _latency(model, of_model)
    grids += _against_cpu(found)
    for name in _TABLED:
        for model, of_model in _by_model(on_gpu, name):
            grids += EXPERIMENTS[name].tables(model, [one.record for one in of_model])
    return [*grids, _statements(content), *_steps(about.get("steps") or [], content)]


def _by_model(found: Sequence[Timed], experiment: str) -> Iterator[tuple[str, list[Timed]]]:
    here = [one for one in found if one.identity.experiment == experiment]
    for model in dict.fromkeys(one.identity.model for one in here):
        yield model, [one for one in here if one.identity.model == model]


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


def _with_times(content: Mapping[str, Any]) -> list[Timed]:
    return [Timed(decode(bench["extra_info"]), _wall(bench["stats"])) for bench in content["benchmarks"]
            if records.is_ours(bench)]


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


def _latency(model: str, found: Sequence[Timed]) -> Iterator[Grid]:
    workloads = list(dict.fromkeys(one.identity.workload for one in found))
    by_place = {one.record.key: one for one in found}
    variants = list(dict.fromkeys(one.identity.variant for one in found))
    rows = [[name, *(_time(by_place.get((name, workload))) for workload in workloads)] for name in variants]
    yield Grid(f"{model}: latency on the GPU", ["variant", *workloads], rows,
               "Median milliseconds that a user waits (times faster than eager, in turns, with its 95 % interval).")
    rows = [_device_row([by_place[name, workload] for workload in workloads if (name, workload) in by_place])
            for name in variants]
    header = ["variant", "workload", "wall ms", "device ms", "peak MiB", "SM MHz", "throttled"]
    yield Grid(f"{model}: the GPU's own view", header, rows,
               "Of each variant's largest workload. Device: between CUDA events before its first and behind its last "
               "kernel. Clocks and throttling: after each turn. Peak: bytes of the variant's tensors.")


def _time(one: Timed | None) -> str:
    if one is None:
        return "–"
    timing = one.record.timing
    ratio = f"{timing.speedup_vs_eager:.2f}{interval(timing.speedup_low, timing.speedup_high)}"
    return f"{1e3 * one.wall_s:.2f} ({ratio})"


def _device_row(found: Sequence[Timed]) -> list[str]:
    largest = max(found, key=lambda one: one.record.workload.batch_size * one.record.workload.sequence_length)
    gpu, peak = largest.record.gpu or Gpu(), largest.record.costs.peak_gpu_bytes
    clocks = [value for value in gpu.gpu_sm_mhz if value is not None]
    seen = dict.fromkeys(reason for value in gpu.gpu_throttle if value
                         for reason in value.split(", ") if reason not in _BUSY)
    known = any(value is not None for value in gpu.gpu_throttle)
    return [largest.identity.variant, largest.identity.workload, f"{1e3 * largest.wall_s:.2f}",
            f"{1e3 * gpu.device_s:.2f}" if gpu.device_s else "–", f"{peak / 2**20:.0f}" if peak else "–",
            f"{min(clocks):.0f}–{max(clocks):.0f}" if clocks else "–", ", ".join(seen) or ("no" if known else "–")]


def _against_cpu(found: Sequence[Timed]) -> Iterator[Grid]:
    for model, of_model in _by_model([one for one in found if one.identity.variant == "eager"], "latency"):
        here = {(one.identity.device.partition(":")[0], one.identity.workload): one for one in of_model}
        places = [workload for device, workload in here if device == "cuda"]
        if not any(device == "cpu" for device, _ in here) or not places:
            continue
        first = here["cuda", places[0]].record.result
        rows = []
        for place in places:
            gpu, cpu = here["cuda", place], here.get(("cpu", place))
            rows.append([place, f"{1e3 * cpu.wall_s:.1f}" if cpu else "–", f"{1e3 * gpu.wall_s:.2f}",
                         f"{cpu.wall_s / gpu.wall_s:.1f}" if cpu else "–",
                         f"{gpu.record.result.samples_per_s / first.samples_per_s:.1f}"])
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
