"""The verdict on duets: each rule of the judge."""

import copy
import math

import pytest
from analysis_files import CONTROLS, drawn, duet, entries, noise_floor, pair

from eagerbench.gate.judge import SUITE, judge, pairs_to_confirm
from eagerbench.results import fingerprint

MACHINE = fingerprint.of(duet([])["machine_info"])
SLOW = {"b1": math.log(1.08)}


def statuses(verdict: dict) -> dict[str, str]:
    return {bench: entry["status"] for bench, entry in entries(verdict).items()}


def screen_and_confirm(slow: dict[str, float], **changes) -> list[dict]:
    return [drawn(1, slow), drawn(2, slow, "confirm", pairs=12, **changes)]


def test_same_bits_again():
    duets = screen_and_confirm(SLOW)
    assert judge(duets) == judge(copy.deepcopy(duets))


def test_confirmed_slowdown_names_one_benchmark():
    verdict = judge(screen_and_confirm(SLOW))
    assert verdict["exit_code"] == 1
    assert [bench for bench, status in statuses(verdict).items() if status != "OK"] == ["b1"]
    found = entries(verdict)["b1"]
    assert found["status"] == "REGRESSED"
    assert found["low"] <= 1.08 <= found["high"]
    assert found["p"] == 2.0**-12


def test_same_code():
    verdict = judge([drawn(3, {})])
    assert set(statuses(verdict).values()) == {"OK"}
    assert (verdict["outcome"], verdict["exit_code"], verdict["next"]) == ("OK", 0, None)
    assert all(entry["could_show"] >= 1.05 for entry in verdict["benchmarks"])


def test_screen_alone_makes_suspects_and_no_verdict():
    verdict = judge([drawn(1, SLOW)])
    assert (verdict["outcome"], verdict["exit_code"]) == ("SUSPECT", 3)
    assert entries(verdict)["b1"]["status"] == "SUSPECT"
    assert verdict["next"] == {"stage": "confirm", "benchmarks": ["b1"], "pairs": 10}


def test_suspect_mean_of_the_suite_is_confirmed_on_all_of_it():
    slow = dict.fromkeys(("b0", "b1", "b2", "b3", "b4"), math.log(1.035))
    verdict = judge([drawn(1, slow)])
    assert entries(verdict)[SUITE]["status"] == "SUSPECT"
    assert verdict["next"]["benchmarks"] == ["b0", "b1", "b2", "b3", "b4"]
    partly = [drawn(1, slow), drawn(2, slow, "confirm", pairs=12, benches=3)]
    assert entries(judge(partly))[SUITE]["stage"] == "screen"


@pytest.mark.parametrize(("suspects", "pairs"), [(1, 10), (2, 10), (3, 11), (12, 13), (25, 14)])
def test_pairs_to_confirm(suspects, pairs):
    assert pairs_to_confirm(suspects) == pairs
    assert suspects * 2.0**-pairs <= 0.01 / 2


def test_confirming_pairs_alone():
    assert judge([drawn(2, SLOW, "confirm", pairs=12)])["exit_code"] == 1


def test_slower_than_the_margin_but_not_by_the_floor_is_not_red():
    verdict = judge(screen_and_confirm({"b1": math.log(1.04)}))
    assert entries(verdict)["b1"]["p_adjusted"] <= 0.01
    assert entries(verdict)["b1"]["status"] == "OK"  # surely slower, surely by less than the floor
    assert verdict["exit_code"] == 0


def test_too_few_pairs_are_inconclusive_and_say_how_many_would_do():
    few = judge([drawn(2, SLOW, "confirm", pairs=4)])
    assert entries(few)["b1"]["status"] == "INCONCLUSIVE"
    assert entries(few)["b1"]["pairs_to_settle"] == 10
    noisy = judge(screen_and_confirm({"b1": math.log(1.04)}, spread=0.03))
    found = entries(noisy)["b1"]
    assert found["status"] == "INCONCLUSIVE"
    assert found["pairs_to_settle"] is None or found["pairs_to_settle"] > found["pairs"]
    assert noisy["exit_code"] == 0
    assert judge(noisy["duets"], strict=True)["exit_code"] == 3


def test_improvement_is_reported_and_never_red():
    verdict = judge(screen_and_confirm({"b1": -math.log(1.2)}))
    assert entries(verdict)["b1"]["status"] == "IMPROVED"
    assert verdict["exit_code"] == 0


@pytest.mark.parametrize(("changes", "says"), [
    ({"control": math.log(1.03)}, "control/matmul moved by +3"),
    ({"null": math.log(1.015)}, "base against base moved by +1."),
    ({"null": -math.log(1.015)}, "base against base moved by -1."),
])
def test_contaminated_is_never_red(changes, says):
    verdict = judge(screen_and_confirm(SLOW, **changes))
    assert entries(verdict)["b1"]["status"] == "CONTAMINATED"
    assert (verdict["outcome"], verdict["exit_code"]) == ("CONTAMINATED", 3)
    assert any(says in line for line in verdict["stages"]["confirm"]["contaminated"])


def test_a_control_that_only_scatters_contaminates_nothing():
    """Half of its pairs on each side of 1: nothing says that the machine moved, whatever their middle is."""
    duets = screen_and_confirm(SLOW)
    for stage in duets:
        heads = [one for one in stage["pairs"] if one["arm"] == "head"]
        for index, one in enumerate(heads):
            one["benchmarks"]["control/matmul"]["log_ratio"] = 0.1 if index % 2 else -0.04
    verdict = judge(duets)
    moved = verdict["stages"]["confirm"]["controls"]["control/matmul"]
    assert moved["ratio"] > 1.02
    assert moved["low"] < 1 < moved["high"]
    assert verdict["outcome"] == "REGRESSED"


def test_own_null_arm_that_moved_half_as_far_is_never_red():
    duets = screen_and_confirm(SLOW)
    for one in duets[1]["pairs"]:
        if one["arm"] == "null":
            one["benchmarks"]["b1"]["log_ratio"] = math.log(1.045)
    verdict = judge(duets)
    assert not verdict["stages"]["confirm"]["contaminated"]
    assert entries(verdict)["b1"]["status"] == "CONTAMINATED"
    assert verdict["exit_code"] == 3


@pytest.mark.parametrize("lacking", ["null", "control"])
def test_no_red_without_null_arm_and_control(lacking):
    duets = screen_and_confirm(SLOW, **({"null_pairs": 2} if lacking == "null" else {}))
    if lacking == "control":
        for one in duets[1]["pairs"]:
            for name in CONTROLS:
                del one["benchmarks"][name]
    verdict = judge(duets)
    assert entries(verdict)["b1"]["status"] == "INCONCLUSIVE"
    assert verdict["exit_code"] == 0


def test_suspect_that_was_not_measured_again_counts_in_the_family():
    slow = {"b1": math.log(1.08), "b2": math.log(1.08)}
    alone = drawn(2, slow, "confirm", pairs=12)
    for one in alone["pairs"]:
        one["benchmarks"] = {name: ratio for name, ratio in one["benchmarks"].items()
                             if name == "b1" or name in CONTROLS}
    verdict = judge([drawn(1, slow), alone])
    assert entries(verdict)["b2"]["status"] == "SUSPECT"
    assert entries(verdict)["b1"]["p_adjusted"] >= 2 * entries(verdict)["b1"]["p"]


@pytest.mark.parametrize(("failed", "listed"), [
    ({"b9": "vanished"}, "vanished"), ({"b9": "head: AssertionError"}, "failed"),
])
def test_vanished_and_failed_benchmarks_have_their_own_exit_code(failed, listed):
    content = drawn(3, {})
    for one in content["pairs"][:6]:
        one["failed"] = {**failed, "b8": "new"}
    verdict = judge([content])
    assert (verdict["outcome"], verdict["exit_code"], verdict["new"]) == ("BROKEN", 4, ["b8"])
    assert list(verdict[listed]) == ["b9"]


@pytest.mark.parametrize(("reason", "pairs"), [
    ("base: AssertionError", 6), ("base: no space left; head: no space left", 6),
    ("head was silent for 600 s at b9", 1), ("null ended with status 9 at b9", 4),
])
def test_what_is_not_heads_fault_is_told_and_breaks_nothing(reason, pairs):
    """A pull request that mends base's failure is not red for it, nor for one time-out."""
    content = drawn(3, {})
    for one in content["pairs"][:pairs]:
        one["failed"] = {"b9": reason}
    verdict = judge([content])
    assert (verdict["outcome"], verdict["exit_code"], verdict["failed"]) == ("OK", 0, {"b9": reason})


def test_nothing_gated_is_no_pass():
    """A noise floor that was calibrated for another selection."""
    verdict = judge([drawn(3, {})], noise_floor(["other"], MACHINE))
    assert (verdict["outcome"], verdict["exit_code"]) == ("UNKNOWN", 3)


def test_the_mean_beside_a_suspect_is_not_measured_again():
    """One slow variant of few moves the mean: only that variant is measured again, and named."""
    slow = {"b1": math.log(1.3)}
    screen = drawn(1, slow)
    first = judge([screen])
    assert statuses(first)[SUITE] == "SUSPECT"
    assert first["next"]["benchmarks"] == ["b1"]
    again = drawn(2, slow, "confirm", pairs=12)
    for one in again["pairs"]:
        one["benchmarks"] = {name: ratio for name, ratio in one["benchmarks"].items() if name in ("b1", *CONTROLS)}
    verdict = judge([screen, again])
    assert statuses(verdict)["b1"] == "REGRESSED"
    assert (statuses(verdict)[SUITE], entries(verdict)[SUITE]["reason"]) == (
        "INCONCLUSIVE", "the suspects in it were measured again, it was not")


def test_null_arm_of_one_suspect_is_no_null_arm_of_the_suite():
    """Its five pairs scatter by more than the suite's limit of 1 %; it answers to its own null arm."""
    screen, again = screen_and_confirm(SLOW)
    for one in again["pairs"]:
        one["benchmarks"] = {name: ratio for name, ratio in one["benchmarks"].items() if name in ("b1", *CONTROLS)}
    for one in again["pairs"]:
        if one["arm"] == "null":
            one["benchmarks"]["b1"] = pair(0, "null", {"b1": 0.015})["benchmarks"]["b1"]
    assert statuses(judge([screen, again]))["b1"] == "REGRESSED"
    for one in again["pairs"]:
        if one["arm"] == "null":
            one["benchmarks"]["b1"] = pair(0, "null", {"b1": 0.045})["benchmarks"]["b1"]
    assert statuses(judge([screen, again]))["b1"] == "CONTAMINATED"


def test_regression_is_not_hidden_behind_a_vanished_benchmark():
    duets = screen_and_confirm(SLOW)
    duets[0]["pairs"][0]["failed"] = {"b9": "vanished"}
    assert judge(duets)["exit_code"] == 1


def test_lost_pairs_do_not_count():
    content = drawn(3, {"b1": 0.0})
    content["pairs"][0] |= {"valid": False, "reason": "head was killed by signal 9"}
    verdict = judge([content])
    assert verdict["lost_pairs"] == ["screen pair 0 (head): head was killed by signal 9"]
    assert entries(verdict)["b1"]["pairs"] == 5
    assert entries(verdict)["b1"]["status"] == "INCONCLUSIVE"
    for one in content["pairs"]:
        one["valid"] = False
    for nothing in (judge([content]), judge([duet([])])):
        assert (nothing["outcome"], nothing["exit_code"]) == ("NOT COMPARABLE", 3)


def test_noise_floor_decides_what_is_red():
    names = ("b0", "b1", "b2", "b3", "b4")
    duets = screen_and_confirm({"b1": math.log(1.04)})
    assert judge(duets)["exit_code"] == 0
    assert judge(duets, noise_floor(names, MACHINE))["exit_code"] == 1
    elsewhere = judge(duets, noise_floor(names, {"CPU": "another"}))
    assert elsewhere["exit_code"] == 0
    assert entries(elsewhere)["b1"]["source"] == "calibrated on another machine: not below the default"
    missing = judge(duets, noise_floor(names[2:], MACHINE))
    assert entries(missing)["b1"]["status"] == "UNKNOWN"
    assert missing["exit_code"] == 0
    noisy = judge(duets, noise_floor(names, MACHINE, b1={"floor": None, "margin": None}))
    assert "too noisy to gate" in entries(noisy)["b1"]["reason"]
    duets[1]["machine_info"] = {**duets[1]["machine_info"], "threads": 1}  # confirmed on another machine
    assert judge(duets, noise_floor(names, MACHINE))["exit_code"] == 0
    for says_nothing in (noise_floor(names[2:], MACHINE), noise_floor(names, MACHINE, b1={"floor": None})):
        assert entries(judge(duets, says_nothing))["b1"]["floor"] == 0.05
