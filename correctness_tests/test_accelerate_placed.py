"""accelerate's placement: real offload to disk on the CPU, what is refused, and the options that ask for it."""

import gc
from pathlib import Path

import pytest
import torch

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.backends.base import Placement
from eagerbench.backends.building import build
from eagerbench.errors import CannotRun

SMALL = "cpu=650KB"  # of the 0.8 MB of tiny-gpt2


def placed(workshop, limits: str, device_map: str = "auto") -> Placement:
    skip_unavailable("accelerate", Placement(device_map="auto"))
    return Placement("cpu", workshop.placement.threads, device_map,
                     tuple(tuple(pair.split("=")) for pair in limits.split(",") if pair))


@pytest.mark.parametrize(("model_name", "limits", "on_cpu"), [
    ("minilm", "cpu=20MB", False), ("minilm", "cpu=60MB", True), ("tiny-gpt2", SMALL, True)])
def test_offload_to_disk_matches_eager(workshops, model_name, limits, on_cpu):
    from eagerbench.outputs.tolerance import compare

    workshop = workshops(model_name)
    inputs = workshop.inputs(4, 16)
    runner = build("accelerate", workshop.model, inputs, placed(workshop, limits), workshop.store).runner
    variant, backend = backends.variants()["accelerate"]
    engagement = backend.probe(variant, runner, inputs)
    assert engagement.engaged
    assert engagement.facts["bytes_on_disk"] > 0
    assert ("bytes_on_cpu" in engagement.facts) == on_cpu
    held = sum(size for fact, size in engagement.facts.items() if fact.startswith("bytes_on_"))
    assert held == workshop.model.parameter_bytes
    expected = workshop.reference.compute(inputs)
    outputs = runner.arrays(runner(runner.prepare(inputs)))
    assert not compare(outputs, expected.outputs, expected.double, expected.mask, variant.tolerance, True).failures


@pytest.mark.parametrize("limits", ["cpu=20MB", "cpu=1GB", ""])
def test_a_model_that_fits_has_nothing_to_offload(workshops, limits):
    """It is said, and is no failure; that nothing was offloaded where it had to be is one."""
    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(2, 8)
    runner = build("accelerate", workshop.model, inputs, placed(workshop, limits), workshop.store).runner
    variant, backend = backends.variants()["accelerate"]
    engagement = backend.probe(variant, runner, inputs)
    assert engagement.engaged
    assert "MiB on cpu: nothing to offload" in engagement.summary
    assert "bytes_on_disk" not in engagement.facts
    runner.placement = placed(workshop, "cpu=100KB")
    engagement = backend.probe(variant, runner, inputs)
    assert not engagement.engaged
    assert "none elsewhere" in engagement.summary


def test_the_offload_folder_goes_with_the_runner(workshops):
    workshop = workshops("tiny-bert")
    built = build("accelerate", workshop.model, workshop.inputs(2, 8), placed(workshop, "cpu=100KB"), workshop.store)
    folder = Path(built.runner.scratch.name)
    assert folder.is_dir()
    del built
    gc.collect()
    assert not folder.exists()


def test_a_gpu_that_is_not_there_is_named(workshops):
    workshop = workshops("tiny-bert")
    limits = f"{torch.cuda.device_count()}=1GB"
    with pytest.raises(CannotRun, match=rf"--max-memory {limits[0]}=…: torch sees \d+ GPUs here") as error:
        build("accelerate", workshop.model, workshop.inputs(2, 8), placed(workshop, limits), workshop.store)
    assert "\n" not in str(error.value)


def test_without_the_options_the_cell_says_so():
    from selections import planned

    pytest.importorskip("accelerate")
    one = {"variant": ["accelerate"], "batch_sizes": "1", "sequence_lengths": "8"}
    assert all("needs --device-map or --max-memory" in case.reason for case in planned(**one))
    given = [case.bench_id for case in planned(**one, max_memory="cpu=20MB") if case.reason is None]
    assert "minilm/accelerate/b1/s8/cpu" in given


@pytest.mark.parametrize(("given", "says"), [
    ({"max_memory": "cpu"}, "--max-memory cpu: expected one DEVICE=SIZE for each device"),
    ({"max_memory": "cpu=20"}, "--max-memory cpu=20: expected"),
    ({"max_memory": "cpu=20MB,cpu=30MB"}, "expected one DEVICE=SIZE for each device"),
    ({"max_memory": "gpu=20MB"}, "--max-memory gpu=20MB: expected"),
    ({"max_memory": "cpu=-1MB"}, "--max-memory cpu=-1MB: expected"),
    ({"device_map": "atuo"}, "unknown device map 'atuo': did you mean 'auto'"),
])
def test_bad_limits_are_one_line(given, says):
    from selections import read

    with pytest.raises(pytest.UsageError) as error:
        read(**given)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_limits_reach_the_placement():
    from selections import read

    placement = read(max_memory="cpu=20MB, 0=1.5GiB").placement
    assert (placement.device_map, placement.max_memory) == ("auto", (("cpu", "20MB"), ("0", "1.5GiB")))
