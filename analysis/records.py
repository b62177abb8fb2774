"""Reading saved pytest-benchmark files, of this suite and of any other, and checking the records in them."""

import math
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from analysis import fingerprint, jsonfile, sameness
from analysis.jsonfile import UnreadableFile

__all__ = ["BEFORE", "Bench", "Run", "UnreadableFile", "expand", "load", "load_all", "problems", "read"]

BEFORE = {"experiment": "latency"}  # a record from before there were others has no such field
_OPEN = ("option_", "engagement_")  # fields that each backend names
_LEAST_S, _MOST_S = 1e-12, 1e7  # what can be the time of a call


@dataclass(frozen=True, slots=True)
class Bench:
    """One benchmark of a run.

    Attributes:
        median_s: median round in seconds, from the raw rounds where the file has them.
        speedup, speedup_low, speedup_high: times faster than eager in the same process, where it was recorded.
        meaning: what was run, a text for each of `sameness.FIELDS`; None for what the file does not say.
        unusable: why its times say nothing; empty where they can be used.
    """

    median_s: float
    speedup: float | None = None
    speedup_low: float | None = None
    speedup_high: float | None = None
    meaning: tuple[str | None, ...] = (None,) * len(sameness.FIELDS)
    unusable: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One file, reduced to what a comparison needs.

    Attributes:
        when: start as ISO 8601, empty when the file does not say.
        machine: its fingerprint.
        benchmarks: by `bench_id`, or by pytest-benchmark's `fullname` in other suites.
        cells: status and reason of every planned case, by `bench_id`; empty in other suites.
        several_machines: whether `merge` made it of files from machines that differ.
    """

    file: Path
    when: str
    machine: dict[str, str]
    benchmarks: dict[str, Bench]
    cells: dict[str, tuple[str, str]]
    several_machines: bool = False


def read(file: Path) -> dict[str, Any]:
    """Load a pytest-benchmark file as it is.

    Raises:
        UnreadableFile: missing, not JSON, or without benchmarks.
    """
    content = jsonfile.read_object(file)
    if not isinstance(content.get("benchmarks"), list):
        raise UnreadableFile(f"{file}: no list of benchmarks in it; it is no pytest-benchmark file")
    return content


def load(file: Path) -> Run:
    """Read and check one file.

    Raises:
        UnreadableFile: with a line for each problem.
    """
    return reduced(file, read(file))


def load_all(paths: list[Path]) -> list[Run]:
    """Every file of `paths`, directories included, one after the other: only what is needed stays in memory.

    Raises:
        UnreadableFile: a problem in a file, or files of several suites.
    """
    runs = [load(file) for file in expand(paths)]
    for run in runs[1:]:
        known, names = ({**one.benchmarks, **one.cells} for one in (runs[0], run))  # all of a file may have failed
        if not known.keys() & names.keys():
            jsonfile.refuse(run.file, [f"no benchmark in common with {runs[0].file}: files of two suites?"])
    return runs


def expand(paths: list[Path]) -> list[Path]:
    """Directories replaced by the JSON files in them, at any depth, sorted.

    Raises:
        UnreadableFile: a directory without any, a file in it that leads out of it, or a file given twice.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        jsonfile.refuse(path, [] if inside else ["no JSON file in this directory"])
        for file in inside if path.is_dir() else []:
            if not file.resolve().is_relative_to(path.resolve()):
                jsonfile.refuse(file, [f"leads out of {path}: name the file itself if it is meant"])
        found += inside
    seen: set[Path] = set()
    for file in found:
        jsonfile.refuse(file, ["given twice: a file is one measurement"] if file.resolve() in seen else [])
        seen.add(file.resolve())
    return found


def reduced(file: Path, content: dict[str, Any]) -> Run:
    """The Run in the content of a file (`read`)."""
    found: dict[str, Bench] = {}
    lines = []
    for index, bench in enumerate(content["benchmarks"]):
        name = identity(bench)
        if name is None:
            lines.append(f"benchmark {index}: neither bench_id nor fullname")
            continue
        lines += [f"{name}: {problem}" for problem in _problems(bench)]
        if name in found:
            lines.append(f"{name}: stands twice")
        found[name] = _bench(bench) if not lines else Bench(0.0)
    cells = _cells(content, lines)
    when = content.get("datetime")
    jsonfile.refuse(file, lines if found or cells or lines else ["no benchmark in it"])
    several = any(isinstance(bench.get("extra_info"), dict) and bench["extra_info"].get("machine_differences")
                  for bench in content["benchmarks"])
    return Run(file, when if isinstance(when, str) else "", fingerprint.of(content.get("machine_info")), found, cells,
               several)


def identity(bench: Any) -> str | None:
    """What a benchmark is known by, or None."""
    if not isinstance(bench, dict):
        return None
    record = bench.get("extra_info")
    own = record.get("bench_id") if isinstance(record, dict) else None
    name = own if own is not None else bench.get("fullname")
    return name if isinstance(name, str) and name else None


def _problems(bench: dict[str, Any]) -> Iterator[str]:
    if not isinstance(bench.get("extra_info") or {}, dict):
        yield "extra_info is no object"
    stats = bench.get("stats")
    if not isinstance(stats, dict):
        yield "no stats in it"
        return
    if not _is_time(stats.get("median")):
        yield f"its median is {_shown(stats.get('median'))}, no time in seconds"
    rounds = stats.get("data")
    if rounds is not None and not isinstance(rounds, list):
        yield f"its rounds are {_shown(rounds)}, no list"
    elif rounds:
        wrong = next((value for value in rounds if not _is_time(value)), None)
        if wrong is not None or not all(map(_is_time, rounds)):
            yield f"a round of {_shown(wrong)}, no time in seconds"


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and _LEAST_S <= value <= _MOST_S  # NaN compares false


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a huge number"
    return text if len(text) < 60 else f"{text[:57]}…"


def _bench(bench: dict[str, Any]) -> Bench:
    stats, record = bench["stats"], bench.get("extra_info") or {}
    ratios = [record.get(name) for name in ("speedup_vs_eager", "speedup_low", "speedup_high")]
    return Bench(float(median(stats["data"]) if stats.get("data") else stats["median"]),
                 *(float(value) if type(value) in (int, float) and 0 < value < 1e9 else None for value in ratios),
                 sameness.meaning(record), unusable(record))


def _cells(content: dict[str, Any], lines: list[str]) -> dict[str, tuple[str, str]]:
    ours = content.get("inference_bench")
    cells = ours.get("cells") if isinstance(ours, dict) else []
    found = {}
    for index, cell in enumerate(cells if isinstance(cells, list) else [None]):
        if not isinstance(cell, dict) or not all(isinstance(cell.get(name), str) for name in ("bench_id", "status")):
            lines.append(f"cell {index}: neither bench_id nor status")
        elif cell["bench_id"] in found:
            lines.append(f"cell {cell['bench_id']}: stands twice")
        else:
            found[cell["bench_id"]] = (cell["status"], str(cell.get("reason") or ""))
    return found


def unusable(record: Mapping[str, Any]) -> str:
    """Why a record's times say nothing (other work disturbed it); empty where they can be used."""
    return str(record.get("unusable_reason") or "no reason given") if record.get("usable") is False else ""


def own(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of inference-bench in a file, as they are: not the benchmarks of another suite, nor our controls."""
    found = [bench.get("extra_info") for bench in content["benchmarks"] if isinstance(bench, dict)]
    return [record for record in found if isinstance(record, dict) and "model" in record]


def problems(content: dict[str, Any]) -> list[str]:
    """One line for each record that does not fit `record.schema.json`, or that was saved without its rounds."""
    found = []
    for index, bench in enumerate(content["benchmarks"]):
        if not isinstance(bench, dict) or not isinstance(bench.get("stats"), dict):
            found.append(f"benchmark {index}: no stats in it")
            continue
        record = bench.get("extra_info") or {}
        if not isinstance(record, dict):
            found.append(f"benchmark {index}: extra_info is no object")
        if not isinstance(record, dict) or "model" not in record:
            continue
        name = record.get("bench_id", f"benchmark {index}")
        found += [f"{name}: {line}" for line in jsonfile.schema_problems({**BEFORE, **record}, "record.schema.json")]
        found += [f"{name}: {key} is no finite number" for key, value in record.items()
                  if isinstance(value, float) and not math.isfinite(value)]
        found += _missing_rounds(name, bench["stats"], record)
    return found


def unlisted(content: dict[str, Any], tables: Container[str]) -> list[str]:
    """One line for each record of an experiment without a table or without its own fields in the schema, and for each
    with fields that the schema does not name: what nobody reads or checks."""
    schema = jsonfile.schema("record.schema.json")
    experiments = {branch["if"]["properties"]["experiment"]["const"] for branch in schema["allOf"]}
    found = []
    for record in own(content):
        name, experiment = record.get("bench_id"), record.get("experiment", BEFORE["experiment"])
        strange = [field for field in record if field not in schema["properties"] and not field.startswith(_OPEN)]
        found += [f"{name}: experiment {experiment!r} has no table (analysis/experiments.py)"] * (
            experiment not in tables)
        found += [f"{name}: experiment {experiment!r} is not in record.schema.json"] * (experiment not in experiments)
        found += [f"{name}: not in record.schema.json: {', '.join(map(str, strange))}"] * bool(strange)
    return found


def _missing_rounds(name: str, stats: dict[str, Any], record: dict[str, Any]) -> list[str]:
    turns, rounds = record.get("variant_turns"), stats.get("data") or []
    if not isinstance(turns, list) or not all(isinstance(turn, int) for turn in turns):
        return []
    if isinstance(rounds, list) and len(rounds) == sum(turns):
        return []
    return [f"{name}: its raw rounds are missing (save with --benchmark-save-data)"]
