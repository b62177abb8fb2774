"""The kept results that README and docs show: files of docs/results, read once."""

import functools
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eagerbench.results import records
from eagerbench.results.decode import decode
from eagerbench.results.headline import Headline, of_bench
from eagerbench.results.record import Record

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def exists(name: str) -> bool:
    return (RESULTS / f"{name}.json").exists()


@functools.cache
def content(name: str) -> dict[str, Any]:
    """A file of docs/results by its stem: `bench` is a default run, `latency` what README's table shows."""
    return records.read(RESULTS / f"{name}.json")


def benchmarks(name: str) -> Iterator[dict[str, Any]]:
    """Those with a record of ours whose times can be used."""
    for bench in content(name)["benchmarks"]:
        if records.is_ours(bench) and bench["extra_info"]["conditions"].get("usable", True):
            yield bench


def of_experiment(name: str, experiment: str) -> list[Record]:
    """Its records of a file; none where the file is not there yet."""
    if not exists(name):
        return []
    found = (decode(bench["extra_info"]) for bench in benchmarks(name))
    return [record for record in found if record.identity.experiment == experiment]


def headlines(name: str) -> list[Headline]:
    return [found for bench in benchmarks(name) if (found := of_bench(bench)) is not None]


def latency(name: str, model: str, place: str) -> dict[str, Headline]:
    """Latency of one workload, by variant."""
    return {found.variant: found for found in headlines(name)
            if (found.model, found.place, found.number) == (model, place, "")}


def command(name: str) -> str:
    return shlex.join(["eagerbench", "run", *content(name)["eagerbench"].get("arguments", [])])


def step_programs() -> dict[str, Any]:
    """Versions of the other programs that were asked for steps."""
    return json.loads((RESULTS / "step-series.json").read_text(encoding="utf-8"))["programs"]


def conditions(name: str) -> str:
    """Day, machine and versions of a file, as one line."""
    ran = content(name)
    machine = ran["machine_info"]
    packages = machine["packages"]
    versions = ", ".join(f"{package} {packages[package]}" for package in
                         ("torch", "transformers", "onnxruntime", "openvino") if package in packages)
    accepted = any(bench["extra_info"]["conditions"].get("disturbance_accepted") for bench in benchmarks(name))
    busy = " Measured while other work ran on the machine: a placeholder, not a result." if accepted else ""
    return (f"{ran['datetime'][:10]}, {machine['cpu']['brand_raw']}, {machine['usable_cores']} cores, "
            f"{machine['threads']} threads, {versions}.{busy}")


def keep(file: Path, name: str, extra: dict[str, Any], most_bytes: int = 600_000) -> None:
    """Copy a saved run into docs/results, with fewer rounds where it is large. `extra` goes into its `eagerbench`."""
    from eagerbench.results.thin import thinned

    made = thinned(records.read(file), most_bytes)
    made["eagerbench"] = {**made["eagerbench"], **extra}
    for bench in made["benchmarks"]:
        bench.pop("options", None)
    (RESULTS / f"{name}.json").write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n",
                                          encoding="utf-8")
