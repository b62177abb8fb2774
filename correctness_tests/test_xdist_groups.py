"""Tests of one variant share a worker; every other file stays together."""

import pytest

from eagerbench.fixtures.xdist_groups import group


@pytest.mark.parametrize(("nodeid", "expected"), [
    ("correctness_tests/test_outputs.py::test_matches_eager[sdpa-minilm]", "sdpa"),
    ("perf_tests/test_latency.py::test_latency[minilm-torchscript-freeze-bf16-b4-s32]", "torchscript-freeze-bf16"),
    ("correctness_tests/test_engagement.py::test_probe_sees_the_optimisation[bettertransformer-nested-tiny-bert]",
     "bettertransformer-nested"),
    ("correctness_tests/test_sessions.py::test_tables", "correctness_tests/test_sessions.py"),
    ("correctness_tests/test_workloads.py::test_padded_batch[shape0-left-tiny-bert]",
     "correctness_tests/test_workloads.py"),
])
def test_group(nodeid, expected):
    assert group(nodeid) == expected


def test_workers_keep_groups_together():
    """By a real session of two workers: what each says that it ran."""
    from running import run_pytest

    ended = run_pytest("correctness_tests/test_engagement.py", "-n2", "-v", "--variant", "eager", "--variant", "sdpa",
                       "-k", "probe")
    assert ended.code == 0, ended.out
    ran = [line.split() for line in ended.out.splitlines() if line.startswith("[gw")]
    workers = {name: {words[0] for words in ran if f"[{name}" in words[-1]} for name in ("eager", "sdpa")}
    assert [len(of) for of in workers.values()] == [1, 1], ended.out
