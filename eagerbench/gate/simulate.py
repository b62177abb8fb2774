"""`eagerbench simulate`: this gate and the usual rules on the same simulated draws."""

import argparse
import math
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from eagerbench.gate.noise_floor import TIERS
from eagerbench.gate.noise_models import BENCHES, MODELS, NULL, PROCESSES, ROUNDS, Draws, Noise, draw
from eagerbench.gate.usual_rules import Gate, usual_rules
from eagerbench.results.grid import Grid, as_markdown, show
from eagerbench.shown import count, say

SPREADS = (0.006, 0.01, 0.0125, 0.015, 0.02, 0.03)
EFFECTS = (0.03, 0.05, 0.08, 0.10)
SIDES = ("base", "head", "base_rounds", "head_rounds")
FLOORS = {f"this gate, floor {floor:.0%}": (floor, margin) for floor, margin, *_ in TIERS[::-1]}
_BATCH = 1000
_ESTIMATE = 0.02  # an estimate this near the truth is near enough

Counts = dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--suites", type=_count, default=10_000,
                        help="suites in each noise model (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--spread", type=_share, default=0.01,
                        help="standard deviation of a pair's log ratio (default: %(default)s)")
    parser.add_argument("--machine-spread", type=_share, default=0.02,
                        help="further standard deviation of processes that run one by one (default: %(default)s)")
    parser.add_argument("--model", action="append", choices=list(MODELS), help="only this noise model; repeatable")
    parser.add_argument("--summary-md", type=Path, metavar="FILE", help="also write the tables as Markdown")


def run(chosen: argparse.Namespace) -> int:
    from eagerbench.jsonfile import write_text

    noise = Noise(chosen.spread, chosen.machine_spread)
    found = {}
    for model in chosen.model or MODELS:
        start = time.perf_counter()
        found[model] = simulate(model, chosen.suites, chosen.seed, noise)
        say(f"{model}: {count(chosen.suites, 'suite')} in {time.perf_counter() - start:.0f} s", error=True)
    grids = [*tables(found, chosen.suites, chosen.seed, noise), _by_spread(chosen.suites, chosen.seed)]
    if chosen.summary_md:
        write_text(chosen.summary_md, as_markdown(grids))
    show(grids, markdown=False)
    if chosen.summary_md:
        say(f"wrote {chosen.summary_md}")
    return 0


def simulate(model: str, suites: int, seed: int, noise: Noise, usual: bool = True) -> dict[str, Counts]:
    """Shares of suites, by rule: `false red`, `power 0.03` and so on, and for this gate what else it promises.

    Args:
        usual: judge by the usual rules too.
    """
    rng = np.random.default_rng([seed, list(MODELS).index(model)])
    sums: dict[str, Counts] = defaultdict(lambda: defaultdict(float))
    for start in range(0, suites, _BATCH):
        draws = draw(model, rng, min(_BATCH, suites - start), noise)
        if usual:
            _add_usual(sums, draws)
        gate = Gate(draws)
        for name, (floor, margin) in FLOORS.items():
            _add_gate(sums[name], gate, floor, margin)
    return {rule: {name: value / suites for name, value in counts.items()} for rule, counts in sums.items()}


def _add_usual(sums: dict[str, Counts], draws: Draws) -> None:
    for rule, red in usual_rules(draws).items():
        sums[rule]["false red"] += red.any(axis=1).sum()
        sums[rule]["reds"] += red.sum()
    first = replace(draws, **{side: getattr(draws, side)[:, :1] for side in SIDES})
    for effect in EFFECTS:
        for rule, red in usual_rules(first, effect).items():
            sums[rule][f"power {effect}"] += red.sum()


def _add_gate(sums: Counts, gate: Gate, floor: float, margin: float) -> None:
    same = gate.judge(floor, margin)
    sums["false red"] += same.red.any(axis=1).sum()
    sums["reds"] += same.red.sum()
    sums["suspects"] += same.suspects.sum()
    sums["contaminated"] += same.contaminated.sum()
    for effect in EFFECTS:
        found = gate.judge(floor, margin, effect)
        truth = math.log1p(effect)
        sums[f"power {effect}"] += found.red[:, 0].sum()
        sums[f"others red {effect}"] += found.red[:, 1:-1].any(axis=1).sum()
        sums[f"near {effect}"] += (np.abs(np.expm1(found.estimate - truth)) <= _ESTIMATE).sum()
        sums[f"covered {effect}"] += ((found.low <= truth) & (truth <= found.high)).sum()


def tables(found: dict[str, dict[str, Counts]], suites: int, seed: int, noise: Noise) -> list[Grid]:
    """False reds and power of every rule, and what this gate promises besides."""
    rows = [[model, rule, _percent(counts["false red"]), f"{counts['reds']:.3g}",
             *[_percent(counts[f"power {effect}"]) for effect in EFFECTS]]
            for model, rules in found.items() for rule, counts in rules.items()]
    ours = [[model, rule.split(", ")[1], f"{counts['suspects']:.2f}", _percent(counts["contaminated"]),
             *[_percent(1 - counts[f"others red {effect}"]) for effect in (0.05, 0.10)],
             *[_percent(counts[f"near {effect}"]) for effect in (0.05, 0.10)],
             *[_percent(counts[f"covered {effect}"]) for effect in (0.05, 0.10)]]
            for model, rules in found.items() for rule, counts in rules.items() if "suspects" in counts]
    powers = [f"finds {effect:.0%}" for effect in EFFECTS]
    return [
        Grid(f"Same code, and one of {BENCHES} benchmarks slower: {suites} suites a noise model, seed {seed}",
             ["noise", "rule", "suites with a false red", "false reds a suite", *powers], rows, _assumptions(noise)),
        Grid("What else this gate promises", [
            "noise", "floor", "suspects a same-code suite", "contaminated", "no other red beside 5 %", "beside 10 %",
            "estimate within ±2 % of 5 %", "of 10 %", "95 % interval holds 5 %", "holds 10 %"], ours,
            "The interval and the estimate are those of the stage that judged the benchmark."),
    ]


def _by_spread(suites: int, seed: int) -> Grid:
    rows = []
    for spread in SPREADS:
        for rule, counts in simulate("Gaussian", suites, seed, Noise(spread), usual=False).items():
            rows.append([f"{spread:.2%}", rule.split(", ")[1], _percent(counts["false red"]),
                         *[_percent(counts[f"power {effect}"]) for effect in EFFECTS],
                         _percent(counts["contaminated"])])
    return Grid("What this gate finds on quiet and on noisy machines (Gaussian noise)",
                ["spread of a pair", "floor", "suites with a false red", *[f"finds {effect:.0%}" for effect in EFFECTS],
                 "contaminated"], rows,
                "A slowdown of just the floor is found half of the time: the floor that is to find 5 % is 3 %.")


def _assumptions(noise: Noise) -> str:
    return (f"Assumed, not measured: pairs of a duet scatter by {noise.spread:.1%}, processes that run one after the "
            f"other by {noise.machine:.1%} more. Fixed threshold: 5 % between the medians of one process a side. asv: "
            f"2 processes a side of {ROUNDS} rounds each, factor 1.1 and p < .002. benchstat: {PROCESSES} processes a "
            f"side, p < .05. This gate: 6 pairs, then 10 to 14 fresh ones of the suspects, {NULL} pairs of base "
            "against base in each stage (`make gate`: 3, then 5 to 7).")


def _percent(share: float) -> str:
    return f"{share:.2%}"


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000_000:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return int(text)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a share between 0 and 1, such as 0.01")
    return value
