"""What was measured on what: machine, versions, files, and commands to go on with."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eagerbench.results import fingerprint
from eagerbench.results import spent as seconds_of
from eagerbench.results.numbers import digits
from eagerbench.results.report.columns import NOTHING
from eagerbench.results.report.source import Source

_SHORT = ("CPU", "usable cores", "GPU")
_SIZES = ("memory", "L1 cache", "L2 cache", "L3 cache")


def line(sources: Sequence[Source]) -> str:
    """`Intel(R) Xeon(R) Processor · 2 cores · 2 threads · 2026-11-28 11:04 UTC`, of the last file."""
    source = sources[-1]
    found = fingerprint.of(source.machine)
    parts = [found.get("CPU"), f"{found['usable cores']} cores" if "usable cores" in found else None,
             found.get("GPU"), _threads(source), source.when]
    return " · ".join(part for part in parts if part)


def _threads(source: Source) -> str:
    seen = {bench["extra_info"].get("identity", bench["extra_info"]).get("threads") for bench in source.benchmarks}
    shown = " and ".join(map(str, sorted(one for one in seen if isinstance(one, int))))
    return f"{shown} {'thread' if shown == '1' else 'threads'}" if shown else ""


def facts(sources: Sequence[Source]) -> list[list[str]]:
    """Rows of a table: what, and its value in each file."""
    machines = [fingerprint.of(source.machine) for source in sources]
    packages = [_packages(source) for source in sources]
    rows = [["file", *(str(source.file) for source in sources)], ["measured", *(source.when for source in sources)],
            ["commit", *(source.commit or NOTHING for source in sources)],
            ["seconds", *(_seconds(source) for source in sources)],
            ["threads", *(_threads(source) or NOTHING for source in sources)]]
    names = dict.fromkeys(name for machine in machines for name in machine
                          if name != "threads" and not any(name in one for one in packages))
    rows += [[name, *(_value(name, machine) for machine in machines)] for name in names]
    return rows


def versions(sources: Sequence[Source]) -> list[list[str]]:
    """Rows of a table: package, and its version in each file."""
    packages = [_packages(source) for source in sources]
    names = dict.fromkeys(name for found in packages for name in found)
    return [[name, *(found.get(name, NOTHING) for found in packages)] for name in names]


def _value(name: str, machine: dict[str, str]) -> str:
    value = machine.get(name, NOTHING)
    if name not in _SIZES or not value.isdecimal():
        return value
    size = int(value)
    units = (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")
    return next(f"{digits(size / unit)} {word}" for unit, word in units if size >= unit or unit == 1)


def _packages(source: Source) -> dict[str, str]:
    found = source.machine.get("packages")
    return {str(name): str(version) for name, version in found.items()} if isinstance(found, dict) else {}


def _seconds(source: Source) -> str:
    wall, measured = source.session["wall_s"], source.session["measured_s"]
    return f"{wall:.0f}, of them {measured:.0f} inside calls" if wall else NOTHING


def spent(sources: Sequence[Source]) -> list[list[str]]:
    """Rows of a table: what was done, and its seconds in each file."""
    return seconds_of.side_by_side([source.session for source in sources])


def commands(sources: Sequence[Source], base: Path | None) -> list[tuple[str, str]]:
    """What each does, and how it is typed."""
    files = [str(source.file) for source in sources]
    found = [("this report again", ["report", *files, *(["--base", str(base)] if base else [])]),
             ("which to take under a budget of your own", ["recommend", *files, "--max-error", "0.01"]),
             ("every table in the terminal", ["summary", files[-1]]),
             ("before and after a change", ["compare", files[-1], "NEW.json"]),
             ("everything measured again", ["run", *_models(sources)])]
    return [(what, shlex.join(["eagerbench", *words])) for what, words in found]


def _models(sources: Sequence[Source]) -> list[str]:
    names = dict.fromkeys(bench["extra_info"].get("identity", bench["extra_info"]).get("model")
                          for source in sources for bench in source.benchmarks)
    return [word for name in names for word in ("--model", str(name))]


def differences(one: Source, other: Source) -> list[str]:
    return fingerprint.differences(*(fingerprint.of(source.machine) for source in (one, other)))


def left_out(sources: Sequence[Source]) -> list[Any]:
    return [f"{source.file.name}: {said}" for source in sources for said in source.left_out]
