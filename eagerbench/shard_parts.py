"""Which cases are in which part of a run.

Every job of a run finds the same parts by itself: they follow from the selected cases and from a file of seconds, if
one is named, and from nothing of the machine.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from eagerbench.case import Case
from eagerbench.errors import BadInput
from eagerbench.estimate import Expected
from eagerbench.results import records


def measured(file: Path | None) -> dict[str, float]:
    """Seconds that each case took, by `bench_id`, in a saved file; nothing without a file.

    Raises:
        UnreadableFile: it is none.
    """
    if file is None:
        return {}
    planned, _ = records.cells(records.read(file))
    return {cell["bench_id"]: float(seconds) for cell in planned
            if type(seconds := cell.get("seconds")) in (int, float) and 0 < seconds < 1e7}


def parts(cases: Sequence[Case], of: int, seconds: Mapping[str, float], time_budget: float) -> dict[str, int]:
    """The number of its part (from 1) of each case, by its id.

    Cases of one model and variant stay together, so that it is built once, unless they alone would take longer than a
    part's share. Groups go to the part with the least so far, the longest first (Graham, SIAM J. Appl. Math. 17, 1969).

    Args:
        cases: those that run, in running order.
        seconds: that cases took, by `bench_id`; others are expected to take what the plan says.

    Raises:
        BadInput: fewer cases than parts.
    """
    if len(cases) < of:
        raise BadInput(f"--shard K/{of}: only {len(cases)} cases are selected; use {max(1, len(cases))} parts at most")
    expected = Expected(cases, time_budget, lambda _: False).seconds
    cost: dict[str, float] = {case.id: seconds.get(case.bench_id, expected[case.id]) for case in cases}
    groups: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        groups.setdefault((case.model.name, case.variant.name), []).append(case.id)
    pieces = _split(list(groups.values()), of, cost.__getitem__)
    loads = [0.0] * of
    found = {}
    for piece in sorted(pieces, key=lambda ids: -sum(map(cost.__getitem__, ids))):
        least = min(range(of), key=loads.__getitem__)
        loads[least] += sum(map(cost.__getitem__, piece))
        found |= dict.fromkeys(piece, least + 1)
    return found


def _split(groups: list[list[str]], of: int, cost: Callable[[str], float]) -> list[list[str]]:
    """Groups, those that take longer than a part's share in halves, and as many as there are parts at least."""
    share = sum(cost(one) for group in groups for one in group) / of
    while True:
        divisible = [place for place, group in enumerate(groups) if len(group) > 1]
        longest = max(divisible, key=lambda place: sum(map(cost, groups[place])), default=None)
        if longest is None or (len(groups) >= of and sum(map(cost, groups[longest])) <= share):
            return groups
        group = groups[longest]
        half, so_far, cut = sum(map(cost, group)) / 2, 0.0, 1
        for place, one in enumerate(group[:-1], 1):
            so_far += cost(one)
            cut = place
            if so_far >= half:
                break
        groups[longest:longest + 1] = [group[:cut], group[cut:]]


def digest(found: Mapping[str, int]) -> str:
    """Of the parts: files of one run have the same."""
    return hashlib.sha256(json.dumps(sorted(found.items())).encode()).hexdigest()[:16]
