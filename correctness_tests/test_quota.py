"""CPU quota and cpuset, read from trees as Linux, Docker and Kubernetes show them. None of these tests measures."""

from pathlib import Path

import pytest
from running import WITHOUT_PLUGINS, run_python

from eagerbench.experiments import threads
from eagerbench.machine import quota
from eagerbench.machine.quota import Quota, cpu_quota, cpu_stat_files, scarce, usable_cores, usable_cpus
from eagerbench.workloads import processes

V2 = "30 23 0:26 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = ("31 23 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
      "32 23 0:28 {root} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n")


def tree(root: Path, cgroup: str, mounts: str, files: dict[str, str]) -> Path:
    """A system with these control groups; `files` are below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" + mounts)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


CASES = {
    "own group": ("0::/a/b\n", V2.format(root="/"), {"a/b/cpu.max": "50000 100000"}, 0.5, "50000 100000"),
    "a group above": ("0::/a/b\n", V2.format(root="/"),
                      {"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 1.5, "150000 100000"),
    "the tightest of all": ("0::/a/b\n", V2.format(root="/"),
                            {"a/b/cpu.max": "400000 100000", "a/cpu.max": "25000 50000"}, 0.5, "25000 50000"),
    "no limit": ("0::/a\n", V2.format(root="/"), {"a/cpu.max": "max 100000"}, None, "max 100000"),
    "namespace: root is the container's group": ("0::/\n", V2.format(root="/"), {"cpu.max": "200000 100000"}, 2.0,
                                                 "200000 100000"),
    "mounted group, path of the host": ("0::/docker/c/app\n", V2.format(root="/docker/c"),
                                        {"app/cpu.max": "max 100000", "cpu.max": "50000 100000"}, 0.5, "50000 100000"),
    "mounted group, path of the namespace": ("0::/\n", V2.format(root="/docker/c"), {"cpu.max": "50000 100000"}, 0.5,
                                             "50000 100000"),
    "path above the namespace": ("0::/../../other\n", V2.format(root="/"), {"cpu.max": "50000 100000"}, 0.5,
                                 "50000 100000"),
    "version 1": ("4:cpu,cpuacct:/a/b\n3:cpuset:/\n", V1.format(root="/"),
                  {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "50000", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000"}, 0.5,
                  "50000 100000"),
    "version 1, a group above": (
        "4:cpu,cpuacct:/a/b\n", V1.format(root="/"),
        {"cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000",
         "cpu,cpuacct/a/cpu.cfs_quota_us": "300000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000"},
        3.0, "300000 100000"),
    "version 1, no limit": ("4:cpu,cpuacct:/\n", V1.format(root="/"),
                            {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, None,
                            "-1 100000"),
    "both versions, limit in 1": (
        "4:cpu,cpuacct:/a\n0::/x\n", V1.format(root="/") + V2.format(root="/"),
        {"cpu,cpuacct/a/cpu.cfs_quota_us": "50000", "cpu,cpuacct/a/cpu.cfs_period_us": "100000",
         "x/cpu.max": "max 100000"}, 0.5, "50000 100000"),
    "no control groups": ("", "", {}, None, ""),
    "garbage": ("nonsense\n0::/a\n", V2.format(root="/"), {"a/cpu.max": "much"}, None, ""),
}


@pytest.mark.parametrize("name", CASES)
def test_quota_is_the_tightest_of_the_own_group_and_those_above(tmp_path, name):
    cgroup, mounts, files, cores, text = CASES[name]
    assert cpu_quota(tree(tmp_path, cgroup, mounts, files)) == Quota(cores, text)


@pytest.mark.parametrize(("limit", "cpus", "threads"), [("50000 100000", 8, 1), ("150000 100000", 8, 2),
                                                        ("max 100000", 3, 3), ("900000 100000", 4, 4)])
def test_default_threads_are_the_affinity_or_the_quota_rounded_up(tmp_path, monkeypatch, limit, cpus, threads):
    monkeypatch.setattr(quota.os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
    assert usable_cores(tree(tmp_path, "0::/a\n", V2.format(root="/"), {"a/cpu.max": limit})) == threads


@pytest.mark.parametrize(("files", "expected"), [
    ({"a/cpuset.cpus.effective": "1-2,5"}, {1, 2, 5}),
    ({"a/cpuset.cpus.effective": "", "cpuset.cpus.effective": "0-3"}, {0, 1, 2, 3}),  # the parent's
    ({"a/cpuset.cpus.effective": "40-50"}, set(range(8))),  # of CPUs that the affinity has not: another namespace
    ({}, set(range(8)))])
def test_cpuset_narrows_the_affinity(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(quota.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cpus(tree(tmp_path, "0::/a\n", V2.format(root="/"), files)) == expected


def test_cpuset_of_version_1(tmp_path, monkeypatch):
    monkeypatch.setattr(quota.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    root = tree(tmp_path, "5:cpuset:/a\n", V1.format(root="/"), {"cpuset/a/cpuset.effective_cpus": "0,7"})
    assert usable_cpus(root) == {0, 7}


def test_throttling_is_counted_in_every_group(tmp_path):
    root = tree(tmp_path, "0::/a/b\n", V2.format(root="/"), {"a/cpu.stat": "nr_throttled 1", "cpu.stat": "x 1"})
    assert [file.parent.name for file in cpu_stat_files(root)] == ["a", "cgroup"]


def test_less_than_a_core_a_thread_is_said():
    assert scarce(1, Quota(None, "")) is scarce(2, Quota(2.0, "")) is None
    assert "0.5 cores, and this run has 1 thread: " in scarce(1, Quota(0.5, ""))
    assert "--threads 1" in scarce(2, Quota(1.5, ""))


def test_thread_layouts_have_no_more_instances_than_the_quota_fills(monkeypatch):
    from eagerbench.models import specs
    from eagerbench.selection import Selection

    monkeypatch.setattr(processes, "physical_cores", lambda: list(range(64)))
    monkeypatch.setattr(quota, "cpu_quota", lambda root=None: Quota(2.0, ""))
    monkeypatch.setattr(quota, "usable_cpus", lambda root=None: set(range(64)))
    selection = Selection((), (), "cpu", (), 2, 1.0, Path(), False, 0, "pinned", None, grid="full")
    layouts = threads.workloads(specs.resolve("tiny-bert", 0), selection)
    assert {layout.cores for layout in layouts} == {2}
    assert max(layout.instances for layout in layouts) == 2


def test_a_session_in_a_quota_defaults_to_it_and_says_so(tmp_path):
    """The plan and the header, in a process that sees half a core."""
    tree(tmp_path, "0::/a\n", V2.format(root="/"), {"a/cpu.max": "50000 100000"})
    program = ("import sys, pathlib, pytest\nfrom eagerbench.machine import quota\n"
               f"quota.cpu_quota.__defaults__ = quota.usable_cores.__defaults__ = (pathlib.Path({str(tmp_path)!r}),)\n"
               f"sys.exit(pytest.main([*{WITHOUT_PLUGINS}, 'perf_tests/test_latency.py', '--collect-only', '-q', "
               "'--model', 'tiny-bert', '--variant', 'eager', '-v']))")
    ended = run_python("-c", program)
    assert ended.code == 0, ended.out + ended.err
    assert "tiny-bert on cpu, 1 thread, " in ended.out
    assert "CPU quota: this control group may use 0.5 cores" in ended.out
