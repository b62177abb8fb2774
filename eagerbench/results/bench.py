"""One benchmark of a saved pytest-benchmark file: its name, its times, and what a comparison needs of its record."""

import math
import re
import sys
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from eagerbench.results import older, sameness
from eagerbench.results.record import KIND

_ONLY_OURS = ("_sha256", "_fingerprint")  # ends of names of ours; other suites have a `seed` of their own
# Fields that tell a record of ours of no `kind`: other suites have `model`, `seed` or a `bench_id`, none has two of
# these.
_MARKS = ("bench_id", "model_fingerprint", "tolerance_class", "rmse_ratio", "engagement")
_BENCH_ID = re.compile(r"[^/ ]+(/[^/ ]+)+/(cpu|cuda:[0-9]+)|control/[a-z]+")
# In a name made of a repr: another one in every process. Without `at`, only what is as long as addresses are.
_ADDRESS_START = "0x"
ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+|\b0x(?:0000)?[0-9A-Fa-f]{11,12}\b")
_LEAST_S, _MOST_S = 1e-12, 1e7  # what can be the time of a call
_RATIOS = ("speedup_vs_eager", "speedup_low", "speedup_high")
_LOOKED_AT = frozenset((*_RATIOS, *sameness.FIELDS, "usable", "unusable_reason"))


class Bench(msgspec.Struct, frozen=True, gc=False):  # hundreds of thousands are made, and sent between processes
    """One benchmark of a run.

    Attributes:
        median_s: median round in seconds, from the raw rounds where the file has them.
        speedup, speedup_low, speedup_high: times faster than eager in the same process, where it was recorded.
        meaning: what was run, a text for each of `sameness.FIELDS`; None for what the file does not say.
        unusable: why its times say nothing; empty where they can be used.
    """

    median_s: float
    speedup: float | None = None
    speedup_low: float | None = None
    speedup_high: float | None = None
    meaning: tuple[str | None, ...] = (None,) * len(sameness.FIELDS)
    unusable: str = ""


def identity(bench: Any) -> str | None:
    """What a benchmark is known by: our `bench_id`, or its `fullname` without addresses in memory; None without."""
    if not isinstance(bench, dict):
        return None
    own, name = identity_fields(bench).get("bench_id"), bench.get("fullname")
    if isinstance(own, str) and _BENCH_ID.fullmatch(own):
        return own
    return _without_address(name) if isinstance(name, str) and name else None


def _without_address(name: str) -> str:
    return ADDRESS.sub("", name) if _ADDRESS_START in name else name


def identity_fields(bench: Any) -> dict[str, Any]:
    """Where the fields of `record.Identity` stand in a benchmark; nothing where it has none."""
    info = bench.get("extra_info") if isinstance(bench, dict) else None
    return older.topic(info, "identity") if isinstance(info, dict) else {}


def bench_problems(bench: dict[str, Any]) -> Iterator[str]:
    if not isinstance(bench.get("extra_info") or {}, dict):
        yield "extra_info is no object"
    stats = bench.get("stats")
    if not isinstance(stats, dict):
        yield "no stats in it"
        return
    if not _is_time(stats.get("median")):
        yield f"its median is {_shown(stats.get('median'))}, no time in seconds"
    rounds = stats.get("data")
    if rounds is not None and not isinstance(rounds, list):
        yield f"its rounds are {_shown(rounds)}, no list"
    elif rounds and not _all_times(rounds):
        wrong = next((value for value in rounds if not _is_time(value)), None)
        if wrong is not None or not all(map(_is_time, rounds)):
            yield f"a round of {_shown(wrong)}, no time in seconds"


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and _LEAST_S <= value <= _MOST_S  # NaN compares false


def _all_times(values: list[Any]) -> bool:
    """Whether all are times, without looking at each in Python; False where that has to look (NaN spoils the sum)."""
    return set(map(type, values)) <= {int, float} and min(values) >= _LEAST_S and max(values) <= _MOST_S \
        and not math.isnan(sum(values))


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 200 else "a huge number"
    return text if len(text) < 60 else f"{text[:57]}…"


def of(bench: dict[str, Any]) -> Bench:
    stats, record = bench["stats"], bench.get("extra_info") or {}
    record = older.flat(record) if is_ours(bench) else record
    ratios = [_ratio(record.get(name)) for name in _RATIOS]
    known = record if is_ours(bench) else {name: value for name, value in record.items() if name.endswith(_ONLY_OURS)}
    return Bench(float(median(stats["data"]) if stats.get("data") else stats["median"]),
                 *ratios, sameness.meaning(known), unusable(known))


def is_ours(bench: Any) -> bool:
    """Whether a benchmark has a record of eagerbench: not that of another suite, nor our controls."""
    record = bench.get("extra_info") if isinstance(bench, dict) else None
    return isinstance(record, dict) and (record.get("kind") == KIND
                                         or sum(mark in identity_fields(bench) for mark in _MARKS) > 1)


def unusable(record: Mapping[str, Any]) -> str:
    """Why a flat record's times say nothing (other work disturbed it); empty where they can be used."""
    return str(record.get("unusable_reason") or "no reason given") if record.get("usable") is False else ""


class _Stats(msgspec.Struct):
    median: Annotated[float, Meta(ge=_LEAST_S, le=_MOST_S)]
    data: list[Annotated[float, Meta(ge=_LEAST_S, le=_MOST_S)]] | None = None


class _Saved(msgspec.Struct):
    """A benchmark as far as its times and its record go: what fits has no problem that `bench_problems` would say."""

    stats: _Stats
    fullname: str | None = None
    extra_info: Any = None


def quickly(bench: Any) -> tuple[str, Bench, bool] | None:
    """Name, benchmark, and whether it is from another machine than its file; None where any doubt is: then `identity`,
    `bench_problems` and `of` have to look."""
    try:
        saved = msgspec.convert(bench, _Saved)
    except (msgspec.ValidationError, UnicodeError):  # half of a character
        return None
    rounds, info = saved.stats.data, saved.extra_info
    middle = _middle(rounds) if rounds else saved.stats.median
    if not info:  # as `bench_problems` has it: null, 0 or an empty list is no record
        return (sys.intern(_without_address(saved.fullname)), Bench(middle), False) if saved.fullname else None
    own = info.get("identity") if isinstance(info, dict) and info.get("kind") == KIND else None
    if not isinstance(own, dict):
        return None
    name = own.get("bench_id")
    if not isinstance(name, str) or not _BENCH_ID.fullmatch(name):
        return None
    found = older.fields_of(info, _LOOKED_AT)
    try:
        meaning = sameness.known(*map(found.get, sameness.FIELDS))
    except TypeError:  # a list where a text belongs
        return None
    return (sys.intern(name), Bench(middle, *map(_ratio, map(found.get, _RATIOS)), meaning, unusable(found)),
            bool(own.get("machine_differences")))


def _middle(values: list[float]) -> float:
    """Their median, as `statistics` has it, in a third of the time."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _ratio(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and 0 < value < 1e9 else None
