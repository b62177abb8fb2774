"""The tables of a fleet: who is how fast where, who wins and what may explain it, what a million calls cost."""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

from eagerbench.fleet import agreement
from eagerbench.fleet.machines import Machine, Place, places
from eagerbench.history.entry import Point
from eagerbench.results import machines as kinds
from eagerbench.results.grid import Grid, interval
from eagerbench.results.numbers import digits
from eagerbench.shown import count

MOST_PLACES = 40
_MOST_MOVED = 8  # variants whose ratio differs most between two machines
_NOTHING = "–"
_EXACT = "exact-math"


def headline(fleet: Sequence[Machine], where: Sequence[Place]) -> str:
    """`3 machines, 41 variants: on 2 of 4 workloads another variant wins on each machine`."""
    variants = {name for machine in fleet for points in machine.points.values() for name in points}
    shared = [place for place in where if sum(place in one.points for one in fleet) > 1]
    differ = sum(len({_winner(one.points[place]) for one in fleet if place in one.points}) > 1 for place in shared)
    said = f"{count(len(fleet), 'machine')}, {count(len(variants), 'variant')}"
    if not shared:
        return f"{said}: no workload was measured on two machines"
    of = count(len(shared), "shared workload")
    return f"{said}: on {differ} of {of} the fastest variant is not the same everywhere"


def grids(fleet: Sequence[Machine], price: Mapping[str, float] | None = None) -> list[Grid]:
    """Every table of a fleet."""
    where = places(fleet)
    shown = where[:MOST_PLACES]
    more = f" {len(where) - len(shown)} more workloads are not shown." if len(where) > len(shown) else ""
    found = [Grid(headline(fleet, where), ("machine", "what it is", "instruction sets", "files"),
                  [[one.kind, one.title, " ".join(one.sets) or _NOTHING, str(one.runs)] for one in fleet],
                  "A machine is known by its hardware and settings, not by a host name." + more)]
    found += [_winners(fleet, shown), *_agreements(fleet, shown), *_moved(fleet, shown), *_facts(fleet)]
    found += [_speeds(place, fleet) for place in shown]
    if price:
        found += [_prices(place, [one for one in fleet if one.kind in price and place in one.points], price)
                  for place in shown if any(one.kind in price and place in one.points for one in fleet)]
    return [grid for grid in found if grid.rows]


def name(place: Place) -> str:
    """`minilm, b8/s128/cpu`."""
    return f"{place[0]}, {place[1]}"


def _speeds(place: Place, fleet: Sequence[Machine]) -> Grid:
    here = [one for one in fleet if place in one.points]
    variants = dict.fromkeys(variant for one in here for variant in one.points[place])

    def middle(variant: str) -> float:
        logs = [math.log(one.points[place][variant].ratio) for one in here if variant in one.points[place]]
        return sum(logs) / len(logs)

    best = {one.kind: _winner(one.points[place]) for one in here}
    rows = [[variant, *(_speed(one.points[place].get(variant), best[one.kind] == variant) for one in here)]
            for variant in sorted(variants, key=middle, reverse=True)]
    return Grid(f"Times as fast as eager: {name(place)}", ("variant", *(one.kind for one in here)), rows,
                "★: the fastest of its machine.")


def _speed(point: Point | None, best: bool) -> str:
    return _NOTHING if point is None else f"{point.ratio:.2f}×{interval(point.low, point.high)}{' ★' if best else ''}"


def _winner(points: Mapping[str, Point], tolerance: str | None = None) -> str | None:
    chosen = {variant: point.ratio for variant, point in points.items() if tolerance in (None, point.tolerance)}
    return max(chosen, key=chosen.__getitem__, default=None)


def _winners(fleet: Sequence[Machine], where: Sequence[Place]) -> Grid:
    rows = []
    for place in where:
        for one in fleet:
            points = one.points.get(place, {})
            if len(points) < 2:
                continue
            first, exact = _winner(points), _winner(points, _EXACT)
            rows.append([name(place), one.kind, f"{first} {points[first].ratio:.2f}×", _tied(points, first),
                         f"{exact} {points[exact].ratio:.2f}×" if exact else _NOTHING])
    return Grid("Who wins where", ("workload", "machine", "fastest", "ties with it", "fastest of exact-math"), rows,
                "Ties: 95 % intervals that overlap.")


def _tied(points: Mapping[str, Point], best: str) -> str:
    low = points[best].low
    found = [variant for variant, point in points.items() if variant != best and low is not None
             and point.high is not None and point.high >= low]
    return ", ".join(found[:4]) + (" …" if len(found) > 4 else "") or _NOTHING


def _agreements(fleet: Sequence[Machine], where: Sequence[Place]) -> list[Grid]:
    rows = [[name(one.place), one.one, one.other, str(one.variants), f"{one.tau:.2f}{_bounds(one.low, one.high)}",
             f"{one.alike:.0%}"] for one in agreement.of_fleet(fleet, where)]
    note = ("Kendall's tau: 1 when both machines order the variants alike, 0 when the orders are unrelated; "
            f"with its 95 % interval over such variants, from {agreement.LEAST} of them on. Alike: pairs of variants "
            "that both order alike.")
    header = ("workload", "machine", "other machine", "variants", "tau", "alike")
    return [Grid("Does the ranking travel?", header, rows, note)] if rows else []


def _bounds(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"


def _moved(fleet: Sequence[Machine], where: Sequence[Place]) -> list[Grid]:
    """Variants whose ratio differs most between two machines, with what one of these has and the other lacks."""
    found = []
    for place in where:
        for one, other in combinations(fleet, 2):
            first, second = one.points.get(place, {}), other.points.get(place, {})
            for variant in (name for name in first if name in second):
                apart = abs(math.log(first[variant].ratio / second[variant].ratio))
                found.append((apart, place, variant, one, other))
    found.sort(key=lambda moved: -moved[0])
    rows = [[variant, name(place), f"{one.kind} {one.points[place][variant].ratio:.2f}×",
             f"{other.kind} {other.points[place][variant].ratio:.2f}×", f"{math.exp(apart):.2f}", why(one, other)]
            for apart, place, variant, one, other in found[:_MOST_MOVED]]
    header = ("variant", "workload", "machine", "other machine", "times apart", "what may explain it")
    note = "What one machine has and the other lacks: instruction sets, then versions. It is a hint and no proof."
    return [Grid("What does not travel", header, rows, note)] if rows else []


def why(one: Machine, other: Machine) -> str:
    """`3f2a91c0 alone has amx_bf16, amx_int8; torch 2.12.0, 2.13.0`."""
    said = [f"{first.kind} alone has {', '.join(found)}" for first, second in ((one, other), (other, one))
            if (found := [name for name in first.sets if name not in second.sets])]
    if not one.sets or not other.sets:
        said = ["the instruction sets of one are not recorded"]
    versions = [f"{fact} {one.software[fact]}, {other.software[fact]}" for fact in one.software
                if fact in other.software and one.software[fact] != other.software[fact] and fact != "memory"]
    return "; ".join([*said, *versions]) or "the same instruction sets and versions"


def _facts(fleet: Sequence[Machine]) -> list[Grid]:
    rows = [[fact, *(facts.get(fact, _NOTHING) for facts in part)]
            for part in ([one.hardware for one in fleet], [one.software for one in fleet])
            for fact in kinds.differing(part)]
    return [Grid("What differs between the machines", ("fact", *(one.kind for one in fleet)), rows)] if rows else []


def _prices(place: Place, fleet: Sequence[Machine], price: Mapping[str, float]) -> Grid:
    cost = {(one.kind, variant): point.median_s * price[one.kind] / 3600 * 1e6 for one in fleet
            for variant, point in one.points[place].items() if point.median_s is not None}
    cheapest = min(cost, key=cost.__getitem__, default=None)
    variants = sorted({variant for _, variant in cost},
                      key=lambda variant: min(value for (_, name), value in cost.items() if name == variant))
    rows = [[variant, *(_usd(cost.get((one.kind, variant)), (one.kind, variant) == cheapest) for one in fleet)]
            for variant in variants]
    header = ("variant", *(f"{one.kind} at {price[one.kind]:g} USD/h" for one in fleet))
    return Grid(f"USD per million calls: {name(place)}", header, rows,
                "One call after the other on the whole machine, with nothing between calls. ★: the cheapest.")


def _usd(value: float | None, best: bool) -> str:
    return _NOTHING if value is None else f"{digits(value)}{' ★' if best else ''}"
