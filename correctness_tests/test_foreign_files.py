"""Files of other suites, other versions and other shells: what can be read is, and what cannot is listed."""

import json
import math

import pytest
from analysis_files import analysis, benchmark_file, complete_record, saved

from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import records

ROUNDS = {"a": [0.1, 0.2], "b": [0.3, 0.4], "c": [0.5, 0.6]}
FUNCTION = "test_f[<function f at 0x{:x}>]"


def with_stats(content: dict, index: int, **stats) -> dict:
    content["benchmarks"][index]["stats"] |= stats
    return content


@pytest.mark.parametrize("own", [5, None, "", [], {}, "5", "run 7", "a/b", True])
def test_fullname_counts_where_bench_id_is_not_ours(tmp_path, own):
    content = benchmark_file(ROUNDS, records={name: {"bench_id": own} for name in ROUNDS})
    assert records.load(saved(tmp_path, "run.json", content)).benchmarks.keys() == ROUNDS.keys()


def test_what_other_suites_call_seed_and_model_is_not_ours(tmp_path, capsys):
    """A seed drawn in every run would make every benchmark another one; `model` is no record of ours."""
    files = [saved(tmp_path, f"{seed}.json", benchmark_file(ROUNDS, records={
        name: {"seed": seed, "model": "resnet", "dtype": [seed], "inputs": {"n": seed}, "batch_size": 8,
               "variant": "cuda", "experiment": 3, "bench_id": seed} for name in ROUNDS})) for seed in (1, 2)]
    code, out, _ = analysis(capsys, "compare", *files)
    assert code == 0
    assert "another benchmark of this name" not in " ".join(out.split())
    assert records.problems(records.read(files[0])) == []
    code, _, err = analysis(capsys, "check", files[0])
    assert (code, err) == (4, f"{files[0]}: no record of eagerbench in it\n")
    for command in (("summary", files[0]), ("statements", files[0])):
        assert analysis(capsys, *command)[0] == 0
    assert "no record of eagerbench in it" in analysis(capsys, "summary", files[0])[1]
    assert analysis(capsys, "merge", *files, "--keep-first", "-o", tmp_path / "all.json")[0] == 0
    assert analysis(capsys, "plot", "corpus", files[0])[0] == 2


BAD = {"zero": {"median": 0, "data": []}, "NaN": {"median": math.nan, "data": None}, "round": {"data": [0.1, math.inf]},
       "text": {"median": "fast", "data": []}, "huge": {"median": 10**400, "data": []}}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_benchmark_costs_itself(tmp_path, capsys, name):
    good = saved(tmp_path, "good.json", benchmark_file(ROUNDS))
    bad = saved(tmp_path, "bad.json", with_stats(benchmark_file(ROUNDS), 1, **BAD[name]))
    for files, ends in (((bad, good), 3), ((good, bad), 4), ((bad, saved(tmp_path, "twin.json", json.loads(
            bad.read_text()))), 3)):
        code, out, err = analysis(capsys, "compare", *files)
        assert (code, err) == (ends, "")
        assert "unreadable" in out
        assert "1.000" in out  # the others are compared
    output = tmp_path / "merged.json"
    code, _, err = analysis(capsys, "merge", bad, good, "--keep-first", "-o", output)
    assert code == 4
    assert err.startswith(f"left out: {bad}: b: ")
    assert records.load(output).benchmarks.keys() == ROUNDS.keys()  # b of the other file


def test_a_bad_benchmark_hides_no_regression(tmp_path, capsys):
    sides = {}
    for side, minute, factor in (("old", 0, 1), ("new", 5, 1.5)):
        (tmp_path / side).mkdir()
        for index in range(8):
            when = f"2026-11-25T0{1 + index}:{minute:02}:00+00:00"
            content = benchmark_file({name: [factor * (second + index * 1e-3) for second in data]
                                      for name, data in ROUNDS.items()}, when)
            sides[side] = saved(tmp_path / side, f"{index}.json", with_stats(content, 2, median=0, data=[])).parent
    assert analysis(capsys, "compare", sides["old"], "--with", sides["new"])[0] == 1


def test_one_bad_record_costs_itself(tmp_path, capsys):
    names = [f"m/{variant}/b1/s8/cpu" for variant in ("eager", "sdpa", "onnxruntime")]
    content = benchmark_file({name: [0.1, 0.2] for name in names}, records={
        name: complete_record(name) for name in names})
    content["benchmarks"][1]["extra_info"]["correctness"]["cosine"] = ["\x1b[31m"]
    file = saved(tmp_path, "run.json", content)
    for command, shown in (("summary", "onnxruntime"), ("statements", "published statements"), ("check", "")):
        code, out, err = analysis(capsys, command, file)
        assert code == 4
        assert shown in out
        assert f"{names[1]}: correctness.cosine: expected float, got array" in " ".join((out + err).split())
        assert "\x1b" not in out + err
    content["benchmarks"] = content["benchmarks"][1:2]
    code, out, err = analysis(capsys, "summary", saved(tmp_path, "run.json", content))
    assert (code, out) == (2, "")
    assert err.startswith(f"{file}: {names[1]}: correctness.cosine")


def test_names_that_differ_by_an_address_are_one(tmp_path, capsys):
    old, new = (saved(tmp_path, f"{address}.json", benchmark_file({FUNCTION.format(address): [1.0],
                                                                   "test_g[0xff]": [1.0]}))
                for address in (0x7F0012AB, 0x7F99))
    assert records.load(old).benchmarks.keys() == {"test_f[<function f>]", "test_g[0xff]"}
    assert analysis(capsys, "compare", old, new)[0] == 0
    name = "test_h[C({}), 0x9e3779b97f4a7c15]"
    shown = [saved(tmp_path, f"shown{address}.json", benchmark_file({name.format(address): [1.0]}))
             for address in ("0x7f00aabbcc01", "0x55d0aabbcc02", "0x000001D8AABBCC03")]
    assert records.load_all(shown)[2].benchmarks.keys() == {name.format("")}
    both = benchmark_file({FUNCTION.format(1): [1.0], FUNCTION.format(2): [2.0], "other": [1.0]})
    run = records.load(saved(tmp_path, "both.json", both))
    assert run.benchmarks.keys() == {"other"}  # which of the two is which nobody knows
    assert "apart from an address" in run.unreadable["test_f[<function f>]"]


def test_a_name_that_stands_twice_costs_itself(tmp_path):
    content = benchmark_file(ROUNDS)
    content["benchmarks"] += content["benchmarks"][:1] * 2
    run = records.load(saved(tmp_path, "run.json", content))
    assert (run.benchmarks.keys(), run.unreadable) == ({"b", "c"}, {"a": "occurs twice"})


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_are_read(tmp_path, encoding):
    file = tmp_path / "run.json"
    file.write_bytes(json.dumps(benchmark_file({"é名": [1.0]}), ensure_ascii=False).encode(encoding))
    assert records.load(file).benchmarks.keys() == {"é名"}


def test_an_encoding_that_is_not_known_is_one_line(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_bytes('{"benchmarks": [{"fullname": "é"}]}'.encode("latin-1"))
    code, _, err = analysis(capsys, "compare", file, file)
    assert code == 2
    assert err == f"{file}: not JSON (byte 30 is no utf-8: invalid continuation byte); save it as UTF-8\n"


def test_shapes_of_other_versions(tmp_path, capsys):
    """Without data, with groups, params and profiles, and as pytest-benchmark 3 wrote them."""
    stats = {"min": 0.1, "max": 0.3, "mean": 0.2, "stddev": 0.1, "rounds": 3, "median": 0.2, "iqr": 0.1, "q1": 0.1,
             "q3": 0.3, "iqr_outliers": 0, "stddev_outliers": 1, "outliers": "1;0", "ld15iqr": 0.1, "hd15iqr": 0.3,
             "ops": math.inf, "total": 0.6, "iterations": 1}
    bench = {"group": "g|x", "name": "test_a[1]", "fullname": "t.py::test_a[1]", "params": {"n": 1}, "param": "1",
             "extra_info": {}, "options": {"disable_gc": False, "timer": "perf_counter"}, "stats": stats}
    profiled = {**bench, "fullname": "t.py::test_b", "params": None,
                "cprofile": [{"ncalls_recursion": "1", "cumtime": 0.1}]}
    old = {**bench, "fullname": "t.py::test_c"}
    del old["extra_info"], old["params"]
    content = {"machine_info": {"node": "x", "cpu": {"brand": "Some CPU"}}, "commit_info": {"id": "a"},
               "version": "3.4.1", "datetime": "2019-01-01T00:00:00", "benchmarks": [bench, profiled, old]}
    files = [saved(tmp_path, f"{side}.json", content) for side in ("old", "new")]
    assert len(records.load(files[0]).benchmarks) == 3
    code, out, _ = analysis(capsys, "compare", *files)
    assert (code in (0, 3), "t.py::test_c" in out) == (True, True)


def test_a_session_of_ours_has_every_experiment(capsys):
    """The file that the fuzzer mutates: of a real session, complete by its types, and without anything left out.

    But for calls from C++, which need a compiler, and for embeddings, whose records test_embeddings_experiment
    reads.
    """
    from fuzzing import DATA

    found = {record.get("experiment") for record in records.own(records.read(DATA))}
    assert found == set(EXPERIMENTS) - {"python", "embeddings"}
    assert analysis(capsys, "check", DATA)[0] == 0
    assert analysis(capsys, "summary", DATA)[0] == 0


@pytest.mark.parametrize("name", ["session", "older", "nested"])
def test_files_of_every_version_are_read(tmp_path, capsys, name):
    """Of version 0.1 and 0.2; `older` was measured on a busy machine and has unusable times."""
    from fuzzing import DATA

    file = DATA.with_name(f"{name}.json")
    assert analysis(capsys, "check", file)[0] == 0
    code, out, _ = analysis(capsys, "summary", file)
    measured = name != "older"
    assert (code, "speed-up over eager" in out, "times are in no table above" in out) == (0, measured, not measured)
    same = saved(tmp_path, "same.json", json.loads(file.read_text(encoding="utf-8")))
    code, out, err = analysis(capsys, "compare", file, same)
    assert (code, "REGRESSED" in out, err) == (0, False, "")
