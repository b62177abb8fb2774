"""Published statements, replayed: whether what documents say about inference holds in saved records.

`statements.json` has the sources, and the statements with a rule each. A rule names fields of records whatever their
topic (`results/older.py` puts them side by side), and makes numbers of them:

* `value`: a field of each record that `select` matches; with `by`, once where those fields and the number are equal;
  with `each`, only when records of every value that `select` lists for this field are there;
* `ratio`: of records that match `among` and agree in the fields of `by`, machine, threads and weights, and in the
  device unless `over` and `under` name devices, the largest
  field in `over` by the largest in `under` (the smallest with `"aggregate": "smallest"`); with `growth`, that ratio
  where this field is largest by that where it is smallest.

Records of models that are pruned or have fewer than 10 million parameters do not count: no document speaks of such.

`holds` says what a number must be: `at_least`, `above`, `at_most`, `below` or `not`; `need` of how many of them: `all`
(without it), `any`, or a share. Selections map a field to a value, a pattern (`onnx*`), a list of them, a range
(`{"min": 1, "max": 31}`), or what it must not be (`{"not": "eager"}`).
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Any

from eagerbench import jsonfile
from eagerbench.results import grid
from eagerbench.results import records as saved
from eagerbench.results.grid import Grid
from eagerbench.shown import one_line, say

HOLDS, DOES_NOT, NOT_MEASURED = "holds", "does not hold", "not measured here"
LEAST_BYTES = 4 * 10_000_000  # of a model's float32 parameters: MiniLM has 90 MB, a twin for tests a few hundred kB
_MACHINE = "machine"
_ALIKE = (_MACHINE, "threads", "model_fingerprint")  # what records of one ratio have in common

Record = Mapping[str, Any]

_TESTS = {
    "at_least": lambda number, bound: number >= bound,
    "above": lambda number, bound: number > bound,
    "at_most": lambda number, bound: number <= bound,
    "below": lambda number, bound: number < bound,
    "not": lambda number, bound: number != bound,
}


@dataclass(frozen=True)
class Observation:
    """A number that records give, whether it is as the statement says, and the `bench_id`s of the records."""

    number: Any
    fits: bool
    records: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A statement with what the records say about it."""

    statement: Mapping[str, Any]
    verdict: str
    observations: list[Observation]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="saved files")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")


def fit(record: Record) -> bool:
    """Whether a model is one that the statements are about: of full depth, and large enough that its products, not the
    calls around them, take the time."""
    return record.get("layers") is None and record.get("parameter_bytes", 0) >= LEAST_BYTES


def run(chosen: argparse.Namespace) -> int:
    seen: list[Record] = []
    unsound = []
    for file in saved.expand(chosen.files):
        content = saved.read(file)
        benchmarks, problems = saved.sound(content)
        jsonfile.refuse(file, problems if not benchmarks else [])
        unsound += [f"{file}: {line}" for line in problems]
        seen += records_of({**content, "benchmarks": benchmarks})
    found = [record for record in seen if fit(record)]
    sources, statements = published()
    grids = tables([judge(statement, found) for statement in statements], sources)
    left_out = _left_out([record for record in seen if not fit(record)])
    grids[0] = replace(grids[0], note=grids[0].note + left_out)
    grid.show(grids, chosen.markdown)
    for line in unsound:
        say(one_line(f"left out: {line}"), error=True)
    return 4 if unsound else 0


def _left_out(records: Sequence[Record]) -> str:
    names = ", ".join(dict.fromkeys(str(record.get("model")) for record in records))
    return f" Not counted: {len(records)} records of pruned models or toys ({names})." if records else ""


def published() -> tuple[dict[str, dict[str, str]], list[dict[str, Any]]]:
    """Sources by name, and statements."""
    content = json.loads(files("eagerbench.results").joinpath("statements.json").read_text(encoding="utf-8"))
    return content["sources"], content["statements"]


def records_of(content: Mapping[str, Any]) -> list[Record]:
    """The records of a benchmark file whose times can be used, each with the machine that it is from."""
    info = _object(content.get("machine_info"))
    gpus = info.get("gpus")
    names = [f"{_object(info.get('cpu')).get('brand_raw', 'unknown')}", f"{info.get('usable_cores', '?')} cores",
             *(map(str, gpus) if isinstance(gpus, list) else [])]
    machine = ", ".join(names)
    return [{**record, _MACHINE: machine} for record in saved.own(content) if not saved.unusable(record)]


def _alike(rule: Mapping[str, Any]) -> tuple[str, ...]:
    """What records of one ratio have in common: the device too, unless the rule compares devices."""
    compares = "device" in rule["over"] or "device" in rule["under"]
    return (*rule["by"], *_ALIKE) if compares else (*rule["by"], *_ALIKE, "device")


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def judge(statement: Mapping[str, Any], records: Sequence[Record]) -> Judged:
    rule = statement["rule"]
    if "value" in rule:
        found = _values(rule, records)
    else:
        found = _growth(rule, records) if "growth" in rule else _ratios(rule, records)
    observations = [Observation(number, _fits(number, rule["holds"]), used) for number, used in found]
    return Judged(statement, _verdict([seen.fits for seen in observations], rule.get("need", "all")), observations)


def _verdict(fits: list[bool], need: str | float) -> str:
    if not fits:
        return NOT_MEASURED
    least = {"all": len(fits), "any": 1}[need] if isinstance(need, str) else need * len(fits)
    return HOLDS if sum(fits) >= least else DOES_NOT


def _values(rule: Mapping[str, Any], records: Sequence[Record]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    if "each" in rule:
        field = rule["each"]
        seen = {record.get(field) for record in records if matches(record, rule["select"])}
        if not set(rule["select"][field]) <= seen:
            return iter(())
    places: dict[tuple, list[str]] = {}
    for index, record in enumerate(records):
        number = record.get(rule["value"])
        if number is not None and matches(record, rule["select"]):
            apart = tuple(record.get(name) for name in (*rule["by"], _MACHINE)) if "by" in rule else index
            places.setdefault((apart, number), []).append(record["bench_id"])
    return ((number, tuple(used)) for (_, number), used in places.items())


def _ratios(rule: Mapping[str, Any], records: Sequence[Record]) -> Iterator[tuple[float, tuple[str, ...]]]:
    field = rule["ratio"]
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        if record.get(field) and matches(record, rule["among"]):
            groups.setdefault(tuple(record.get(name) for name in _alike(rule)), []).append(record)
    for group in groups.values():
        over = [record for record in group if matches(record, rule["over"])]
        under = [record for record in group if matches(record, rule["under"])]
        if not over or not under:
            continue
        top = max(over, key=lambda record: record[field])
        bottom = (min if rule.get("aggregate") == "smallest" else max)(under, key=lambda record: record[field])
        if len({record["bench_id"] for record in group}) > 1:  # a benchmark over itself says nothing
            yield top[field] / bottom[field], (top["bench_id"], bottom["bench_id"])


def _growth(rule: Mapping[str, Any], records: Sequence[Record]) -> Iterator[tuple[float, tuple[str, ...]]]:
    groups: dict[tuple, list[Record]] = {}
    for record in records:
        if isinstance(record.get(rule["growth"]), int | float):
            groups.setdefault(tuple(record.get(name) for name in _alike(rule)), []).append(record)
    for group in groups.values():
        by_place: dict[float, list[Record]] = {}
        for record in group:
            by_place.setdefault(record[rule["growth"]], []).append(record)
        ratios = [next(_ratios(rule, by_place[place]), None) for place in sorted(by_place)]
        found = [ratio for ratio in ratios if ratio is not None]
        if len(found) > 1:
            yield found[-1][0] / found[0][0], (*found[-1][1], *found[0][1])


def matches(record: Record, select: Mapping[str, Any]) -> bool:
    return all(_matches(record.get(name), wanted) for name, wanted in select.items())


def _matches(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, list):
        return any(_matches(value, one) for one in wanted)
    if isinstance(wanted, Mapping) and "not" in wanted:
        return not _matches(value, wanted["not"])
    if isinstance(wanted, Mapping):
        return value is not None and wanted.get("min", value) <= value <= wanted.get("max", value)
    if isinstance(wanted, str):
        return isinstance(value, str) and fnmatchcase(value, wanted)
    return value == wanted


def _fits(number: Any, holds: Mapping[str, Any]) -> bool:
    return all(_TESTS[name](number, bound) for name, bound in holds.items())


def tables(judged: Sequence[Judged], sources: Mapping[str, Mapping[str, str]]) -> list[Grid]:
    """Verdicts; what was checked; sources; and each number with the records that it came from."""
    verdicts = [[one.statement["id"], one.statement["says"], one.verdict, _numbers(one.observations),
                 one.statement["source"]] for one in judged]
    checked = [[one.statement["id"], one.statement["checked"]] for one in judged]
    cited = [[name, *(source[field] for field in ("title", "year", "hardware", "versions", "found", "url"))]
             for name, source in sources.items()]
    used = [[one.statement["id"], _text(seen.number), "yes" if seen.fits else "no", ", ".join(seen.records)]
            for one in judged for seen in one.observations]
    counts = {verdict: sum(one.verdict == verdict for one in judged) for verdict in (HOLDS, DOES_NOT, NOT_MEASURED)}
    return [
        Grid("published statements", ["statement", "says", "verdict", "numbers", "source"], verdicts,
             "; ".join(f"{count} {verdict}" for verdict, count in counts.items()) + "."),
        Grid("what was checked", ["statement", "numbers"], checked),
        Grid("where they are from", ["source", "title", "year", "hardware", "versions", "found", "address"], cited),
        Grid("records used", ["statement", "number", "as it says", "records"], used),
    ]


def _numbers(seen: list[Observation]) -> str:
    """`0.98 to 1.31; 3 of 4 as it says`."""
    if not seen:
        return "–"
    numbers = [one.number for one in seen]
    if all(isinstance(number, float | int) and not isinstance(number, bool) for number in numbers):
        numbers = sorted({min(numbers), max(numbers)})
    shown = " to ".join(dict.fromkeys(_text(number) for number in numbers))
    return f"{shown}; {sum(one.fits for one in seen)} of {len(seen)} as it says"


def _text(number: Any) -> str:
    return f"{number:.2f}" if isinstance(number, float) else str(number)
