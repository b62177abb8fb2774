"""Pictures of kept results as SVG: text from a template, light and dark by the reader's setting."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import jinja2

from eagerbench.results import older
from eagerbench.results.headline import Headline
from eagerbench.results.numbers import milliseconds, percent, times
from scripts.docs import drawn, kept

PLACE, MODEL = "8×128", "minilm"
_LEAST_ERROR = 1e-7  # where an error of 0 is drawn
_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 75, 30, 32, 50
_LINE = 13  # between two names
CLASSES = ("exact-math", "half-precision", "reduced-precision", "quantised", "quantised-coarse")

_TURNS_OF, _PAIRS, _TURNS_LEFT = ("onnxruntime", "1×128"), 6, 100

_templates = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
                                trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
                                undefined=jinja2.StrictUndefined)


def made() -> dict[str, str]:
    """Every picture by its name in docs."""
    return {"error-time.svg": error_time(list(kept.latency("bench", MODEL, PLACE).values())), "turns.svg": turns(),
            "tree.svg": _templates.get_template("tree.svg.jinja").render(drawn.decision_tree()),
            "experiments/corpus.svg": _templates.get_template("corpus.svg.jinja").render(drawn.corpus())}


@dataclass
class Dot:
    """A variant at its place, in pixels. `name_y` is the place of its name; None without room for it."""

    name: str
    title: str
    group: int
    x: float
    y: float
    name_y: float | None = None


def error_time(found: Sequence[Headline]) -> str:
    """Error across, time of a call up, both logarithmic; named are those that no other one beats in both, and eager."""
    found = [headline for headline in found if headline.error is not None]
    times_s = [headline.call_s for headline in found]
    x = _log_scale(_LEAST_ERROR, 1.0, _LEFT, _WIDTH - _RIGHT)
    y = _log_scale(min(times_s) / 1.3, max(times_s) * 1.3, _HEIGHT - _BOTTOM, _TOP)
    dots = [Dot(one.variant, f"{one.variant}: {milliseconds(one.call_s)}, error {percent(one.error)}",
                CLASSES.index(one.tolerance), x(max(one.error, _LEAST_ERROR)), y(one.call_s)) for one in found]
    best = {one.variant for one in found if not any(_beats(other, one) for other in found)}
    _place_names([dot for dot in dots if dot.name in best or dot.name == "eager"])
    return _templates.get_template("error-time.svg.jinja").render(
        width=_WIDTH, height=_HEIGHT, left=_LEFT, right=_WIDTH - _RIGHT, top=_TOP, bottom=_HEIGHT - _BOTTOM, dots=dots,
        classes=[name for name in CLASSES if any(CLASSES[dot.group] == name for dot in dots)],
        groups={name: index for index, name in enumerate(CLASSES)},
        across=[(x(10.0 ** power), f"{100 * 10.0 ** power:.{max(0, -power - 2)}f}%") for power in range(-7, 1)],
        up=[(y(seconds), milliseconds(seconds)) for seconds in _ticks(min(times_s) / 1.3, max(times_s) * 1.3)])


def _beats(other: Headline, one: Headline) -> bool:
    """Clearly faster and no less exact: a tenth of the time, and no more than a tenth of the error above."""
    return other.call_s < 0.98 * one.call_s and max(other.error, _LEAST_ERROR) <= 1.1 * max(one.error, _LEAST_ERROR)


def _log_scale(low: float, high: float, start: float, end: float):
    span = math.log(high / low)
    return lambda value: round(start + (end - start) * math.log(value / low) / span, 1)


def _ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within the bounds."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10.0 ** power for power in powers for step in (1, 2, 5) if low <= step * 10.0 ** power <= high]


def _place_names(dots: Sequence[Dot]) -> None:
    """Names beside their dots, pushed down until none covers another."""
    taken: list[tuple[float, float]] = []
    for dot in sorted(dots, key=lambda dot: dot.y):
        place = dot.y + 4
        while any(abs(place - y) < _LINE and abs(dot.x - x) < 150 for x, y in taken):
            place += 1
        dot.name_y = round(place, 1)
        taken.append((dot.x, place))


def turns() -> str:
    """The first pairs of turns of a record: timed calls one after the other, and the ratio of each pair."""
    bench = next(bench for bench in kept.benchmarks("latency") if _is(bench))
    timing = older.topic(bench["extra_info"], "timing")
    mine = _split(bench["stats"]["data"], timing["variant_turns"])[:_PAIRS]
    eager = _split(timing["reference_rounds"], timing["reference_turns"])[:_PAIRS]
    total = sum(map(sum, mine)) + sum(map(sum, eager))
    gap = 6
    scale = (_WIDTH - _TURNS_LEFT - 10 - gap * 2 * len(mine)) / total
    calls, pairs, at = [], [], float(_TURNS_LEFT)
    for variant, reference in zip(mine, eager, strict=True):
        start = at
        for side, rounds in enumerate((reference, variant)):
            for seconds in rounds:
                calls.append((round(at, 1), side, max(round(seconds * scale - 0.6, 1), 0.4)))
                at += seconds * scale
            at += gap
        ratio = (sum(reference) / len(reference)) / (sum(variant) / len(variant))
        pairs.append((round(start, 1), round(at - gap, 1), times(ratio)))
    return _templates.get_template("turns.svg.jinja").render(
        width=_WIDTH, left=_TURNS_LEFT, calls=calls, pairs=pairs, variant=_TURNS_OF[0], seconds=f"{total:.2f} s")


def _is(bench: dict) -> bool:
    identity = bench["extra_info"]["identity"]
    batch, length = _TURNS_OF[1].split("×")
    return (identity["model"], identity["variant"], identity["workload"]) == (MODEL, _TURNS_OF[0],
                                                                              f"b{batch}-s{length}")


def _split(rounds: Sequence[float], counts: Sequence[int]) -> list[list[float]]:
    ends = [0]
    for count in counts:
        ends.append(ends[-1] + count)
    return [list(rounds[start:end]) for start, end in pairwise(ends)]
