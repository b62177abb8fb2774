"""The decision under a budget: each limit, ties, misses, what is excluded or open; and the command that prints it."""

import json

import jsonschema
import msgspec
import pytest
from decision_files import (
    ALL,
    BF16,
    EAGER,
    FAILURES,
    INT8,
    OPENVINO,
    PAIRS,
    bench,
    cell,
    content,
    decided,
    verdict,
)

from eagerbench.errors import BadInput
from eagerbench.results import decision, recommend
from eagerbench.results.decision import Budget, Source
from eagerbench.results.numbers import PERCENTILES


def fitting(found) -> set[str]:
    return {one.variant for one in found.candidates if one.fit == "fits"}


def test_the_fastest_that_fits_with_its_tie_and_the_nearest_miss():
    found = verdict(*ALL, max_error=0.05)
    assert (found.choice, found.ties) == ("eager-bf16", ["openvino-bf16"])
    assert found.nearest_miss.variant == "openvino-int8"
    assert found.nearest_miss.over[0].said == "error 0.72 is over your 0.05"
    assert found.nearest_miss.better.value == pytest.approx(7.5 / 4.42)
    assert found.text[0].startswith("Take `eager-bf16`: 4.4 times [4.3, 4.6] as fast as eager, ")
    assert found.text[1].startswith("`openvino-bf16` cannot be told apart from it")
    assert "--variant eager-bf16 --variant openvino-bf16" in found.text[2]
    (miss,) = [line for line in found.text if line.startswith("`openvino-int8` would be 1.70 times [1.")]
    assert miss.endswith("] faster still, but its error 0.72 is over your 0.05 (14.4 times as much).")


@pytest.mark.parametrize(("limit", "fits"), [
    ({"max_error": 0.01}, {"eager", "sdpa", "openvino", "openvino-bf16"}),
    ({"max_latency_ms": 30}, {"openvino-bf16", "eager-bf16", "openvino-int8"}),
    ({"min_throughput": 300}, {"openvino-bf16", "eager-bf16", "openvino-int8"}),
    ({"max_memory_mib": 300}, {"openvino", "openvino-bf16", "openvino-int8"}),
    ({"max_artifact_mib": 88}, {"openvino", "openvino-bf16", "openvino-int8"}),
    ({"tolerance_class": "exact-math"}, {"eager", "sdpa", "openvino"}),
    ({"tolerance_class": "reduced-precision"}, {"eager", "sdpa", "openvino", "openvino-bf16", "eager-bf16"}),
    ({"max_error": 0.01, "max_memory_mib": 300}, {"openvino", "openvino-bf16"}),
])
def test_every_limit_leaves_what_fits(limit, fits):
    assert fitting(verdict(*ALL, **limit)) == fits


def test_the_unfavourable_end_must_fit():
    def fit(allowed_ms):
        found = verdict(EAGER, BF16, max_latency_ms=allowed_ms)
        return found.of("openvino-bf16").fit, found.choice

    latency = verdict(BF16).of("openvino-bf16").places[0].latency_s
    assert latency.low < latency.value < latency.high
    assert fit(1e3 * latency.high * 1.001) == ("fits", "openvino-bf16")
    assert fit(1e3 * latency.value) == ("may fit", None)
    assert fit(1e3 * latency.low * 0.999) == ("does not", None)


def test_what_may_fit_is_open_with_a_command():
    found = verdict(EAGER, BF16, max_latency_ms=22.8)
    assert found.unjudged == ["openvino-bf16"]
    assert found.of("openvino-bf16").settle == (
        "eagerbench run test_latency.py --model m --variant openvino-bf16 --batch-sizes 8 --sequence-lengths 128 "
        "--threads 1 --time-budget 10")
    assert found.text[0] == "Take none: no variant is known to fit the budget."


def test_build_time_and_paying_it_back():
    slow_build = bench("torch-compile", 2.0, build_s=60.0)
    assert fitting(verdict(EAGER, slow_build, max_build_s=80)) == {"eager"}
    assert fitting(verdict(EAGER, slow_build, max_build_s=100)) == {"eager", "torch-compile"}
    few, many = (verdict(EAGER, slow_build, calls=calls) for calls in (100, 100_000))
    assert few.choice == "eager"
    assert many.choice == "torch-compile"
    paid = many.of("torch-compile").pays_back
    assert paid.value in (1200, 1201)
    assert paid.low < paid.value < paid.high  # 60 s, of 0.05 s a call
    assert "paid back after 1,20" in many.text[0]


def test_seconds_until_ready_come_from_the_startup_experiment():
    startup = {"experiment": "startup", "bench_id": "m/{}/startup/b8/s128/cpu", "startup_build_s": 0.0}
    ready = [bench(name, ratio, **startup | {"bench_id": startup["bench_id"].format(name), "startup_ready_s": seconds})
             for name, ratio, seconds in (("eager", 1.0, 9.0), ("openvino", 1.5, 2.0))]
    found = verdict(EAGER, OPENVINO, BF16, *ready, max_ready_s=4)
    assert found.choice == "openvino"
    assert found.unjudged == ["openvino-bf16"]
    assert found.of("openvino-bf16").settle == (
        "eagerbench run test_startup.py --model m --variant openvino-bf16 --threads 1")


def test_quality_without_labels_is_a_bound():
    def quality(variant, changed, sentences=1000):
        return bench(variant, experiment="quality", workload=(1, sentences), neighbours_changed=changed,
                     distinct_sentences=sentences)

    benches = [*ALL, quality("openvino-bf16", 0.002), quality("openvino-int8", 0.045)]
    found = verdict(*benches, max_quality_loss=0.01)
    assert found.choice == "openvino-bf16"
    assert found.of("openvino-int8").fit == "may fit"
    assert found.of("openvino-int8").quality_loss.high == pytest.approx(0.0598, abs=1e-3)  # of 45 in 1,000
    assert found.of("openvino-int8").settle.startswith("eagerbench run test_quality.py --model m --variant openvino-i")


def test_labels_say_what_neighbours_leave_open():
    def labelled(variant, loss, low, high):
        return bench(variant, experiment="quality", workload=(1, 900), metric="hit@1", items=1000, quality=0.3 - loss,
                     quality_eager=0.3, quality_loss=loss, quality_loss_low=low, quality_loss_high=high)

    neighbours = bench("openvino-int8", experiment="quality", workload=(1, 96), metric="neighbours kept", items=96,
                       quality=0.955, quality_eager=1.0, quality_loss=0.045, quality_loss_low=0.01,
                       quality_loss_high=0.1, neighbours_changed=0.045, distinct_sentences=96)
    found = verdict(*ALL, neighbours, labelled("openvino-int8", -0.001, -0.011, 0.009),
                    labelled("openvino-bf16", 0.02, 0.012, 0.03), max_quality_loss=0.01)
    assert found.choice == "openvino-int8"
    assert found.of("openvino-int8").quality_loss.basis == "hit@1 of 1,000"
    assert (found.of("openvino-bf16").fit, found.of("eager-bf16").fit) == ("does not", "unknown")


def test_a_quantised_checkpoint_is_what_is_shipped():
    memory = bench("bnb-nf4", experiment="memory", workload=(8, 129), weights_bytes=15 * 2**20,
                   loaded_from="quantised checkpoint")
    four_bits = bench("bnb-nf4", 2.0, "quantised-coarse", 0.6)
    assert fitting(verdict(EAGER, four_bits, max_artifact_mib=20)) == set()
    assert fitting(verdict(EAGER, four_bits, memory, max_artifact_mib=20)) == {"bnb-nf4"}


def test_steady_memory_is_asked_of_the_memory_experiment():
    """The peak of a variant that is made of float32 weights says nothing of what it has later."""
    def memory(variant, steady_mib):
        return bench(variant, experiment="memory", workload=(8, 129), mib=600, steady_rss_bytes=steady_mib * 2**20)

    fast = bench("bnb-nf4", 2.0, "quantised-coarse", 0.6, mib=600)
    found = verdict(EAGER, fast, memory("bnb-nf4", 150), memory("eager", 400), max_steady_mib=200)
    assert fitting(found) == {"bnb-nf4"}
    assert "600 MiB of memory at its peak, 150 MiB after that" in found.text[0]
    assert fitting(verdict(EAGER, fast, memory("bnb-nf4", 150), max_memory_mib=550)) == {"eager"}
    unknown = verdict(EAGER, fast, max_steady_mib=200)
    assert unknown.of("bnb-nf4").settle.startswith("eagerbench run test_memory.py --model m --variant bnb-nf4")


def test_a_workload_without_its_experiment_is_that_of_latency():
    corpus = [bench(name, experiment=experiment) for name in ("eager", "openvino")
              for experiment in ("memory", "startup")]
    assert verdict(EAGER, OPENVINO, *corpus, workload=["b8-s128"]).workloads == ["b8-s128"]
    assert verdict(EAGER, OPENVINO, *corpus, workload=["memory/b8-s128"]).workloads == ["memory/b8-s128"]
    with pytest.raises(BadInput) as refused:
        verdict(*corpus, workload=["b8-s128"])
    assert str(refused.value) == ("--workload b8-s128: 2 experiments have it; give --workload memory/b8-s128 or "
                                  "--workload startup/b8-s128")


@pytest.mark.parametrize(("percent", "needed"), PERCENTILES.items())
def test_a_percentile_needs_enough_calls(percent, needed):
    def found(calls):
        one = bench("openvino", 2.0, rounds=1, pairs=PAIRS * (calls // len(PAIRS)) + PAIRS[:calls % len(PAIRS)])
        return verdict(EAGER, one, max_latency_ms=60, percentile=percent).of("openvino")

    few, enough = found(needed - 1), found(needed)
    assert (few.fit, enough.fit) == ("unknown", "fits")
    assert few.places[0].percentile_missing == f"p{percent} needs {needed} calls, there are {needed - 1}"
    assert enough.places[0].percentile_s.value == pytest.approx(0.05 / 0.97)


def test_calls_of_one_turn_count_as_fewer_for_a_percentile():
    """One slow turn of ten: its 80 calls tell once, not 80 times, how often calls are slow."""
    steady = bench("a", 2.0, pairs=(1.0,) * 10, rounds=80)
    burst = bench("b", 2.0, pairs=(1.0,) * 9 + (0.5,), rounds=80)
    found = verdict(EAGER, steady, burst, max_latency_ms=60, percentile=95)
    assert found.of("a").fit == "fits"
    assert found.of("b").places[0].percentile_s.high is None
    assert found.of("b").fit == "may fit"


def test_every_named_workload_must_fit():
    small = 1, 128
    benches = [bench("eager", workload=small, eager_s=0.02), EAGER,
               bench("openvino", 3.0, workload=small, eager_s=0.02), bench("openvino", 1.2),
               bench("bf16", 2.0, "reduced-precision", 0.01, workload=small, eager_s=0.02),
               bench("bf16", 2.4, "reduced-precision", 0.01), bench("compile", 9.0, workload=small, eager_s=0.02)]
    both = verdict(*benches)
    assert both.workloads == ["b1-s128", "b8-s128"]
    assert both.choice == "bf16"  # √(2.0 × 2.4) against √(3.0 × 1.2)
    assert [(one.variant, one.kind, one.workload) for one in both.excluded] == [("compile", "not run", "b8-s128")]
    assert verdict(*benches, workload=["1x128"]).choice == "compile"
    assert verdict(*benches, workload=["b8-s128"]).choice == "bf16"
    assert verdict(*benches, workload=["8×128", "1×128"], max_latency_ms=60).choice == "bf16"
    assert fitting(verdict(*benches, workload=["8×128", "1×128"], max_latency_ms=60)) == {"bf16"}
    with pytest.raises(BadInput, match=r"no model has every workload of b2-s8; valid: b1-s128, b8-s128"):
        verdict(*benches, workload=["b2-s8"])


@pytest.mark.parametrize(("objective", "choice"), [("latency", "openvino-int8"), ("throughput", "openvino-int8"),
                                                   ("memory", "openvino-bf16"), ("size", "openvino-int8")])
def test_objectives(objective, choice):
    found = verdict(*ALL, objective=objective)
    assert found.choice == choice


def test_eager_wins_where_nothing_is_provably_faster():
    found = verdict(EAGER, bench("sdpa", 1.01), bench("slow", 0.8))
    assert (found.choice, found.ties) == ("eager", ["sdpa"])
    assert found.text[0].startswith("Take `eager`: no variant that fits is provably better than eager: 100 ms a call")
    assert verdict(EAGER).text[0].startswith("Take `eager`: only eager fits")


def test_eager_without_a_record_of_its_own_is_in():
    found = verdict(bench("slow", 0.8), bench("slower", 0.7), max_latency_ms=110)
    assert found.choice == "eager"
    assert found.of("eager").places[0].latency_s.value == pytest.approx(0.1)
    assert found.of("eager").places[0].throughput.value == pytest.approx(80)


def test_none_fits_and_never_the_best_of_those():
    found = verdict(*ALL, max_latency_ms=10)
    assert found.choice is None
    assert found.ties == []
    assert found.nearest_miss.variant == "openvino-int8"
    assert found.text[0] == "Take none: no variant fits the budget."
    assert found.text[1].startswith("Nearest miss: `openvino-int8`, but its latency 13.3 ms [12.")
    assert found.text[1].endswith("] is over your 10.0 ms (39% beyond at its worse end).")



def test_what_cannot_be_chosen_is_excluded_with_its_reason():
    cells = tuple(cell(name, status, reason) for name, (status, reason, _) in FAILURES.items())
    found = verdict(EAGER, BF16, cells=cells)
    assert {one.variant: one.kind for one in found.excluded} == {name: kind for name, (_, _, kind) in FAILURES.items()}
    assert {one.variant for one in found.excluded if one.settle} == {"loud", "later"}
    assert found.choice == "openvino-bf16"
    assert any(line.startswith("Left out, ") and "wrong output: `broken`" in line for line in found.text)


def test_an_unusable_record_is_never_chosen_and_a_fresh_one_is():
    loud = bench("openvino-int8", 7.5, "quantised", 0.1, usable=False, unusable_reason="other work")
    assert verdict(EAGER, loud).choice == "eager"
    assert [(one.variant, one.kind) for one in verdict(EAGER, loud).excluded] == [("openvino-int8", "unusable")]
    again = decision.decide([Source("a", content(EAGER, loud)), Source("b", content(INT8))], Budget())
    assert again.verdicts[0].choice == "openvino-int8"


def test_all_failed():
    cells = tuple(cell(name, "failed", "ValueError: no") for name in ("eager", "sdpa"))
    found = verdict(cells=cells)
    assert (found.choice, found.why) == (None, "nothing was measured that can be used")
    assert [one.variant for one in found.excluded] == ["eager", "sdpa"]
    assert recommend.lines(decided(cells=cells))


def test_too_few_pairs_are_open():
    found = verdict(EAGER, bench("openvino", 3.0, pairs=(1.0,)))
    assert found.choice == "eager"
    assert found.unjudged == ["openvino"]
    assert any(line.startswith("`openvino` is open: it has no interval") for line in found.text)


def test_a_record_that_cannot_be_read_is_excluded():
    bad = bench("bad", 9.0)
    bad["extra_info"]["costs"]["build_s"] = -1
    found = verdict(EAGER, OPENVINO, bad)
    assert (found.choice, found.excluded[0].kind, found.excluded[0].variant) == ("openvino", "unreadable", "bad")


def test_records_without_raw_rounds_are_compared_by_both_intervals():
    benches = [{**one, "stats": {"median": one["stats"]["median"]}} for one in ALL]
    found = verdict(*benches, max_error=0.05)
    assert {found.choice, *found.ties} == {"eager-bf16", "openvino-bf16"}
    assert verdict(*benches, max_latency_ms=100).choice is None  # no interval: nothing says that it fits


def test_the_front_is_what_nothing_provably_dominates():
    dominated = bench("worse", 1.2, artifact_mib=88, mib=260)  # than openvino in everything, and provably
    assert set(verdict(*ALL, dominated).front) == {"eager", "openvino", "openvino-bf16", "eager-bf16",
                                                   "openvino-int8"}  # sdpa takes more memory than openvino


def test_decision_json_fits_its_schema_and_comes_back():
    found = decided(*ALL, max_error=0.05, percentile=90, max_latency_ms=50, calls=1000, objective="throughput",
                    cells=(cell("gone", "failed", "crashed: SIGSEGV"),))
    saved = json.loads(json.dumps(decision.to_json(found), allow_nan=False))
    jsonschema.Draft202012Validator(decision.schema()).validate(saved)
    assert msgspec.convert(saved, decision.Decision) == found
    broken = {**saved, "verdicts": [{**saved["verdicts"][0], "choice": 3}]}
    assert not jsonschema.Draft202012Validator(decision.schema()).is_valid(broken)
