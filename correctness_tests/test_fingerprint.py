"""The three digests of a model: weights, code and configuration change apart."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from eagerbench.models import fingerprint, specs
from eagerbench.models.loading import load

MODEL = """
import torch
from torch import nn
{imports}

class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.{layer} = nn.Linear(4, 4)
        self.heads = {heads}
        self.register_buffer("scale", torch.tensor({scale}), persistent=False)

    def forward(self, x):
        {body}
        return self.{layer}(x)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = Block()

    def forward(self, input_ids):
        return self.block(input_ids)

def made():
    torch.manual_seed({seed})
    return Model()
"""
AS_IS = {"imports": "", "layer": "dense", "heads": 2, "scale": 1.0, "body": "pass", "seed": 0}


@pytest.fixture
def made(tmp_path, monkeypatch):
    """The fingerprint of the model as the source of a package says it."""
    def make(files: dict[str, str] | None = None, **changed) -> fingerprint.Fingerprint:
        directory = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        (directory / "some_model").mkdir(parents=True)
        source = MODEL.format(**{**AS_IS, **changed})
        for name, text in {"__init__.py": "", "net.py": source, **(files or {})}.items():
            (directory / "some_model" / name).write_text(text)
        monkeypatch.syspath_prepend(str(directory))
        for name in [name for name in sys.modules if name.partition(".")[0] == "some_model"]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        return load(specs.resolve("some_model.net:made", 0)).identity
    return make


def differing(one: fingerprint.Fingerprint, other: fingerprint.Fingerprint) -> set[str]:
    assert (one.whole == other.whole) == (one == other)
    return {name for name in ("weights", "code", "config") if getattr(one, name) != getattr(other, name)}


@pytest.mark.parametrize(("changed", "expected"), [
    ({}, set()),
    ({"body": "x = x + 0"}, {"code"}),
    ({"layer": "output"}, {"code"}),
    ({"seed": 1}, {"weights", "code"}),  # the factory's own source
    ({"heads": 4}, {"code", "config"}),
    ({"scale": 2.0}, {"code"}),  # a buffer that code makes: no configuration
])
def test_what_changes_with_the_source(made, changed, expected):
    assert differing(made(), made(**changed)) == expected


@pytest.mark.parametrize("how", [
    {"imports": "from some_model import helper", "body": "x = helper.more(x)"},
    {"imports": "from .helper import more", "body": "x = more(x)"},
    {"body": "import some_model.helper as h; x = h.more(x)"},
    {"imports": "from some_model.middle import more", "body": "x = more(x)"},
    {"imports": "import importlib\nops = importlib.import_module('some_model.' + 'helper')", "body": "x = ops.more(x)"},
])
def test_imported_functions_are_code(made, how):
    """In a file of their own, at the top or inside of a function, directly or by way of another file."""
    middle = {"middle.py": "from some_model.helper import more"}
    one, same, other = (made({**middle, "helper.py": f"def more(x):\n    return x{add}\n"}, **how)
                        for add in ("", "", " + 1"))
    assert differing(one, same) == set()
    assert differing(one, other) == {"code"}


def test_classes_and_functions_without_a_source_file():
    def made(forward):
        return type("Made", (torch.nn.Linear,), {"__module__": "nowhere", "forward": forward})(2, 2)

    torch.manual_seed(0)
    one, other = made(eval("lambda self, x: x + 1")), made(eval("lambda self, x: x - 1"))
    other.load_state_dict(one.state_dict())
    assert differing(fingerprint.of(one), fingerprint.of(other)) == {"code"}
    patched = made(one.forward.__func__)
    patched.load_state_dict(one.state_dict())
    assert fingerprint.of(patched) == fingerprint.of(one)
    patched.forward = lambda x: x * 2
    assert differing(fingerprint.of(patched), fingerprint.of(one)) == {"code"}
    hooked = made(one.forward.__func__)
    hooked.load_state_dict(one.state_dict())
    hooked.register_forward_hook(lambda _, given, result: result * 3)
    assert differing(fingerprint.of(hooked), fingerprint.of(one)) == {"code"}


def test_where_a_model_lies_is_no_part_of_it(tmp_path: Path):
    load(specs.resolve("tiny-bert", 0)).module.save_pretrained(tmp_path / "one")
    load(specs.resolve("tiny-bert", 0)).module.save_pretrained(tmp_path / "other")
    one, other = (load(specs.resolve(str(tmp_path / name), 0)).identity for name in ("one", "other"))
    assert one == other
    assert one.weights == load(specs.resolve("tiny-bert", 0)).identity.weights


def test_configuration_of_transformers_is_kept_apart():
    one, other = (load(specs.resolve("tiny-bert", 0)) for _ in range(2))
    other.module.config.hidden_act = "relu"
    assert differing(one.identity, other.identity) == {"config"}


@pytest.mark.parametrize("state", [
    {"sparse": torch.eye(3).to_sparse(), "scalar": torch.tensor(1.0), "empty": torch.zeros(0, 2)},
    {"extra": {"step": 3}, "half": torch.ones(2, dtype=torch.bfloat16)}])
def test_any_state_dict_has_a_digest(state):
    first = next(iter(state))
    assert fingerprint.weights(state) == fingerprint.weights(dict(state))
    assert fingerprint.weights(state) != fingerprint.weights({**state, first: torch.ones(1)})
