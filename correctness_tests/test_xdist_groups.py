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


TESTS = """
import pytest

@pytest.mark.parametrize("name", ["eager", "sdpa"])
@pytest.mark.parametrize("number", range(8))
def test_of_a_variant(number, name): pass
"""


def test_workers_keep_groups_together(tmp_path):
    """By a real session of two workers: what each says that it ran. Files come first."""
    from running import run_pytest

    (tmp_path / "test_variants.py").write_text(TESTS)
    (tmp_path / "test_file.py").write_text("def test_alone(): pass\n")
    ended = run_pytest("-p", "eagerbench.fixtures.plugin", "--rootdir", str(tmp_path), str(tmp_path), "-n2", "-v",
                       "--variant", "eager", "--variant", "sdpa")
    assert ended.code == 0, ended.out
    ran = [line.split() for line in ended.out.splitlines() if line.startswith("[gw")]
    workers = {name: {words[0] for words in ran if f"-{name}]" in words[-1]} for name in ("eager", "sdpa")}
    assert [len(of) for of in workers.values()] == [1, 1], ended.out
    assert sum(len(words) > 0 for words in ran) == 17
    first = [next(words[-1] for words in ran if words[0] == worker) for worker in ("[gw0]", "[gw1]")]
    assert any(name.endswith("::test_alone") for name in first), ended.out
