"""Encoder layers of transformers as `torch.nn.TransformerEncoderLayer`, whose inference fast path PyTorch calls
BetterTransformer, and back.

Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html ("Fast path") and
https://pytorch.org/blog/a-better-transformer-for-fast-transformer-encoder-inference/. A layer is converted only when
its class is in LAYOUTS and everything in it that the fast path takes for granted holds; a model is converted whole or
not at all.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from transformers.activations import GELUActivation
from transformers.modeling_layers import GradientCheckpointingLayer

from eagerbench.errors import Refused


@dataclass(frozen=True)
class Layout:
    """Where a layer class keeps the parts of a `TransformerEncoderLayer`: dotted names of its submodules.

    `attention` holds the head count, under the name `heads`; `norm1` follows (or, with `norm_first`, precedes) it.
    """

    attention: str
    heads: str
    query: str
    key: str
    value: str
    out: str
    norm1: str
    linear1: str
    activation: str
    linear2: str
    norm2: str
    norm_first: bool = False

    @property
    def kept(self) -> dict[str, str]:
        """Submodules whose parameters move as they are: name in `TransformerEncoderLayer` -> name here."""
        return {"self_attn.out_proj": self.out, "norm1": self.norm1, "linear1": self.linear1,
                "linear2": self.linear2, "norm2": self.norm2}

    @property
    def stacked(self) -> tuple[str, str, str]:
        """Submodules whose parameters become `in_proj`, in its order."""
        return self.query, self.key, self.value


_BERT = Layout("attention.self", "num_attention_heads", "attention.self.query", "attention.self.key",
               "attention.self.value", "attention.output.dense", "attention.output.LayerNorm", "intermediate.dense",
               "intermediate.intermediate_act_fn", "output.dense", "output.LayerNorm")
_DISTILBERT = Layout("attention", "n_heads", "attention.q_lin", "attention.k_lin", "attention.v_lin",
                     "attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.activation", "ffn.lin2",
                     "output_layer_norm")
_VIT = Layout("attention", "num_attention_heads", "attention.q_proj", "attention.k_proj", "attention.v_proj",
              "attention.o_proj", "layernorm_before", "mlp.fc1", "mlp.activation_fn", "mlp.fc2", "layernorm_after",
              norm_first=True)

# By class and not by names of parameters: RoFormer's layers have BERT's names and rotate their queries and keys.
LAYOUTS = {
    "transformers.models.bert.modeling_bert.BertLayer": _BERT,
    "transformers.models.camembert.modeling_camembert.CamembertLayer": _BERT,
    "transformers.models.distilbert.modeling_distilbert.TransformerBlock": _DISTILBERT,
    "transformers.models.electra.modeling_electra.ElectraLayer": _BERT,
    "transformers.models.roberta.modeling_roberta.RobertaLayer": _BERT,
    "transformers.models.vit.modeling_vit.ViTLayer": _VIT,
    "transformers.models.xlm_roberta.modeling_xlm_roberta.XLMRobertaLayer": _BERT,
}
FAMILIES = "BERT, CamemBERT, DistilBERT, ELECTRA, RoBERTa, ViT and XLM-RoBERTa"

# What a converted encoder cannot give: the fast path keeps neither, and takes no cache.
_NOT_TAKEN = ("output_attentions", "output_hidden_states", "past_key_values")


class EncoderStack(nn.Module):
    """All layers of an encoder in one `torch.nn.TransformerEncoder`, called as one layer of transformers.

    `originals` are the layers it was made of, with their parameters on the meta device: the weights exist once. They
    stand in a tuple, so that they are no part of the state dict. No dropout: it is made for inference.
    """

    def __init__(self, layers: nn.ModuleList, nested: bool):
        super().__init__()
        converted = [_converted(layer) for layer in layers]
        self.encoder = nn.TransformerEncoder(converted[0], 1, enable_nested_tensor=nested)
        self.encoder.layers = nn.ModuleList(converted)
        self.encoder.num_layers = len(converted)
        self.originals = tuple(layer.to("meta") for layer in layers)

    def forward(self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *_, **asked):
        """States (batch, length, width) in and out; `attention_mask` as transformers makes it for SDPA attention.

        Raises:
            ValueError: a mask that is no padding mask, or something a `TransformerEncoder` does not give.
        """
        refused = [name for name in _NOT_TAKEN if asked.get(name) not in (None, False)]
        if refused:
            raise Refused(f"a converted encoder does not accept {', '.join(refused)}")
        padding = None if attention_mask is None else _padding(attention_mask, hidden_states)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*nested tensors is in prototype stage")
            return self.encoder(hidden_states, src_key_padding_mask=padding)

    def restored(self) -> nn.ModuleList:
        """The original layers, with the weights of now."""
        for layer, converted in zip(self.originals, self.encoder.layers, strict=True):
            _assign(layer, _split(_layout(layer), converted))
        return nn.ModuleList(self.originals)


def convert(module: nn.Module, nested: bool = False) -> nn.Module:
    """Convert every encoder of a model in place; weights are moved, not copied. Use SDPA attention for its masks.

    Args:
        nested: skip padding through nested tensors where a batch is padded on the right.

    Returns:
        `module`.

    Raises:
        ValueError: something in the model cannot be converted; the model is then as it was.
    """
    name = type(module).__name__
    encoders = {path: part for path, part in module.named_modules()
                if path and isinstance(part, nn.ModuleList) and any(map(_layout, part))}
    found = [layer for part in encoders.values() for layer in part]
    others = {type(part).__name__ for part in module.modules()
              if isinstance(part, GradientCheckpointingLayer) and part not in found}
    if others or not found:
        has = f"its layers are {', '.join(sorted(others))}" if others else "it has no such layers"
        raise Refused(f"{name} cannot be converted: {has}; known are encoder layers of {FAMILIES}")
    for flag in ("output_attentions", "output_hidden_states"):
        if getattr(getattr(module, "config", None), flag, False):
            raise Refused(f"{name} cannot be converted: its config sets {flag}, which the fast path does not give")
    for layer in found:
        for reason in _obstacles(layer):
            raise Refused(f"{name} cannot be converted: {reason}")
    if nested and any(_layout(layer).norm_first for layer in found):
        raise Refused(f"{name} cannot be converted with nested tensors: PyTorch has none for layers that normalise "
                      "first")
    for path, layers in encoders.items():
        _replace(module, path, nn.ModuleList([EncoderStack(layers, nested)]))
    return module


def reverse(module: nn.Module) -> nn.Module:
    """Undo `convert` in place: the same layers, the same names and bits of weights. Returns `module`."""
    stacks = [(path, part) for path, part in module.named_modules() if isinstance(part, EncoderStack)]
    for path, stack in stacks:
        _replace(module, path.rpartition(".")[0], stack.restored())
    return module


def encoder_layers(module: nn.Module) -> list[nn.TransformerEncoderLayer]:
    """Every converted layer of a model."""
    return [part for part in module.modules() if isinstance(part, nn.TransformerEncoderLayer)]


def described(module: nn.Module, nested: bool) -> dict[str, dict[str, str | int | float | bool]]:
    """For each converted encoder, by the path of its list of layers, what it is made with: the arguments of
    `torch.nn.TransformerEncoderLayer`, and how many there are."""
    found: dict[str, dict[str, str | int | float | bool]] = {}
    for path, stack in module.named_modules():
        if isinstance(stack, EncoderStack):
            one = stack.encoder.layers[0]
            found[path.rpartition(".")[0]] = {
                "layers": len(stack.encoder.layers), "nested": nested, "d_model": one.self_attn.embed_dim,
                "nhead": one.self_attn.num_heads, "dim_feedforward": one.linear1.out_features,
                "activation": "gelu" if one.activation is nn.functional.gelu else "relu",
                "layer_norm_eps": one.norm1.eps, "norm_first": one.norm_first}
    return found


def _layout(layer: nn.Module) -> Layout | None:
    return LAYOUTS.get(f"{type(layer).__module__}.{type(layer).__qualname__}")


def _obstacles(layer: nn.Module) -> Iterator[str]:
    """Reasons why a layer would not compute the same, or not by the fast path; the most telling first."""
    layout, kind = _layout(layer), type(layer).__name__
    if layout is None:
        yield f"it has a {kind} among its layers"
        return
    if any(getattr(part, flag, False) for part in layer.modules() for flag in ("is_decoder", "is_causal")):
        yield f"its {kind} is a decoder's"
    linears, norms = [*layout.stacked, layout.out, layout.linear1, layout.linear2], [layout.norm1, layout.norm2]
    needed = {f"{part}.{kind}" for part in linears + norms for kind in ("weight", "bias")}
    tensors = {name for name, _ in [*layer.named_parameters(), *layer.named_buffers()]}
    if needed != tensors:
        missing, extra = sorted(needed - tensors), sorted(tensors - needed)
        yield f"its {kind} " + (f"has no {missing[0]}" if missing else f"has {extra[0]}, which has no place there")
        return
    kinds = {type(layer.get_submodule(part)) for part in linears + norms}
    if kinds != {nn.Linear, nn.LayerNorm}:
        yield f"its {kind} is made of {', '.join(sorted(one.__name__ for one in kinds))}, not plain linear layers"
        return
    attention = layer.get_submodule(layout.attention)
    width, heads = layer.get_submodule(layout.norm1).normalized_shape[0], getattr(attention, layout.heads)
    if any(tuple(layer.get_submodule(part).weight.shape) != (width, width) for part in (*layout.stacked, layout.out)):
        yield f"its attention is not {width} wide, as its states are"
    if heads % 2 or width % heads or attention.scaling != (width // heads) ** -0.5:
        yield f"it has {heads} heads scaled by {attention.scaling:.3g}; an even number and 1/√(head width) are needed"
    activation = layer.get_submodule(layout.activation)
    if _activation(activation) is None:
        yield f"its activation is {type(activation).__name__}, neither exact GELU nor ReLU"
    if len({layer.get_submodule(part).eps for part in norms}) > 1:
        yield "its two layer norms have different eps"
    if any(part._forward_hooks or part._forward_pre_hooks for part in layer.modules()):
        yield f"forward hooks are on its {kind}"


def _activation(part: nn.Module) -> str | None:
    if type(part) is GELUActivation or (type(part) is nn.GELU and part.approximate == "none"):
        return "gelu"
    return "relu" if type(part) is nn.ReLU else None


def _converted(layer: nn.Module) -> nn.TransformerEncoderLayer:
    layout = _layout(layer)
    norm, heads = layer.get_submodule(layout.norm1), getattr(layer.get_submodule(layout.attention), layout.heads)
    made = nn.TransformerEncoderLayer(
        norm.normalized_shape[0], heads, layer.get_submodule(layout.linear1).out_features, 0.0,
        _activation(layer.get_submodule(layout.activation)), norm.eps, batch_first=True, norm_first=layout.norm_first,
        device="meta")
    parts = [layer.get_submodule(name) for name in layout.stacked]
    parameters = {f"self_attn.in_proj_{kind}": _parameter(
        torch.cat([getattr(part, kind).detach() for part in parts]), getattr(parts[0], kind)) for kind in
        ("weight", "bias")}
    for theirs, ours in layout.kept.items():
        parameters |= {f"{theirs}.{kind}": value for kind, value in layer.get_submodule(ours).named_parameters()}
    _assign(made, parameters)
    return made


def _split(layout: Layout, converted: nn.TransformerEncoderLayer) -> dict[str, nn.Parameter]:
    """Parameters of the original layer, by its names."""
    parameters = {}
    for kind in ("weight", "bias"):
        stacked = getattr(converted.self_attn, f"in_proj_{kind}")
        for name, part in zip(layout.stacked, stacked.detach().chunk(3), strict=True):
            parameters[f"{name}.{kind}"] = _parameter(part.clone(), stacked)
    for theirs, ours in layout.kept.items():
        parameters |= {f"{ours}.{kind}": p for kind, p in converted.get_submodule(theirs).named_parameters()}
    return parameters


def _parameter(tensor: torch.Tensor, like: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(tensor, requires_grad=like.requires_grad)


def _assign(module: nn.Module, parameters: dict[str, nn.Parameter]) -> None:
    for name, parameter in parameters.items():
        owner, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(owner), leaf, parameter)


def _replace(module: nn.Module, path: str, part: nn.Module) -> None:
    owner, _, leaf = path.rpartition(".")
    part.train(getattr(module.get_submodule(owner), leaf).training)
    setattr(module.get_submodule(owner), leaf, part)


def _padding(mask: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """(batch, length) with True at padding, of a mask (batch, 1, length, length) with True where a query attends."""
    if mask.dtype != torch.bool or mask.dim() != 4:
        raise Refused("a converted encoder accepts masks as SDPA attention has them: call "
                      "set_attn_implementation('sdpa')")
    keys = mask[:, :1, :1]
    if not torch.equal(mask, keys.expand_as(mask)):
        raise Refused("a converted encoder accepts padding masks; this mask differs between queries")
    return ~keys[:, 0, 0].expand(states.shape[:2])
