"""TorchScript: task heads, tied weights, positional and scripted models, other shapes, and what the passes change."""

import numpy as np
import pytest
import torch

from eagerbench import backends
from eagerbench.backends import torchscript_onednn, tracing
from eagerbench.backends.artifacts import ArtifactStore
from eagerbench.backends.building import build
from eagerbench.backends.torch_runner import TorchRunner
from eagerbench.errors import CannotRun, Refused
from eagerbench.models import specs
from eagerbench.models.loading import LoadedModel, load

HEADS = ("question-answering", "token-classification", "masked-lm")


class Encoder(torch.nn.Module):
    """A plain `torch.nn` encoder whose pooling depends on the data."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 16)
        layer = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = torch.nn.Linear(16, 3)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        states = self.encoder(self.embedding(input_ids), src_key_padding_mask=attention_mask == 0)
        if bool(attention_mask.all()):
            return self.head(states.mean(1))
        return self.head(states[:, 0])


class Swapped(torch.nn.Module):
    """Takes the mask first."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 4)

    def forward(self, attention_mask, input_ids):
        return (self.embedding(input_ids) * attention_mask[..., None]).sum(1)


class Baked(Swapped):
    """Positions from a Python list: a trace keeps those of its example."""

    def forward(self, attention_mask, input_ids):
        positions = torch.tensor(list(range(input_ids.shape[1])))
        return super().forward(attention_mask * positions, input_ids)


class KeywordOnly(Swapped):
    def forward(self, input_ids, *, attention_mask):
        return super().forward(attention_mask, input_ids)


def made(module: torch.nn.Module) -> LoadedModel:
    return LoadedModel(specs.ModelSpec("made", "factory", "x:y", 0, None), module.eval(), None, False)


def batch(rows: int, length: int, padded: int = 0) -> dict[str, np.ndarray]:
    """Ids below 50; the last `padded` positions of the first row are padding."""
    mask = np.ones((rows, length), np.int64)
    mask[0, length - padded:] = 0
    return {"input_ids": np.random.default_rng(rows).integers(1, 50, (rows, length)), "attention_mask": mask}


def run(runner: TorchRunner, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return runner.arrays(runner(runner.prepare(inputs)))


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["torchscript", "torchscript-positional", "torchscript-optimized",
                                  "torchscript-onednn"])
def test_task_heads_match_eager(workshops, head, name):
    workshop = workshops(f"tiny-bert@head={head}")
    assert not workshop.compared(name, workshop.inputs(4, 9)).failures


def test_tied_weights_of_the_artifact_are_its_own(placement, tmp_path):
    """Model and artifact share nothing, either way; inside the artifact the tie stays, and is stored once."""
    model = load(specs.resolve("tiny-bert@head=masked-lm", 0))
    embedding, decoder = model.module.bert.embeddings.word_embeddings, model.module.cls.predictions.decoder
    assert embedding.weight is decoder.weight
    built = build("torchscript", model, batch(3, 11), placement, ArtifactStore(tmp_path))
    inputs = batch(2, 5)
    before, original = run(built.runner, inputs), decoder.weight.clone()
    with torch.no_grad():
        decoder.weight.mul_(2)
    assert np.array_equal(run(built.runner, inputs)["logits"], before["logits"])
    tensors = dict(built.runner.module.named_parameters(remove_duplicate=False))
    own = tensors["bert.embeddings.word_embeddings.weight"]
    assert own.data_ptr() == tensors["cls.predictions.decoder.weight"].data_ptr()
    with torch.no_grad():
        own.zero_()
    assert torch.equal(decoder.weight, 2 * original)
    assert not np.array_equal(run(built.runner, inputs)["logits"], before["logits"])
    assert built.artifact_bytes < model.parameter_bytes + original.nbytes / 2 + 200_000  # the code is 100 kB or so


def test_positional_order_is_that_of_forward(placement, tmp_path):
    model = made(Swapped())
    runner = build("torchscript-positional", model, batch(3, 11), placement, ArtifactStore(tmp_path)).runner
    assert runner.order == ("attention_mask", "input_ids")
    inputs = batch(2, 5, padded=2)
    assert np.array_equal(run(runner, inputs)["output"], run(TorchRunner(model.module), inputs)["output"])


def test_keyword_tracing_is_not_positional(workshops):
    workshop = workshops("tiny-bert")
    variant, backend = backends.variants()["torchscript-positional"]
    keyword = TorchRunner(workshop.built("torchscript").runner.module)
    assert not backend.probe(variant, keyword, workshop.example()).engaged


def test_forward_order_that_does_not_fit(workshops):
    model = workshops("tiny-gpt2").model
    with pytest.raises(ValueError, match=r"GPT2LMHeadModel\.forward has 'past_key_values' in place 2, where "
                                         r"'attention_mask' would go.*traces it by keyword"):
        tracing.positional_order(model.module, dict.fromkeys(model.input_names))
    with pytest.raises(ValueError, match="takes 1 inputs by position, not 2"):
        tracing.positional_order(KeywordOnly(), batch(1, 2))


def test_shape_that_a_trace_has_baked_in():
    """The error is recorded where the artifact takes no other shape."""
    variant, backend = backends.variants()["torchscript"]
    found = {}
    for module in (Swapped(), Baked()):
        runner = TorchRunner(tracing.trace(made(module), batch(3, 11)))
        found[type(module)] = backend.probe(variant, runner, batch(3, 11)).facts["dynamic_shapes"]
    assert found[Swapped] is True
    assert "size of tensor" in found[Baked]


def test_script_keeps_a_branch_that_a_trace_drops(placement, tmp_path):
    torch.manual_seed(0)
    model, store = made(Encoder()), ArtifactStore(tmp_path)
    scripted, traced = (build(name, model, batch(3, 11, padded=4), placement, store)
                        for name in ("torchscript-script", "torchscript"))
    for inputs in (batch(2, 7), batch(2, 7, padded=3)):
        expected = run(TorchRunner(model.module), inputs)["output"]
        np.testing.assert_allclose(run(scripted.runner, inputs)["output"], expected, rtol=1e-4, atol=1e-5)
    full = batch(2, 7)
    assert not np.allclose(run(traced.runner, full)["output"], run(TorchRunner(model.module), full)["output"])
    engagement = scripted.backend.probe(scripted.variant, scripted.runner, full)
    assert engagement.engaged
    assert engagement.facts["branches"] >= 1
    assert engagement.facts["dynamic_shapes"] is True


def test_script_of_a_hugging_face_model_gives_the_real_error(workshops, placement, tmp_path):
    workshop = workshops("tiny-bert")
    with pytest.raises(CannotRun, match=r"^build failed: TorchScript cannot compile the Python source of "
                                        r"BertConfig: use `torchscript`"):
        build("torchscript-script", workshop.model, workshop.example(), placement, ArtifactStore(tmp_path))


def test_optimising_nothing_is_refused(placement, tmp_path):
    """A model without linear layer or convolution would be the frozen one under another name."""
    with pytest.raises(CannotRun, match="optimize_for_inference changes nothing here"):
        build("torchscript-optimized", made(Swapped()), batch(3, 11), placement, ArtifactStore(tmp_path))


def test_what_optimising_rewrites(workshops):
    """Every linear layer of BERT, and the patch convolution of ViT; of GPT-2 only the head."""
    variant, backend = backends.variants()["torchscript-optimized"]
    found = {}
    for name in ("tiny-bert", "tiny-vit", "tiny-gpt2"):
        workshop = workshops(name)
        facts = backend.probe(variant, workshop.built(variant.name).runner, workshop.example()).facts
        found[name] = tuple(facts[key] for key in ("transposed_linears", "graph_linears", "onednn_nodes"))
    assert found["tiny-bert"] == (14, 0, 0)
    assert found["tiny-vit"][0] > 0
    assert found["tiny-vit"][2] == 1
    assert found["tiny-gpt2"] == (1, 0, 0)


@pytest.mark.parametrize("name", ["torchscript-freeze-bf16", "torchscript-optimized-bf16", "torchscript-onednn-bf16"])
def test_float32_is_no_bf16(workshops, name):
    """Each optimisation without its bf16: the probe of the bf16 variant misses it."""
    workshop = workshops("tiny-bert")
    variant, backend = backends.variants()[name]
    runner = workshop.built(name.removesuffix("-bf16")).runner
    engagement = backend.probe(variant, runner, workshop.example())
    assert not engagement.engaged
    assert "0 bf16 products for 14 linear layers" in engagement.summary


def test_onednn_fusion_of_a_loaded_artifact(workshops, placement, tmp_path):
    """Fused after loading, in both attention blocks; the process's setting is what it was; bits are the same."""
    workshop = workshops("tiny-bert")
    variant, backend = backends.variants()["torchscript-onednn"]
    tracing.save(torch.jit.freeze(tracing.trace(workshop.model, workshop.example())), tmp_path)
    runner = tracing.FusingRunner(tracing.load(tmp_path, placement))
    inputs = workshop.inputs(2, 8)
    first, second = run(runner, inputs), run(runner, inputs)
    assert not torch.jit.onednn_fusion_enabled()
    assert np.array_equal(first["logits"], second["logits"])
    engagement = backend.probe(variant, runner, inputs)
    assert engagement.engaged
    assert (engagement.facts["fused_attention"], engagement.facts["unfused_linears"]) == (2, 0)


def test_onednn_stops_fusing_after_12_shapes_and_is_caught():
    """PyTorch's executor specialises 12 times (`torch.jit.set_fusion_strategy`), then falls back without a word."""
    variant, backend = backends.variants()["torchscript-onednn"]
    layers = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.GELU()).eval()
    runner = tracing.FusingRunner(torch.jit.freeze(torch.jit.trace(layers, torch.ones(3, 8))))
    shapes = [{"input": np.ones((rows, 8), np.float32)} for rows in range(1, 14)]
    for inputs in shapes:
        run(runner, inputs)
    assert backend.probe(variant, runner, shapes[11]).engaged
    assert not backend.probe(variant, runner, shapes[12]).engaged


class Buckets(torch.nn.Module):
    """Distances by the logarithm of T5, MPNet and DeBERTa, whole or not."""

    def __init__(self, whole):
        super().__init__()
        self.linear = torch.nn.Linear(600, 600)
        self.whole = whole

    def forward(self, rows):
        buckets = 8 + torch.log(self.linear(rows).abs() / 8 + 1) / 2.772588722239781 * 8
        return self.whole(buckets.clamp(max=15)) * 2


@pytest.mark.parametrize(("whole", "refused"), [
    (lambda value: value.to(torch.long), True), (torch.ceil, True), (torch.floor, True), (torch.abs, False),
    (lambda value: value.to(torch.float64), False)], ids=["long", "ceil", "floor", "abs", "double"])
def test_a_logarithm_that_becomes_a_whole_number_is_not_fused(whole, refused):
    frozen = torch.jit.freeze(torch.jit.trace(Buckets(whole).eval(), torch.ones(2, 600)))
    if refused:
        with pytest.raises(Refused, match="some of Buckets's distances into the wrong bucket"):
            torchscript_onednn._require_no_whole_logarithm(frozen, "Buckets")
    else:
        torchscript_onednn._require_no_whole_logarithm(frozen, "Buckets")


def test_onednn_rounds_the_logarithm_of_a_power_of_two():
    """The reason for it. When this fails, oneDNN's logarithm is better: the refusal can go."""
    def scaled(distances, exact, logarithm):
        return torch.log(distances / exact) / logarithm

    inputs = torch.tensor([[16.0, 32.0, 64.0]]), torch.tensor([8.0]), torch.tensor([2.772588722239781])
    script = torch.jit.trace(scaled, inputs)
    before = torch.jit.onednn_fusion_enabled()
    torch.jit.enable_onednn_fusion(True)
    try:
        with torch.inference_mode():
            fused = [script(*inputs) for _ in range(3)][-1]
    finally:
        torch.jit.enable_onednn_fusion(before)
    assert scaled(*inputs).tolist() == [[0.25, 0.5, 0.75]]
    assert all(value < exact for value, exact in zip(fused[0].tolist(), (0.25, 0.5, 0.75), strict=True))
