"""The user's selection: parsed options, checked together, as one frozen `Selection`."""

import itertools
import os
import re
from argparse import Namespace
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from eagerbench import backends
from eagerbench.backends.base import Placement
from eagerbench.errors import BadInput, unknown
from eagerbench.machine import quota
from eagerbench.models import specs
from eagerbench.option_values import output_file, whole, writable_directory
from eagerbench.results.numbers import P99_MS
from eagerbench.shard import Shard

DEFAULT_MODEL = "minilm"
_ARTIFACTS, _ARTIFACTS_VARIABLE = ".artifacts", "EAGERBENCH_ARTIFACTS"
ARTIFACTS_HELP = f"(default: the variable {_ARTIFACTS_VARIABLE}, or {_ARTIFACTS})"

# Shapes are (batch size, sequence length in tokens).
GRIDS = {
    "smoke": ((1, 16), (4, 32)),
    "default": ((1, 128), (8, 128)),
    "full": tuple(itertools.product((1, 2, 4, 8, 16, 32, 64), (8, 32, 128, 256, 512))),
}
DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
PEAKS = ("fresh", "here")
# Seconds of warm-up, variant rounds and reference rounds together that one case aims at.
TIME_BUDGETS = {"smoke": 1.0, "default": 2.0, "full": 2.0}

_SERIES_SHARE = 0.125  # of the budget, but in the full grid


def default_artifacts() -> str:
    """The directory of artifacts where --artifacts names none."""
    return os.environ.get(_ARTIFACTS_VARIABLE) or _ARTIFACTS


@dataclass(frozen=True)
class Selection:
    """What the user asked for, every field validated.

    Attributes:
        shapes: (batch size, sequence length) of the latency experiment.
        batch_sizes, sequence_lengths: what is given instead of the grid's; empty without.
        corpus: path of a file with one sentence a line; None for generated sentences.
        sentences: how many of them; None for all of a file, or the grid's number.
        eval, retrieval, labels: paths of files with labelled pairs, queries with their documents, and labelled texts,
            for the quality experiment.
        every_variant: whether variants were named, or the full grid: then every experiment runs on each.
        models_named: whether models were named: then every experiment runs on those.
        p99_ms: milliseconds that the 99th percentile of the serving experiment's latencies holds.
        files: names of the experiments whose perf tests were named.
        shard: the part of the selected cases that runs here; None for all.
        shard_times: path of the file that parts are balanced by.
    """

    models: tuple[specs.ModelSpec, ...]
    variants: tuple[str, ...]
    device: str
    shapes: tuple[tuple[int, int], ...]
    threads: int
    time_budget: float
    artifacts: Path
    rebuild: bool
    seed: int
    allocator: str
    summary_md: Path | None
    device_map: str | None = None
    max_memory: tuple[tuple[str, str], ...] = ()
    grid: str = "default"
    batch_sizes: tuple[int, ...] = ()
    sequence_lengths: tuple[int, ...] = ()
    corpus: str | None = None
    sentences: int | None = None
    eval: str | None = None
    retrieval: str | None = None
    labels: str | None = None
    every_variant: bool = True
    models_named: bool = True
    peaks: str = "fresh"
    p99_ms: float = P99_MS
    files: tuple[str, ...] = ()
    shard: Shard | None = None
    shard_times: str | None = None

    @property
    def series_budget(self) -> float:
        """Seconds of a case that is one point of a series."""
        return self.time_budget * (1 if self.grid == "full" else _SERIES_SHARE)

    @property
    def built_shapes(self) -> tuple[tuple[int, int], ...]:
        """Those of `shapes` for which a variant is built whose build serves one shape."""
        if self.grid != "default" or self.batch_sizes or self.sequence_lengths:
            return self.shapes
        return (max(self.shapes, key=lambda shape: (-shape[0], shape[1])),)

    @property
    def placement(self) -> Placement:
        return Placement(self.device, self.threads, self.device_map, self.max_memory)


def select(option: Namespace) -> Selection:
    """Check together what each option's own type has checked alone.

    Args:
        option: an attribute for each option, as `fixtures/options.py` declares them.

    Raises:
        BadInput: with one line that names the option, what is wrong and what would be right.
    """
    return Selection(
        models=models(option.model or [DEFAULT_MODEL], option.seed),
        variants=tuple(name for name in backends.variants() if not option.variant or _matches(name, option.variant)),
        device=_visible(option.device),
        shapes=_shapes(option.grid, option.batch_sizes, option.sequence_lengths),
        threads=option.threads or quota.usable_cores(),
        time_budget=option.time_budget or TIME_BUDGETS[option.grid],
        artifacts=writable_directory("--artifacts", option.artifacts or default_artifacts(),
                                     create=not option.list_cases),
        rebuild=option.rebuild,
        seed=option.seed,
        allocator=option.allocator,
        summary_md=output_file("--summary-md", option.summary_md),
        device_map=option.device_map or ("auto" if option.max_memory else None),  # limits mean nothing without a map
        max_memory=option.max_memory or (),
        grid=option.grid,
        batch_sizes=option.batch_sizes or (),
        sequence_lengths=option.sequence_lengths or (),
        corpus=option.corpus,
        sentences=option.sentences,
        eval=option.eval,
        retrieval=option.retrieval,
        labels=option.labels,
        every_variant=bool(option.variant) or option.grid == "full",
        models_named=bool(option.model),
        peaks=option.peaks,
        p99_ms=option.p99_ms,
        files=tuple(getattr(option, "files", ())),
        shard=option.shard,
        shard_times=option.shard_times,
    )


def models(names: list[str], seed: int) -> tuple[specs.ModelSpec, ...]:
    """Raises BadInput for an unknown model, and for two of one name."""
    found = {}
    for name in dict.fromkeys(names):
        spec = specs.resolve(name, seed)
        if spec.name in found:
            raise BadInput(f"--model {name}: another selected model is also named {spec.name!r}; rename one")
        found[spec.name] = spec
    return tuple(found.values())


def unknown_variants(patterns: list[str]) -> list[str]:
    """Patterns that no variant matches."""
    return [pattern for pattern in patterns if not any(_matches(name, [pattern]) for name in backends.variants())]


def refuse_unknown_variants(patterns: list[str]) -> None:
    """Raises BadInput for the first of them."""
    for pattern in unknown_variants(patterns):
        raise unknown("variant", pattern, backends.variants())


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:\d+)?", text):
        raise BadInput(f"unknown device {text!r}: use cpu, cuda or cuda:N")
    return text


def _visible(device: str) -> str:
    """`cpu` or `cuda:N`. Imports torch for a GPU."""
    if device == "cpu":
        return device
    import torch

    if not torch.cuda.is_available():
        raise BadInput(f"--device {device}: torch {torch.__version__} sees no CUDA device here; use --device cpu")
    index = int(device.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise BadInput(f"--device {device}: this machine has cuda:0 to cuda:{torch.cuda.device_count() - 1}")
    return f"cuda:{index}"


def max_memory(text: str) -> tuple[tuple[str, str], ...]:
    """Pairs of device and size, of `cpu=20MB,0=600MB`."""
    limits = {}
    for part in text.split(",") if text else ():
        found = re.fullmatch(r"\s*(cpu|\d+)=(\d+(?:\.\d+)?[KMG]i?B)\s*", part)
        if not found or found[1] in limits:
            raise BadInput(f"--max-memory {text}: expected one DEVICE=SIZE for each device, such as cpu=20MB,0=600MB")
        limits[found[1]] = found[2]
    return tuple(limits.items())


def threads(text: str) -> int:
    number, available = whole("--threads", text), len(quota.usable_cpus())
    if number > available:
        raise BadInput(f"--threads {number}: this process may use {available} cores; give 1 to {available}")
    return number


def _shapes(grid: str, batch_sizes: tuple[int, ...] | None,
            lengths: tuple[int, ...] | None) -> tuple[tuple[int, int], ...]:
    shapes = GRIDS[grid]
    if not batch_sizes and not lengths:
        return shapes
    batches = batch_sizes or sorted({batch for batch, _ in shapes})
    tokens = lengths or sorted({length for _, length in shapes})
    return tuple(itertools.product(batches, tokens))
