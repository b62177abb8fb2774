"""Sentence-transformers directories: every pooling mode and layer against plain torch, and what is not understood."""

import json

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file

from eagerbench.errors import BadInput
from eagerbench.models import sentence, specs
from eagerbench.models.loading import load
from eagerbench.workloads.corpus import Corpus

TYPES = "sentence_transformers.models."
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "query", ":", "cat", "sleeps", "a", "dog", "barks", "."]


def write(file, content) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


@pytest.fixture
def directory(tmp_path):
    """`directory(pooling, *modules, transformer="", **bert)`: a model with those modules behind its transformer."""
    def made(pooling, *modules, transformer="", **bert):
        inner = tmp_path / transformer
        torch.manual_seed(0)
        transformers.BertModel(transformers.BertConfig(
            vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            max_position_embeddings=32)).save_pretrained(inner)
        (inner / "vocab.txt").write_text("\n".join(WORDS))
        write(inner / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": False})
        write(inner / "sentence_bert_config.json", bert)
        listed = [("Transformer", transformer), ("Pooling", "1_Pooling"), *modules]
        write(tmp_path / "modules.json", [{"idx": index, "name": str(index), "path": path,
                                           "type": kind if "." in kind else TYPES + kind}
                                          for index, (kind, path) in enumerate(listed)])
        write(tmp_path / "1_Pooling" / "config.json", pooling)
        return tmp_path

    return made


def flags(*modes: str) -> dict:
    keys = {mode: key for key, mode in sentence._MODES.items()}
    return {"word_embedding_dimension": 16, **{key: mode in modes for mode, key in keys.items()}}


def dense(path, size: int = 4, activation: str = "torch.nn.modules.activation.Tanh", bias: bool = True):
    torch.manual_seed(1)
    layer = torch.nn.Linear(16, size, bias=bias)
    write(path / "config.json", {"in_features": 16, "out_features": size, "bias": bias,
                                 "activation_function": activation})
    save_file({f"linear.{name}": tensor for name, tensor in layer.state_dict().items()}, path / "model.safetensors")
    return layer


def embedded(root) -> np.ndarray:
    """By our pipeline, of drawn states (7, 16)."""
    return load(specs.resolve(str(root), 0)).sentence.embed(states())


def states() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((7, 16)).astype(np.float32)


ORACLE = {
    "cls": lambda s: s[0], "max": lambda s: s.max(0).values, "mean": lambda s: s.sum(0) / len(s),
    "mean_sqrt_len_tokens": lambda s: s.sum(0) / len(s) ** 0.5, "lasttoken": lambda s: s[-1],
    "weightedmean": lambda s: (s * torch.arange(1.0, len(s) + 1)[:, None]).sum(0) / sum(range(1, len(s) + 1)),
}


@pytest.mark.parametrize("modes", [*((mode,) for mode in ORACLE), ("mean", "cls"),
                                   ("lasttoken", "mean_sqrt_len_tokens", "max")])
def test_pooling(directory, modes):
    """Several modes stand side by side in one fixed order, whatever order the file has."""
    want = torch.cat([ORACLE[mode](torch.from_numpy(states())) for mode in sentence._MODES.values() if mode in modes])
    np.testing.assert_allclose(embedded(directory(flags(*modes))), want.numpy(), rtol=1e-5, atol=1e-6)


def test_pooling_by_name(directory):
    """As version 6 writes it; several in the order of the file. No mode at all is the mean."""
    np.testing.assert_array_equal(embedded(directory({"pooling_mode": "max"})), states().max(0))
    np.testing.assert_array_equal(embedded(directory({"pooling_mode": ["lasttoken", "cls"]})),
                                  np.concatenate([states()[-1], states()[0]]))
    np.testing.assert_array_equal(embedded(directory(flags())), states().mean(0))


@pytest.mark.parametrize("transformer", ["", "0_Transformer"])
@pytest.mark.parametrize(("activation", "function"), [
    ("torch.nn.modules.activation.Tanh", torch.tanh), ("torch.nn.modules.linear.Identity", lambda x: x),
    ("torch.nn.modules.activation.GELU", torch.nn.functional.gelu)])
def test_dense_and_normalised(directory, tmp_path, transformer, activation, function):
    root = directory(flags("cls"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize"), transformer=transformer)
    layer = dense(root / "2_Dense", activation=activation, bias="Tanh" in activation)
    with torch.no_grad():
        want = torch.nn.functional.normalize(function(layer(torch.from_numpy(states()[0]))), dim=0)
    np.testing.assert_allclose(embedded(root), want.numpy(), rtol=1e-5, atol=1e-6)
    loaded = load(specs.resolve(str(root), 0))
    assert loaded.sentence.description == f"cls, dense 16 -> 4 {activation.rpartition('.')[2]}, normalised"
    assert loaded.spec.name == tmp_path.name
    assert type(loaded.module).__name__ == "BertModel"


def test_a_layer_that_does_not_fit_is_bad_input(directory, tmp_path):
    root = directory(flags("cls", "mean"), ("Dense", "2_Dense"))  # 32 wide, the layer takes 16
    dense(tmp_path / "2_Dense")
    with pytest.raises(BadInput, match="do not fit states of size 16; save the model again"):
        load(specs.resolve(str(root), 0))


def test_a_byte_order_mark_is_no_damage(directory):
    root = directory(flags("cls"))
    file = root / "modules.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert load(specs.resolve(str(root), 0)).sentence.modes == ("cls",)


def test_layer_norm(directory):
    root = directory(flags("mean"), ("Dropout", "2_Dropout"), ("LayerNorm", "3_LayerNorm"))
    torch.manual_seed(2)
    layer = torch.nn.LayerNorm(16)
    torch.nn.init.normal_(layer.weight)
    write(root / "3_LayerNorm" / "config.json", {"dimension": 16})
    save_file({f"norm.{name}": tensor for name, tensor in layer.state_dict().items()},
              root / "3_LayerNorm" / "model.safetensors")
    want = layer(torch.from_numpy(states()).mean(0)).detach().numpy()
    np.testing.assert_allclose(embedded(root), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("pooling", "modules", "says"), [
    (flags("mean"), [("CNN", "2_CNN")], "module CNN"),
    (flags("mean"), [("my_package.Whitening", "2_W")], "module my_package.Whitening"),
    (flags("mean"), [("Dense", "2_Dense")], "2_Dense has no model.safetensors (pickled weights are never loaded)"),
    ({**flags(), "pooling_mode_attention": True}, [], "pooling mode pooling_mode_attention"),
    ({"pooling_mode": "attention"}, [], "pooling mode attention"),
])
def test_what_is_not_understood_is_said(directory, pooling, modules, says):
    root = directory(pooling, *modules)
    (root / "2_Dense").mkdir()
    (root / "2_Dense" / "pytorch_model.bin").write_bytes(b"never read")
    loaded = load(specs.resolve(str(root), 0))
    assert loaded.sentence.not_understood == says
    assert loaded.sentence.description == f"not understood: {says}"


def test_activation_that_is_not_understood(directory):
    root = directory(flags("mean"), ("Dense", "2_Dense"))
    dense(root / "2_Dense", activation="my_package.Tanh")
    assert load(specs.resolve(str(root), 0)).sentence.not_understood == "2_Dense has activation my_package.Tanh"


def test_texts_are_cut_lowered_and_prompted_as_the_files_say(directory, tmp_path):
    root = directory({**flags("mean"), "include_prompt": False}, max_seq_length=9, do_lower_case=True)
    write(root / "config_sentence_transformers.json",
          {"prompts": {"query": "Query : ", "passage": "a "}, "default_prompt_name": "query"})
    model = load(specs.resolve(str(root), 0))
    file = tmp_path / "texts.txt"
    file.write_text("The cat sleeps .\nthe DOG barks . the dog barks .\n")
    rows = Corpus(2, 0, str(file)).tokenised(model)
    assert [WORDS[i] for i in rows.rows[0]] == ["[CLS]", "query", ":", "the", "cat", "sleeps", ".", "[SEP]"]
    assert (len(rows.rows[1]), rows.truncated, rows.limit) == (9, 1, 9)
    assert model.sentence.prompt_tokens(model.tokenizer) == 3
    np.testing.assert_allclose(model.sentence.embed(states(), 3), states()[3:].mean(0), rtol=1e-5)
    assert model.sentence.description == "mean; prompt 'Query : ', not pooled"


@pytest.mark.parametrize("mode", list(ORACLE))
def test_a_prompt_that_is_not_pooled(directory, mode):
    """Masked out, as sentence-transformers 6 does: weights still count from the row's start."""
    model = load(specs.resolve(str(directory({**flags(mode), "include_prompt": False})), 0))
    part = torch.from_numpy(states()[3:])
    weights = torch.arange(4.0, 8)[:, None]
    want = (part * weights).sum(0) / weights.sum() if mode == "weightedmean" else ORACLE[mode](part)
    np.testing.assert_allclose(model.sentence.embed(states(), 3), want.numpy(), rtol=1e-5, atol=1e-6)


def test_without_a_length_of_its_own_the_smallest_limit_holds(directory):
    from eagerbench.workloads.padded_batch import length_limit

    root = directory(flags("mean"))
    write(root / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "model_max_length": 20})
    assert length_limit(load(specs.resolve(str(root), 0))) == 20


def test_weights_behind_the_transformer_are_part_of_the_fingerprint(directory):
    root = directory(flags("cls"), ("Dense", "2_Dense"))
    dense(root / "2_Dense")
    before = load(specs.resolve(str(root), 0)).fingerprint
    layer = torch.nn.Linear(16, 4)
    save_file({"linear.weight": layer.weight.detach(), "linear.bias": layer.bias.detach()},
              root / "2_Dense" / "model.safetensors")
    assert load(specs.resolve(str(root), 0)).fingerprint != before


@pytest.mark.parametrize(("name", "content", "says"), [
    ("modules.json", {"a": 1}, "modules.json is no list of modules"),
    ("config_sentence_transformers.json", {"default_prompt_name": "q", "prompts": {}}, "no prompt 'q'")])
def test_damaged_files(directory, name, content, says):
    root = directory(flags("mean"))
    write(root / name, content)
    with pytest.raises(BadInput, match=says):
        load(specs.resolve(str(root), 0))


def test_files_outside_of_the_directory_are_not_read(directory, tmp_path):
    root = directory(flags("mean"), ("Dense", "../elsewhere"))
    assert "no model.safetensors" in load(specs.resolve(str(root), 0)).sentence.not_understood


def test_the_default_model_is_pooled_as_its_files_say(workshops):
    model = workshops("minilm").model
    assert model.sentence.description == "mean, normalised"
    assert model.sentence.max_length == 256


def test_directory_without_modules_is_mean_pooled(tmp_path):
    load(specs.resolve("tiny-bert", 0)).module.save_pretrained(tmp_path / "model")
    model = load(specs.resolve(str(tmp_path / "model"), 0))
    assert model.sentence.description == "mean (no modules.json)"
    np.testing.assert_array_equal(model.sentence.embed(states()), states().mean(0))


def test_embeddings_of_batches_are_the_pipelines(directory):
    """Through the reference: each sentence alone by hand, against all of them in padded batches."""
    from eagerbench.measuring.reference import Reference
    from eagerbench.measuring.sentences import expected_of
    from eagerbench.outputs.predictions import SENTENCE_EMBEDDING

    root = directory(flags("cls", "max"), ("Normalize", "2_Normalize"))
    model = load(specs.resolve(str(root), 0))
    rows = [np.array([2, *range(4, 4 + length), 3]) for length in (1, 5, 3)]
    got = expected_of(rows, model, Reference(model, "cpu")).outputs[SENTENCE_EMBEDDING]
    for row, embedding in zip(rows, got, strict=True):
        with torch.inference_mode():
            hidden = model.fresh()(input_ids=torch.from_numpy(row)[None]).last_hidden_state[0]
        want = torch.nn.functional.normalize(torch.cat([hidden[0], hidden.max(0).values]), dim=0)
        np.testing.assert_allclose(embedding, want.numpy(), rtol=1e-4, atol=1e-5)
