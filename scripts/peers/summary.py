"""Tables of what was measured side by side: how far each number is from the bare loop, and who is faster."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from eagerbench.results.numbers import three
from eagerbench.statistics import Ratio, ratio_of_pairs

PLAIN, PINNED = "system", "pinned"
GOAL = 0.02  # ours within this of the bare loop
# What is called, who measures it, and the loop that does nothing else.
TRUTH = (
    ("OpenVINO, float32", "openvino", {"benchmark_app -hint latency": "tool/benchmark_app-latency",
                                       "eagerbench": "ours/openvino"}),
    ("ONNX Runtime, float32", "onnxruntime", {"bert_perf_test.py": "tool/bert_perf_test",
                                              "eagerbench": "ours/onnxruntime"}),
    ("PyTorch, SDPA", "sdpa", {"optimum-benchmark, process launcher": "tool/optimum-benchmark-process",
                               "optimum-benchmark, inline launcher": "tool/optimum-benchmark-inline",
                               "eagerbench": "ours/sdpa"}),
    ("encode of sentence-transformers", "sentence-transformers", {
        "eagerbench": "ours/embeddings:sentence-transformers"}),
    ("OpenVINO, int8", "openvino-int8", {"benchmark_app -hint latency": "tool/benchmark_app-int8",
                                         "eagerbench": "ours/openvino-int8"}),
    ("ONNX Runtime, int8", "onnxruntime-int8", {"bert_perf_test.py": "tool/bert_perf_test-int8",
                                                "eagerbench": "ours/onnxruntime-int8"}),
)
_FLOAT32 = {"eager": "ours/eager", "sdpa": "ours/sdpa", "onnxruntime": "ours/onnxruntime", "openvino": "ours/openvino"}
_INT8 = {"onnxruntime-int8": "ours/onnxruntime-int8", "openvino-int8": "ours/openvino-int8"}
# Class, our rows, theirs.
SPEED = (
    ("float32, one call at a time", _FLOAT32, {
        "benchmark_app -hint latency": "tool/benchmark_app-latency",
        "benchmark_app -hint latency, static shape": "tool/benchmark_app-static",
        "bert_perf_test.py": "tool/bert_perf_test", "CTranslate2 float32": "tool/ctranslate2-float32",
        "optimum-benchmark, process launcher": "tool/optimum-benchmark-process",
        "optimum-benchmark, inline launcher": "tool/optimum-benchmark-inline"}),
    ("float32, several calls at once", _FLOAT32, {"benchmark_app -hint throughput": "tool/benchmark_app-throughput"}),
    ("text to embedding, float32", {name: f"ours/embeddings:{name}" for name in ("onnxruntime", "openvino")}, {
        "encode of sentence-transformers": "bare/sentence-transformers"}),
    ("int8, one call at a time", _INT8, {
        "benchmark_app -hint latency": "tool/benchmark_app-int8", "bert_perf_test.py": "tool/bert_perf_test-int8",
        "CTranslate2 int8": "tool/ctranslate2-int8"}),
    ("int8, several calls at once", _INT8, {"benchmark_app -hint throughput": "tool/benchmark_app-int8-throughput"}),
)


@dataclass(frozen=True)
class Numbers:
    """What one model and shape gave: seconds of each repeat by (key, allocator), and the last error of each key."""

    seconds: Mapping[tuple[str, str], Mapping[int, float]]
    errors: Mapping[str, str]

    def of(self, key: str, allocator: str) -> Mapping[int, float]:
        return self.seconds.get((key, allocator), {})

    def median_ms(self, key: str, allocator: str) -> str:
        found = self.of(key, allocator)
        return three(1e3 * median(found.values())) if found else "–"


def by_place(numbers: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Numbers]:
    """(model, shape) → its numbers, in the order of the file."""
    found: dict[tuple[str, str], Numbers] = {}
    for one in numbers:
        at = found.setdefault((one["model"], one["shape"]), Numbers({}, {}))
        if one["seconds"] is None:
            at.errors[one["key"]] = one["error"]
        else:
            at.seconds.setdefault((one["key"], one["allocator"]), {})[one["repeat"]] = one["seconds"]
    return found


def ratio(above: Mapping[int, float], below: Mapping[int, float]) -> Ratio | None:
    """Of the repeats that have both."""
    logs = [math.log(above[number] / below[number]) for number in sorted(above.keys() & below.keys())]
    return ratio_of_pairs(logs) if logs else None


def truth(numbers: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row a call and who measures it: its number, the bare loop's, and how far it is off, in percent."""
    rows = []
    for (model, shape), at in by_place(numbers).items():
        for call, loop, measured in TRUTH:
            for who, key in measured.items():
                allocator = _allocator(key)
                if not at.of(key, allocator) and key not in at.errors:
                    continue
                off = ratio(at.of(key, allocator), at.of(f"bare/{loop}", allocator))
                number = at.median_ms(key, allocator)
                rows.append([f"{model} {shape.replace('x', '×')}", call, who, _or_error(number, at, key),
                             at.median_ms(f"bare/{loop}", allocator), percent(off)])
    return rows


def speed(numbers: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row a class: our fastest row, their fastest, and how many times as long theirs takes."""
    rows = []
    for (model, shape), at in by_place(numbers).items():
        for kind, ours, theirs in SPEED:
            mine, other = _fastest(at, ours), _fastest(at, theirs)
            if mine is None or other is None:
                continue
            both = ratio(at.of(theirs[other], PLAIN), at.of(ours[mine], PINNED))
            rows.append([f"{model} {shape.replace('x', '×')}", kind, mine, at.median_ms(ours[mine], PINNED), other,
                         at.median_ms(theirs[other], PLAIN), times(both), verdict(both)])
    return rows


def missing(numbers: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row an error: which numbers are missing, and the tool's own words."""
    found: dict[str, list[str]] = {}
    for (model, shape), at in by_place(numbers).items():
        for key, error in at.errors.items():
            found.setdefault(error, []).append(f"{key.partition('/')[2]}, {model} {shape.replace('x', '×')}")
    return [["; ".join(dict.fromkeys(places)), error] for error, places in found.items()]


def percent(found: Ratio | None) -> str:
    """`+1.2 % [+0.3, +2.1]`, how far a ratio is from 1."""
    if found is None:
        return "–"
    value, *ends = (f"{100 * (one - 1):+.1f}" for one in (found.value, found.low, found.high) if one is not None)
    return f"{value} %" + (f" [{', '.join(ends)}]" if ends else "")


def times(found: Ratio | None) -> str:
    if found is None:
        return "–"
    return f"{found.value:.2f}" + (f" [{found.low:.2f}, {found.high:.2f}]" if found.low is not None else "")


def verdict(found: Ratio | None) -> str:
    if found is None or found.low is None:
        return "not known"
    return "ours" if found.low > 1 else "theirs" if found.high < 1 else "a tie"


def goal(numbers: Sequence[Mapping[str, Any]]) -> str:
    """Whether our numbers are as near to the bare loop as they should be."""
    far, counted = [], 0
    for (model, shape), at in by_place(numbers).items():
        for call, loop, measured in TRUTH:
            for key in (key for key in measured.values() if key.startswith("ours/")):
                found = ratio(at.of(key, PINNED), at.of(f"bare/{loop}", PINNED))
                counted += found is not None
                if found is not None and abs(math.log(found.value)) > math.log(1 + GOAL):
                    far.append(f"{call} at {model} {shape.replace('x', '×')} ({percent(found)})")
    near = f"{counted - len(far)} of {counted} of our numbers are within {GOAL:.0%} of the bare loop"
    return f"{near}; not: {'; '.join(far)}." if far else f"{near}."


def others(numbers: Iterable[Mapping[str, Any]]) -> float:
    """Cores that other work took while a process ran, at most."""
    return max((one["others"] for one in numbers), default=0.0)


def _allocator(key: str) -> str:
    return PINNED if key.startswith("ours/") else PLAIN


def _fastest(at: Numbers, rows: Mapping[str, str]) -> str | None:
    """The name of the row with the lowest median."""
    found = {name: median(seconds.values()) for name, key in rows.items() if (seconds := at.of(key, _allocator(key)))}
    return min(found, key=found.__getitem__) if found else None


def _or_error(number: str, at: Numbers, key: str) -> str:
    return f"– ({at.errors[key]})" if number == "–" and key in at.errors else number
