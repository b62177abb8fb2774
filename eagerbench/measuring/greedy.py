"""Greedy generation by `generate()` of transformers, with the time of each token; and what eager generates."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from eagerbench.errors import CannotRun, first_line
from eagerbench.measuring.reference import DoubleRunner
from eagerbench.outputs.parting import Generated

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel


class Greedy:
    """A call generates by greedy search, and notes in `clocks` the seconds from its start to each token.

    Every text gets all of its new tokens: there is no end-of-text token.
    """

    def __init__(self, module: Any, inputs: dict[str, np.ndarray], new_tokens: int, cache: str, device: str):
        self._module = module
        self._inputs = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()
                        if name in ("input_ids", "attention_mask")}
        cached = cache != "none"
        self._config = GenerationConfig(
            max_new_tokens=new_tokens, do_sample=False, num_beams=1, use_cache=cached,
            cache_implementation=cache if cached else None, pad_token_id=0, eos_token_id=None, bos_token_id=None,
            return_dict_in_generate=True, output_logits=True)
        self.clocks: list[list[float]] = []

    def __call__(self) -> Any:
        clock = _Clock()
        with torch.inference_mode():
            outputs = self._module.generate(**self._inputs, generation_config=self._config, streamer=clock)
        if self._inputs["input_ids"].is_cuda:
            torch.cuda.synchronize(self._inputs["input_ids"].device)
        self.clocks.append(clock.seconds)
        return outputs

    def generated(self, outputs: Any) -> Generated:
        """What a call returned, as arrays: not in the call, which would be timed with all of its logits copied."""
        return Generated(outputs.sequences[:, self._inputs["input_ids"].shape[1]:].cpu().numpy(),
                         torch.stack(outputs.logits, 1).float().cpu().numpy())


class _Clock(BaseStreamer):
    """Seconds since it was made, at each token; transformers puts the prompt first."""

    def __init__(self):
        self.seconds: list[float] = []
        self._began = time.perf_counter()
        self._prompt_seen = False

    def put(self, value, at=None):
        """`at`: when a token came, where that was not now."""
        if self._prompt_seen:
            self.seconds.append((time.perf_counter() if at is None else at) - self._began)
        self._prompt_seen = True

    def end(self):
        pass


@dataclass(frozen=True)
class Expected:
    """What eager generates, and its module. `double`: float64 logits of the same texts, (batch, new tokens,
    vocabulary)."""

    module: Any
    inputs: dict[str, np.ndarray]
    generated: Generated
    double: np.ndarray


def expected(model: "LoadedModel", inputs: dict[str, np.ndarray], new_tokens: int) -> Expected:
    """Eager's tokens, with a dynamic cache, and float64's logits for the same texts, without one.

    Raises:
        CannotRun: eager cannot generate, or gives other bits the second time.
    """
    module = model.fresh()
    greedy = Greedy(module, inputs, new_tokens, "dynamic", model.device)
    try:
        generated, again = greedy.generated(greedy()), greedy.generated(greedy())
        texts = np.concatenate([inputs["input_ids"], generated.ids[:, :-1]], 1)
        double = DoubleRunner(model.copy(dtype="float64"), model.device)
        whole = double.arrays(double(double.prepare(
            {name: array for name, array in {"input_ids": texts, "attention_mask": np.ones_like(texts)}.items()
             if name in inputs})))
    except Exception as error:
        raise CannotRun(f"the reference cannot generate: {first_line(error)}") from error
    if not (np.array_equal(generated.ids, again.ids) and np.array_equal(generated.logits, again.logits)):
        raise CannotRun("eager gives different bits when called again: nothing to compare with")
    return Expected(module, inputs, generated, whole["logits"][:, inputs["input_ids"].shape[1] - 1:])
