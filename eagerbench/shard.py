"""One part of a run for each of several jobs: which part this job runs, as the user or the job's engine numbers it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from eagerbench.errors import BadInput

AUTO = "auto"
MOST_JOBS = 10_000
_OTHERWISE = "give K/N yourself, such as --shard 2/5"


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 1) `of` several."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class Engine:
    """An engine that numbers its jobs.

    Attributes:
        index, total: names of its variables.
        first: number of its first job: 0 or 1.
        set_by: who sets them: the engine, or the user in the job's description.
    """

    name: str
    index: str
    total: str
    first: int
    set_by: str = "the engine"


ENGINES = (
    Engine("GitHub Actions, matrix", "STRATEGY_JOB_INDEX", "STRATEGY_JOB_TOTAL", 0, "the workflow"),
    Engine("GitLab CI, parallel", "CI_NODE_INDEX", "CI_NODE_TOTAL", 1),
    Engine("Kubernetes, indexed Job", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", 0, "the engine, and the manifest"),
    Engine("CircleCI, parallelism", "CIRCLE_NODE_INDEX", "CIRCLE_NODE_TOTAL", 0),
    Engine("Buildkite, parallelism", "BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT", 0),
)
_SLURM = "SLURM_ARRAY_TASK_ID"


def parse(text: str, environment: Mapping[str, str]) -> Shard:
    """`2/5`, or `auto`: as the variables of a CI or batch system number this job.

    Raises:
        BadInput: neither, no such variables, or variables of two systems that differ.
    """
    if text != AUTO:
        found = re.fullmatch(r"(\d{1,5})/(\d{1,5})", text.strip())
        if not found:
            raise BadInput(f"--shard {text}: expected K/N, such as 2/5, or auto")
        return _checked(f"--shard {text}", int(found[1]), int(found[2]))
    seen = {engine.name: _of_engine(engine, environment) for engine in ENGINES if engine.index in environment}
    if _SLURM in environment:
        seen["Slurm array"] = _of_slurm(environment)
    if not seen:
        names = ", ".join([*(engine.index for engine in ENGINES), _SLURM])
        raise BadInput(f"--shard auto: none of {names} is set here; {_OTHERWISE}")
    if len(set(seen.values())) > 1:
        said = ", ".join(f"{name}: {shard}" for name, shard in seen.items())
        raise BadInput(f"--shard auto: two systems number this job ({said}); {_OTHERWISE}")
    return next(iter(seen.values()))


def _of_engine(engine: Engine, environment: Mapping[str, str]) -> Shard:
    if engine.total not in environment:
        raise BadInput(f"--shard auto: {engine.index} is set and {engine.total} is not; set it to the number of jobs "
                       f"(docs/fleet.md), or {_OTHERWISE}")
    index, total = (_number(name, environment[name]) for name in (engine.index, engine.total))
    said = f"--shard auto: {engine.index}={index}, {engine.total}={total}"
    return _checked(said, index - engine.first + 1, total)


def _of_slurm(environment: Mapping[str, str]) -> Shard:
    """An array counts from its own first task, in its own steps: `--array=0-4`, `--array=10-50:10`."""
    names = [_SLURM, *(f"SLURM_ARRAY_TASK_{name}" for name in ("MIN", "MAX", "COUNT"))]
    lacking = [name for name in names if name not in environment]
    if lacking:
        raise BadInput(f"--shard auto: {_SLURM} is set and {lacking[0]} is not; {_OTHERWISE}")
    task, first, last, count = (_number(name, environment[name]) for name in names)
    step, rest = divmod(last - first, max(1, count - 1))
    place, between = divmod(task - first, max(1, step))
    if rest or between:
        raise BadInput(f"--shard auto: the tasks of this Slurm array are not evenly numbered ({first} to {last}, "
                       f"{count} of them); {_OTHERWISE}")
    return _checked(f"--shard auto: {_SLURM}={task} of {count}", place + 1, count)


def _number(name: str, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip()):
        raise BadInput(f"--shard auto: {name}={text} is no number; {_OTHERWISE}")
    return int(text)


def _checked(said: str, number: int, of: int) -> Shard:
    if not 1 <= number <= of <= MOST_JOBS:
        raise BadInput(f"{said}: that is part {number} of {of}; expected 1 to N of N parts, {MOST_JOBS:,} at most")
    return Shard(number, of)
