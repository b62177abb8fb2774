"""`generate()` on builds: transformers' own loop over a copy of the reference module whose forward calls the build.

The copy is shallow: it has the config and the weights of the reference, and runs none of its layers.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

from eagerbench.backends.runner import Runner
from eagerbench.workloads.vocabulary import vocabulary

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

Tensors = Sequence[torch.Tensor]
_ROWS, _PAST, _NEW = 3, 5, 2  # of the inputs that a graph with past key values is exported with
PAST_INPUTS = ("input_ids", "attention_mask")


def with_forward(module: PreTrainedModel, forward: Callable[..., Any]) -> PreTrainedModel:
    """The module with another forward; `module` itself stays as it is."""
    made = copy.copy(module)
    made.forward = forward
    return made


def recomputing(model: "LoadedModel", runner: Runner) -> PreTrainedModel:
    """Without a cache: the runner is called with the whole text at every token."""

    def forward(input_ids, attention_mask=None, **_):
        mask = _mask(attention_mask, input_ids, input_ids.shape[1])
        arrays = {"input_ids": input_ids.cpu().numpy(), "attention_mask": mask.cpu().numpy()}
        native = runner.prepare({name: arrays[name] for name in model.input_names})
        logits = runner.arrays(runner(native))["logits"]
        return CausalLMOutputWithPast(logits=torch.from_numpy(logits).to(input_ids.device))

    return with_forward(model.fresh(), forward)


def growing(model: "LoadedModel", call: Callable[[torch.Tensor, torch.Tensor, Tensors], Tensors]) -> PreTrainedModel:
    """With a dynamic cache: `call(input_ids, attention_mask, past)` returns logits and the longer keys and values.

    Keys and values are (batch, heads, tokens, head size), a key and a value a layer; at the first call of no tokens.
    """
    empty = [part[:, :, :0] for part in past_example(model)[2:]]

    def forward(input_ids, attention_mask=None, past_key_values=None, **_):
        held = [part for layer in past_key_values.layers if layer.is_initialized for part in (layer.keys, layer.values)]
        past = held or [part[:1].expand(len(input_ids), -1, -1, -1) for part in empty]
        mask = _mask(attention_mask, input_ids, past[0].shape[2] + input_ids.shape[1])
        logits, *present = call(input_ids, mask, past)
        for index in range(len(present) // 2):
            if not held:
                past_key_values.update(present[2 * index], present[2 * index + 1], index)
            # update would append to what is there, and cut it to a sliding window; the graph masks what is outside
            layer = past_key_values.layers[index]
            layer.keys, layer.values = present[2 * index:2 * index + 2]
            if hasattr(layer, "cumulative_length"):
                layer.cumulative_length = layer.keys.shape[2]
        return CausalLMOutputWithPast(logits=logits, past_key_values=past_key_values)

    return with_forward(model.fresh(), forward)


def stateful(model: "LoadedModel",
             step: Callable[[torch.Tensor, torch.Tensor, bool], torch.Tensor]) -> PreTrainedModel:
    """With a cache that the runtime keeps: `step(input_ids, attention_mask, first)` returns logits.

    The mask is of all tokens so far, and `first` says that there were none before. transformers gets a cache of that
    length with nothing in it.
    """

    def forward(input_ids, attention_mask=None, past_key_values=None, **_):
        held = past_key_values.get_seq_length()
        logits = step(input_ids, _mask(attention_mask, input_ids, held + input_ids.shape[1]), held == 0)
        nothing = logits.new_zeros(len(input_ids), 1, input_ids.shape[1], 1)
        past_key_values.update(nothing, nothing, 0)
        return CausalLMOutputWithPast(logits=logits.to(input_ids.device), past_key_values=past_key_values)

    return with_forward(model.fresh(), forward)


class OwnLoop:
    """In place of a transformers module, a runtime that has a loop of generation of its own.

    Args:
        run: `run(ids, new_tokens, told)`: greedy search from ids (batch, tokens) without padding, whatever tokens mean.
            It calls `told` with the new tokens of all texts, (batch,), as soon as it has them, or later with the time,
            of `time.perf_counter`, at which it had them. It returns a function that gives the logits of every step,
            float32 (batch, new tokens, vocabulary), which is called after the timed call.
    """

    def __init__(self, run: Callable[[np.ndarray, int, Callable[..., None]], Callable[[], np.ndarray]]):
        self._run = run

    def generate(self, input_ids, attention_mask=None, *, generation_config, streamer) -> "LoopEnded":
        """As that of transformers is called, with a streamer that gets the prompt first."""
        streamer.put(input_ids)
        new: list[np.ndarray] = []

        def told(tokens: np.ndarray, at: float | None = None) -> None:
            streamer.put(tokens, *([] if at is None else [at]))
            new.append(np.array(tokens, np.int64))

        logits = self._run(input_ids.cpu().numpy(), generation_config.max_new_tokens, told)
        return LoopEnded(torch.cat([input_ids, torch.from_numpy(np.stack(new, 1)).to(input_ids.device)], 1), logits)


@dataclass(frozen=True)
class LoopEnded:
    """What is read of transformers' own result: prompt and new tokens, (batch, tokens), and each step's logits."""

    sequences: torch.Tensor
    compute: Callable[[], np.ndarray]

    @property
    def logits(self) -> tuple[torch.Tensor, ...]:
        return torch.from_numpy(self.compute()).unbind(1)


def _mask(mask: torch.Tensor | None, ids: torch.Tensor, tokens: int) -> torch.Tensor:
    """The mask that transformers leaves out where it has no zero."""
    return ids.new_ones(len(ids), tokens) if mask is None else mask


def _layer(keys: torch.Tensor, values: torch.Tensor) -> DynamicLayer:
    """Of a cache that holds them. `update` appends them to a tensor of one axis, which OpenVINO cannot convert."""
    layer = DynamicLayer()
    layer.lazy_initialization(keys, values)
    layer.keys, layer.values = keys, values
    return layer


class WithPast(torch.nn.Module):
    """A causal language model as exporters want it: past keys and values in as tensors, the longer ones out."""

    def __init__(self, module: PreTrainedModel):
        super().__init__()
        self.module = module

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, *past: torch.Tensor):
        cache = DynamicCache()
        for keys, values in zip(past[::2], past[1::2], strict=True):
            cache.layers.append(_layer(keys, values))
        outputs = self.module(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True)
        return outputs.logits, *[part for layer in cache.layers for part in (layer.keys, layer.values)]


def past_example(model: "LoadedModel") -> tuple[torch.Tensor, ...]:
    """Inputs of `WithPast`: ids (3, 2), mask (3, 7), and for each layer a key and a value (3, heads, 5, head size)."""
    ids = torch.full((_ROWS, _PAST + _NEW), min(7, vocabulary(model) - 1), device=model.device)
    cache = DynamicCache()
    with torch.inference_mode():
        model.fresh()(input_ids=ids[:, :_PAST], attention_mask=torch.ones_like(ids[:, :_PAST]), past_key_values=cache,
                     use_cache=True)
    past = [part.clone() for layer in cache.layers for part in (layer.keys, layer.values)]
    return ids[:, _PAST:], torch.ones_like(ids), *past
