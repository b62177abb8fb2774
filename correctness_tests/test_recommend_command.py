"""`eagerbench recommend`: what it prints and writes, its budget by flags and file, its exit codes."""

import json
import math
import shlex
from pathlib import Path

import jsonschema
import msgspec
import pytest
from decision_files import ALL, EAGER, FAILURES, bench, cell, content, decided
from rich.cells import cell_len
from running import run_python

from eagerbench import cli
from eagerbench.results import recommend, records
from eagerbench.results.decision import Budget, Source, budget, decide

DATA = Path(__file__).with_name("data")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(content(*ALL, cells=tuple(cell(name, *rest[:2]) for name, rest in FAILURES.items()))))
    return path


def test_the_command_prints_writes_and_exits(file, tmp_path, capsys):
    output = tmp_path / "decision.json"
    assert cli.main(["recommend", str(file), "--max-error", "0.05", "-o", str(output)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].startswith("Take `eager-bf16`: 4.4 times [4.3, 4.6] as fast as eager, 22.6 ms a call, error 0.012,")
    assert "Budget: --max-error 0.05; files: " in " ".join(shown)
    assert len(shown) <= 30
    assert max(map(cell_len, [line for line in shown if str(tmp_path) not in line])) <= 100
    assert json.loads(output.read_text())["verdicts"][0]["choice"] == "eager-bf16"
    assert cli.main(["recommend", str(file), "--max-latency-ms", "1"]) == 1
    assert "Take none" in capsys.readouterr().out


def test_a_toml_file_has_the_same_keys_and_flags_win(file, tmp_path, capsys):
    toml = tmp_path / "budget.toml"
    toml.write_text('max-error = 0.05\nmax-memory-mib = 300\nclass = "quantised"\nworkload = ["8x128"]\n'
                    'objective = "latency"\ncalls = 1000\n')
    assert cli.main(["recommend", str(file), "--budget", str(toml)]) == 0
    shown = capsys.readouterr().out
    assert "Take `openvino-bf16`" in shown
    assert ("Budget: --max-error 0.05 --max-memory-mib 300 --class quantised --workload 8x128 --calls 1000"
            in " ".join(shown.split()))
    assert cli.main(["recommend", str(file), "--budget", str(toml), "--max-error", "0.9"]) == 0
    assert "Take `openvino-int8`" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "said"), [
    ("max-eror = 1", "key 'max-eror': did you mean 'max-error'?"),
    ("max-error = 'x'", "max-error: expected float"),
    ("max-error = -1", "max-error: expected float >= 0"),
    ("max-error = nan", "max-error: nan is not a usable number"),
    ("max-latency-ms = 5\npercentile = 98", "percentile: "),
    ("percentile = 99", "give max-latency-ms too"),
    ("class = 'exact'", "class: "),
    ("max-error", "not TOML"),
    ("objective = 'speed'", "objective: "),
])
def test_a_wrong_budget_is_one_line_with_exit_code_2(file, tmp_path, capsys, text, said):
    toml = tmp_path / "budget.toml"
    toml.write_text(text)
    assert cli.main(["recommend", str(file), "--budget", str(toml)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--max-error", "x"], ["--calls", "0"], ["--percentile", "99"],
                                       ["--class", "none"], ["--model", "other"], ["--max-memory-mib", "inf"]])
def test_wrong_flags_exit_with_2(file, capsys, arguments):
    try:
        code = cli.main(["recommend", str(file), *arguments])
    except SystemExit as exit_:
        code = exit_.code
    assert code == 2
    assert capsys.readouterr().err


def test_no_file_missing_file_and_foreign_file(tmp_path, capsys):
    foreign = tmp_path / "foreign.json"
    foreign.write_text(json.dumps({"machine_info": {}, "benchmarks": [
        {"name": "test_sort", "fullname": "t.py::test_sort", "stats": {"median": 1.0, "data": [1.0]}}]}))
    for arguments, said in (([], "name a file"), ([str(tmp_path / "none.json")], "No such file"),
                            ([str(foreign)], "no record of eagerbench in it")):
        assert cli.main(["recommend", *arguments]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", ["nested", "older", "session"])
def test_older_files_are_decided(name, capsys):
    code = cli.main(["recommend", str(DATA / f"{name}.json")])
    shown = capsys.readouterr().out.splitlines()
    assert code == (1 if name == "older" else 0)
    assert any(line.startswith("Take ") for line in shown)
    assert len(shown) <= 30


def test_many_models_are_thirty_lines(capsys):
    benches = [bench(variant, ratio, model=f"model{index}") for index in range(40)
               for variant, ratio in (("eager", 1.0), ("openvino", 2.0), ("sdpa", 1.99))]
    shown = recommend.lines(decided(*benches))
    assert len(shown) <= 30
    assert any("more models" in line for line in shown)


def test_the_schema_is_printed(capsys):
    assert cli.main(["recommend", "--schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


def test_names_are_shown_safely():
    found = decided(EAGER, bench("x\x1b[31m", 3.0))
    assert "\x1b" not in "\n".join(recommend.lines(found))


def test_torch_is_not_imported(file):
    code = ("import sys\nfrom eagerbench import cli\n"
            f"cli.main(['recommend', {str(file)!r}, '--max-error', '0.05'])\nassert 'torch' not in sys.modules\n")
    assert run_python("-c", code).code == 0


def test_a_command_that_settles_is_one_that_runs():
    """`list-cases` with its options names the very cases that were compared."""
    (found,) = decide([Source("s", records.read(DATA / "session.json"))]).verdicts
    assert (found.choice, found.ties) == ("eager", ["sdpa"])
    program, run, *options = shlex.split(found.settle)
    assert (program, run) == ("eagerbench", "run")
    listed = run_python("-m", "eagerbench", "list-cases", *options)
    assert listed.code == 0, listed.err
    cases = [line.split()[-1] for line in listed.out.splitlines() if line.startswith("latency ")]
    assert cases == ["tiny-bert/eager/b2/s16/cpu", "tiny-bert/sdpa/b2/s16/cpu"]


def test_a_broken_command_keeps_options_with_their_values():
    text = "  To decide: eagerbench run test_latency.py --model " + "m" * 40 + " --variant " + "v" * 30 + " --threads 1"
    first, *lines = recommend.command_lines(text, 100)
    assert first == "  To decide:"
    assert all(line.startswith("    ") for line in lines)
    assert "".join(line.strip().removesuffix("\\") for line in lines) == text.partition(": ")[2]
    assert not any(line.split()[-2].startswith("--") for line in lines[:-1])


def test_limits_name_keys_of_the_budget():
    assert {limit.key for limit in budget.LIMITS} <= {field.name for field in msgspec.structs.fields(Budget)}
    assert all(math.isfinite(limit.scale) for limit in budget.LIMITS)
