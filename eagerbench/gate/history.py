"""`eagerbench history`: append a verdict's ratios to a file with one JSON object a line."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eagerbench import jsonfile
from eagerbench.gate import judge
from eagerbench.results import fingerprint
from eagerbench.shown import count, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("verdict", type=Path, metavar="verdict.json")
    parser.add_argument("--file", type=Path, default=Path("history.jsonl"), help="default: %(default)s")


def run(chosen: argparse.Namespace) -> int:
    verdict = jsonfile.read_object(chosen.verdict)
    jsonfile.refuse(chosen.verdict, [] if verdict.get("format") == judge.FORMAT else [f"no {judge.FORMAT}"])
    try:
        added = line(verdict)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise jsonfile.UnreadableFile(f"{chosen.verdict}: not a complete verdict ({error})") from None
    jsonfile.refuse(chosen.verdict, list(_problems(added)))
    text = json.dumps(added, ensure_ascii=False)
    try:
        before = chosen.file.read_text(encoding="utf-8") if chosen.file.exists() else ""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise jsonfile.UnreadableFile(f"{chosen.file}: no history to append to ({reason}); name another") from None
    if text in before.splitlines():
        say(f"{chosen.file}: has it already")
        return 0
    jsonfile.write_text(chosen.file, f"{before}{text}\n")
    say(f"wrote {chosen.file}: {count(len(added['benchmarks']), 'ratio')} added")
    return 0


def _problems(added: dict[str, Any]) -> Iterator[str]:
    """What a verdict written by `gate` does not have: an entry of another type would spoil the history."""
    yield from (f"its {name} is no text" for name in ("started", "base", "head", "outcome")
                if not isinstance(added[name], str))
    for bench, entry in added["benchmarks"].items():
        if not isinstance(entry["status"], str):
            yield f"{bench}: its status is no text"
        yield from (f"{bench}: its {name} is no number" for name in ("ratio", "low", "high", "pairs")
                    if entry[name] is not None and type(entry[name]) not in (int, float))
    yield from jsonfile.number_problems(added)


def line(verdict: dict[str, Any]) -> dict[str, Any]:
    """When, where, what against what, and of each benchmark its status and ratio (head / base) with its interval."""
    first = verdict["duets"][0]
    return {
        "started": first["started"],
        "machine": fingerprint.of(first["machine_info"]),
        "base": first["base"]["revision"],
        "head": first["head"]["revision"],
        "outcome": verdict["outcome"],
        **{key: verdict[key] for key in ("changed", "noted") if verdict.get(key)},
        "benchmarks": {entry["id"]: {key: entry.get(key) for key in ("status", "ratio", "low", "high", "pairs")}
                       for entry in verdict["benchmarks"]},
    }
