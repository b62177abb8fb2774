"""Models: the catalog's published sizes, directories, factories, and what cannot be loaded."""

import json
import operator
import shutil
import textwrap

import pytest
import torch
import transformers
from refusals import refused
from running import run_python
from safetensors.torch import load_file, save_file

from eagerbench.errors import BadInput
from eagerbench.models import specs
from eagerbench.models.catalog import CATALOG, HEADS
from eagerbench.models.loading import load
from eagerbench.workloads import export_example


@pytest.mark.parametrize("name", [name for name, entry in CATALOG.items() if entry.parameters])
def test_published_parameter_count(name):
    entry = CATALOG[name]
    config = getattr(transformers, entry.config_class)(**entry.config)
    with torch.device("meta"):
        model = operator.attrgetter(entry.architecture)(transformers)(config)
    assert sum(p.numel() for p in {id(p): p for p in model.parameters()}.values()) == entry.parameters


def test_default_model_is_the_trained_one(workshops):
    model = workshops("minilm").model
    assert model.pretrained
    assert sum(p.numel() for p in model.module.parameters()) == 22_713_216
    assert model.input_names == ("input_ids", "attention_mask", "token_type_ids")


def test_same_seed_same_weights():
    one, two, other = (load(specs.resolve("tiny-gpt2", seed)).module.lm_head.weight for seed in (3, 3, 4))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_directory_keeps_its_head_and_weights(bert_directory):
    loaded = load(specs.resolve(str(bert_directory), 0))
    assert type(loaded.module).__name__ == "BertForSequenceClassification"
    assert loaded.spec.name == "some-bert-dir"
    original = load(specs.resolve("tiny-bert", 0)).module.state_dict()
    assert all(torch.equal(value, original[name]) for name, value in loaded.module.state_dict().items())


def test_directory_without_config(bert_directory):
    (bert_directory / "config.json").unlink()
    assert "no config.json" in refused(str(bert_directory))


@pytest.mark.parametrize("content", ["{", "[]", "{}", "\xff"])
def test_broken_config(bert_directory, content):
    (bert_directory / "config.json").write_text(content, encoding="latin-1")
    assert "config.json" in refused(str(bert_directory))


@pytest.mark.parametrize("keep", [0, 4, 100, -50])
def test_damaged_safetensors(bert_directory, keep):
    file = bert_directory / "model.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:keep])
    assert "model.safetensors is damaged" in refused(str(bert_directory))


def test_missing_tensor_is_never_filled_in_silence(bert_directory):
    file = bert_directory / "model.safetensors"
    tensors = load_file(file)
    del tensors["bert.encoder.layer.1.output.dense.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    assert "missing, first 'bert.encoder.layer.1.output.dense.weight'" in refused(str(bert_directory))


def test_pickled_weights_are_refused(bert_directory):
    (bert_directory / "model.safetensors").unlink()
    torch.save({}, bert_directory / "pytorch_model.bin")
    assert "pickled weights are never loaded" in refused(str(bert_directory))


def test_code_in_a_directory_is_never_run(bert_directory):
    config = json.loads((bert_directory / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}
    (bert_directory / "config.json").write_text(json.dumps(config))
    marker = bert_directory / "ran"
    (bert_directory / "evil.py").write_text(f"open({str(marker)!r}, 'w')")
    assert "cannot be loaded" in refused(str(bert_directory))
    assert not marker.exists()


def test_hub_id_without_a_network():
    assert "cannot be fetched from the model hub" in refused("some-org/no-such-model")


@pytest.mark.parametrize(("text", "says"), [
    ("minilmm", "did you mean 'minilm'"), ("tiny-brt", "did you mean 'tiny-bert'"),
    ("./nowhere", "no such directory"), ("/nowhere/at/all", "no such directory"),
    ("nosuchmodule:f", "there is no module 'nosuchmodule'"), ("json:nothing", "AttributeError"),
    ("json.nothing:f", "the factory failed: ModuleNotFoundError"),
    ("math:pi", "the factory failed: TypeError"), ("tempfile:gettempdir", "returned str; return a torch.nn.Module"),
])
def test_model_that_cannot_be_had(text, says):
    assert says in refused(text)


def test_factory(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(textwrap.dedent("""
        import torch

        class Bag(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding = torch.nn.Embedding(50, 8)
                self.head = torch.nn.Linear(8, 3)

            def forward(self, input_ids, attention_mask):
                weights = attention_mask[..., None].to(self.embedding.weight.dtype)
                return self.head((self.embedding(input_ids) * weights).sum(1))

        def bag():
            return Bag()
    """))
    monkeypatch.chdir(tmp_path)
    loaded = load(specs.resolve("my_models:bag", 0))
    assert loaded.input_names == ("input_ids", "attention_mask")
    assert loaded.spec.name == "my_models.bag"
    assert not loaded.pretrained


def test_two_models_of_one_name(bert_directory, tmp_path):
    from eagerbench import selection

    other = tmp_path / "other" / bert_directory.name
    shutil.copytree(bert_directory, other)
    with pytest.raises(BadInput, match="also named 'some-bert-dir'"):
        selection.models([str(bert_directory), str(other)], 0)


def test_fingerprint_of_a_module_without_source_or_config():
    """A class made at run time, a buffer that is a transposed view, and a config that is none of transformers'."""
    from eagerbench.models.loading import LoadedModel

    made = type("Made", (torch.nn.Module,), {"__module__": "nowhere", "forward": lambda self, input_ids: input_ids})()
    made.register_buffer("view", torch.arange(6.0).reshape(2, 3).T)
    made.config = {"hidden": 3}
    loaded = LoadedModel(specs.ModelSpec("made", "factory", "x:y", 0, None), made, None, False)
    before = loaded.fingerprint
    made.view[0, 0] = 7
    assert LoadedModel(loaded.spec, made, None, False).fingerprint != before
    assert loaded.config is None


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-roberta", "tiny-gpt2"])
def test_directory_without_a_tokenizer_gets_drawn_ids(tmp_path, name):
    """transformers would make a tokenizer that knows no word."""
    from eagerbench.workloads.padded_batch import PaddedBatch

    load(specs.resolve(name, 0)).module.save_pretrained(tmp_path / "model")
    loaded = load(specs.resolve(str(tmp_path / "model"), 0))
    assert loaded.tokenizer is None
    assert len(set(PaddedBatch(1, 32).inputs(loaded)["input_ids"][0])) > 20


def test_damaged_tokenizer(bert_directory):
    (bert_directory / "tokenizer.json").write_text("{")
    assert "its tokenizer cannot be loaded" in refused(str(bert_directory))


def test_name_of_a_directory_becomes_plain(bert_directory):
    other = bert_directory.with_name("mod\u00e8le \u00e9t\u00e9")
    bert_directory.rename(other)
    assert specs.resolve(str(other), 0).name == "mod-le-t-"


def test_number_of_heads_is_part_of_the_fingerprint():
    """Same class, same shapes, same weights: only an attribute differs, and the artifact must not be shared."""
    from eagerbench.models.loading import LoadedModel

    one, other = (torch.nn.MultiheadAttention(8, heads) for heads in (2, 4))
    other.load_state_dict(one.state_dict())
    spec = specs.ModelSpec("mha", "factory", "x:y", 0, None)
    assert LoadedModel(spec, one, None, False).fingerprint != LoadedModel(spec, other, None, False).fingerprint


@pytest.mark.parametrize(("head", "kind"), [
    ("question-answering", "ForQuestionAnswering"), ("masked-lm", "ForMaskedLM"),
    ("token-classification", "ForTokenClassification")])
@pytest.mark.parametrize("name", ["tiny-bert", "tiny-distilbert"])
def test_head(name, head, kind):
    loaded = load(specs.resolve(f"{name}@head={head}", 0))
    assert type(loaded.module).__name__.endswith(kind)
    assert loaded.spec.name == f"{name}@head={head}"


@pytest.mark.parametrize("name", ["tiny-bert", "tiny-distilbert", "tiny-vit", "tiny-gpt2", "minilm"])
def test_pruned_model_is_the_whole_one_with_its_last_layers_skipped(name):
    whole, pruned = load(specs.resolve(name, 0)), load(specs.resolve(f"{name}@layers=1", 0))
    assert pruned.config.num_hidden_layers == 1
    assert pruned.fingerprint != whole.fingerprint
    stack = next(part for part in whole.module.modules() if isinstance(part, torch.nn.ModuleList))
    for layer in stack[1:]:  # layers return a tensor in transformers 5 and a tuple in 4
        layer.register_forward_hook(lambda _, given, made: given[0] if torch.is_tensor(made) else (given[0], *made[1:]))
    inputs = {key: torch.from_numpy(array) for key, array in export_example(whole.spec).inputs(whole).items()}
    with torch.inference_mode():
        skipped, short = (next(iter(loaded.module(**inputs).values())) for loaded in (whole, pruned))
    assert torch.equal(skipped, short)


@pytest.mark.parametrize(("text", "says"), [
    ("tiny-bert@layers=2", "the model has 2 layers; layers=N keeps 1 to 1"),
    ("tiny-bert@layers=0", "after @ write layers=N"), ("tiny-bert@layers=1,layers=1", "layers is given twice"),
    ("tiny-bert@layers=x", "after @ write layers=N"), ("tiny-bert@head=poet", "TASK one of sequence-classification"),
    ("minilm@head=masked-lm", "only catalog models take another head"),
    ("torch.nn:Identity@layers=1", "0 stacks of layers"), ("tiny-gpt2@head=masked-lm", "there is no GPT2ForMaskedLM"),
    ("tiny-vit@head=question-answering", "there is no ViTForQuestionAnswering: its inputs are no texts"),
    ("tiny-wav2vec2@head=sequence-classification", "its inputs are no texts"),
    ("bert-base@layers=12", "the model has 12 layers; layers=N keeps 1 to 11"), ("minilm@layers=6", "keeps 1 to 5"),
])
def test_wrong_option_behind_a_model(text, says):
    assert says in refused(text)


def test_depth_and_heads_of_the_catalog_are_those_of_transformers():
    """Read without loading anything: `--list-cases` refuses what is not there."""
    for name, entry in CATALOG.items():
        config = getattr(transformers, entry.config_class)(**entry.config)
        assert entry.layers == config.num_hidden_layers, name
        for head in HEADS:
            there = hasattr(transformers, entry.with_head(head).rpartition(".")[2])
            takes_text = specs.resolve(name, 0).image is None and specs.resolve(name, 0).audio is None
            assert (head in entry.heads) == (there and takes_text), (name, head)


LIGHT = """
import sys
from eagerbench.measuring.session import Session
from eagerbench.models import specs
from eagerbench.models.loading import load
load(specs.resolve("torch.nn:Identity", 0)).copy("sdpa")
print("transformers.modeling_utils" in sys.modules)
"""


@pytest.mark.slow
def test_a_module_of_ones_own_is_loaded_without_the_models_of_transformers():
    """Importing them takes three seconds, in each process of a session."""
    assert run_python("-c", LIGHT).out == "False\n"
