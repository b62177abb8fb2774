"""What holds of every decision, whatever was measured."""

import copy
import itertools

import pytest
from decision_files import bench, cell, content
from hypothesis import given, settings
from hypothesis import strategies as st

from eagerbench.results.decision import CLASSES, Budget, Source, decide
from eagerbench.results.decision.candidates import known
from eagerbench.results.decision.comparing import Comparison
from eagerbench.results.decision.evidence import gather

NAMES = ("a", "b", "c", "d", "e")
quick = settings(max_examples=30, deadline=None)


@st.composite
def variants(draw, least: int = 1):
    """Benchmarks of eager and of a few variants."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=least, max_size=5, unique=True))
    found = [bench("eager", pairs=tuple(draw(spread())), mib=draw(st.integers(300, 600)))]
    for name in names:
        found.append(bench(  # noqa: PERF401
            name, draw(st.sampled_from((0.6, 0.95, 1.0, 1.02, 1.1, 2.0, 2.1, 4.0))), draw(st.sampled_from(CLASSES)),
            draw(st.sampled_from((1e-6, 0.01, 0.1, 0.7))), draw(st.integers(100, 600)),
            draw(st.sampled_from((0, 22, 87, 200))), tuple(draw(spread())), build_s=draw(st.sampled_from((0.0, 5.0)))))
    return found


def spread():
    """Ratios of pairs of turns, quiet or noisy, few or enough."""
    return st.one_of([st.lists(st.floats(1 / wide, wide), min_size=2, max_size=9, unique=True)
                      for wide in (1.01, 1.1, 1.5)])


@st.composite
def budgets(draw):
    fields = {"max_error": (0.005, 0.05, 0.5), "max_latency_ms": (30, 60, 99), "min_throughput": (50, 90, 200),
              "max_memory_mib": (200, 400, 550), "max_artifact_mib": (30, 90, 150), "max_build_s": (1, 4, 8),
              "tolerance_class": CLASSES, "calls": (1, 100, 100_000)}
    chosen = draw(st.lists(st.sampled_from(sorted(fields)), max_size=3, unique=True))
    return Budget(**{name: draw(st.sampled_from(fields[name])) for name in chosen},
                  objective=draw(st.sampled_from(("latency", "throughput", "memory", "size"))))


def verdict(benches, budget, **more):
    (found,) = decide([Source("a.json", content(*benches, **more))], budget).verdicts
    return found


def essence(found):
    """What is decided, without numbers."""
    return (found.choice, found.ties, sorted(found.front), found.nearest_miss and found.nearest_miss.variant,
            found.unjudged, {one.variant: one.fit for one in found.candidates})


def scaled(bench_, factor):
    """Every time of a benchmark `factor` times as long; a power of two, so that no ratio is rounded."""
    found = copy.deepcopy(bench_)
    record, stats = found["extra_info"], found["stats"]
    record["timing"]["reference_rounds"] = [factor * one for one in record["timing"]["reference_rounds"]]
    for name in ("build_s", "load_s", "first_call_s"):
        record["costs"][name] *= factor
    record["result"]["samples_per_s"] /= factor
    return {**found, "stats": {"median": factor * stats["median"], "data": [factor * one for one in stats["data"]]}}


@given(variants(), budgets(), st.sampled_from((2**-8, 0.5, 4, 64)))
@quick
def test_scaling_all_times_changes_nothing(benches, budget, factor):
    changed = {name: scale * value for name, scale in (("max_latency_ms", factor), ("max_build_s", factor),
                                                       ("min_throughput", 1 / factor))
               if (value := getattr(budget, name)) is not None}
    fields = {name: getattr(budget, name) for name in budget.__struct_fields__}
    assert essence(verdict(benches, budget)) == essence(
        verdict([scaled(one, factor) for one in benches], Budget(**{**fields, **changed})))


TIGHTER = {"max_error": 0.5, "max_latency_ms": 0.7, "min_throughput": 1.3, "max_memory_mib": 0.8, "max_steady_mib": 0.8,
           "max_artifact_mib": 0.6, "max_build_s": 0.5}


@given(variants(), budgets(), st.sampled_from(sorted(TIGHTER)))
@quick
def test_a_tighter_budget_never_adds(benches, budget, name):
    value = getattr(budget, name)
    loosest = {"min_throughput": 1e-9}.get(name, 1e9)
    tighter = Budget(**{**{field: getattr(budget, field) for field in budget.__struct_fields__},
                        name: (loosest if value is None else value) * TIGHTER[name]})
    before, after = verdict(benches, budget), verdict(benches, tighter)
    order = ("fits", "may fit", "unknown", "does not")
    for one in after.candidates:
        assert order.index(one.fit) >= order.index(before.of(one.variant).fit), one.variant
    assert after.choice is None or before.of(after.choice).fit == "fits"
    if before.choice is None:
        assert after.choice is None


@given(variants(), budgets(), st.data())
@quick
def test_a_dominated_variant_changes_nothing(benches, budget, data):
    better = data.draw(st.sampled_from(benches[1:]))["extra_info"]
    timing, costs = better["timing"], better["costs"]
    if timing["speedup_low"] is None:
        return
    error = max(0.0, 2 * (1 - better["correctness"]["cosine"])) ** 0.5
    ratio = 0.3 * timing["speedup_low"] ** 2 / timing["speedup_high"]
    shipped = costs["artifact_bytes"] or costs["parameter_bytes"]
    worse = bench("worse", ratio, better["correctness"]["tolerance_class"], error * 1.01 + 1e-6,
                  costs["peak_rss_bytes"] / 2**20 + 9, shipped / 2**20 + 9, build_s=costs["build_s"] + 1)
    before, after = verdict(benches, budget), verdict([*benches, worse], budget)
    assert "worse" not in (after.choice, *after.front)
    if budget.objective == "latency" and budget.calls is None:
        assert (before.choice, before.ties) == (after.choice, after.ties)
    assert (before.choice, before.front) == (after.choice, after.front)


@given(variants(), budgets(), st.randoms(use_true_random=False))
@quick
def test_the_order_of_rows_changes_nothing(benches, budget, random):
    cells = [cell(name, "failed", "output differs") for name in ("x", "y", "z")]
    shuffled, other = list(benches), list(cells)
    random.shuffle(shuffled)
    random.shuffle(other)
    assert verdict(benches, budget, cells=tuple(cells)) == verdict(shuffled, budget, cells=tuple(other))


@given(variants(least=2), budgets())
@quick
def test_ties_are_symmetric_and_nothing_beats_the_choice(benches, budget):
    subjects, _, _ = gather([Source("a.json", content(*benches))])
    found = known(subjects[0], [("latency", "b8-s128")], budget)
    compare = Comparison(budget)
    for a, b in itertools.permutations(found, 2):
        assert compare.tied(a, b) == compare.tied(b, a)
        assert not (compare.provably(a, b) and compare.provably(b, a))
    made = verdict(benches, budget)
    by_name = {one.variant: one for one in found}
    if made.choice is not None:
        for one in made.candidates:
            if one.fit == "fits" and made.choice != "eager":
                assert not compare.provably(by_name[one.variant], by_name[made.choice])
        for name in made.ties:
            assert compare.tied(by_name[name], by_name[made.choice])


@given(variants(), budgets())
@quick
def test_what_is_chosen_fits_and_eager_is_in(benches, budget):
    found = verdict(benches, budget)
    assert found.of("eager") is not None
    assert found.choice is None or found.of(found.choice).fit == "fits"
    assert all(found.of(name).fit == "fits" for name in found.ties)
    assert found.choice is not None or found.of("eager").fit != "fits"
    if found.nearest_miss:
        assert found.of(found.nearest_miss.variant).fit == "does not"


@pytest.mark.parametrize("kind", ["usable", "failed"])
def test_a_wrong_or_unusable_variant_is_never_chosen(kind):
    best = bench("best", 9.0, **({"usable": False, "unusable_reason": "busy"} if kind == "usable" else {}))
    rows = [bench("eager"), *([best] if kind == "usable" else [])]
    found = verdict(rows, Budget(), cells=() if kind == "usable" else (cell("best", "failed", "output differs"),))
    assert found.choice == "eager"
    assert [one.variant for one in found.excluded] == ["best"]
