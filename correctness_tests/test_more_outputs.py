"""Outputs besides the ones that count: what the reference leaves out every backend leaves out, names and order stay."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from conftest import Workshop, skip_unavailable
from eagerbench import backends
from eagerbench.backends.building import build
from eagerbench.backends.torch_runner import named_tensors
from eagerbench.errors import CannotRun
from eagerbench.measuring.reference import Reference
from eagerbench.models.loading import LoadedModel
from eagerbench.models.specs import ModelSpec

Pair = namedtuple("Pair", ["logits", "states"])


@dataclass
class Made:
    logits: torch.Tensor
    states: tuple
    loss: None = None


class Cache:
    """No container that anything here knows."""


def _all(logits, hidden):
    return {"states": (hidden, hidden * 2), "logits": logits, "nothing": None, "hidden": hidden}


# What a module returns of its logits and hidden states, and the names that count, in order.
STYLES = {
    "tensor": (lambda logits, hidden: logits, ["output"]),
    "tuple": (lambda logits, hidden: (logits, hidden), ["output_0", "output_1"]),
    "tuple with more": (lambda logits, hidden: (logits, None, (hidden, hidden), hidden), ["output_0", "output_3"]),
    "list": (lambda logits, hidden: [hidden, logits], ["output_0", "output_1"]),
    "list with more": (lambda logits, hidden: [[hidden], logits], ["output_1"]),
    "mapping": (lambda logits, hidden: OrderedDict(zeta=logits, alpha=hidden), ["zeta", "alpha"]),
    "mapping with more": (_all, ["logits", "hidden"]),
    "nested mapping": (lambda logits, hidden: {"out": {"logits": logits, "more": (hidden,)}, "cache": Cache()},
                       ["out.logits"]),
    "nested tuple": (lambda logits, hidden: ((logits, hidden), None), ["output_0.output_0", "output_0.output_1"]),
    "named tuple": (Pair, ["logits", "states"]),
    "dataclass": (lambda logits, hidden: Made(logits, (hidden,)), ["logits"]),
    "with a number": (lambda logits, hidden: {"logits": logits, "scale": logits.mean()}, ["logits", "scale"]),
    "with whole numbers": (lambda logits, hidden: {"best": logits.argmax(-1), "logits": logits}, ["best", "logits"]),
}
QUICK = ("torchscript", "torchscript-positional", "torchscript-freeze", "sdpa", "dynamic-int8")
SLOW = ("onnxruntime", "onnxruntime-dynamo", "openvino", "torch-compile", "aot-inductor", "dynamic-int8-torchscript",
        "torchscript-optimized", "onnxruntime-int8")
SAMPLED_STYLES = ("tensor", "tuple with more", "nested mapping", "with whole numbers")  # of QUICK after the first
SAMPLED = {("onnxruntime", "tuple with more"), ("openvino", "mapping with more")}


class Returning(torch.nn.Module):
    def __init__(self, style: str):
        super().__init__()
        self.words, self.middle, self.head = (torch.nn.Embedding(100, 32), torch.nn.Linear(32, 32),
                                              torch.nn.Linear(32, 20))
        self._style = style

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor):
        hidden = torch.relu(self.middle(self.words(input_ids))) * attention_mask[..., None]
        parts = hidden[:, None]
        hidden = hidden + torch.nn.functional.scaled_dot_product_attention(parts, parts, parts)[:, 0]
        return STYLES[self._style][0](self.head(hidden.mean(1)), hidden)


def returning(style: str) -> LoadedModel:
    torch.manual_seed(0)
    name = f"returning-{style.replace(' ', '-')}"
    return LoadedModel(ModelSpec(name, "factory", "a:b", 0, None), Returning(style).eval().requires_grad_(False), None,
                       False)


def batch(rows: int, length: int) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(rows).integers(1, 100, (rows, length))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


@pytest.mark.parametrize("style", STYLES)
def test_names_and_order(style):
    model, (_, names) = returning(style), STYLES[style]
    assert list(named_tensors(model.module(**{name: torch.from_numpy(array) for name, array in batch(2, 5).items()}))) \
        == names


@pytest.mark.parametrize(("name", "style"), [
    pytest.param(name, style, marks=() if name == QUICK[0] or (name, style) in SAMPLED
                 or (name in QUICK and style in SAMPLED_STYLES) else pytest.mark.slow)
    for name in (*QUICK, *SLOW) for style in STYLES if name != "sdpa"])
def test_every_backend_gives_what_eager_gives(name, style, store, placement):
    skip_unavailable(name, placement)
    model, inputs = returning(style), batch(4, 7)
    expected = Reference(model, "cpu").compute(inputs)
    variant, backend = backends.variants()[name]
    example = inputs if backend.per_workload else batch(3, 11)
    runner = build(name, model, example, placement, store).runner
    outputs = runner.arrays(runner(runner.prepare(inputs)))
    assert list(expected.outputs) == STYLES[style][1]
    if style == "with whole numbers" and variant.dtype == "int8":  # a best label may be another one
        outputs["best"] = expected.outputs["best"]
    assert expected.judge(outputs, variant.tolerance).failures == ()


def test_nothing_to_compare_is_a_reason():
    for style, reason in (("none", "eager gives no tensor: nothing to compare with"),
                          ("cache", "forward returns a Cache: return a tensor, or a mapping")):
        STYLES[style] = (lambda logits, hidden, style=style: {"x": None} if style == "none" else Cache(), [])
        try:
            with pytest.raises(CannotRun, match=reason):
                Reference(returning(style), "cpu").compute(batch(2, 5))
        finally:
            del STYLES[style]


@pytest.fixture(scope="module")
def talkative(tmp_path_factory, store, placement):
    """`talkative(name)`: a directory whose config asks for all hidden states and attentions, as tuples or by name."""
    from transformers import BertConfig, BertForSequenceClassification

    made = {}

    def workshop(name: str) -> Workshop:
        if name not in made:
            directory = tmp_path_factory.mktemp("models") / f"talkative-{name}"
            torch.manual_seed(0)
            module = BertForSequenceClassification(BertConfig(
                vocab_size=1000, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128,
                initializer_range=0.05, num_labels=16, output_hidden_states=True, output_attentions=True,
                attn_implementation="eager"))
            module.config.return_dict = name == "named"
            module.save_pretrained(directory)
            made[name] = Workshop(str(directory), store, placement)
        return made[name]

    return workshop


@pytest.mark.parametrize(("variant", "name"), [
    pytest.param(variant, name, marks=() if variant in QUICK or (variant, name) == ("bettertransformer", "named")
                 else pytest.mark.slow)
    for variant in (*QUICK, "bettertransformer", *SLOW) for name in ("named", "tuples")])
def test_all_hidden_states_and_attentions(talkative, variant, name):
    """Right and engaged: SDPA gives no attentions, and would fall back to eager to compute them."""
    workshop = talkative(name)
    built = workshop.built(variant)
    inputs = workshop.inputs(40, 20)
    assert list(workshop.expected(inputs).outputs) == ["logits"]
    assert not workshop.compared(variant, inputs).failures
    assert built.backend.probe(built.variant, built.runner, inputs).engaged
