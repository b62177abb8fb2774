"""Decisions from several files: processes of one machine, and files that do not go together."""

import pytest
from decision_files import BF16, EAGER, MACHINE, PAIRS, bench, content, verdict

from eagerbench.errors import BadInput
from eagerbench.results import decision
from eagerbench.results.decision import Budget, Source


def test_several_processes_are_units():
    def sources(count, ratios):
        return [Source(f"{index}.json", content(EAGER, bench("openvino", ratios[index % len(ratios)])))
                for index in range(count)]

    def speedup(count, ratios=(1.2, 1.6)):
        return decision.decide(sources(count, ratios), Budget()).verdicts[0].of("openvino").speedup

    assert speedup(2).low < 1.2 < 1.6 < speedup(2).high  # they disagree: wider than either
    sure = speedup(2, (1.4,))
    assert 1 < sure.high / sure.low < speedup(1, (1.4,)).high / speedup(1, (1.4,)).low
    assert speedup(6).basis == "6 processes"
    assert speedup(40).low > speedup(6).low


def test_a_better_measurement_settles_a_tie():
    noisy = tuple(one**5 for one in PAIRS)
    first = content(EAGER, bench("a", 2.0, pairs=noisy), bench("b", 2.2, pairs=noisy))
    again = content(bench("a", 2.0, pairs=PAIRS * 3), bench("b", 2.2, pairs=PAIRS * 3))
    (one,) = decision.decide([Source("first", first)], Budget()).verdicts
    (both,) = decision.decide([Source("first", first), Source("again", again)], Budget()).verdicts
    assert (one.choice, one.ties) == ("b", ["a"])
    assert (both.choice, both.ties) == ("b", [])


def test_files_of_two_machines_are_refused():
    other = {**MACHINE, "release": "6.2"}
    with pytest.raises(BadInput, match=r"a\.json and b\.json are not known to be of one machine and environment "
                                       r"\(kernel: 6\.1 → 6\.2\)"):
        decision.decide([Source("a.json", content(EAGER)), Source("b.json", content(BF16, machine=other))], Budget())


def test_another_machine_in_a_merged_file_is_excluded_and_another_environment_is_not():
    elsewhere = bench("openvino-int8", 7.5, "quantised", 0.1, machine_differences=["CPU: a CPU → another"])
    packages = bench("ipex", 2.0, machine_differences=["torch: 2.13.0 → 2.8.0"])
    found = verdict(EAGER, elsewhere, packages)
    assert found.choice == "ipex"
    assert [(one.variant, one.kind) for one in found.excluded] == [("openvino-int8", "another machine")]
