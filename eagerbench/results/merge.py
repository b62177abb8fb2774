"""`eagerbench merge`: files of several environments or shards as one pytest-benchmark file."""

import argparse
import json
from pathlib import Path
from typing import Any

from eagerbench import jsonfile
from eagerbench.isolation import journal
from eagerbench.results import fingerprint, older, records, shards
from eagerbench.shown import count, one_line, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE.json", help="files, or directories of them")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--keep-first", action="store_true",
                        help="if several files have a benchmark, keep that of the first (eager runs in every "
                             "environment)")


def run(chosen: argparse.Namespace) -> int:
    files = [file for file in records.expand(chosen.files) if file.resolve() != chosen.output.resolve()]
    jsonfile.refuse(chosen.output, [] if len(files) > 1 else ["two files or more are needed to merge"])
    contents, left_out = [], []
    for file in files:
        content, lines = _usable(file, records.read(file))
        contents.append(content)
        left_out += [f"{file}: {line}" for line in lines]
    wrong, lost = shards.problems({str(file): ours for file, content in zip(files, contents, strict=True)
                                   if isinstance(ours := content.get("eagerbench"), dict)})
    if wrong:
        raise jsonfile.UnreadableFile(*wrong)
    left_out += lost
    content = merge(files, contents, chosen.keep_first)
    jsonfile.write(chosen.output, content)
    for line in left_out:
        say(one_line(f"left out: {line}"), error=True)
    for cell in shards.left(content) if lost else ():
        say(one_line(f"not measured: {cell}"), error=True)
    say(f"wrote {chosen.output}: {count(len(content['benchmarks']), 'benchmark')} of {count(len(files), 'file')}")
    return 4 if left_out else 0


def _usable(file: Path, content: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The content without the benchmarks and cells that cannot be used, and a line for each of them.

    Raises:
        UnreadableFile: no benchmark can be used.
    """
    run = records.reduced(file, content)
    left_out = dict(run.unreadable)
    benchmarks = []
    for bench in content["benchmarks"]:
        name = records.identity(bench)
        if name not in run.benchmarks:
            continue
        try:
            json.dumps(bench, allow_nan=False)
            benchmarks.append(bench)
        except ValueError:
            left_out[name] = "a NaN or an infinity is in it, which JSON cannot hold"
    lines = [f"{name}: {reason}" for name, reason in left_out.items()]
    jsonfile.refuse(file, lines if left_out and not benchmarks else [])
    found = {**content, "benchmarks": benchmarks}
    if isinstance(content.get("eagerbench"), dict):
        found["eagerbench"] = {**content["eagerbench"], "cells": records.cells(content)[0]}
    return found, lines


def merge(files: list[Path], contents: list[dict[str, Any]], keep_first: bool = False) -> dict[str, Any]:
    """One file's content: everything of the first file, and the benchmarks and cells of all.

    A benchmark from another machine or environment than the first file's has `machine_differences` in its identity
    (in `extra_info` itself, in files of other suites and older ones). A cell that was skipped in one file and timed in
    another is the timed one; failed is failed.

    Raises:
        UnreadableFile: a file that cannot be judged, or, without `keep_first`, a benchmark that is in two of them.
    """
    runs = [records.reduced(file, content) for file, content in zip(files, contents, strict=True)]
    home: dict[str, Path] = {}
    for run in runs:
        twice = [bench for bench in run.benchmarks if bench in home]
        jsonfile.refuse(run.file, [f"{bench}: is in {home[bench]} too; leave one out, or --keep-first"
                                   for bench in twice if not keep_first])
        home = dict.fromkeys(run.benchmarks, run.file) | home
    merged = dict(contents[0])
    merged["benchmarks"] = [_marked(bench, fingerprint.differences(runs[0].machine, run.machine))
                            for run, content in zip(runs, contents, strict=True) for bench in content["benchmarks"]
                            if home[records.identity(bench)] == run.file]
    ours = [content["eagerbench"] for content in contents if isinstance(content.get("eagerbench"), dict)]
    if ours:
        merged["eagerbench"] = {**ours[0], "cells": _cells(ours), "session": _session(ours)}
        if merged["eagerbench"].pop("shard", None):
            merged["benchmarks"] = shards.in_order(merged["benchmarks"], merged["eagerbench"]["cells"])
    return merged


def _marked(bench: dict[str, Any], differences: list[str]) -> dict[str, Any]:
    if not differences:
        return bench
    info = older.with_fields(bench.get("extra_info") or {}, "identity", {"machine_differences": differences})
    return {**bench, "extra_info": info}


def _cells(ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each cell once, in the order of the files: failed before timed before unusable before skipped before not run."""
    rank = {"failed": 0, "timed": 1, "unusable": 2, "not run": 4}
    found: dict[str, dict[str, Any]] = {}
    for cell in (cell for part in ours for cell in part.get("cells") or []):
        known = found.get(cell["bench_id"])
        if known is None or rank.get(cell["status"], 3) < rank.get(known["status"], 3):
            found[cell["bench_id"]] = cell
    return list(found.values())


def _session(ours: list[dict[str, Any]]) -> dict[str, Any]:
    return journal.added([part["session"] for part in ours if isinstance(part.get("session"), dict)])
