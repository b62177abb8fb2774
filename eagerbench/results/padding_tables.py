"""Table of the padding experiment: what padding costs each variant."""

from typing import Any

from eagerbench.results.grid import Grid, interval
from eagerbench.statistics import says_nothing

Record = dict[str, Any]


def tables(model: str, records: list[Record]) -> list[Grid]:
    workloads = list(dict.fromkeys(record["workload"] for record in records))
    by_place = {(record["variant"], record["workload"]): record for record in records}
    known = [record for record in records if not says_nothing(record["padding_cost_low"], record["padding_cost_high"])]
    least = {record["workload"]: record["variant"] for record in sorted(known, key=lambda r: -r["padding_cost"])}
    rows = [[variant, *(_cost(by_place.get((variant, workload)), least) for workload in workloads)]
            for variant in dict.fromkeys(record["variant"] for record in records)]
    dense = {record["workload"]: record["padded_tokens"] / record["real_tokens"] for record in records}
    rows.append(["padded over real tokens", *(f"{dense[workload]:.2f}" for workload in workloads)])
    note = ("Time of a batch that one long row pads, over the time of equal rows with the same tokens in the same "
            "variant, taken in turns: 1 is free; 95 % interval; * least. bucketed: the long row is a batch of its own.")
    return [Grid(f"{model}: cost of padding", ["variant", *workloads], rows, note)]


def _cost(record: Record | None, least: dict[str, str]) -> str:
    if record is None:
        return "–"
    mark = "*" if least.get(record["workload"]) == record["variant"] else ""
    return f"{record['padding_cost']:.2f}{mark}{interval(record['padding_cost_low'], record['padding_cost_high'])}"
