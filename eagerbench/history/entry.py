"""An entry of a history: one run of one machine, reduced to its ratios; a JSON file of its own.

A file of pytest-benchmark gives ratios to eager, a verdict of `gate` ratios to the revision that it compared with.
"""

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from eagerbench import jsonfile
from eagerbench.gate import judge
from eagerbench.isolation import journal
from eagerbench.results import decode, machines, older, records, sameness
from eagerbench.results.record import CallSeconds, Part, Text

FORMAT = "eagerbench-history/1"
EAGER = "eager"  # the anchor of runs; that of a verdict is a revision
_DIGITS = 12  # of a digest that is compared with others of its history only

Factor = Annotated[float, Meta(gt=1e-9, lt=1e9)]


class Point(Part, kw_only=True):
    """One benchmark of a run.

    Attributes:
        ratio: how many times as fast as the anchor, with its 95 % interval `low` to `high` where there is one.
        median_s: seconds of a call.
        tolerance: class of its outputs.
        meaning: what was run, by `sameness.FIELDS`; digests by their first digits.
    """

    ratio: Factor
    low: Factor | None = None
    high: Factor | None = None
    median_s: CallSeconds | None = None
    tolerance: str | None = None
    meaning: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def same(self) -> sameness.Meaning:
        return tuple(self.meaning.get(name) for name in sameness.FIELDS)


class Commit(Part, kw_only=True):
    """What was measured. `id` is empty where it is unknown."""

    id: str = ""
    branch: str | None = None
    changed: bool = False


class Entry(Part, kw_only=True, omit_defaults=False):
    """A run.

    Attributes:
        started: ISO 8601, with its zone.
        anchor: what the ratios are to: `eager`, or the revision that a gate compared with.
        hardware: what makes a kind of machine; series are never joined across two of them.
        software: what may move on a machine.
        points: by `bench_id`.
        absent: planned benchmarks without a point, by the reason.
    """

    format: Literal["eagerbench-history/1"] = FORMAT
    started: Text
    anchor: Text
    commit: Commit
    hardware: dict[str, str]
    software: dict[str, str]
    points: dict[str, Point]
    absent: dict[str, list[str]] = msgspec.field(default_factory=dict)

    def __post_init__(self):
        if math.isnan(seconds(self.started)):
            raise ValueError("started is not an ISO 8601 date and time")
        if lacking := machines.unknown(self.hardware):
            raise ValueError(f"it does not say which machine it was measured on: unknown is {', '.join(lacking)}")

    @property
    def kind(self) -> str:
        return machines.digest(self.hardware)

    @property
    def reasons(self) -> dict[str, str]:
        """Why a planned benchmark has no point."""
        return {bench: reason for reason, benches in self.absent.items() for bench in benches}

    @property
    def when(self) -> float:
        """Seconds since 1970."""
        return seconds(self.started)


def seconds(started: str) -> float:
    """Seconds since 1970 of an ISO 8601 time, without a zone in UTC; NaN where it is none."""
    try:
        found = datetime.fromisoformat(started)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return math.nan


def encoded(entry: Entry) -> bytes:
    """As its file holds it: the same bytes for the same run."""
    return msgspec.json.encode(entry, order="sorted") + b"\n"


def name(entry: Entry) -> str:
    """`3f2a91c0/20261128T090000Z-a1b2c3d4-0123456789ab.json`: by machine, then by time."""
    started = datetime.fromtimestamp(entry.when, UTC).strftime("%Y%m%dT%H%M%SZ")
    commit = "".join(char for char in entry.commit.id[:8] if char.isalnum()) or "unknown"
    return f"{entry.kind}/{started}-{commit}-{hashlib.sha256(encoded(entry)).hexdigest()[:12]}.json"


def of_file(file: Path) -> Entry:
    """The entry that a saved file, a verdict or an entry makes.

    Raises:
        UnreadableFile: it is none of them, has no ratio, or does not say when or on which machine it was measured.
    """
    content = records.read(file) if file.suffix == journal.SUFFIX else jsonfile.read_object(file)
    if content.get("format") == FORMAT:
        return typed(file, content)
    if content.get("format") == judge.FORMAT:
        made = _verdict(file, content)
    elif isinstance(content.get("benchmarks"), list):
        made = _run(file, content)
    else:
        raise jsonfile.UnreadableFile(f"{file}: neither a pytest-benchmark file, nor a verdict, nor a history entry")
    if not made["points"]:
        raise jsonfile.UnreadableFile(f"{file}: no ratio in it, to eager or to a base: nothing to follow over time")
    return typed(file, made)


def typed(file: Path, content: Mapping[str, Any]) -> Entry:
    """Raises UnreadableFile, with the place, for what fits no entry."""
    try:
        return msgspec.convert(content, Entry)
    except msgspec.ValidationError as error:
        raise jsonfile.UnreadableFile(f"{file}: {decode.in_plain_words(str(error))}") from None
    except UnicodeError:
        raise jsonfile.UnreadableFile(f"{file}: a text in it is no Unicode text (half of a character)") from None


def _run(file: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    run = records.reduced(file, dict(content))
    if run.several_machines:
        raise jsonfile.UnreadableFile(f"{file}: merged from files of several machines; add the file of each")
    info = content.get("commit_info")
    info = info if isinstance(info, dict) else {}
    classes = {records.identity(bench): _class(bench) for bench in content["benchmarks"]}
    points, absent = {}, {}
    for bench, one in run.benchmarks.items():
        if one.unusable:
            absent[bench] = f"unusable: {one.unusable}"
        elif one.speedup is not None:
            points[bench] = {"ratio": one.speedup, "low": one.speedup_low, "high": one.speedup_high,
                             "median_s": one.median_s, "tolerance": classes.get(bench),
                             "meaning": _meaning(dict(zip(sameness.FIELDS, one.meaning, strict=True)))}
    absent |= {bench: f"unreadable: {reason}" for bench, reason in run.unreadable.items()}
    absent |= {bench: f"{status}: {reason}" for bench, (status, reason) in run.cells.items()
               if bench not in points and bench not in absent and status not in ("timed", "not run")}
    return {"started": run.when, "anchor": EAGER, "points": points, "absent": _by_reason(absent),
            "commit": {"id": _text(info.get("id")), "branch": _text(info.get("branch")) or None,
                       "changed": info.get("dirty") is True}, **_machine(content.get("machine_info"))}


def _class(bench: Any) -> str | None:
    info = bench.get("extra_info") if isinstance(bench, dict) else None
    found = older.topic(info, "correctness").get("tolerance_class") if isinstance(info, dict) else None
    return found if isinstance(found, str) else None


def _verdict(file: Path, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Ratios of a verdict are head over base: slower is above 1. Those of an entry are the other way round."""
    try:
        first = verdict["duets"][0]
        head = str(first["head"]["revision"])
        meanings = first["head"].get("models") or {}
        points, absent = {}, {}
        for one in verdict["benchmarks"]:
            if (ratio := one.get("ratio")) is None:
                absent[one["id"]] = f"{one['status']}: {one.get('reason', '')}"
                continue
            low, high = one.get("high"), one.get("low")
            points[one["id"]] = {"ratio": 1 / ratio, "low": low and 1 / low, "high": high and 1 / high,
                                 "meaning": _meaning(meanings.get(one["id"]) or {})}
        commit, _, dirty = head.partition("-dirty-")
        return {"started": first["started"], "anchor": first["base"]["revision"], "points": points,
                "absent": _by_reason(absent), "commit": {"id": commit, "changed": bool(dirty)},
                **_machine(first["machine_info"])}
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, ArithmeticError) as error:
        raise jsonfile.UnreadableFile(f"{file}: not a complete verdict ({type(error).__name__}: {error})") from None


def _by_reason(absent: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for bench, reason in absent.items():
        found.setdefault(reason, []).append(bench)
    return found


def _machine(info: Any) -> dict[str, Any]:
    return {"hardware": machines.hardware(info), "software": machines.software(info)}


def _meaning(values: Mapping[str, Any]) -> dict[str, str]:
    """Digests by their first digits."""
    return {field: str(value)[:_DIGITS] for field, value in values.items()
            if field in sameness.FIELDS and value is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
