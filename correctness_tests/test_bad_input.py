"""Bad options: one line that says what is wrong and what would be right; exit code 4."""

import time
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from running import run_pytest
from selections import planned, read

from eagerbench import backends
from eagerbench.errors import BadInput
from eagerbench.fixtures import options


@pytest.mark.parametrize(("given", "says"), [
    ({"model": ["minilmm"]}, "unknown model 'minilmm': did you mean 'minilm'"),
    ({"variant": ["onnxruntme"]}, "unknown variant 'onnxruntme': did you mean 'onnxruntime'"),
    ({"variant": ["sdpa", "zz*"]}, "unknown variant 'zz*': valid: eager"),
    ({"device": "gpu"}, "unknown device 'gpu': use cpu, cuda or cuda:N"),
    ({"grid": "ful"}, "unknown grid 'ful': did you mean 'full'"),
    ({"batch_sizes": "1,x"}, "--batch-sizes x: expected a whole number of at least 1"),
    ({"batch_sizes": "0"}, "--batch-sizes 0: expected"),
    ({"batch_sizes": "\x1b[31m\n1"}, r"--batch-sizes \x1b[31m\n1: expected"),
    ({"model": ["./\x1b[31m"]}, r"--model ./\x1b[31m: no such directory"),
    ({"batch_sizes": ""}, "--batch-sizes : expected"),
    ({"sequence_lengths": "-3"}, "--sequence-lengths -3: expected"),
    ({"sequence_lengths": "16,,32"}, "--sequence-lengths : expected"),
    ({"threads": "0"}, "--threads 0: expected"),
    ({"threads": "100000"}, "--threads 100000: this process may use"),
    ({"time_budget": "soon"}, "--time-budget soon: expected a number of seconds above 0"),
    ({"time_budget": "-1"}, "--time-budget -1: expected"),
    ({"time_budget": "nan"}, "--time-budget nan: expected"),
    ({"time_budget": "inf"}, "--time-budget inf: expected"),
    ({"seed": "x"}, "--seed x: expected a whole number of at least 0"),
    ({"peaks": "hree"}, "unknown --peaks value 'hree': did you mean 'here'? valid: fresh, here"),
    ({"wait_policy": "pasive"}, "unknown wait policy 'pasive': did you mean 'passive'"),
    ({"allocator": "pined"}, "unknown allocator 'pined': did you mean 'pinned'"),
    ({"summary_md": "/no/such/place/s.md"}, "--summary-md /no/such/place/s.md: expected a file in an existing"),
    ({"summary_md": "/tmp/" + "x" * 300}, "expected a file in an existing"),
    ({"summary_md": "~no-such-user/s.md"}, "write the path out"),
    ({"artifacts": "~no-such-user/a"}, "write the path out"),
    ({"model": ["~no-such-user/a"]}, "no such directory"), ({"model": ["x" * 5000]}, "no such directory"),
    ({"artifacts": "/proc/nowhere", "list_cases": False}, "name a directory that can be written"),
    ({"model": ["tiny-bert@layers=9"]}, "the model has 2 layers; layers=N keeps 1 to 1"),
    ({"model": ["no_such_module:build"]}, "there is no module 'no_such_module'"),
])
def test_one_line_that_helps(given, says):
    with pytest.raises(pytest.UsageError) as error:
        read(**given)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_lengths_that_no_model_takes():
    with pytest.raises(BadInput, match="--sequence-lengths 600,700: tiny-bert accepts at most 512 tokens; minilm acc"):
        planned(model=["tiny-bert", "minilm"], sequence_lengths="600,700")


@pytest.mark.parametrize(("given", "refused"), [
    ({"benchmark_timer": time.process_time}, "--benchmark-timer"), ({"benchmark_timer": time.perf_counter}, None),
    ({"benchmark_cprofile": "cumtime"}, "--benchmark-cprofile")])
def test_another_way_of_timing_is_refused(given, refused):
    config = SimpleNamespace(option=SimpleNamespace(**{"benchmark_timer": None, "benchmark_cprofile": None, **given}))
    with pytest.raises(BadInput, match=refused) if refused else nullcontext():
        options.refuse_other_timing(config)


def test_cuda_without_cuda():
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(pytest.UsageError, match="sees no CUDA device here"):
        read(device="cuda")


def test_shapes_replace_one_side_of_the_grid():
    assert read(batch_sizes="1,4", sequence_lengths="32").shapes == ((1, 32), (4, 32))
    assert read(batch_sizes="2").shapes == ((2, 128),)
    assert len(read(grid="full").shapes) == 35


def test_globs_keep_the_registry_order():
    ordered = tuple(name for name in backends.variants() if name == "sdpa" or name.startswith("onnx"))
    assert read(variant=["onnx*", "sdpa"]).variants == ordered


# Of each place that refuses one: an option's type, the selection, the plan, and a model that is loaded.
@pytest.mark.parametrize("arguments", [
    ("--batch-sizes", "a"), ("--list-cases", "--variant", "nope"),
    ("--list-cases", "--model", "tiny-bert", "--model", "minilm", "--sequence-lengths", "600,700"),
    *(pytest.param(words, marks=pytest.mark.slow) for words in (
        ("--model", "math:pi", "--benchmark-only", "perf_tests/test_latency.py", "--variant", "eager"),
        ("--model", "nope"), ("--variant", "nope"), ("--grid", "nope"), ("--device", "tpu"),
        ("--list-cases", "--model", "tiny-bert@layers=9"), ("--list-cases", "--model", "no_such_module:build"),
        ("--artifacts", "/proc/nowhere"), ("--benchmark-timer=time.process_time",),
        ("--benchmark-cprofile=cumtime", "perf_tests/test_latency.py", "--variant", "eager"))),
])
def test_exit_code_is_usage(arguments):
    ended = run_pytest(*arguments)
    assert ended.code == 4
    errors = [line for line in (ended.out + ended.err).splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1
    assert "Traceback" not in ended.out + ended.err
    assert "spent in warm-up" not in ended.out  # no empty table of results


@pytest.mark.parametrize("words", [("--benchmark-only",), *(
    pytest.param((how, "perf_tests/test_harness_overhead.py"), marks=pytest.mark.slow)
    for how in ("--benchmark-only", "--benchmark-disable"))])
def test_a_run_in_which_nothing_ran_is_exit_5(words):
    """Skipped, every case, for a reason that is on the screen; the controls beside them do not count."""
    ended = run_pytest("perf_tests/test_latency.py", *words, "--model", "tiny-bert", "--variant", "neuron", "--variant",
                       "cuda-graph", "--grid", "smoke")
    assert ended.code == 5, ended.out
    assert "nothing ran: every one of 4 cases was skipped (exit code 5)" in ended.out
    assert "2 of them: runs on cuda, not on cpu" in ended.out


def test_outcomes_count_what_ran():
    from types import SimpleNamespace as Report

    from eagerbench.fixtures.outcomes import Outcomes

    def outcomes(*reports):
        found = Outcomes([])
        for report in reports:
            found.pytest_runtest_logreport(report)
        return found.nothing_ran

    skipped = Report(case="a", when="setup", skipped=True, failed=False, passed=False, longrepr=("f", 1, "Skipped: x"))
    control = Report(when="call", skipped=False, failed=False, passed=True, times_itself=True)
    assert outcomes(skipped)
    assert outcomes(skipped, control)
    assert not outcomes(control)
    assert not outcomes(skipped, Report(case="b", when="call", skipped=False, failed=False, passed=True))
    assert not outcomes(skipped, Report(when="call", skipped=False, failed=False, passed=True, times_itself=False))
    assert not outcomes(skipped, Report(case="b", when="call", skipped=False, failed=True, passed=False))
