"""What a user can afford, and what is wanted: typed, from flags or from a TOML file with the same keys."""

import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from eagerbench.errors import BadInput, unknown
from eagerbench.results.bad_record import in_plain_words
from eagerbench.results.record import Count, Part, Positive, Text

NotNegative = Annotated[float, Meta(ge=0)]
# From the strictest to the loosest; a budget's class is the loosest that is allowed.
CLASSES = ("exact-math", "half-precision", "reduced-precision", "quantised", "quantised-coarse")
ToleranceClass = Literal["exact-math", "half-precision", "reduced-precision", "quantised", "quantised-coarse"]
Objective = Literal["latency", "throughput", "memory", "size"]


class Budget(Part, kw_only=True, rename="kebab"):
    """Limits, workloads and objective. A limit that is None is not asked.

    Attributes:
        max_error: size of the difference from eager's output over the size of that output.
        max_quality_loss: share of labelled examples, 0.01 is one in a hundred.
        max_latency_ms: of the median call, or at `percentile`.
        min_throughput: samples a second (sentences, in corpus; tokens, in generation).
        max_memory_mib: the peak of a process that loads the variant and calls it (of the GPU, on one).
        max_steady_mib: what stays of it after two calls, as the memory experiment measures.
        max_artifact_mib: of what is shipped: the artifact, or the weights without one.
        max_build_s: to build the variant once.
        max_ready_s: from a running interpreter to the first answer.
        qps: queries a second that are answered under load; the 99th percentile of their latencies holds
            `max_latency_ms`, or 50 ms.
        tolerance_class: the loosest that is allowed.
        workload: names, each of which must fit; empty for every latency workload.
        calls: over which build and load are paid back.
        model: names; empty for all in the files.
    """

    max_error: NotNegative | None = None
    max_quality_loss: NotNegative | None = None
    max_latency_ms: Positive | None = None
    percentile: Literal[90, 95, 99] | None = None
    min_throughput: Positive | None = None
    max_memory_mib: Positive | None = None
    max_steady_mib: Positive | None = None
    max_artifact_mib: Positive | None = None
    max_build_s: NotNegative | None = None
    max_ready_s: Positive | None = None
    qps: Positive | None = None
    tolerance_class: ToleranceClass | None = msgspec.field(name="class", default=None)
    workload: list[Text] = msgspec.field(default_factory=list)
    calls: Count | None = None
    objective: Objective = "latency"
    model: list[Text] = msgspec.field(default_factory=list)

    def __post_init__(self):
        if self.qps is not None and self.percentile not in (None, 99):
            raise ValueError("qps is measured at percentile 99: leave percentile out, or give 99")
        if self.percentile is not None and self.max_latency_ms is None and self.qps is None:
            raise ValueError("percentile says where max-latency-ms is judged: give max-latency-ms too")

    def limits(self) -> "Iterator[Limit]":
        """Those that are asked, the class apart."""
        for limit in LIMITS:
            if limit.of(self) is not None and not (limit.key == "max_latency_ms" and self._under_load):
                yield limit

    @property
    def _under_load(self) -> bool:
        """Whether the latency is that of queries under load, which `qps` judges."""
        return self.qps is not None and self.percentile is not None


@dataclass(frozen=True)
class Limit:
    """A limit of the budget.

    Attributes:
        key: of `Budget`, with underscores.
        quantity: what is judged, as `Candidate` names it; of a `Place` where `per_workload`.
        word: in sentences: `its error 0.72 is over your 0.05`.
        unit: behind a number, with a space in front.
        scale: units of the quantity in one of the limit's.
        least: whether it is a lower limit.
    """

    key: str
    quantity: str
    word: str
    unit: str = ""
    scale: float = 1.0
    least: bool = False
    per_workload: bool = False

    @property
    def flag(self) -> str:
        return f"--{self.key.replace('_', '-')}"

    def of(self, budget: Budget) -> float | None:
        return getattr(budget, self.key)


LIMITS = (
    Limit("max_error", "error", "error"),
    Limit("max_quality_loss", "quality_loss", "quality loss"),
    Limit("max_latency_ms", "latency_s", "latency", " ms", 1e-3, per_workload=True),
    Limit("min_throughput", "throughput", "throughput", "/s", least=True, per_workload=True),
    Limit("max_memory_mib", "memory_bytes", "peak memory", " MiB", 2.0**20),
    Limit("max_steady_mib", "steady_bytes", "steady memory", " MiB", 2.0**20),
    Limit("max_artifact_mib", "size_bytes", "size", " MiB", 2.0**20),
    Limit("max_build_s", "build_s", "build", " s"),
    Limit("max_ready_s", "ready_s", "time until ready", " s"),
    Limit("qps", "queries_per_s", "load", " queries/s", least=True),
)


def toml_keys() -> list[str]:
    """As a TOML file has them."""
    return [field.encode_name for field in msgspec.structs.fields(Budget)]


def from_values(values: dict[str, Any], where: str) -> Budget:
    """A budget of values by key.

    Args:
        where: in front of what is wrong: a file.

    Raises:
        BadInput: a key that there is not, or a value that its key does not take.
    """
    for key in values:
        if key not in toml_keys():
            raise unknown(f"{where}: key", key, toml_keys())
    try:
        for key, value in values.items():
            if isinstance(value, float) and not abs(value) < 1e300:
                raise BadInput(f"{where}: {key}: {value} is not a usable number")
        listed = {key: [value] if key in ("workload", "model") and isinstance(value, str) else value
                  for key, value in values.items()}
        return msgspec.convert(listed, Budget)
    except msgspec.ValidationError as error:
        raise BadInput(f"{where}: {in_plain_words(str(error))}") from None


def read(file: Path) -> dict[str, Any]:
    """The values in a TOML file, unchecked.

    Raises:
        BadInput: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"--budget {file}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"--budget {file}: not TOML ({error}); write KEY = VALUE, such as max-error = 0.05") from None


def echoed(budget: Budget) -> str:
    """In flags, as they would be typed; empty without any."""
    given = [(key, one) for key, value in msgspec.to_builtins(budget).items()
             for one in (value if isinstance(value, list) else [value])]
    return " ".join(f"--{key} " + (f"{one:g}" if isinstance(one, float) else shlex.quote(str(one)))
                    for key, one in given)
