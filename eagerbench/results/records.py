"""Reading saved pytest-benchmark files, of this suite and of any other, and checking the records in them."""

import contextlib
import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eagerbench import jsonfile
from eagerbench.isolation import journal
from eagerbench.jsonfile import UnreadableFile
from eagerbench.results import beside, fingerprint, older
from eagerbench.results.bench import (
    ADDRESS,
    Bench,
    bench_problems,
    identity,
    identity_fields,
    is_ours,
    of,
    quickly,
    unusable,
)
from eagerbench.results.decode import BadRecord, decode

__all__ = ["Bench", "Run", "UnreadableFile", "bench_problems", "expand", "identity", "is_ours", "load", "load_all",
           "problems", "read", "unusable"]

LATEST = "latest.json"  # in pytest-benchmark's directory: the last file once more
_CELL = ("bench_id", "status", "model", "variant", "workload", "reason", "experiment")


@dataclass(frozen=True, slots=True)
class Run:
    """One file, reduced to what a comparison needs.

    Attributes:
        when: start as ISO 8601, empty when the file does not say.
        machine: its fingerprint.
        benchmarks: by `bench_id`, or by pytest-benchmark's `fullname` in other suites.
        cells: status and reason of every planned case, by `bench_id`; empty in other suites.
        unreadable: why a benchmark or a cell of the file is in neither, by its name.
        several_machines: whether `merge` made it of files from machines that differ.
    """

    file: Path
    when: str
    machine: dict[str, str]
    benchmarks: dict[str, Bench]
    cells: dict[str, tuple[str, str]]
    unreadable: dict[str, str] = field(default_factory=dict)
    several_machines: bool = False


def read(file: Path) -> dict[str, Any]:
    """Load a pytest-benchmark file as it is; of the journal of an interrupted session, what was finished.

    Raises:
        UnreadableFile: missing, not JSON, or without benchmarks.
    """
    content = journal.saved(journal.read(file)) if file.suffix == journal.SUFFIX else jsonfile.read_object(file)
    if not isinstance(content.get("benchmarks"), list):
        raise UnreadableFile(f"{file}: no list of benchmarks in it; it is no pytest-benchmark file")
    return content


def load(file: Path) -> Run:
    """Read and check one file.

    Raises:
        UnreadableFile: nothing in it can be used; with a line for each problem.
    """
    return reduced(file, read(file))


def load_all(paths: list[Path]) -> list[Run]:
    """Every file of `paths`, directories included: only what is needed of each stays in memory.

    Raises:
        UnreadableFile: a problem in a file, or files of several suites.
    """
    files = expand(paths)
    with _without_collection():
        runs = beside.mapped(load, files)
    first = {*runs[0].benchmarks, *runs[0].cells, *runs[0].unreadable}
    for run in runs[1:]:
        # All of a file may have failed.
        if first.isdisjoint(run.benchmarks) and first.isdisjoint(run.cells) and first.isdisjoint(run.unreadable):
            jsonfile.refuse(run.file, [f"no benchmark in common with {runs[0].file}: files of two suites?"])
    return runs


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """Without a search for circles at every few thousand objects: JSON has none, and it costs a quarter of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def expand(paths: list[Path]) -> list[Path]:
    """Directories replaced by the JSON files in them, at any depth, sorted.

    Raises:
        UnreadableFile: a directory without any, a file in it that leads out of it, or a file given twice.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(path.rglob("*.json")) if path.is_dir() else [path]
        inside = [file for file in inside if file.name != LATEST or file == path]
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
    """The Run in the content of a file (`read`). A benchmark that cannot be used costs itself.

    Raises:
        UnreadableFile: none of them can, or none of the cells.
    """
    found: dict[str, Bench] = {}
    unreadable: dict[str, str] = {}
    several = False
    for index, bench in enumerate(content["benchmarks"]):
        quick = quickly(bench)
        if quick is not None and quick[0] not in found and quick[0] not in unreadable:
            found[quick[0]] = quick[1]
            several = several or quick[2]
            continue
        several = several or bool(identity_fields(bench).get("machine_differences"))
        name = identity(bench)
        if name is None:
            unreadable[f"benchmark {index}"] = "neither bench_id nor fullname"
        elif name in found or name in unreadable:
            found.pop(name, None)
            unreadable[name] = "occurs twice" + (", apart from an address: give its parameters ids"
                                                 if ADDRESS.search(str(bench.get("fullname"))) else "")
        elif problems := list(bench_problems(bench)):
            unreadable[name] = "; ".join(problems)
        else:
            found[name] = of(bench)
    planned, bad_cells = cells(content)
    if (bad_cells and not planned) or (not found and (unreadable or not planned)):
        jsonfile.refuse(file, [f"{name}: {reason}" for name, reason in {**unreadable, **bad_cells}.items()]
                        or ["no benchmark in it"])
    when = content.get("datetime")
    return Run(file, when if isinstance(when, str) else "", fingerprint.of(content.get("machine_info")), found,
               {cell["bench_id"]: (cell["status"], cell.get("reason", "")) for cell in planned},
               {**unreadable, **bad_cells}, several)


def cells(content: Mapping[str, Any]) -> tuple[list[dict[str, str]], dict[str, str]]:
    """The cells of a file, `bench_id` and `status` and other texts in each; and why any other is none, by its name."""
    ours = content.get("eagerbench")
    given = ours.get("cells", []) if isinstance(ours, dict) else []
    found: dict[str, dict[str, str]] = {}
    bad = {}
    for index, cell in enumerate(given if isinstance(given, list) else [None]):
        known = {name: cell[name] for name in _CELL if name in cell} if isinstance(cell, dict) else {}
        if not all(isinstance(known.get(name), str) for name in ("bench_id", "status")):
            bad[f"cell {index}"] = "neither bench_id nor status"
        elif not all(isinstance(text, str) for text in known.values()):
            bad[f"cell {index}"] = "; ".join(f"{name} is no text" for name, text in known.items()
                                             if not isinstance(text, str))
        elif known["bench_id"] in found:
            bad[f"cell {known['bench_id']}"] = "occurs twice"
        else:
            found[known["bench_id"]] = cell
    return list(found.values()), bad


def own(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The records of eagerbench in a file, checked or not, with all fields side by side."""
    return [older.flat(bench["extra_info"]) for bench in content["benchmarks"] if is_ours(bench)]


def sound(content: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Benchmarks with a record of ours that can be decoded, and a line for each problem of any other."""
    found: dict[str, dict[str, Any]] = {}
    lines = []
    counts = Counter(map(identity, content["benchmarks"]))
    for index, bench in enumerate(content["benchmarks"]):
        name = identity(bench) or f"benchmark {index}"
        said = ["occurs twice"] if counts[identity(bench)] > 1 and identity(bench) else []
        said += bench_problems(bench) if isinstance(bench, dict) else ["no stats in it"]
        said += _record_problems(bench) if is_ours(bench) and not said else []
        lines += [f"{name}: {line}" for line in said]
        if is_ours(bench) and not said:
            found[name] = bench
    return list(found.values()), lines


def problems(content: dict[str, Any]) -> list[str]:
    """One line for each record that is none by its type, or that was saved without its rounds."""
    return sound(content)[1]


def _record_problems(bench: dict[str, Any]) -> Iterator[str]:
    try:
        record = decode(bench["extra_info"])
    except BadRecord as error:
        yield str(error)
        return
    turns, rounds = getattr(record.timing, "variant_turns", None), bench["stats"].get("data") or []
    if turns and len(rounds) != sum(turns):
        yield "its raw rounds are missing (save with --benchmark-save-data)"
