"""Greedy generation: `generate()` of transformers, in turns with eager's; its tokens and logits against eager's."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from statistics import median
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from eagerbench.causes import cause
from eagerbench.errors import CannotRun
from eagerbench.experiments.base import Dots, Experiment, Number
from eagerbench.measuring import recording
from eagerbench.measuring.run import Run
from eagerbench.models.catalog import CAUSAL_LM
from eagerbench.models.specs import ModelSpec
from eagerbench.outputs import parting
from eagerbench.results.grid import Grid, interval
from eagerbench.results.numbers import three
from eagerbench.results.record import Batch, Count, PairedWithEager, Part, Positive, Record, Seconds
from eagerbench.workloads.base import Workload, head_unknown, too_long
from eagerbench.workloads.padded_batch import TokenBatch

if TYPE_CHECKING:
    import numpy as np

    from eagerbench.measuring.greedy import Greedy
    from eagerbench.measuring.timing import Timing
    from eagerbench.models.loading import LoadedModel
    from eagerbench.selection import Selection

PAIRS = {"smoke": 2, "default": 6, "full": 6}  # of turns with eager
# Batch sizes, tokens of the prompt, new tokens, and key-value caches.
GRIDS = {
    "smoke": ((1,), 8, 4, ("dynamic",)),
    "default": ((1,), 16, 8, ("dynamic",)),
    "full": ((1, 8), 32, 32, ("none", "dynamic", "static")),
}


@dataclass(frozen=True)
class Prompt(Workload):
    """`batch_size` prompts of `prompt_tokens` each, to be continued by `new_tokens`, whatever they are.

    Attributes:
        cache: of keys and values: `none` (the whole text again at every token), `dynamic` (grows) or `static`.
    """

    batch_size: int
    prompt_tokens: int
    new_tokens: int
    cache: str
    seed: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", f"s{self.prompt_tokens}", f"n{self.new_tokens}", self.cache

    @property
    def facts(self):
        return {"batch_size": self.batch_size, "sequence_length": self.prompt_tokens, "new_tokens": self.new_tokens,
                "cache": self.cache}

    def refuses(self, spec, variant, backend):
        if spec.task != CAUSAL_LM:
            return head_unknown(spec) or f"{spec.name} is no causal language model: it generates nothing"
        return (too_long(spec, self.prompt_tokens + self.new_tokens)
                or backend.cannot_generate(variant, self.cache))

    def inputs(self, model: "LoadedModel") -> "dict[str, np.ndarray]":
        """`input_ids` and `attention_mask`, int64 of shape (batch_size, prompt_tokens), without padding."""
        return TokenBatch(self.batch_size, self.prompt_tokens, self.seed).inputs(model)


def workloads(spec: ModelSpec, selection: "Selection") -> list[Prompt]:
    """Each cache at each batch size; `--sequence-lengths` gives the prompt's."""
    batch_sizes, tokens, new, caches = GRIDS[selection.grid]
    return [Prompt(size, length, new, cache, selection.seed) for size, length, cache in
            product(selection.batch_sizes or batch_sizes, selection.sequence_lengths or (tokens,), caches)]


class Prompts(Batch, kw_only=True):
    """`sequence_length`: tokens of each prompt."""

    new_tokens: Annotated[int, Meta(ge=2)]
    cache: Literal["none", "dynamic", "static"]


class Result(Part, kw_only=True):
    """Of the median call of `generate()`, in seconds; new tokens of all texts together per second.

    Attributes:
        generator_build_s: what the variant needs besides its build before it generates.
        parted_at: number of the first token that is not eager's, from 1; None with `identical_ids`.
        logit_gap: by how much eager prefers its own token there, of the allowed `largest_gap_allowed`.
    """

    tokens_per_s: Positive
    time_to_first_token_s: Positive
    time_per_output_token_s: Positive
    generate_s: Positive
    generator_build_s: Seconds
    identical_ids: bool
    parted_at: Count | None
    logit_gap: Seconds | None
    largest_gap_allowed: Positive

    def __post_init__(self):
        if not self.identical_ids and None in (self.parted_at, self.logit_gap):
            raise ValueError("parted_at and logit_gap are missing: where other tokens than eager's begin")


GenerationRecord = Record[Prompts, PairedWithEager, Result]


class GenerationRun(Run):
    """Eager generates once for all variants and caches of a prompt."""

    def prepare(self) -> None:
        from eagerbench.measuring import greedy

        prompt = replace(self.work, cache="dynamic")
        self.expected = self.once(("generated", prompt), lambda: greedy.expected(
            self.model, prompt.inputs(self.model), prompt.new_tokens))
        start = time.perf_counter()
        try:
            self._module = self.built.backend.generator(self.case.variant, self.built.runner, self.model,
                                                        self.work.cache, self.session.selection.placement)
        except Exception as error:
            raise CannotRun(f"cannot generate: {cause(error)}") from error
        self._generator_build_s = time.perf_counter() - start

    @property
    def inputs(self):
        return self.expected.inputs

    @property
    def reference_key(self):
        return replace(self.work, cache="dynamic")

    @property
    def pairs(self) -> int:
        """Of turns with eager."""
        return PAIRS[self.session.selection.grid]

    def greedy(self, inputs) -> "Greedy":
        """A call of `generate()` on prompts."""
        from eagerbench.measuring.greedy import Greedy

        self._greedy = Greedy(self._module, inputs, self.work.new_tokens, self.work.cache, self.model.device)
        return self._greedy

    def eager(self, inputs) -> "Greedy":
        """Eager's, with a dynamic cache, whatever the variant's is."""
        from eagerbench.measuring.greedy import Greedy

        return Greedy(self.expected.module, inputs, self.work.new_tokens, "dynamic", self.model.device)

    def judge(self, timing):
        self._parting, comparison = parting.judge(
            self._greedy.generated(timing.result), self.expected.generated, self.expected.double,
            self.case.variant.tolerance, self.model.pretrained)
        return comparison

    def complete(self, timing: "Timing") -> GenerationRecord:
        clocks = list(chain.from_iterable(recording.by_turn(self._greedy.clocks, timing.turns)))
        generate_s = median(timing.rounds)
        allowed = parting.largest_gap(self.expected.generated.logits, self.case.variant.tolerance)
        result = Result(
            tokens_per_s=self.work.batch_size * self.work.new_tokens / generate_s,
            time_to_first_token_s=median(clock[0] for clock in clocks),
            time_per_output_token_s=median((clock[-1] - clock[0]) / (len(clock) - 1) for clock in clocks),
            generate_s=generate_s, generator_build_s=self._generator_build_s, identical_ids=self._parting.at is None,
            parted_at=self._parting.at, logit_gap=self._parting.gap, largest_gap_allowed=allowed)
        return self.assembled(GenerationRecord, Prompts(**self.work.facts), recording.paired_with_eager(timing), result)


def tables(model: str, records: Sequence[GenerationRecord]) -> list[Grid]:
    """One table a batch size and length, whatever the cache; the fastest first."""
    places = list(dict.fromkeys(map(_place, records)))
    return [_table(model, place, [record for record in records if _place(record) == place]) for place in places]


def _place(record: GenerationRecord) -> tuple[int, int, int]:
    return record.workload.batch_size, record.workload.sequence_length, record.workload.new_tokens


def _table(model: str, place: tuple[int, int, int], records: Sequence[GenerationRecord]) -> Grid:
    batch, prompt, new = place
    header = ["variant", "cache", "tokens/s", "times eager", "first token", "a later token", "tokens",
              "largest error"]
    rows = [_row(record) for record in sorted(records, key=lambda record: -record.result.tokens_per_s)]
    return Grid(f"{model}: generation, batch {batch}, {prompt} tokens and {new} new ones", header, rows,
                "Greedy generate(). Times eager: in turns with eager with a dynamic cache, with its 95 % interval. "
                "Tokens: eager's; or the place of the first different one, by how much eager prefers its own there, "
                "and how much is allowed. Largest error: of the logits up to that place.")


def _row(record: GenerationRecord) -> list[str]:
    found, timing = record.result, record.timing
    known = timing.speedup_vs_eager is not None  # not in older files
    times = f"{timing.speedup_vs_eager:.2f}{interval(timing.speedup_low, timing.speedup_high)}" if known else "–"
    tokens = "eager's" if found.identical_ids else (
        f"differs at {found.parted_at}, gap {found.logit_gap:.2g} (of {found.largest_gap_allowed:.2g})")
    return [record.identity.variant, record.workload.cache, f"{found.tokens_per_s:.1f}", times,
            f"{1000 * found.time_to_first_token_s:.1f} ms", f"{1000 * found.time_per_output_token_s:.1f} ms", tokens,
            f"{record.correctness.max_abs_error:.1e}"]


def headline(record: GenerationRecord) -> str:
    return f"{three(record.result.tokens_per_s)} tokens/s"


def rank(record: GenerationRecord) -> float:
    return record.result.tokens_per_s


def number(record: GenerationRecord) -> Number:
    return record.result.tokens_per_s, None, None


EXPERIMENT = Experiment("generation", 9, "How fast does it generate text, and is it eager's?", workloads, GenerationRun,
                        GenerationRecord, tables, headline, rank,
                        Dots(number, "tokens/s", "Right is faster: new tokens a second of greedy generation, prompt "
                             "included. Bars span the timed calls.", kind=lambda record: f"{record.workload.cache} "
                             f"cache, batch {record.workload.batch_size}", power=-1), model="gpt2@layers=4")
