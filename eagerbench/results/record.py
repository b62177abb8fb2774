"""The record: what `extra_info` of one benchmark holds, as types. They check it, and make its JSON schema.

A record is nested by topic. Each experiment's module gives the types of three of them: what it is called with
(`workload`), how it is timed (`timing`), and what it found (`result`). No field's name is in two topics of a
record: older files, which have all of them side by side, are read by their names (`results/older.py`).
"""

from typing import Annotated, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from eagerbench.case import DEFAULT

SCHEMA_VERSION = 2  # 1: files of inference-bench, all fields side by side
KIND = "eagerbench-record"

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Natural = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0)]
Seconds = Annotated[float, Meta(ge=0)]
CallSeconds = Annotated[float, Meta(ge=1e-12, le=1e7)]  # what can be the time of a call
Share = Annotated[float, Meta(ge=0, le=1)]
Cosine = Annotated[float, Meta(ge=-1.000001, le=1.000001)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Turns = Annotated[list[Count], Meta(min_length=1)]
Readings = list[float | None]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A topic of a record. A field without a default is in every record. `kw_only` is not inherited: name it again."""


class Identity(Part, kw_only=True):
    """Who a record is of, built from values only.

    Attributes:
        bench_id: identity across commits; model, variant, experiment, workload and device, in this order.
        workload: the workload's id.
        options: of the variant.
        model_fingerprint: over weights, code and configuration; these apart in files from version 0.1 on.
        unknown_head: class of a head that was dropped, since transformers does not know it.
        layers: that a pruned model keeps.
        machine_differences: what `eagerbench merge` found to differ between the machines of its files.
    """

    bench_id: Annotated[str, Meta(pattern="^[^/ ]+/[^/ ]+(/[^/ ]+)+/(cpu|cuda:[0-9]+)$")]
    model: Text
    model_fingerprint: Sha256
    variant: Text
    dtype: Literal["float32", "tf32", "float16", "bfloat16", "int8"]
    experiment: Annotated[str, Meta(pattern="^[a-z-]+$")]
    workload: Annotated[str, Meta(pattern="^[a-z0-9.-]+$")]
    device: Annotated[str, Meta(pattern="^(cpu|cuda:[0-9]+)$")]
    seed: Natural
    threads: Count
    allocator: Annotated[str, Meta(pattern="^(pinned|system)")]
    inputs: Literal["text", "random"]
    weights_sha256: Sha256 | None = None
    code_sha256: Sha256 | None = None
    config_sha256: Sha256 | None = None
    options: dict[str, str | int | float | bool | None] = {}
    unknown_head: Text | None = None
    layers: Count | None = None
    machine_differences: list[str] = []

    def __post_init__(self):
        marked = () if self.experiment == DEFAULT else (self.experiment,)
        parts = (self.model, self.variant, *marked, self.workload, self.device)
        if self.bench_id.replace("/", "-") != "-".join(parts):
            raise ValueError("bench_id is not that of this model, variant, experiment, workload and device")


class Correctness(Part, kw_only=True):
    """How far outputs are from eager's, on real positions.

    Attributes:
        rmse_ratio: of the variant's error to eager's, both against float64; None where eager's is 0.
        agreement: share of predictions that are eager's; None where a class does not ask.
        equal_nonfinite, equal_masked: values that are not finite, or mask values, in eager and here alike.
        judged_values: how many others there were.
        drift_from_whole: relative L2 distance of a pruned model's outputs from the whole one's.
        rows_depend_on_batch: whether what a row gives depends on the rows beside it.
    """

    tolerance_class: Literal["exact-math", "half-precision", "reduced-precision", "quantised", "quantised-coarse"]
    max_abs_error: Annotated[float, Meta(ge=0)]
    rmse_ratio: Annotated[float, Meta(ge=0)] | None
    cosine: Cosine
    agreement: Share | None
    equal_nonfinite: Natural = 0
    equal_masked: Natural = 0
    judged_values: Natural | None = None
    drift_from_whole: Annotated[float, Meta(ge=0)] | None = None
    rows_depend_on_batch: bool = False


class Engagement(Part, kw_only=True):
    """What the probe found of the optimisation, in words (`engagement`) and as facts of the backend's own."""

    engagement: Text
    facts: dict[str, str | int | float | bool | list | None] = {}


class Costs(Part, kw_only=True):
    """Bytes and seconds that are paid once. `artifact_bytes` is 0 without an artifact, `peak_rss_bytes` None with the
    reason beside it where no process could be measured; `built_beside` is the number of builds that ran at the same
    time."""

    parameter_bytes: Count
    artifact_bytes: Natural
    artifact_cached: bool
    build_s: Seconds
    load_s: Seconds
    first_call_s: Positive
    peak_rss_bytes: Count | None = None
    peak_rss_missing: Text | None = None
    peak_gpu_bytes: Natural | None = None
    built_beside: Natural = 0


class Conditions(Part, kw_only=True):
    """What the machine did while the turns were taken (`measuring/disturbance.py`)."""

    usable: bool = True
    unusable_reason: Text | None = None
    disturbance_accepted: bool = False
    overrun: Text | None = None
    repeats: Natural = 0
    turn_lost: list[Annotated[float, Meta(ge=0)]] = []
    turn_switches: list[Natural] = []
    cores_used: Seconds | None = None
    cores_of_others: Seconds | None = None
    stolen_share: Seconds | None = None
    quota_pauses: Natural = 0
    quota_paused_s: Seconds = 0.0

    def __post_init__(self):
        if not self.usable and not self.unusable_reason:
            raise ValueError("unusable_reason is missing")


class Gpu(Part, kw_only=True):
    """Device time and the GPU's own readings, an entry a turn: reference, variant, reference, …"""

    device_s: Positive | None = None
    reference_device_s: Positive | None = None
    device_turns_s: list[Positive] = []
    reference_device_turns_s: list[Positive] = []
    device_s_missing: Text | None = None
    gpu_sm_mhz: Readings = []
    gpu_memory_mhz: Readings = []
    gpu_power_w: Readings = []
    gpu_temperature_c: Readings = []
    gpu_throttle: list[str | None] = []
    gpu_facts_missing: Text | None = None


class Timing(Part, kw_only=True):
    """How a call was timed. `thinned_from_rounds` says how many raw rounds a thinned file had."""

    warmup_calls: Count | None = None
    warmup_s: Positive | None = None
    warmup_steady: bool | None = None
    thinned_from_rounds: Count | None = None


class WarmedUp(Timing, kw_only=True):
    """A call that was warmed up until it was steady."""

    warmup_calls: Count
    warmup_s: Positive
    warmup_steady: bool


class InTurns(WarmedUp, kw_only=True):
    """Turns of a call and of its reference: rounds in each, and the reference's rounds in seconds."""

    pairs: Count
    variant_turns: Turns
    reference_turns: Turns
    reference_rounds: Annotated[list[Positive], Meta(min_length=1)]


class AgainstEager(InTurns, kw_only=True):
    """Turns with eager, and how many times faster than it the variant was, with the 95 % interval."""

    speedup_vs_eager: Positive
    speedup_low: Positive | None
    speedup_high: Positive | None


class PairedWithEager(Timing, kw_only=True):
    """The same of calls that older files timed without eager beside them: nothing of it is in those."""

    pairs: Count | None = None
    variant_turns: list[Count] = []
    reference_turns: list[Count] = []
    reference_rounds: list[Positive] = []
    speedup_vs_eager: Positive | None = None
    speedup_low: Positive | None = None
    speedup_high: Positive | None = None


class Batch(Part, kw_only=True):
    """Workload of one batch."""

    batch_size: Count
    sequence_length: Count


W = TypeVar("W", bound=Part)
T = TypeVar("T", bound=Timing)
R = TypeVar("R", bound=Part)


class Record(Part, Generic[W, T, R], kw_only=True, omit_defaults=False):
    """One benchmark of ours."""

    identity: Identity
    workload: W
    correctness: Correctness
    engagement: Engagement
    costs: Costs
    conditions: Conditions
    timing: T
    result: R
    gpu: Gpu | None = None
    schema_version: Literal[2] = SCHEMA_VERSION
    kind: Literal["eagerbench-record"] = KIND

    @property
    def key(self) -> tuple[str, str]:
        """Its place in tables: (variant, workload)."""
        return self.identity.variant, self.identity.workload


def to_json(record: Record) -> dict:
    """As `extra_info` holds it."""
    return msgspec.to_builtins(record)
