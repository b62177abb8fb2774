"""`eagerbench duet`: pairs of pytest sessions of two commits that take turns on this machine.

Exit codes: 0 measured, 2 usage (no such revision, directory or interpreter, a revision older than the duet), 3 no pair
is valid or the run was given up, 128 + N ended by signal N. The file holds every finished pair also then.
"""

import argparse
import math
import os
import random
import shutil
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, stdev

from eagerbench import jsonfile, project
from eagerbench.gate import (
    duet_checkout,
    duet_environment,
    duet_quality,
    duet_request,
    duet_side,
    duet_signals,
    duet_theirs,
)
from eagerbench.gate.duet_lost import Lost
from eagerbench.gate.duet_pair import MOST_TURNS, run_pair
from eagerbench.gate.duet_sessions import Plan
from eagerbench.gate.pairs import FORMAT, GIVE_UP_AFTER, finished, meanings
from eagerbench.machine import children
from eagerbench.shown import count, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.usage = ("eagerbench duet --base REV|DIR [options] [-- pytest selection …]\n"
                    "       eagerbench duet --base-model MODEL --head-model MODEL [options] [-- pytest selection …]")
    add_sides(parser)
    parser.add_argument("selection", nargs="*", metavar="pytest selection",
                        help="after --: options of `eagerbench run` that choose what runs")
    parser.add_argument("--pairs", type=_count, default=6, metavar="N",
                        help="pairs of base and head (default: 6)")
    parser.add_argument("--null-pairs", type=_natural, metavar="N", help="pairs of base and base again "
                        "(default: half as many)")
    parser.add_argument("--only", action="append", default=[], metavar="BENCH_ID",
                        help="run these benchmarks and the controls; repeatable")
    parser.add_argument("--stage", choices=("screen", "confirm"), default="screen",
                        help="stage of the gate that the pairs are for")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        help="file to write (default: .benchmarks/duet-<date>.json)")


def add_sides(parser: argparse._ActionsContainer) -> None:
    """Options that say what is compared and how, shared with the gate. `duet_request` has their defaults."""
    add = parser.add_argument
    add("--base", metavar="REV|DIR", help="revision or directory to compare with (default: base in "
        "[tool.eagerbench.gate] of pyproject.toml)")
    add("--head", default=".", metavar="REV|DIR", help="revision or directory to judge (default: ., with "
        "uncommitted changes)")
    for side in duet_request.SIDES:
        add(f"--{side}-model", metavar="MODEL", help=f"model of {side}, to compare two models instead of two commits")
    for side in duet_request.SIDES:
        add(f"--{side}-python", metavar="PYTHON", help=f"interpreter of {side} (default: this one, or, "
            f"if {side} needs other packages than this directory, that of a new environment)")
    add("--design", choices=("turns", "abba"), help="turns (default), or abba: whole processes one after "
        "another, for models of which two do not fit in memory; it detects less")
    add("--turns", type=_count, metavar="N", help="most turns of each side in a benchmark "
        f"(default: {MOST_TURNS})")
    add("--time-out", type=_seconds, metavar="S", help="seconds after which a silent side loses its "
        f"benchmark (default: {duet_request.DEFAULTS['time_out']:g})")
    add("--seed", type=_natural, metavar="N", help="seed of the order of turns (default: random, and recorded)")


def run(chosen: argparse.Namespace) -> int:
    """The command. Leaves no process, no stopped child, no worktree and no temporary file, however it ends."""
    output = chosen.output or Path(".benchmarks") / f"duet-{time.strftime('%Y%m%d-%H%M%S')}.json"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        content = measure(chosen, output, chosen.pairs, chosen.null_pairs, chosen.only, chosen.stage)
    except (duet_checkout.CannotCheckOut, OSError) as error:
        say(duet_checkout.told(error), error=True)
        return 2
    except duet_signals.Ended as ended:
        say(f"ended by {ended}; finished pairs are in {output}", error=True)
        return ended.exit_code
    say(as_text(content))
    say(f"saved in {output}")
    return 0 if finished(content) else 3


def measure(chosen: argparse.Namespace, output: Path, pairs: int, null_pairs: int | None, only: list[str],
            stage: str) -> dict:
    """Run pairs, and write the file after each.

    Args:
        chosen: with the options of `add_sides`, and `selection`.
        null_pairs: None for half of `pairs`.
        only: benchmarks to run; empty for all.

    Returns:
        the content of the file, as `duet.schema.json` says.

    Raises:
        CannotCheckOut: with one line.
        Ended: by a signal.
    """
    with duet_signals.ends_in_order():
        repository = Path.cwd()
        request, labels = duet_request.read(chosen, duet_request.complete(chosen, MOST_TURNS)), []
        if request.of_side:
            labels, words = duet_quality.split(duet_request.absolute(request.selection, repository))
            request = replace(request, selection=words)
        base, head = duet_request.sources(chosen, repository)
        pythons = {name: _interpreter(text) for name in duet_request.SIDES
                   if (text := getattr(chosen, f"{name}_python", None))}
        seed = random.SystemRandom().randrange(2**31) if chosen.seed is None else chosen.seed
        arms = _arms(pairs, math.ceil(pairs / 2) if null_pairs is None else null_pairs)
        children.adopt_orphans()
        sources = {"base": base, "head": head, "null": base}
        with duet_checkout.checked_out(sources) as (scratch, directories):
            arguments, places, facts = _sides(request, sources, directories, pythons, repository)
            content = {
                "format": FORMAT,
                **{name: {"revision": source.revision, "directory": str(directories[name]),
                          "python": places[name].python, "models": {}, **facts.get(name, {})}
                   for name, source in (("base", base), ("head", head))}, **facts["duet"],
                "seed": seed, "design": chosen.design, "stage": stage, "machine_info": {},
                "started": datetime.now(UTC).isoformat(timespec="seconds"), "command": sys.argv, "pairs": []}
            plan = Plan(arguments, tuple(only), duet_request.allocator(request.selection), seed, chosen.design,
                        chosen.turns, chosen.time_out, scratch)
            try:
                if labels and stage == "screen":
                    content["quality"] = duet_quality.compared(request.of_side, labels, request.selection)
                _run_pairs(plan, arms, places, content, output)
            finally:
                with duet_signals.uninterrupted():
                    children.end_children()
    return content


def _sides(request: duet_request.Request, sources: dict[str, duet_checkout.Source], directories: dict[str, Path],
           pythons: dict[str, str], repository: Path
           ) -> tuple[list[str], dict[str, duet_side.Checkout], dict[str, dict]]:
    """Arguments of both sides, the sides, and what the record says of each and of the whole."""
    of_side, environments = request.of_side, frozenset(pythons)
    ours = duet_checkout.bring_the_suite(sources, directories)
    for name in set(duet_request.SIDES) - environments:
        pythons[name] = (duet_environment.interpreter(name, directories[name], repository) if ours
                         else os.path.abspath(sys.executable))
    pythons["null"] = pythons["base"]
    facts: dict[str, dict] = {name: {"model": model.partition("@")[0]} for name, model in of_side.items()}
    if ours:
        places = {name: duet_side.Checkout(name, directory, pythons[name],
                                           models=(f"--model={of_side[name]}",) if of_side else ())
                  for name, directory in directories.items()}
        return duet_request.arguments(request.selection, repository, ours), places, {**facts, "duet": {}}
    models, words = duet_request.without_models(request.selection)
    tests, words = duet_request.of_tests(words, request.found)
    asked = duet_theirs.Theirs(request.found, tuple(models), tuple(tests), of_side, environments)
    places = {name: duet_side.Checkout(name, directory, pythons[name]) for name, directory in directories.items()}
    places = duet_theirs.sides(places, asked, repository, copied=not sources["base"].in_place)
    if said := project.echoed_words(request.found, [*words, *(f"--model={model}" for model in models), *tests]):
        say(said, error=True)
    return duet_request.arguments(words, repository, ours), places, {**facts, "duet": {"suite": duet_theirs.suite()}}


def _run_pairs(plan: Plan, arms: list[str], places: dict[str, duet_side.Checkout], content: dict, output: Path) -> None:
    lost = Lost()
    for index, arm in enumerate(arms):
        pair, found = run_pair(plan, index, arm, places["base"], places[arm], lost)
        content["pairs"].append(pair)
        content["machine_info"] = content["machine_info"] or found.machine_info
        for side in ("base", "head"):
            content[side]["models"] = {**found.models.get(side, {}), **content[side]["models"]}
        _write(output, content)
        say(f"pair {index + 1} of {len(arms)} ({arm}), {pair['seconds']:.0f} s: {_outcome(pair)}", error=True)
        if index + 1 >= GIVE_UP_AFTER and not any(pair["valid"] for pair in content["pairs"][-GIVE_UP_AFTER:]):
            say(f"given up: {GIVE_UP_AFTER} successive pairs are not valid", error=True)
            return


def as_text(content: dict) -> str:
    """A line for each benchmark: the ratio head / base of valid pairs, and its spread; null arm beside it."""
    valid = [pair for pair in content["pairs"] if pair["valid"]]
    names = dict.fromkeys(name for pair in valid for name in pair["benchmarks"])
    width = max(map(len, names), default=0)
    lines = []
    for name in names:
        arms = []
        for arm in ("head", "null"):
            logs = [pair["benchmarks"][name]["log_ratio"] for pair in valid
                    if pair["arm"] == arm and name in pair["benchmarks"]]
            spread = f" ± {stdev(logs):.2%}" if len(logs) > 1 else ""
            arms.append(f"{arm} {math.expm1(median(logs)):+.2%}{spread} ({len(logs)})" if logs else f"{arm} –")
        lines.append(f"{name:<{width}}  " + "  ".join(arms))
    lines.append("head against base, median of pairs ± standard deviation of a pair (number of pairs); above 0 head is "
                 "slower")
    changes = Counter(change for pair in meanings([content]).values() for change in pair if change)
    lines += [f"{change} in {count(number, 'benchmark')}" for change, number in changes.items()]
    lines += duet_quality.lines(content.get("quality", []))
    if content["design"] == "abba":
        lines.append("design abba: the sides ran one after the other, so the machine's drift is in the ratios; "
                     "it detects less than turns")
    return "\n".join(lines)


def _outcome(pair: dict) -> str:
    failed = "".join(f"; {name}: {reason}" for name, reason in pair["failed"].items())
    failed += "".join(f"; {name}: {ratio['overrun']}" for name, ratio in pair["benchmarks"].items()
                      if "overrun" in ratio)
    return f"{count(len(pair['benchmarks']), 'benchmark')}{failed}" if pair["valid"] else f"not valid: {pair['reason']}"


def _arms(pairs: int, null_pairs: int) -> list[str]:
    """Null pairs spread evenly among the others."""
    total = pairs + null_pairs
    return ["null" if (index + 1) * null_pairs // total > index * null_pairs // total else "head"
            for index in range(total)]


def _interpreter(text: str) -> str:
    found = shutil.which(text)
    if found is None:
        raise duet_checkout.CannotCheckOut(f"{text}: no such interpreter")
    return os.path.abspath(found)  # a link is not followed: it says which environment it is of


def _write(file: Path, content: dict) -> None:
    partial = file.with_name(f"{file.name}.partial")
    with duet_signals.uninterrupted():
        jsonfile.write(partial, content)
        partial.replace(file)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise ValueError
    return number
