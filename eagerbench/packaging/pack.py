"""A package, step by step: build the variant, judge its outputs, write its files, check it as its users will."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from eagerbench import backends
from eagerbench.backends.artifacts import MANIFEST as STORE_MANIFEST
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import BuiltBy, ExportingBackend, Placement
from eagerbench.backends.building import Built, build
from eagerbench.causes import last_words
from eagerbench.errors import CannotRun, WrongOutput
from eagerbench.machine import allocator, wait_policy
from eagerbench.packaging import checks, cpp, kinds, licence, loader, media, needs, readme, requirements, texts, triton
from eagerbench.packaging import manifest as types
from eagerbench.packaging.measured import Seen, part
from eagerbench.packaging.writing import files

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

MODEL = "model"  # directory of the artifact
_CHECK_S = 1200
_OURS = (STORE_MANIFEST, "nodes.json", "facts.json", "axes.json")  # in an artifact's directory, and of no use elsewhere


@dataclass(frozen=True)
class Asked:
    """What is to be packed.

    Attributes:
        shape: (batch size, sequence length) of the shipped inputs; None for those of the record, or the default.
        arrays: whether `load.py` is to take prepared arrays, whatever the model.
        seen: the record; None without one.
        allocator: `pinned` or `system`.
        policy: how threads wait for one another.
    """

    variant: str
    threads: int
    seen: Seen | None
    shape: tuple[int, int] | None = None
    arrays: bool = False
    allocator: str = "pinned"
    policy: str = wait_policy.DEFAULT


@dataclass(frozen=True)
class Package:
    """What was made, before it is written."""

    asked: Asked
    model: "LoadedModel"
    built: Built
    opened: "Opened"
    checked: checks.Checked
    kind: kinds.Kind
    against: types.Against
    find: media.Find


@dataclass(frozen=True)
class Opened:
    """How `load.py` gets a runner: by the runtime's own file, or by a recipe (`built`)."""

    runtime: str
    settings: Mapping[str, Any]
    artifact: str
    builds: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    recipe: BuiltBy | None = None


def make(asked: Asked, model: "LoadedModel", find: media.Find, store: ArtifactStore) -> Package:
    """Build the variant, call it, and judge what it returns.

    Raises:
        CannotRun: it cannot be built, or is nothing that another process can open.
        WrongOutput: its outputs are not eager's.
    """
    from eagerbench.measuring.reference import Reference
    from eagerbench.workloads import export_example, workload

    variant, backend = backends.variants()[asked.variant]
    shape = asked.shape or (asked.seen.shape if asked.seen else (8, min(128, model.spec.max_length or 128)))
    batch = workload(model.spec, *shape, model.spec.seed)
    example = (batch if backend.per_workload else export_example(model.spec)).inputs(model)
    placement = Placement("cpu", asked.threads)
    built = build(asked.variant, model, example, placement, store)
    opened = _opened(built, model, placement)
    checked = checks.checked(model, built.runner, batch)
    comparison = Reference(model, "cpu").compute(checked.inputs).judge(checked.outputs, variant.tolerance)
    if comparison.failures:
        raise WrongOutput(f"{asked.variant}: output differs from eager beyond {variant.tolerance}: "
                          + "; ".join(comparison.failures))
    against = types.Against(tolerance_class=variant.tolerance, max_abs_error=comparison.max_abs_error,
                            cosine=comparison.cosine)
    kind = kinds.kind_of(model, find, list(checked.outputs), asked.arrays)
    return Package(asked, model, built, opened, checked, kind, against, find)


def _opened(built: Built, model: "LoadedModel", placement: Placement) -> Opened:
    """
    Raises:
        CannotRun: nothing but this suite can open it, or its code is not that of transformers.
    """
    variant, backend = built.variant, built.backend
    if isinstance(backend, ExportingBackend):
        found = backend.opened_by(variant, placement)
        if found is None:
            raise CannotRun(f"{variant.name} has no loader of its own: {backend.unpackaged}")
        return Opened(found.runtime, found.settings, f"{MODEL}/{found.file}")
    recipe = backend.built_by(variant, built.runner)
    if recipe is None:
        raise CannotRun(f"{variant.name} leaves no artifact, and there is no recipe to build it elsewhere")
    if recipe.weights == "script":
        return Opened("built", recipe.settings, f"{MODEL}/model.pt", (f"builds_{recipe.recipe}",), recipe.packages,
                      recipe)
    import transformers

    kind = type(model.module)
    if getattr(transformers, kind.__name__, None) is not kind:
        raise CannotRun(f"{variant.name} is built from code, and {kind.__name__} is not in transformers: take a "
                        "variant with an artifact, such as torchscript-freeze")
    builds = (*(() if recipe.weights != "model" else ("builds_loaded",)), f"builds_{recipe.recipe}")
    return Opened("built", {**recipe.settings, "architecture": kind.__name__}, MODEL, builds, recipe.packages, recipe)


def write(package: Package, directory: Path, store: ArtifactStore) -> types.Manifest:
    """Write every file into an empty directory."""
    _write_model(package, directory / MODEL, store)
    checks.write(directory / "check" / "inputs", package.checked.inputs)
    checks.write(directory / "check" / "expected", package.checked.outputs)
    inputs = kinds.write_inputs(package.kind, package.model, package.find, directory)
    pooling = None
    if package.kind.gives == "embeddings":
        pooling = texts.write_pooling(package.model, "last_hidden_state", directory)
    _write_given(package, inputs, directory)
    found, text = licence.found(package.find)
    if text is not None:
        shutil.copy(text, directory / "LICENSE.model")
    manifest = _manifest(package, directory, inputs, pooling, found)
    (directory / "requirements.txt").write_text(requirements.text(requirements.closed(_distributions(package))))
    for name, source in loader.sources(manifest, package.opened.builds).items():
        (directory / name).write_text(source, encoding="utf-8")
    _write_beside(manifest, directory)
    present = sorted(one.name for one in directory.iterdir() if one.is_dir())
    (directory / "README.md").write_text(readme.text(manifest, present), encoding="utf-8")
    whole = msgspec.structs.replace(manifest, sha256={
        one.relative_to(directory).as_posix(): _sha256(one) for one in files(directory)})
    (directory / types.MANIFEST).write_text(
        json.dumps(msgspec.to_builtins(whole), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return whole


def _write_model(package: Package, directory: Path, store: ArtifactStore) -> None:
    from eagerbench.models.saved import saved

    built, recipe = package.built, package.opened.recipe
    directory.mkdir()
    if recipe is None:
        _copy(built.directory, directory)
    elif recipe.weights == "script":
        from eagerbench.backends import tracing

        tracing.save(built.runner.module, directory)
    elif recipe.weights == "quantised":
        built.backend.save_quantised(built.variant, package.model, directory)
    else:
        kept = saved(package.model, store)
        if kept.bytes is None:
            raise CannotRun(f"transformers does not save {type(package.model.module).__name__}")
        _copy(Path(kept.spec.target), directory)
    if recipe is not None and recipe.weights == "module":
        from safetensors.torch import save_model

        for file in directory.glob("*.safetensors*"):
            file.unlink()
        save_model(built.runner.module, str(directory / "model.safetensors"))


def _copy(source: Path, directory: Path) -> None:
    for file in files(source):
        if file.name not in _OURS:
            place = directory / file.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def _write_given(package: Package, inputs: kinds.Inputs, directory: Path) -> None:
    """What a user gives, and what the suite makes of it: the tokenizer by transformers, pooling by its own code."""
    from eagerbench.measuring.embedding import embeddings
    from eagerbench.measuring.sentences import embedding

    kind, model = package.kind, package.model
    if kind.given not in ("texts", "pairs") or package.built.backend.per_workload:
        return  # images and audio: the values are the processor's own; one shape: other texts build again
    given = texts.given_texts(kind.given == "pairs")
    arrays = texts.tokenised(model, given, kind.given == "pairs")
    outputs = checks.called(package.built.runner, arrays)
    if kind.gives == "embeddings":
        outputs = {"embedding": embeddings(embedding(model), outputs["last_hidden_state"], arrays["attention_mask"])}
    checks.write(directory / "check" / "finished", outputs)
    (directory / "check" / "given.json").write_text(json.dumps(given, indent=1) + "\n", encoding="utf-8")


def _manifest(package: Package, directory: Path, inputs: kinds.Inputs, pooling: types.Pooling | None,
              found: types.Licence | None) -> types.Manifest:
    from eagerbench.backends.axes import dynamic_axes, output_axes

    asked, model, built = package.asked, package.model, package.built
    weights = sum(one.stat().st_size for one in files(directory / MODEL))
    seen, shape = asked.seen, (package.checked.batch.batch_size, package.checked.batch.sequence_length)
    record = None if seen is None else part(seen, seen.shape == shape)
    packages = (*requirements.RUNTIMES[package.opened.runtime], *package.opened.packages,
                *(("tokenizers",) if inputs.text else ()))
    return types.Manifest(
        model=model.spec.name, model_fingerprint=model.fingerprint, variant=built.variant.name,
        dtype=built.variant.dtype, given=package.kind.given, gives=package.kind.gives,
        artifact=package.opened.artifact, inputs=_tensors(package.checked.inputs, dynamic_axes(model)),
        outputs=_tensors(package.checked.outputs, output_axes(model)),
        session=types.Session(
            runtime=package.opened.runtime, threads=asked.threads, allocator=asked.allocator,
            mallopt=list(allocator.SETTINGS) if asked.allocator == "pinned" else [],
            environment=dict(wait_policy.ENVIRONMENTS.get(asked.policy, {})), affinity=None,
            settings=dict(package.opened.settings)),
        needs=needs.needs(built.variant, package.opened.runtime, needs.processor_flags(), weights,
                          seen.record.costs.peak_rss_bytes if seen else None),
        packages={name: requirements.version(name) for name in packages},
        tolerance=checks.tolerance(built.variant.tolerance, package.checked.outputs), against_eager=package.against,
        made_by=f"eagerbench {requirements.version('eagerbench')}", text=inputs.text, pooling=pooling,
        image=inputs.image, audio=inputs.audio, labels=kinds.labels(package.kind, model), measured=record,
        licence=found)


def _tensors(arrays: Mapping[str, np.ndarray], axes: Mapping[str, Mapping[int, str]]) -> list[types.Tensor]:
    return [types.Tensor(name=name, dtype=str(array.dtype), shape=[
        axes.get(name, {}).get(axis, size) for axis, size in enumerate(array.shape)]) for name, array in arrays.items()]


def _distributions(package: Package) -> list[str]:
    """What `load.py` imports, by the names that pip knows."""
    given = {"texts": ["tokenizers"], "pairs": ["tokenizers"], "images": ["pillow"]}.get(package.kind.given, [])
    return ["numpy", *requirements.RUNTIMES[package.opened.runtime], *package.opened.packages, *given]


def _write_beside(manifest: types.Manifest, directory: Path) -> None:
    """For other servers than Python: Triton's configuration, and the C++ twin with its plain text."""
    config = triton.config(manifest)
    if config is not None:
        (directory / "triton").mkdir()
        (directory / "triton" / "config.pbtxt").write_text(config, encoding="utf-8")
    if manifest.session.runtime != "built":
        (directory / "runner.txt").write_text(cpp.runner_text(manifest), encoding="utf-8")
    for source in cpp.twin(manifest):
        (directory / "cpp").mkdir(exist_ok=True)
        shutil.copyfile(source, directory / "cpp" / source.name)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def prove(directory: Path) -> list[str]:
    """Run `load.py --check` in a process of its own; what it printed.

    Raises:
        WrongOutput: it failed.
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run([sys.executable, str(directory / types.LOADER), "--check"], env=environment, check=False,
                          capture_output=True, text=True, timeout=_CHECK_S, cwd=directory)
    if done.returncode:
        raise WrongOutput(f"the package's own check fails (exit code {done.returncode}): "
                          f"{last_words(done.stderr) or done.stdout.strip()}")
    said = [line for line in done.stderr.splitlines() if line.startswith(("built in", "ready after"))]
    return [*done.stdout.splitlines(), *said]
