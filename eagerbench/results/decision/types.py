"""The decision, as types: they make `decision.json` and its schema."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from eagerbench.results.decision.budget import Budget
from eagerbench.results.record import Count, Part, Share, Text

FORMAT = "eagerbench-decision"
VERSION = 1

Fit = Literal["fits", "may fit", "does not", "unknown"]
Status = Literal["chosen", "tied", "fits", "may fit", "does not", "unknown", "excluded"]
Kind = Literal["wrong", "not engaged", "unusable", "crashed", "failed", "not run", "another machine", "unreadable"]


class Estimate(Part, kw_only=True):
    """A number with its interval. The ends are equal where it is exact, None where nothing says how far it may be off;
    `basis` says what they rest on."""

    value: float
    low: float | None = None
    high: float | None = None
    basis: str = ""


class Place(Part, kw_only=True):
    """A variant on a workload.

    Attributes:
        shown: `8×128`, or `corpus b8-sorted-n64`.
        latency_s: seconds of the median call.
        percentile_s: at the budget's percentile; None without one, with the reason in `percentile_missing`.
        speedup: times faster than eager.
        throughput: samples a second.
    """

    workload: Text
    shown: Text
    latency_s: Estimate | None = None
    percentile_s: Estimate | None = None
    percentile_missing: str = ""
    speedup: Estimate | None = None
    throughput: Estimate | None = None
    calls: int = 0
    pairs: int = 0
    processes: int = 0


class Judged(Part, kw_only=True):
    """A limit of the budget, put to a variant.

    Attributes:
        limit: key of the budget, such as `max-error`.
        workload: where it was judged, of a limit that is judged on each.
        fit: by the unfavourable end.
        allowed, found: in the limit's unit.
        over: the unfavourable end's share of the limit beyond it (0.5: half as much again); None where it is unknown.
        said: `error 0.72 is over your 0.05`.
    """

    limit: Text
    workload: str = ""
    fit: Fit
    allowed: float
    found: Estimate | None = None
    over: float | None = None
    said: str = ""


class PayBack(Part, kw_only=True):
    """Calls after which a variant has cost less time than eager, build and load included. `high` is None where it may
    never, `value` where it does not."""

    value: int | None = None
    low: int | None = None
    high: int | None = None


class Candidate(Part, kw_only=True):
    """A variant with a time that can be used on every workload that is asked.

    Attributes:
        fit: of all limits together: the worst.
        better: how many times better than eager by the objective.
        speedup: times faster than eager, over all workloads (geometric mean).
        error: the largest over workloads.
        memory_bytes: the peak of a process; `steady_bytes` what stays of it, None without the memory experiment.
        size_bytes: of the artifact, or of the weights of a variant without one.
        total_s: build, load and the budget's number of calls.
        front: whether no other is provably at least as good in everything and better in something.
        settle: the command that measures what could not be judged; empty where nothing is open.
    """

    variant: Text
    tolerance_class: str
    dtype: str
    status: Status
    fit: Fit
    places: list[Place]
    better: Estimate | None = None
    speedup: Estimate | None = None
    error: Estimate | None = None
    quality_loss: Estimate | None = None
    memory_bytes: Estimate | None = None
    steady_bytes: Estimate | None = None
    size_bytes: Estimate | None = None
    build_s: Estimate | None = None
    load_s: Estimate | None = None
    ready_s: Estimate | None = None
    queries_per_s: Estimate | None = None
    total_s: Estimate | None = None
    pays_back: PayBack | None = None
    judged: list[Judged] = msgspec.field(default_factory=list)
    front: bool = False
    settle: str = ""


class Miss(Part, kw_only=True):
    """A variant that does not fit, and would be taken if it did.

    Attributes:
        better: how many times better than the choice by the objective; None without a choice.
        over: the limits that it misses.
    """

    variant: Text
    better: Estimate | None = None
    over: Annotated[list[Judged], Meta(min_length=1)]


class Excluded(Part, kw_only=True):
    """A variant that cannot be chosen, whatever the budget; `settle` may change that."""

    variant: Text
    kind: Kind
    reason: str
    workload: str = ""
    settle: str = ""


class Verdict(Part, kw_only=True):
    """What to take for a model on a device.

    Attributes:
        choice: the variant; None when none fits or nothing could be judged, `why` says which.
        ties: variants that cannot be told apart from the choice.
        unjudged: variants that may be better, with an open question each; `settle` of the candidate answers it.
        front: names of the Pareto front, in the order of `candidates`.
        candidates: the best by the objective first.
        settle: the command that may break the ties; empty without any.
        waited: the share of the time that threads waited for a core, in the median turn; None where it is not known.
        text: the sentences that the terminal shows.
    """

    model: Text
    device: Text
    threads: int | None
    workloads: list[str]
    choice: str | None
    why: str
    ties: list[str] = msgspec.field(default_factory=list)
    nearest_miss: Miss | None = None
    unjudged: list[str] = msgspec.field(default_factory=list)
    front: list[str] = msgspec.field(default_factory=list)
    candidates: list[Candidate] = msgspec.field(default_factory=list)
    excluded: list[Excluded] = msgspec.field(default_factory=list)
    settle: str = ""
    waited: float | None = None
    text: list[str] = msgspec.field(default_factory=list)

    def of(self, variant: str) -> Candidate | None:
        return next((candidate for candidate in self.candidates if candidate.variant == variant), None)


class Decision(Part, kw_only=True, omit_defaults=False):
    """The whole answer: a verdict for each model and device of the files.

    Attributes:
        budget_flags: the budget as it would be typed.
        machine: the fingerprint of the files' machine.
    """

    files: list[str]
    machine: dict[str, str]
    budget: Budget
    budget_flags: str
    verdicts: list[Verdict]
    confidence: Share = 0.95
    version: Count = VERSION
    format: Literal["eagerbench-decision"] = FORMAT

    @property
    def decided(self) -> bool:
        """Whether there is a choice for every model."""
        return bool(self.verdicts) and all(verdict.choice is not None for verdict in self.verdicts)


def to_json(decision: Decision) -> dict[str, Any]:
    """As `decision.json` holds it."""
    return msgspec.to_builtins(decision)


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `decision.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Decision)}
