"""Fixtures of the correctness tests: models, references and built variants, each made once a session."""

import os
import re
import zlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import refusals
from hypothesis import HealthCheck, settings

from eagerbench import backends
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.base import Arrays, Placement, Runs
from eagerbench.backends.building import Built, build
from eagerbench.errors import CannotRun
from eagerbench.models import specs
from eagerbench.models.catalog import CATALOG
from eagerbench.outputs.tolerance import Comparison, compare
from eagerbench.workloads import export_example, workload
from eagerbench.workloads.padded_batch import PaddedBatch

if TYPE_CHECKING:
    from eagerbench.measuring.reference import Expected

# A store of the tests' own, kept from run to run: their models are not the user's. Sessions that they start share it.
os.environ.setdefault("EAGERBENCH_ARTIFACTS", str(Path(__file__).parents[1] / ".artifacts" / "tests"))
os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported: later it would ask the network, and wait
# No test may fail because the machine is slow, and these two ask for the time.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")
# More rows than AGREEMENT_ROWS, and the longest sentence: no column is empty, as tokenizers pad.
COMPILED_SHAPE = (40, 20)
QUICK_MODELS = ("tiny-bert", "minilm")  # what costly variants are built for every time
COMPILED = ("torch-compile", "torch-compile-dynamic", "torchao-int8", "aot-inductor")  # by inductor: the first alone
AUTOTUNED = "torch-compile-autotune"  # a minute a build: every time only where perf_tests/test_latency.py judges it
# One of each kind of export, and of what a process builds in memory: every time in a fresh process.
FRESH = ("sdpa", "torchscript-freeze", "onnxruntime", "openvino")
BATCHED = (*FRESH, "bettertransformer-nested", "dynamic-int8", "onnxruntime-int8", "bnb-int8")  # by every policy
PROPERTIES = ("test_deterministic", "test_padding_changes_nothing", "test_a_row_alone_equals_the_row_in_a_batch",
              "test_permuting_the_batch_permutes_the_outputs")
PUBLISHED_MODELS = [name for name, entry in CATALOG.items() if entry.parameters]
TINY_MODELS = ("tiny-bert", "tiny-camembert", "tiny-distilbert", "tiny-roberta", "tiny-xlm-roberta", "tiny-electra",
               "tiny-vit", "tiny-gpt2")
AUDIO_MODELS = ("tiny-wav2vec2", "tiny-whisper-encoder")
SLOW_TWINS = ("tiny-bloom", "tiny-llama")  # of which test_generation.py builds some every time


class Workshop:
    """One model with everything that a test compares: reference, variants, inputs."""

    def __init__(self, name: str, store: ArtifactStore, placement: Placement):
        self._spec = specs.resolve(name, 0)
        self._built: dict[str, Built] = {}
        self._expected: dict[tuple, Expected] = {}
        self.store = store
        self.placement = placement

    @cached_property
    def model(self):
        from eagerbench.models.loading import load

        return load(self._spec, self.placement.device)

    @cached_property
    def reference(self):
        from eagerbench.measuring.reference import Reference

        return Reference(self.model, self.placement.device)

    def inputs(self, batch_size: int, length: int, padding_side: str = "right") -> Arrays:
        """Images and audio have no padding."""
        work = workload(self._spec, batch_size, length)
        return work.inputs(self.model, padding_side) if isinstance(work, PaddedBatch) else work.inputs(self.model)

    def example(self) -> Arrays:
        """What exported variants are built with."""
        return export_example(self._spec).inputs(self.model)

    def built(self, variant_name: str) -> Built:
        """Built once, whatever shapes follow. Skips when this machine cannot run the variant, or when the variant
        refuses the model for the reason that `refusals.py` expects."""
        skip_unavailable(variant_name, self.placement)
        if variant_name not in self._built:
            while len(self._built) > 1:  # a session's tests come by variant: keep what memory can hold
                self._built.pop(next(iter(self._built)))
            per_workload = backends.variants()[variant_name][1].per_workload
            example = self.inputs(*COMPILED_SHAPE) if per_workload else self.example()
            expected = refusals.expected(variant_name, self._spec.name, self.placement.threads)
            try:
                self._built[variant_name] = build(variant_name, self.model, example, self.placement, self.store)
            except CannotRun as reason:
                if expected is None or not re.search(expected, str(reason)):
                    raise
                pytest.skip(str(reason))
            assert expected is None, f"{variant_name} takes {self._spec.name} now: remove its line in refusals.py"
        return self._built[variant_name]

    def forget(self, variant_name: str) -> None:
        """Give the memory of a large variant back."""
        self._built.pop(variant_name, None)

    def expected(self, inputs: Arrays) -> "Expected":
        """The reference's outputs, computed once for all variants."""
        key = tuple((name, array.shape, array.tobytes()) for name, array in inputs.items())
        if key not in self._expected:
            self._expected[key] = self.reference.compute(inputs)
        return self._expected[key]

    def run(self, variant_name: str, inputs: Arrays) -> Arrays:
        runner = self.built(variant_name).runner
        return runner.arrays(runner(runner.prepare(inputs)))

    def compared(self, variant_name: str, inputs: Arrays) -> Comparison:
        """A variant's outputs judged by its tolerance class, with a reference of the same inputs."""
        expected = self.expected(inputs)
        tolerance = self.built(variant_name).variant.tolerance
        return compare(self.run(variant_name, inputs), expected.outputs, expected.double, expected.mask, tolerance,
                       self.model.pretrained)


def pytest_itemcollected(item):
    """Where a build is costly, the quick tests take few models, and what would build a variant once more is slow."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if "variant_name" in parameters:
        of = parameters["variant_name"], parameters.get("model_name")
        if _costs_too_much(*of, item.path.stem) or not _sampled(*of, item.originalname):
            item.add_marker(pytest.mark.slow)


def _sampled(variant_name: str, model: str | None, test: str) -> bool:
    """What of all pairs is tried every time.

    Outputs at several shapes: every variant on one model, one of each kind on every model, and of the other pairs a
    fifth, always the same; `test_agreement_of_real_sentences` compares every variant on minilm. Properties: any mask
    with every variant, the others, which eager's outputs have no part in, with one of each kind and the quantised ones.
    """
    if test == "test_matches_eager":
        return (model == QUICK_MODELS[0] or variant_name in FRESH
                or zlib.crc32(f"{variant_name} {model}".encode()) % 5 == 0)
    return test not in PROPERTIES or variant_name in BATCHED


def _costs_too_much(variant_name: str, model: str | None, file: str) -> bool:
    """For every time. `model` is None where the test chooses."""
    variant, backend = backends.variants()[variant_name]
    if variant.runs is Runs.WHEN_NAMED and not backend.install.startswith("make env-"):  # test_cpp.py has a quick one
        return True
    if file == "test_artifacts" or (file == "test_engagement" and model == QUICK_MODELS[1]):
        return variant_name not in FRESH
    if file == "test_batching":
        return variant_name not in BATCHED
    if not backend.costly:
        return False
    # perf_tests/test_latency.py asks each one's probe, and judges each one's output.
    if file == "test_engagement" and (model is not None or variant_name != COMPILED[0]):
        return True
    if file == "test_outputs" and variant_name in ("torch-compile", "torch-compile-bf16", "torch-compile-dynamic",
                                                   "torchao-int8"):
        return True
    return (model not in (None, *(QUICK_MODELS[:1] if variant_name in COMPILED else QUICK_MODELS))
            or variant_name == AUTOTUNED
            or (file == "test_properties" and backend.per_workload))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Full-size models one after another, each by every variant: all in memory at once are 20 GB."""
    def model(item) -> str | None:
        return item.callspec.params.get("model_name") if hasattr(item, "callspec") else None

    places = [place for place, item in enumerate(items) if model(item) in PUBLISHED_MODELS]
    ordered = sorted((items[place] for place in places), key=lambda item: PUBLISHED_MODELS.index(model(item)))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def skip_unavailable(variant_name: str, placement: Placement | None = None) -> None:
    variant, backend = backends.variants()[variant_name]
    reason = backend.refuses(variant, placement or Placement())
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def placement(selection) -> Placement:
    import torch

    from eagerbench.backends.torch_runner import exact_float32

    exact_float32()
    torch.set_num_threads(selection.threads)
    return Placement("cpu", selection.threads)


@pytest.fixture(scope="session")
def store(selection) -> ArtifactStore:
    return ArtifactStore(selection.artifacts / "variants")


@pytest.fixture(scope="session")
def workshops(store, placement):
    """`workshops(name)`: the workshop of a model, kept for the session; of full-size ones the last only."""
    made: dict[str, Workshop] = {}

    def workshop(name: str) -> Workshop:
        if name in PUBLISHED_MODELS and name not in made:
            for large in made.keys() & set(PUBLISHED_MODELS):
                del made[large]
        return made.setdefault(name, Workshop(name, store, placement))

    return workshop


@pytest.fixture
def bert_directory(tmp_path) -> Path:
    """A model directory as `save_pretrained` writes it."""
    from eagerbench.models.loading import load

    directory = tmp_path / "some-bert-dir"
    load(specs.resolve("tiny-bert", 0)).module.save_pretrained(directory)
    return directory


@pytest.fixture
def session_of(tmp_path, monkeypatch, selection):
    """`session_of(model, variant)`: a session whose only model that is, and `case(workload)` for its cases; `planned`
    are the batches of its latency cases."""
    import dataclasses

    from eagerbench.case import Case
    from eagerbench.measuring.session import Session

    def made(model, variant_name: str, planned=()):
        monkeypatch.setattr("eagerbench.measuring.models.load", lambda spec, device: model)
        session = Session(dataclasses.replace(selection, artifacts=tmp_path), "system", lambda spec: list(planned))
        variant = backends.variants()[variant_name][0]
        return session, lambda workload: Case(model.spec, variant, "latency", workload, "cpu", None)

    return made


@pytest.fixture
def duet(tmp_path):
    """`duet(base, head, *options)`: how it ended and its file. Whatever happened, nothing of it is left."""

    import json
    import subprocess

    from fake_suites import command, left_of, quick
    from running import Ended

    def run(base: object, head: object, *options: object, pairs: int = 1, null: int = 0, cwd: Path = tmp_path):
        output, scratch = tmp_path / "duet.json", tmp_path / "tmp"
        options = ("--base", base, "--head", head, "--pairs", pairs, "--null-pairs", null, *options)
        done = subprocess.run(command(*options, output=output), cwd=cwd, capture_output=True, text=True, check=False,
                              timeout=200, env=quick(scratch))
        assert left_of(scratch) == []
        assert "Traceback" not in done.stderr
        content = json.loads(output.read_text()) if output.exists() else {}
        return Ended(done.returncode, done.stdout, done.stderr), content

    return run


@pytest.fixture
def made(monkeypatch, tmp_path):
    """`made(steps, *arguments)`: the script in this process, with other steps; its exit code."""
    from gpu_steps import NO_GPU

    from scripts.gpu import __main__ as script

    monkeypatch.setattr(script, "_machine", lambda environment: NO_GPU)

    def run(found, *arguments):
        monkeypatch.setattr(script, "steps", lambda rehearse: found)
        (tmp_path / "out" / "steps").mkdir(parents=True, exist_ok=True)
        return script.main([str(tmp_path / "out"), *arguments])

    return run
