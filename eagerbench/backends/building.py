"""Builds a runner from a variant: availability, artifact cache, and the cost of building."""

import hashlib
import importlib.metadata
import inspect
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from eagerbench import backends
from eagerbench.backends.artifacts import ArtifactStore, take_saving_s
from eagerbench.backends.base import Arrays, Backend, ExportingBackend, Placement, Runner, Variant
from eagerbench.causes import cause
from eagerbench.errors import CannotRun, Refused
from eagerbench.machine import cpu, quiet, room, spent

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


@dataclass(frozen=True)
class Built:
    """A runner and its costs.

    Attributes:
        build_s: seconds to build or export; for a cached artifact those of the run that exported it.
        save_s: those of them that went into writing its file; None where the exporter makes and writes it in one.
        load_s: seconds to load the artifact in this process; 0 without one.
        artifact_bytes: size on disk; 0 without an artifact.
        directory: the artifact's directory, if there is one.
        cached: whether the artifact came from the cache.
        beside: how many other builds ran while it was built: `build_s` is longer than alone then.
    """

    variant: Variant
    backend: Backend
    runner: Runner
    build_s: float
    load_s: float
    artifact_bytes: int
    directory: Path | None
    cached: bool
    save_s: float | None = None
    beside: int = 0


def build(name: str, model: "LoadedModel", example: Arrays, placement: Placement, store: ArtifactStore,
          own_shape: bool = False, beside: int = 0) -> Built:
    """Build a variant by name.

    Args:
        own_shape: that it is for inputs of the example's shape alone.
        beside: how many other builds run at the same time.

    Raises:
        CannotRun: unavailable, or the first line of the real error when export, build or load fails.
    """
    variant, backend = backends.variants()[name]
    variant = backend.on(variant, placement.device)
    reason = backend.refuses(variant, placement)
    if reason:
        raise CannotRun(reason)
    try:
        _require_products(variant, model, example)
        if isinstance(backend, ExportingBackend):
            return _export_and_load(variant, backend, model, example, placement, store, own_shape, beside)
        start = time.perf_counter()
        runner = backend.build(variant, model, example, placement)
        return Built(variant, backend, runner, quiet.elapsed(start), 0.0, 0, None, False)
    except CannotRun:
        raise
    except Refused as reason:
        raise CannotRun(str(reason)) from reason
    except MemoryError as error:
        raise CannotRun("build failed: not enough memory; try a smaller model") from error
    except Exception as error:
        raise CannotRun(room.reason(error, store.root) or f"build failed: {cause(error)}") from error


def _require_products(variant: Variant, model: "LoadedModel", example: Arrays) -> None:
    """Raise CannotRun for a narrower dtype of matrix products where the model has none."""
    if variant.dtype == "float32":
        return
    from eagerbench.backends.products import products
    from eagerbench.backends.torch_runner import TorchRunner

    module = model.fresh()
    runner = TorchRunner(module, model.device)
    native = runner.prepare(example)
    if not products(module, lambda: runner(native)):
        raise CannotRun(f"{type(model.module).__name__} has no matrix product or convolution to run in {variant.dtype}")


def _export_and_load(variant: Variant, backend: ExportingBackend, model: "LoadedModel", example: Arrays,
                     placement: Placement, store: ArtifactStore, own_shape: bool, beside: int) -> Built:
    owned, owner = backend.owner(variant)

    def write(directory: Path) -> dict[str, float | None]:
        take_saving_s()  # of an export that failed
        start = time.perf_counter()
        with spent.during("building"):
            saved_s = owner.export(owned, model, example, directory) or 0.0
        return {"build_s": quiet.elapsed(start) + saved_s, "save_s": take_saving_s(), "beside": beside}

    backend.make_ready(variant)
    determinants = key(owned, owner, model, placement.device)
    if backend.per_workload or own_shape:
        determinants["shapes"] = {name: array.shape for name, array in example.items()}
    with spent.during("opening"):
        artifact = store.get(f"{model.spec.name}-{owned.name}", determinants, write)
        start = time.perf_counter()
        runner = backend.load(variant, artifact.directory, placement)
        load_s = quiet.elapsed(start)
    return Built(variant, backend, runner, artifact.facts["build_s"], load_s, artifact.bytes, artifact.directory,
                 artifact.cached, artifact.facts["save_s"], artifact.facts["beside"])


def key(variant: Variant, backend: Backend, model: "LoadedModel", device: str) -> dict:
    """The cache key of a build, as JSON: weights, options, code, versions, processor."""
    return {
        "model": model.fingerprint,
        "derived": model.derived,
        "inputs": list(model.input_names),
        **without_model(variant, backend),
        "device": device,
        **_gpu(device),
    }


def without_model(variant: Variant, backend: Backend) -> dict:
    """What of `key` is known without the model and the device: whether an artifact is of today's code and versions.

    Raises:
        importlib.metadata.PackageNotFoundError: a package of the backend is not installed.
    """
    return {
        "variant": variant.name,
        "options": dict(variant.options),
        "code": _source_hash(type(backend)),
        "shared_code": _shared_source_hash(),
        "versions": {name: version(name) for name in ("torch", "transformers", "numpy", *backend.packages)},
        "cpu": _cpu_features(),
    }


def _source_hash(backend_class: type) -> str:
    return hashlib.sha256(Path(inspect.getfile(backend_class)).read_bytes()).hexdigest()


@cache
def _shared_source_hash() -> str:
    """Over what any build may go through: this package but for the other backends' modules, and loading."""
    here = Path(__file__).parent
    shared = sorted(set(here.glob("*.py")) - {here / f"{name}.py" for name in backends.REGISTRY})
    shared = [file for file in shared if file.name != "__init__.py"]
    digest = hashlib.sha256((here.parent / "models" / "loading.py").read_bytes())
    digest.update((here.parent / "models" / "state.py").read_bytes())
    for file in shared:
        digest.update(file.read_bytes())
    return digest.hexdigest()


@cache
def version(import_name: str) -> str:
    """Of the distribution of that name; of another name, of the one that brings the package."""
    try:
        return importlib.metadata.version(import_name)
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version(_distributions().get(import_name, [import_name])[0])


@cache
def _distributions() -> Mapping[str, list[str]]:
    """By the packages that they bring: a third of a second, as all files of all of them are looked through."""
    return importlib.metadata.packages_distributions()


@cache
def _gpu(device: str) -> dict[str, str]:
    """What a build for a GPU depends on: its model, and the CUDA that torch is built with."""
    if device == "cpu":
        return {}
    import torch

    return {"gpu": torch.cuda.get_device_name(device), "cuda": str(torch.version.cuda)}


@cache
def _cpu_features() -> str:
    flags = " ".join(sorted(cpu.info().get("flags", [])))
    return f"{platform.machine()}-{hashlib.sha256(flags.encode()).hexdigest()[:12]}"
