"""Which saved files are of one machine: what differs, and what is unknown."""

import json

import pytest
from analysis_files import MACHINE, analysis, noise_floor, saved
from saved_runs import NAMES, compared, runs, status

from eagerbench.results import fingerprint


@pytest.mark.parametrize("changed", [
    {"cpu": {}}, {"cpu": None}, {"cpu": {"brand": "Some CPU", "count": 2}},  # py-cpuinfo of before 2020
    {"cpu": {"brand": "Some CPU"}},
    {"cpu": {"brand_raw": "Unknown", "count": 2}}, {"release": ""}, {"machine": None}])
@pytest.mark.parametrize("more", [
    {"machine": "aarch64"}, {"processor": "arm"}, {"system": "Darwin"}, {"python_implementation": "PyPy"},
    {"cpu": {"brand": "Some CPU", "count": 2, "bits": 32}}, {"cpu": {"arch": "ARM_8"}},
    {"python_compiler": "Clang 15"}])
def test_two_machines_are_never_one(tmp_path, changed, more):
    """A slower machine is no slower commit, however little the files know of both."""
    one = {**MACHINE, "processor": "x86_64", "python_compiler": "GCC 13", **changed}
    one["cpu"] = one["cpu"] and {**one["cpu"], "bits": 64, "arch": "X86_64"}
    old = runs(tmp_path, "old", 7, 1, machine=one)
    new = runs(tmp_path, "new", 7, 2, {"b0": 0.5}, minute=5, machine={**one, **more})
    found = compared(old, new)
    assert found["tier"] > 2
    assert found["exit_code"] != 1


@pytest.mark.parametrize(("changed", "unknown"), [
    ({"cpu": {}}, "CPU, cores"), ({"cpu": {"count": 2}}, "CPU"),
    ({"cpu": {"count": 2, "brand_raw": " unknown"}}, "CPU"),
    ({"machine": ""}, "architecture"),
    ({"python_implementation": None}, "Python implementation")])
def test_what_no_file_knows_is_unknown_and_not_equal(tmp_path, changed, unknown):
    machine = {**MACHINE, **changed}
    old = runs(tmp_path, "old", 7, 1, machine=machine)
    new = runs(tmp_path, "new", 7, 2, {"b0": 0.5}, minute=5, machine=machine)
    found = compared(old, new, noise_floor(NAMES, fingerprint.of(machine)))
    assert (found["tier"], found["exit_code"]) == (3, 0)
    assert found["why"] == f"nothing says that it was one machine: unknown is {unknown}"
    assert set(status(found).values()) == {"NOT JUDGED"}


def test_what_one_file_knows_only_is_unknown(tmp_path):
    """Saved before there was such a field: no proof of another machine, and none of the same."""
    old = runs(tmp_path, "old", 7, 1)
    new = runs(tmp_path, "new", 7, 2, {"b0": 0.5}, minute=5, machine={**MACHINE, "wait_policy": "passive",
                                                                       "memory_bytes": 2**34})
    found = compared(old, new)
    assert (found["tier"], found["exit_code"]) == (3, 0)
    assert found["why"].endswith("unknown is memory, wait policy")
    assert found["differences"] == ["memory: not recorded → 17179869184", "wait policy: not recorded → passive"]


def test_a_field_that_a_file_between_lacks_still_differs(tmp_path):
    machines = MACHINE, {**MACHINE, "cpu": {"count": 2}}, {**MACHINE, "cpu": {"brand_raw": "Another", "count": 2}}
    first, second, third = (runs(tmp_path, f"m{index}-", 1, index, machine=machine)
                            for index, machine in enumerate(machines))
    assert compared([*first, *second], third)["tier"] == 4


def test_names_and_sizes_of_older_py_cpuinfo_are_the_same_machine():
    new = fingerprint.of({**MACHINE, "cpu": {"brand_raw": "X", "l2_cache_size": 262144, "vendor_id_raw": "V"}})
    old = fingerprint.of({**MACHINE, "cpu": {"brand": "X", "l2_cache_size": "256 KB", "vendor_id": "V"}})
    assert fingerprint.differences(old, new) == []


def test_a_noise_floor_of_another_machine_says_what_differs(tmp_path, capsys):
    (old,), (new,) = runs(tmp_path, "old", 1, 1), runs(tmp_path, "new", 1, 2)
    there = {**MACHINE, "cpu": {"brand_raw": "Another", "count": 4}, "release": "5.4"}
    floor = saved(tmp_path, "floor.json", noise_floor(NAMES, fingerprint.of(there)))
    found = compared([old], [new], json.loads(floor.read_text()))
    assert found["benchmarks"][0]["reason"] == ("the spread was recorded on another machine (CPU: Another → Some CPU; "
                                                "cores: 4 → 2 and 1 more)")
    code, out, _ = analysis(capsys, "compare", old, new, "--noise-floor", floor)
    assert code == 0
    assert all(line in out for line in ("CPU: Another → Some CPU", "cores: 4 → 2", "kernel: 5.4 → 6.1"))
    older = noise_floor(NAMES, {name: text for name, text in fingerprint.of(MACHINE).items() if name != "architecture"})
    assert "architecture: not recorded" in compared([old], [new], older)["benchmarks"][0]["reason"]


def test_fingerprint_of_this_machine_has_what_times_depend_on():
    from eagerbench.machine import facts as machine

    facts = {"cpu": {"brand_raw": "Some CPU", "flags": [f"flag{index}" for index in range(90)]}, "release": "6.1",
             **machine.facts(2, "pinned")}
    found = fingerprint.of(facts)
    assert {"CPU", "memory", "usable cores", "threads", "allocator", "kernel", "BLAS", "torch"} <= found.keys()
    assert found["CPU flags"].startswith("90 entries, sha256 ")
    assert fingerprint.differences(found, fingerprint.of({**facts, "threads": 1})) == ["threads: 2 → 1"]
    fewer = fingerprint.of({**facts, "cpu": {"brand_raw": "Some CPU", "flags": ["flag0"]}})
    assert [line.split(":")[0] for line in fingerprint.differences(found, fewer)] == ["CPU flags"]
