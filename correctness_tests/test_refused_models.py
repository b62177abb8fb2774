"""Models that cannot be had: factories that break, weights that are quantised, configs of wrong types."""

import contextlib
import json

import pytest
import torch
from refusals import refused
from safetensors.torch import load_file, save_file

from eagerbench.errors import BadInput
from eagerbench.models import specs
from eagerbench.models.loading import load

BROKEN_FACTORIES = {
    "import sys\nsys.exit(3)": "the factory failed: SystemExit: 3",
    "def build(:": "the factory failed: SyntaxError",
    "import pytest\npytest.skip('not here', allow_module_level=True)": "the factory failed: Skipped",
    "def build(size): pass": "the factory failed: TypeError",
    "def build(): return None": "the factory returned NoneType",
    "async def build(): pass": "the factory returned coroutine",
    "def build(): return [1, 2]": "the factory returned list",
    "import torch\ndef build(): return 'a', torch.nn.Linear(2, 2)": "the factory returned (str, Linear)",
    "import torch\ndef build(): return torch.nn.Linear(2, 2), 'bert'": "the factory's second value is str",
    "import torch, tokenizers\n"
    "def build(): return torch.nn.Linear(2, 2), tokenizers.Tokenizer(tokenizers.models.BPE())": "wrap it with",
    "import torch\ndef build(): return torch.nn.Linear(2, 2, device='meta')": "cannot be made float32",
    "import torch\n"
    "def build(): return torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(torch.nn.Linear(2, 2)))":
        "its weights are already quantised (0 is a torch Linear)",
    "import torch\ndef build(): return torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))":
        "return the torch.nn.Module that it was made from",
    "import torch\ndef build():\n    made = torch.nn.Linear(2, 2)\n    del made.weight\n"
    "    made.register_buffer('weight', torch.ones(2, 2, dtype=torch.int8))\n    return made":
        "its weights are already quantised (weight is int8)",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source", list(BROKEN_FACTORIES))
def test_broken_factory(tmp_path, monkeypatch, source):
    """Whatever a module does when it is imported or called, the session ends with one line."""
    number = list(BROKEN_FACTORIES).index(source)
    (tmp_path / f"broken_{number}.py").write_text(source + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert BROKEN_FACTORIES[source] in refused(f"broken_{number}:build")


@pytest.mark.parametrize(("key", "value", "method"), [
    ("quantization_config", {"quant_method": "gptq", "bits": 4}, "gptq"),
    ("quantization_config", {"quant_method": "fp8"}, "fp8"),
    ("quantization_config", {"load_in_8bit": True}, "bitsandbytes"),
    ("quantization_config", {"quant_algo": "FP8"}, "FP8"), ("quantization_config", {"bits": 4}, "unnamed method"),
    ("compression_config", {"quant_method": "compressed-tensors"}, "compressed-tensors"),
    ("text_config", {"quantization_config": {"quant_method": "mxfp4"}}, "mxfp4"),
    ("quantization", {"group_size": 64, "bits": 4}, "unnamed method"),  # MLX
])
def test_quantised_directory(bert_directory, key, value, method):
    """Named from its config, before torch is asked."""
    file = bert_directory / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value}))
    assert f"its weights are already quantised ({method}); every variant" in refused(str(bert_directory))


@pytest.mark.parametrize("name", ["quantize_config.json", "quant_config.json", "quanto_qmap.json"])
def test_file_of_a_quantiser(bert_directory, name):
    (bert_directory / name).write_text("{}")
    assert "already quantised" in refused(str(bert_directory))


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int8, torch.uint8, torch.int32])
def test_narrow_weights_without_a_word_in_the_config(bert_directory, dtype):
    file = bert_directory / "model.safetensors"
    tensors = load_file(file)
    name = "bert.encoder.layer.1.output.dense.weight"
    save_file({**tensors, name: tensors[name].to(dtype)}, file, metadata={"format": "pt"})
    assert f"already quantised ({name} is" in refused(str(bert_directory))


def test_half_precision_is_not_quantised(bert_directory):
    module = load(specs.resolve("tiny-bert", 0)).module
    for dtype in (torch.float16, torch.bfloat16):
        module.to(dtype).save_pretrained(bert_directory)
        assert load(specs.resolve(str(bert_directory), 0)).module.dtype == torch.float32


@pytest.mark.parametrize(("key", "value"), [
    ("max_position_embeddings", "512"), ("architectures", 3), ("conv_kernel", [1, 2]), ("image_size", {"height": 3})])
def test_config_of_wrong_types(bert_directory, key, value):
    """One line, or a model that can be loaded all the same: never a traceback."""
    file = bert_directory / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), key: value, "conv_stride": [1]}))
    with contextlib.suppress(BadInput):
        load(specs.resolve(str(bert_directory), 0))
