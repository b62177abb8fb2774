"""Greedy generation: `generate()` of transformers, the variant alone; its tokens and logits against eager's."""

import time
from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import GenerationConfig
from transformers.generation.streamers import BaseStreamer

from eagerbench.backends.building import Built
from eagerbench.causes import cause
from eagerbench.errors import CannotRun, first_line
from eagerbench.measuring.measured import Measured
from eagerbench.measuring.reference import DoubleRunner
from eagerbench.measuring.timing import time_alone
from eagerbench.outputs.places import set_apart
from eagerbench.outputs.tolerance import CLASSES, Comparison, compare
from eagerbench.plan import Case

if TYPE_CHECKING:
    from eagerbench.measuring.meter import Meter
    from eagerbench.models.loading import LoadedModel
    from eagerbench.workloads.prompt import Prompt


def measure(meter: "Meter", benchmark: Any, case: Case, built: Built) -> Measured:
    """Time `generate()` on a `Prompt`."""
    model, work = meter.model(case.model), case.workload
    expected = meter.once(replace(work, cache="dynamic"), lambda: _expected(model, work))
    start = time.perf_counter()
    try:
        module = built.backend.generator(case.variant, built.runner, model, work.cache, meter.placement)
    except Exception as error:
        raise CannotRun(f"cannot generate: {cause(error)}") from error
    generator_build_s = time.perf_counter() - start
    greedy = Greedy(module, expected.inputs, work, model.device)
    timing = time_alone(benchmark, greedy, meter.selection.series_budget)
    parting, comparison = judge(greedy.generated(timing.result), expected.generated, expected.double,
                                case.variant.tolerance, model.pretrained)

    def fields() -> dict[str, Any]:
        clocks = greedy.clocks[-len(timing.rounds):]
        later = [(clock[-1] - clock[0]) / (len(clock) - 1) for clock in clocks]
        return {
            "tokens_per_s": work.batch_size * work.new_tokens / median(timing.rounds),
            "time_to_first_token_s": median(clock[0] for clock in clocks),
            "time_per_output_token_s": median(later),
            "generate_s": median(timing.rounds),
            "generator_build_s": generator_build_s,
            "identical_ids": parting.at is None,
            "parted_at": parting.at,
            "logit_gap": parting.gap,
            "largest_gap_allowed": largest_gap(expected.generated.logits, case.variant.tolerance),
        }

    return Measured(comparison, expected.inputs, timing.first_call_s, timing.spent_s,
                    fields if timing.rounds else None, timing.conditions)


@dataclass(frozen=True)
class Generated:
    """Tokens, int64 (batch, new tokens), and what each was chosen by, float32 (batch, new tokens, vocabulary)."""

    ids: np.ndarray
    logits: np.ndarray


class Greedy:
    """A call generates by greedy search, and notes in `clocks` the seconds from its start to each token.

    Every text gets all of its new tokens: there is no end-of-text token.
    """

    def __init__(self, module: Any, inputs: dict[str, np.ndarray], work: "Prompt", device: str):
        self._module = module
        self._inputs = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()
                        if name in ("input_ids", "attention_mask")}
        cached = work.cache != "none"
        self._config = GenerationConfig(
            max_new_tokens=work.new_tokens, do_sample=False, num_beams=1, use_cache=cached,
            cache_implementation=work.cache if cached else None, pad_token_id=0, eos_token_id=None, bos_token_id=None,
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

    def put(self, value):
        if self._prompt_seen:
            self.seconds.append(time.perf_counter() - self._began)
        self._prompt_seen = True

    def end(self):
        pass


@dataclass(frozen=True)
class Parting:
    """Where tokens are no longer eager's.

    Attributes:
        common: for each text how many of its first tokens are eager's, (batch,).
        gaps: by how much eager's logit of its own token exceeds that of the first other one, (batch,); -inf in a text
            without one.
    """

    common: np.ndarray
    gaps: np.ndarray

    @property
    def at(self) -> int | None:
        """Number of the first other token of any text, from 1; None when all are eager's."""
        return int(self.common.min()) + 1 if (self.gaps != -np.inf).any() else None

    @property
    def gap(self) -> float | None:
        """The gap there; the largest, where several texts part at the same token."""
        return None if self.at is None else float(self.gaps[self.common == self.at - 1].max())


def part(ids: np.ndarray, eager: Generated) -> Parting:
    other = ids != eager.ids
    common = np.where(other.any(1), other.argmax(1), ids.shape[1])
    gaps = np.full(len(ids), -np.inf)
    for row in np.flatnonzero(other.any(1)):
        logits, step = eager.logits[row, common[row]], common[row]
        gaps[row] = logits[eager.ids[row, step]] - logits[ids[row, step]]
    return Parting(common, gaps)


def judge(generated: Generated, eager: Generated, double: np.ndarray, class_name: str,
          pretrained: bool) -> tuple[Parting, Comparison]:
    """Logits by a tolerance class as long as the text is eager's, and the first other token by its gap."""
    parting = part(generated.ids, eager)
    comparison = compare({"logits": before(generated.logits, parting)}, {"logits": before(eager.logits, parting)},
                         {"logits": before(double, parting)}, None, class_name, pretrained)
    bound = largest_gap(eager.logits, class_name)
    row = int(parting.gaps.argmax())
    if not parting.gaps[row] <= bound:  # a gap to eager's −∞ is infinite, to its NaN it is none
        text = (f"parts from eager's tokens at token {parting.common[row] + 1} of {eager.ids.shape[1]} of text {row}, "
                f"where eager prefers its own by {parting.gaps[row]:.3g}; tolerance {bound:.3g}")
        comparison = replace(comparison, failures=(*comparison.failures, text))
    return parting, comparison


def before(logits: np.ndarray, parting: Parting) -> np.ndarray:
    """Logits of tokens that follow the same text as eager's, the first other one included: (tokens, vocabulary)."""
    return np.concatenate([row[:common + 1] for row, common in zip(logits, parting.common, strict=True)])


def largest_gap(logits: np.ndarray, class_name: str) -> float:
    """The widest gap that two logits within a class's tolerance can close: twice the largest error.

    Of logits that are neither masked nor not finite: those say nothing of the size of the others.
    """
    tolerance = CLASSES[class_name]
    logits = logits[~set_apart(logits)].astype(np.float64)
    if not logits.size:
        return 0.0
    rms = float(np.sqrt(np.mean(np.square(logits))))
    if tolerance.largest is not None:
        return 2 * tolerance.largest * rms
    return 2 * (tolerance.atol * rms + tolerance.rtol * float(np.abs(logits).max()))


@dataclass(frozen=True)
class _Expected:
    inputs: dict[str, np.ndarray]
    generated: Generated
    double: np.ndarray


def _expected(model: "LoadedModel", work: "Prompt") -> _Expected:
    """Eager's tokens, with a dynamic cache, and float64's logits for the same texts, without one."""
    inputs = work.inputs(model)
    greedy = Greedy(model.fresh(), inputs, replace(work, cache="dynamic"), model.device)
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
        raise CannotRun("eager gives other bits the second time: nothing to compare with")
    return _Expected(inputs, generated, whole["logits"][:, inputs["input_ids"].shape[1] - 1:])
