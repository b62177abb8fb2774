"""`recommend --qps N`: a variant is judged by the rate that it holds under load, from the serving experiment."""

import pytest
from decision_files import ALL, bench, verdict

from eagerbench.errors import BadInput
from eagerbench.results.decision import budget


def load(variant, rate, limit_ms=50.0, **more):
    high = None if rate is None else 1.1 * rate
    missing = "p99 is over 50 ms" if rate is None else None
    return bench(variant, 1.0, experiment="serving", workload=(1, 1), bench_id=f"m/{variant}/serving/b1/s1/cpu",
                 **{"p99_limit_s": limit_ms / 1e3, "queries_per_s": rate, "queries_per_s_low": rate,
                    "queries_per_s_high": high, "queries_missing": missing} | more)


BENCHES = (*ALL, load("eager", 40.0), load("openvino", 95.0), load("openvino-bf16", None))


def test_a_variant_that_holds_the_rate_is_taken():
    found = verdict(*BENCHES, qps=90, percentile=99)
    assert found.choice == "openvino"
    assert {found.of(name).fit for name in ("openvino-bf16", "eager")} == {"does not"}
    assert "95.0 queries/s at p99 ≤ 50 ms (one-by-one)" in found.text[0]


def test_a_variant_without_a_load_is_open():
    settle = verdict(*BENCHES, qps=90, percentile=99).of("eager-bf16").settle
    assert settle == "eagerbench run test_serving.py --model m --variant eager-bf16 --threads 1 --p99-ms 50"


def test_between_the_rate_that_held_and_the_one_that_did_not():
    assert verdict(*BENCHES, qps=100, percentile=99).of("openvino").fit == "may fit"
    assert verdict(*BENCHES, qps=106, percentile=99).of("openvino").fit == "does not"
    carried = load("openvino", 95.0, queries_per_s_high=None, limited_by="load generator")
    assert verdict(*ALL, carried, qps=106).of("openvino").fit == "may fit"  # it may carry any rate above
    offline = load("openvino", 95.0, queries_per_s_high=None, limited_by="throughput", offline_per_s=96.0)
    assert verdict(*ALL, offline, qps=106).of("openvino").fit == "does not"


def test_a_looser_limit_than_the_budget_says_nothing():
    tighter = verdict(*BENCHES, qps=90, percentile=99, max_latency_ms=20).of("openvino")
    assert tighter.fit == "unknown"
    assert "max-latency-ms" not in {limit.limit for limit in tighter.judged}  # it is the limit under load
    both = verdict(*BENCHES, qps=90, max_latency_ms=200).of("openvino")
    assert {limit.limit: limit.fit for limit in both.judged} == {"max-latency-ms": "fits", "qps": "fits"}


def test_the_best_policy_counts():
    dynamic = load("eager", 120.0)
    dynamic["extra_info"]["identity"] |= {"workload": "b8-s1", "bench_id": "m/eager/serving/b8/s1/cpu"}
    assert verdict(*BENCHES, dynamic, qps=110, percentile=99).of("eager").fit == "fits"


def test_the_policy_that_carries_the_rate_is_said():
    """A rate of two instances is nothing that one process carries."""
    several = load("openvino", 150.0, instances=2, instance_threads=1)
    several["extra_info"]["identity"] |= {"workload": "b1-s2", "bench_id": "m/openvino/serving/b1/s2/cpu"}
    found = verdict(*BENCHES, several, qps=90, percentile=99)
    assert "150 queries/s at p99 ≤ 50 ms (one-by-one, 2 × 1 thread)" in found.text[0]
    assert found.of("openvino").queries_per_s.basis == "one-by-one, 2 × 1 thread"


def test_another_percentile_is_refused():
    with pytest.raises(BadInput, match="qps is measured at percentile 99"):
        budget.from_values({"qps": 10, "percentile": 90}, "budget.toml")
