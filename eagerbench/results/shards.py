"""Files of the parts of one run (`--shard K/N`): whether they belong together, and which of them is lost."""

from collections.abc import Mapping
from typing import Any

from eagerbench.results import records
from eagerbench.shard import MOST_JOBS


def problems(contents: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Why files cannot be merged as the parts of one run, and a line for each part that is lost.

    Args:
        contents: `eagerbench` of each file, by its name. Files of no part make no problem.
    """
    shards = {name: ours["shard"] for name, ours in contents.items() if isinstance(ours.get("shard"), dict)}
    wrong = [f"{name}: its shard is no part of a run" for name, shard in shards.items() if not _sound(shard)]
    if not shards or wrong:
        return wrong, []
    first_name, first = next(iter(shards.items()))
    home: dict[int, str] = {}
    for name, shard in shards.items():
        if (shard["plan"], shard["of"]) != (first["plan"], first["of"]):
            wrong.append(f"{name}: part {shard['number']}/{shard['of']} of another run than {first_name}: other cases, "
                         "options or seconds; merge files of one run")
        elif shard["number"] in home:
            wrong.append(f"{name}: part {shard['number']}/{shard['of']} is in {home[shard['number']]} too")
        home.setdefault(shard["number"], name)
    lost = [f"part {number}/{first['of']} is lost: its file is not among these" for number in range(1, first["of"] + 1)
            if number not in home]
    return wrong, lost


def _sound(shard: Mapping[str, Any]) -> bool:
    number, of = shard.get("number"), shard.get("of")
    return type(number) is int and type(of) is int and 1 <= number <= of <= MOST_JOBS \
        and isinstance(shard.get("plan"), str)


def left(content: Mapping[str, Any]) -> list[str]:
    """What no part has measured, of a merged file: a name and its part each."""
    cells = content["eagerbench"]["cells"] if isinstance(content.get("eagerbench"), dict) else []
    return [f"{cell['bench_id']} ({cell['reason']})" for cell in cells
            if cell["status"] == "not run" and str(cell.get("reason", "")).startswith("in part ")]


def in_order(benchmarks: list[dict[str, Any]], cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As one run would have saved them: those of no case first, then by the plan."""
    places = {cell["bench_id"]: place for place, cell in enumerate(cells)}
    return sorted(benchmarks, key=lambda bench: places.get(records.identity(bench), -1))
