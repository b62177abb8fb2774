"""Fixtures of the correctness tests: models, references and built variants, each made once a session."""

from functools import cached_property

import pytest

from fixtures import backends
from fixtures.backends.artifacts import ArtifactStore
from fixtures.backends.base import Arrays, Placement
from fixtures.backends.building import Built, build
from fixtures.models import specs
from fixtures.models.catalog import CATALOG
from fixtures.tolerance import Comparison, compare
from fixtures.workloads.padded_batch import EXPORT_EXAMPLE

EXPORT_SHAPE = (EXPORT_EXAMPLE.batch_size, EXPORT_EXAMPLE.sequence_length)
COMPILED_SHAPE = (20, 24)  # what test_outputs.py asks for first
PUBLISHED_MODELS = [name for name, entry in CATALOG.items() if entry.parameters]
TINY_MODELS = ("tiny-bert", "tiny-camembert", "tiny-distilbert", "tiny-roberta", "tiny-xlm-roberta", "tiny-gpt2")


class Workshop:
    """One model with everything that a test compares: reference, variants, inputs."""

    def __init__(self, name: str, store: ArtifactStore, placement: Placement):
        self._spec = specs.resolve(name, 0)
        self._built: dict[str, Built] = {}
        self.store = store
        self.placement = placement

    @cached_property
    def model(self):
        from fixtures.models.loading import load

        return load(self._spec)

    @cached_property
    def reference(self):
        from fixtures.measurement.reference import Reference

        return Reference(self.model, self.placement.device)

    def inputs(self, batch_size: int, length: int, padding_side: str = "right") -> Arrays:
        from fixtures.workloads.padded_batch import PaddedBatch

        return PaddedBatch(batch_size, length).inputs(self.model, padding_side)

    def built(self, variant_name: str) -> Built:
        """Built once, whatever shapes follow. Skips when this machine cannot run the variant."""
        skip_unavailable(variant_name, self.placement.device)
        if variant_name not in self._built:
            per_workload = backends.variants()[variant_name][1].per_workload
            example = self.inputs(*(COMPILED_SHAPE if per_workload else EXPORT_SHAPE))
            self._built[variant_name] = build(variant_name, self.model, example, self.placement, self.store)
        return self._built[variant_name]

    def forget(self, variant_name: str) -> None:
        """Give the memory of a large variant back."""
        self._built.pop(variant_name, None)

    def run(self, variant_name: str, inputs: Arrays) -> Arrays:
        runner = self.built(variant_name).runner
        return runner.arrays(runner(runner.prepare(inputs)))

    def compared(self, variant_name: str, inputs: Arrays) -> Comparison:
        """A variant's outputs judged by its tolerance class, with a reference of the same inputs."""
        expected = self.reference.compute(inputs)
        tolerance = self.built(variant_name).variant.tolerance
        return compare(self.run(variant_name, inputs), expected.outputs, expected.double, expected.mask, tolerance,
                       self.model.pretrained)


def skip_unavailable(variant_name: str, device: str = "cpu") -> None:
    variant, backend = backends.variants()[variant_name]
    reason = backend.unavailable(variant, device)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def placement(selection) -> Placement:
    import torch

    torch.set_num_threads(selection.threads)
    return Placement("cpu", selection.threads)


@pytest.fixture(scope="session")
def store(selection) -> ArtifactStore:
    return ArtifactStore(selection.artifacts / "variants")


@pytest.fixture(scope="session")
def workshops(store, placement):
    """`workshops(name)`: the workshop of a model, kept for the session."""
    made: dict[str, Workshop] = {}

    def workshop(name: str) -> Workshop:
        return made.setdefault(name, Workshop(name, store, placement))

    return workshop
