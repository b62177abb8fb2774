"""The start of a pair: checks that both sides have the same conditions and benchmarks."""

from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eagerbench.gate.duet_side import Checkout, Side, SideFailed

if TYPE_CHECKING:
    from eagerbench.gate.duet_sessions import Plan, Sessions

_SAME_ON_BOTH = ("threads", "usable_cores", "allocator", "hash_seed", "stack_bytes")
_SAME_WHERE_KNOWN = ("wait_policy",)  # older revisions do not say it


def agree(plan: "Plan", places: list[Checkout], sides: list[Side], expected: list[str] | None, found: "Sessions",
          over: Container[str]) -> list[str]:
    """Check that the sides are alike, and tell them what to run.

    Args:
        expected: what an earlier session of the pair has run; None where both run at the same time.
        over: benchmarks that are not to run, or not again.

    Raises:
        SideFailed: a side says nothing that makes sense, or they cannot be compared.
    """
    hellos = [side.hear("hello") for side in sides]
    for place, side, hello in zip(places, sides, hellos, strict=True):
        _check(plan, place, side, hello, hellos[0])
    found.machine_info = hellos[0]["facts"]["machine_info"]
    offers = [hello["ids"] for hello in hellos] if expected is None else [expected, hellos[0]["ids"]]
    unknown = [name for name in plan.only if not any(name in offer for offer in offers)]
    if unknown and expected is None and len(sides) == 2:
        raise SideFailed(f"neither side has the benchmark {unknown[0]} (--only; `eagerbench list-cases` prints all)")
    strange = [hello["facts"].get("unknown_variants") or [] for hello in hellos]
    nowhere = [str(pattern) for pattern in strange[0] if all(pattern in patterns for patterns in strange)]
    if nowhere and len(sides) == 2:
        raise SideFailed(f"neither side has a variant {nowhere[0]} (`eagerbench list-cases` prints all)")
    offers = [[name for name in offer if not plan.only or name in plan.only or name.startswith("control/")]
              for offer in offers]
    first, last = offers[0], offers[-1]
    swapped = expected is not None and places[0].name == "base"  # abba, head went first
    vanished, new = ("new", "vanished") if swapped else ("vanished", "new")
    lacking = {name: vanished for name in first if name not in last} | {name: new for name in last if name not in first}
    found.failed = lacking | found.failed  # what failed in abba's first session is not lacking
    agreed = [name for name in first if name in last and name not in over]
    for side in sides:
        side.send("run", ids=agreed)
    return agreed


def _check(plan: "Plan", place: Checkout, side: Side, hello: dict[str, Any], first: dict[str, Any]) -> None:
    """Raises SideFailed when this side's hello is malformed, or when its surroundings differ from the first's."""
    facts, ids = hello.get("facts"), hello.get("ids")
    if not (isinstance(facts, dict) and isinstance(facts.get("machine_info"), dict) and isinstance(ids, list)
            and all(isinstance(name, str) for name in ids)):
        raise SideFailed(f"{side.name} sent garbage at its start: {str(hello)[:60]!r}")
    mine, other = ({**said["facts"]["machine_info"], **said["facts"]} for said in (hello, first))
    code = place.code or place.directory
    if Path(mine.get("code", "")) != code.resolve():
        raise SideFailed(f"{side.name} imports the project from {mine.get('code')}, not from {code}: "
                         "another copy comes first on its sys.path (PYTHONPATH?)")
    if mine.get("allocator") != plan.allocator:
        raise SideFailed(f"{side.name}: allocator {mine.get('allocator')}, not {plan.allocator}; pin it, or give "
                         "--allocator system for both sides (then expect several percent of noise)")
    known = [fact for fact in _SAME_WHERE_KNOWN if None not in (mine.get(fact), other.get(fact))]
    for fact in (*_SAME_ON_BOTH, *known):
        if mine.get(fact) != other.get(fact):
            raise SideFailed(f"{side.name}: {fact} is {mine.get(fact)} and {other.get(fact)} on the other side")
