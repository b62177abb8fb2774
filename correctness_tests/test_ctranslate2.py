"""CTranslate2: what it converts and refuses, what is effective, that padding and copies are left out, its own loop."""

import sys

import numpy as np
import pytest
from own_loops import generates_eagers_tokens
from running import run_python

from conftest import skip_unavailable
from eagerbench import backends
from eagerbench.errors import CannotRun

NAME = "ctranslate2"


@pytest.fixture(autouse=True)
def _available():
    skip_unavailable(NAME)


@pytest.mark.parametrize(("name", "compute_type"), [(NAME, "float32"), (f"{NAME}-int8", "int8_float32")])
def test_the_type_in_effect_is_the_one_asked_for(workshops, name, compute_type):
    workshop = workshops("tiny-bert")
    built = workshop.built(name)
    engagement = built.backend.probe(built.variant, built.runner, workshop.inputs(2, 8))
    assert engagement.engaged, engagement.summary
    assert engagement.facts["compute_type"] == compute_type
    assert "unknown" not in engagement.facts.values(), built.runner.system
    other = next(variant for variant in built.backend.variants if variant != built.variant)
    assert not built.backend.probe(other, built.runner, workshop.inputs(2, 8)).engaged


def test_the_reference_is_eager_with_transformers_4(workshops):
    """Its setter of the attention leaves a BERT as it is, with a warning."""
    workshop = workshops("tiny-bert")
    for name, module in (("eager", workshop.model.copy()), ("sdpa", workshop.model.copy("sdpa"))):
        assert module.config._attn_implementation == name
        kinds = {type(part).__name__ for part in module.modules()}
        assert ("BertSdpaSelfAttention" in kinds) == (name == "sdpa")


def test_weights_are_quantised_in_the_file(workshops):
    """The embeddings, most of the weights here, too: each row of int8 has one scale."""
    workshop = workshops("tiny-bert")
    plain, quantised = (workshop.built(name).artifact_bytes for name in (NAME, f"{NAME}-int8"))
    assert quantised < 0.5 * plain


def test_bf16_says_what_the_library_has_instead():
    variant, backend = backends.variants()[f"{NAME}-bf16"]
    import ctranslate2

    from eagerbench.backends.base import Placement

    reason = backend.refuses(variant, Placement())
    has = "bfloat16" in ctranslate2.get_supported_compute_types("cpu")
    assert reason is None if has else "float32" in reason
    assert has or "not in bfloat16" in reason


@pytest.mark.parametrize("head", ["token-classification", "question-answering", "masked-lm"])
def test_every_head_of_transformers_is_called_on_its_states(workshops, head):
    workshop = workshops(f"tiny-bert@head={head}")
    assert not workshop.compared(NAME, workshop.inputs(3, 9)).failures


def test_token_types_are_passed(workshops):
    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(3, 9)
    inputs = {**inputs, "token_type_ids": np.tile(np.arange(9) // 5, (3, 1))}
    assert not workshop.compared(NAME, inputs).failures


@pytest.mark.parametrize("row", [[0, 0, 1, 1], [1, 0, 1, 1]])
def test_padding_is_on_the_right_or_refused(workshops, row):
    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(2, 4)
    inputs["attention_mask"] = np.array([row, row])
    with pytest.raises(CannotRun, match="padding on the right only"):
        workshop.run(NAME, inputs)


def test_padding_is_left_out(workshops):
    """What lies behind the length of a row is not read: ids that no row could have change nothing."""
    workshop = workshops("tiny-bert")
    inputs = workshop.inputs(4, 12)
    assert not inputs["attention_mask"].all()
    changed = {**inputs, "input_ids": np.where(inputs["attention_mask"], inputs["input_ids"], 7)}
    found, again = workshop.run(NAME, inputs), workshop.run(NAME, changed)
    assert all(np.array_equal(found[name], again[name]) for name in found)


def test_ids_are_not_copied_in_the_call(workshops):
    native = workshops("tiny-bert").built(NAME).runner.prepare(workshops("tiny-bert").inputs(2, 8))
    assert all(str(value.dtype).endswith("int32") for value in native.values())
    assert np.asarray(native["inputs"]).__array_interface__["data"] == native["inputs"].__array_interface__["data"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
@pytest.mark.parametrize("threads", [1, 3])
def test_as_many_threads_as_asked_for(workshops, threads):
    """The first call starts all others of the team of the thread that calls the model."""
    directory = workshops("minilm").built(NAME).directory
    done = run_python("-c", f"""
import os, pathlib
import numpy as np, torch
torch.set_num_threads(1)
from eagerbench import backends
from eagerbench.backends.base import Placement
variant, backend = backends.variants()["{NAME}"]
runner = backend.load(variant, pathlib.Path({str(directory)!r}), Placement("cpu", {threads}))
ids = np.full((4, 64), 7)
native = runner.prepare({{"input_ids": ids, "attention_mask": np.ones_like(ids)}})
before = len(os.listdir("/proc/self/task"))
runner(native)
print(len(os.listdir("/proc/self/task")) - before, runner.threads)
""")
    assert done.code == 0, done.err
    assert done.out.split() == [str(threads - 1), str(threads)]


@pytest.mark.parametrize("model_name", ["tiny-gpt2", "tiny-llama", "tiny-bloom"])
def test_its_own_loop_generates_eagers_tokens(workshops, model_name):
    generates_eagers_tokens(workshops(model_name), NAME)


def test_a_loop_that_ends_at_a_word_would_be_seen(workshops):
    """No token ends a text: eager's all have their length, whatever they are."""
    import torch
    from transformers import GenerationConfig

    workshop = workshops("tiny-gpt2")
    built = workshop.built(NAME)
    module = built.backend.generator(built.variant, built.runner, workshop.model, "dynamic", workshop.placement)

    class Silent:
        def put(self, _):
            pass

    ids = torch.full((2, 5), 999)  # the end-of-text token itself
    outputs = module.generate(ids, generation_config=GenerationConfig(max_new_tokens=40), streamer=Silent())
    assert outputs.sequences.shape == (2, 45)
