"""Adding a backend: one module and one registry line; then wrong outputs and silent fallbacks are caught."""

import json
import re

import pytest
from running import CONTRIBUTING, copy_of_project, run_pytest

EXAMPLE = re.search(r"```python\n(# eagerbench/backends/no_grad\.py\n.*?)```", CONTRIBUTING.read_text(), re.DOTALL)[1]
WITHOUT_A_MODEL = {"harness/no-op", "control/matmul", "control/copy"}
IN_THIS_PROCESS = ("-k", "not startup and not memory and not threads")  # test_processes.py has their wrong outputs
SELECTION = ("--model", "tiny-bert", "--variant", "no-grad", "--batch-sizes", "2", "--sequence-lengths", "8",
             "--grid", "smoke", "--threads", "1")


@pytest.fixture
def project(tmp_path):
    """`project(old, new)`: a copy of the project with the backend of docs/contributing.md, one text in it replaced."""

    def make(old: str = "", new: str = ""):
        assert old in EXAMPLE
        root = copy_of_project(tmp_path)
        (root / "eagerbench/backends/no_grad.py").write_text(EXAMPLE.replace(old, new) if old else EXAMPLE)
        registry = root / "eagerbench/backends/__init__.py"
        last_line = '    "onnxruntime",\n'
        registry.write_text(registry.read_text().replace(last_line, f'{last_line}    "no_grad",\n'))
        return root

    return make


def known_as(benchmark: dict) -> str:
    info = benchmark["extra_info"]
    return info["bench_id"] if "bench_id" in info else info["identity"]["bench_id"]


def bench(root, *chosen):
    """Run the example's cases; how it ended, and the ids that were saved."""
    file = root / "run.json"
    ended = run_pytest("perf_tests", "--benchmark-only", "-v", *chosen, *SELECTION, "--time-budget", "0.1",
                       "--benchmark-json", str(file), "--benchmark-save-data", cwd=root)
    content = json.loads(file.read_text())
    return ended, set(map(known_as, content["benchmarks"]))


@pytest.mark.slow
def test_it_appears_everywhere(project):
    root = project()
    listed = run_pytest("--list-cases", *SELECTION, cwd=root).out
    assert re.search(r"^latency +tiny-bert/no-grad/b2/s8/cpu$", listed, re.MULTILINE)
    ended, saved = bench(root)
    assert ended.code == 0, ended.out
    assert "tiny-bert/no-grad/b2/s8/cpu" in saved
    assert "test_latency[tiny-bert-no-grad-b2-s8]" in ended.out
    assert re.search(r"│ no-grad +│ \d timed", ended.out)
    for experiment in ("corpus/b2/sorted/n16", "padding/b4/s32/p50/one-batch", "length/b2/s8"):
        assert f"tiny-bert/no-grad/{experiment}/cpu" in saved
    tests = run_pytest("correctness_tests", "--collect-only", "-q", *SELECTION, cwd=root).out
    for name in ("test_outputs.py::test_matches_eager[no-grad-", "test_engagement.py::test_probe_sees",
                 "test_properties.py", "test_engagement.py::test_probe_misses",
                 "test_artifacts.py::test_fresh_process"):
        assert any(name in line and "no-grad" in line for line in tests.splitlines()), name
    ran = run_pytest("correctness_tests/test_outputs.py", "correctness_tests/test_engagement.py",
                     "correctness_tests/test_properties.py", "-k", "no-grad and (tiny-bert or misses or properties)",
                     *SELECTION, cwd=root)
    assert ran.code == 0, ran.out


@pytest.mark.parametrize("experiments", [("-k", "latency or corpus or harness or control"),
                                         pytest.param(IN_THIS_PROCESS, marks=pytest.mark.slow)])
def test_wrong_output_fails_and_leaves_no_time(project, experiments):
    root = project("return self.module(**native)", "return {'logits': self.module(**native).logits + 0.01}")
    ended, saved = bench(root, *experiments)
    assert ended.code == 1
    assert saved == WITHOUT_A_MODEL
    text = re.sub(r"[\s│]+", " ", ended.out)
    assert "output differs from eager beyond exact-math: logits: largest error 0.01 at (" in text
    assert not re.search(r"^test_latency\[tiny-bert-no-grad-b2-s8\] ", ended.out, re.MULTILINE)  # no row of a table
    assert re.search(r"│ no-grad +│ failed \(latency\): ", ended.out)


@pytest.mark.slow
def test_silent_fallback_is_caught_by_the_probe(project):
    ended, saved = bench(project("torch.no_grad()", "torch.inference_mode()"), *IN_THIS_PROCESS)
    assert ended.code == 1
    assert saved == WITHOUT_A_MODEL
    assert "not engaged: inference tensors" in ended.out


def test_the_projects_own_tests_do_not_mind(project):
    ended = run_pytest("correctness_tests/test_registry.py", "--benchmark-disable", "-rs", "-q", *SELECTION,
                       cwd=project())
    assert ended.code == 0, ended.out
    assert "give `no-grad` a row in docs/backends.md" in re.sub(r"\s+", " ", ended.out)
