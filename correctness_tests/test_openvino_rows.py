"""OpenVINO beyond one request on dynamic shapes: streams, static shapes, compressed weights, a state."""

import json
import shutil

import numpy as np
import pytest

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.backends.base import Placement
from eagerbench.backends.building import build
from eagerbench.errors import CannotRun
from eagerbench.outputs.tolerance import compare

pytest.importorskip("openvino", reason="not installed: openvino")

TWO = Placement("cpu", 2)


@pytest.fixture(scope="module")
def tiny(workshops):
    return workshops("tiny-bert")


@pytest.fixture(scope="module")
def streams(tiny):
    """`openvino-throughput` on two threads."""
    return build("openvino-throughput", tiny.model, tiny.example(), TWO, tiny.store)


@pytest.mark.parametrize(("rows", "side"), [(1, "right"), (2, "left"), (7, "right")])
def test_rows_side_by_side_give_the_outputs_of_the_batch(tiny, streams, rows, side):
    inputs = tiny.inputs(rows, 11, padding_side=side)
    expected = tiny.expected(inputs)
    runner = streams.runner
    native = runner.prepare(inputs)
    assert [len(part["input_ids"]) for part in native] == {1: [1], 2: [1, 1], 7: [4, 3]}[rows]
    got = runner.arrays(runner(native))
    assert not compare(got, expected.outputs, expected.double, expected.mask, "exact-math", False).failures
    assert np.array_equal(runner.arrays(runner(native))["logits"], got["logits"])


def test_streams_are_told_from_latency(tiny, streams):
    inputs = tiny.inputs(2, 7)
    streams.runner(streams.runner.prepare(inputs))
    found = streams.backend.probe(streams.variant, streams.runner, inputs)
    assert found.engaged
    assert found.facts["streams"] == 2
    assert streams.runner.threads == 2
    plain = tiny.built("openvino").runner
    plain(plain.prepare(inputs))
    assert not streams.backend.probe(streams.variant, plain, inputs).engaged


def test_one_thread_has_nothing_to_run_side_by_side():
    variant, backend = backends.variants()["openvino-throughput"]
    assert backend.refuses(variant, Placement("cpu", 1)).endswith("add --threads 2")
    assert backend.refuses(variant, TWO) is None


def test_an_output_of_the_whole_batch_is_not_split(tiny, streams, tmp_path):
    shutil.copytree(streams.directory, tmp_path / "copied")
    axes = {"inputs": {"input_ids": 0}, "outputs": {"logits": None}}
    (tmp_path / "copied" / "axes.json").write_text(json.dumps(axes))
    with pytest.raises(CannotRun, match="an output without an axis of the batch"):
        streams.backend.load(streams.variant, tmp_path / "copied", TWO)


def test_a_static_shape_is_compiled_and_no_other_runs(tiny):
    inputs = tiny.inputs(2, 9, padding_side="left")
    built = build("openvino-static", tiny.model, inputs, tiny.placement, tiny.store)
    expected = tiny.expected(inputs)
    got = built.runner.arrays(built.runner(built.runner.prepare(inputs)))
    assert not compare(got, expected.outputs, expected.double, expected.mask, "exact-math", False).failures
    assert built.backend.probe(built.variant, built.runner, inputs).engaged
    with pytest.raises(RuntimeError, match="shape"):
        built.runner(built.runner.prepare(tiny.inputs(3, 9)))
    dynamic = tiny.built("openvino").runner
    dynamic(dynamic.prepare(inputs))
    assert not built.backend.probe(built.variant, dynamic, inputs).engaged


@pytest.mark.parametrize(("name", "share"), [("openvino-int8-weights", 0.45), ("openvino-int4-weights", 0.4)])
def test_weights_are_smaller_and_outputs_near(tiny, name, share):
    inputs = tiny.inputs(20, 12)
    assert not tiny.compared(name, inputs).failures
    built = tiny.built(name)
    assert built.artifact_bytes < share * tiny.built("openvino").artifact_bytes
    assert built.backend.probe(built.variant, built.runner, inputs).engaged
    plain = tiny.built("openvino").runner
    plain(plain.prepare(inputs))
    assert not built.backend.probe(built.variant, plain, inputs).engaged


def test_a_state_takes_one_token_a_step(workshops):
    from eagerbench.experiments.generation import Prompt
    from eagerbench.measuring.greedy import Greedy

    skip_unavailable("openvino")
    workshop, work = workshops("tiny-llama"), Prompt(2, 6, 4, "dynamic")
    backend = backends.variants()["openvino"][1]
    module = backend.generator(backends.variants()["openvino"][0], None, workshop.model, "dynamic", workshop.placement)
    seen, forward = [], module.forward
    module.forward = lambda input_ids, **rest: (seen.append(input_ids.shape[1]), forward(input_ids, **rest))[1]
    generate = Greedy(module, work.inputs(workshop.model), work.new_tokens, work.cache, "cpu")
    first, second = (generate.generated(generate()) for _ in range(2))
    assert seen == 2 * [6, 1, 1, 1]
    assert np.array_equal(first.logits, second.logits), "the second text begins where the first ended"
