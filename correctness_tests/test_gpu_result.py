"""What `scripts/gpu.sh` makes of the files of its steps."""

import json

from analysis_files import benchmark_file, saved
from gpu_files import FACTS, gpu_file, record

from eagerbench.results import records
from scripts.gpu import result


def written(tmp_path, **files):
    (tmp_path / "steps").mkdir()
    for name, content in files.items():
        file = tmp_path / "steps" / f"{name.replace('__', '-')}.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    steps = [{"step": name.replace("__", "/"), "status": "done", "seconds": 1.0, "said": "1 timed"} for name in files]
    saved(tmp_path, "outcomes.json", {"python": "3.12.3", "steps": steps})
    said = result.write(tmp_path)
    file = tmp_path / "result.json"
    return said, json.loads(file.read_text()) if file.exists() else None


def test_files_become_one_in_the_order_of_the_steps(tmp_path):
    on_gpu = gpu_file(record("eager", 1, "cuda:0", 0.005), record("eager", 32, "cuda:0", 0.005))
    on_cpu = gpu_file(record("eager", 32, "cpu", 0.5))
    said, content = written(tmp_path, latency__eager=on_gpu, cpu__eager=on_cpu, facts=FACTS)
    names = [bench["extra_info"]["identity"]["bench_id"] for bench in content["benchmarks"]]
    assert names == [f"bert-base/eager/{place}" for place in ("b1/s128/cuda:0", "b32/s128/cuda:0", "b32/s128/cpu")]
    assert said.startswith("3 benchmarks in ")
    about = content["eagerbench"]["gpu_machine"]
    assert about["facts"]["gpu"] == "Made-up GPU"
    assert [one["step"] for one in about["steps"]] == ["latency/eager", "cpu/eager", "facts"]
    assert records.problems(content) == []
    tables = (tmp_path / "result.md").read_text()
    assert "### bert-base: eager on the GPU and on this machine's CPU" in tables
    assert "| b32-s128 | 500.0 | 5.00 | 100.0 | 32.0 |" in tables


def test_what_stands_twice_or_is_broken_costs_itself_alone(tmp_path, capsys):
    one = gpu_file(record("eager", 1, "cuda:0", 0.005))
    empty = benchmark_file({})
    said, content = written(tmp_path, latency__eager=one, padding__eager=one, cpu__eager="{", generation__x=empty)
    assert len(content["benchmarks"]) == 1
    assert said.startswith("1 benchmarks")
    assert "left out: " in capsys.readouterr().out


def test_steps_that_only_an_earlier_call_ran_are_listed_too(tmp_path):
    from scripts.gpu.running import Outcome, save

    save(Outcome("facts", "done", 9.0, "a GPU"), tmp_path)
    save(Outcome("latency/eager", "failed", 9.0, "as it was before"), tmp_path)
    _, content = written(tmp_path, latency__eager=gpu_file(record("eager", 1, "cuda:0", 0.005)))
    steps = content["eagerbench"]["gpu_machine"]["steps"]
    assert [(one["step"], one["status"]) for one in steps] == [("latency/eager", "done"), ("facts", "done")]


def test_nothing_measured_is_no_file(tmp_path):
    assert written(tmp_path, latency__eager="{") == ("no result: no step has measured anything", None)


def test_a_large_result_is_thinned_until_it_can_be_committed(tmp_path):
    turns = [2000, 2000, 2000]
    rounds = [0.001 + 1e-9 * index for index in range(6000)]
    made = {"variant_turns": turns, "reference_turns": turns, "reference_rounds": rounds}
    content = gpu_file(*(record("eager", batch, "cuda:0", 0.005, **made) for batch in range(1, 21)))
    for bench in content["benchmarks"]:
        bench["stats"]["data"] = rounds
    _, small = written(tmp_path, latency__eager=content)
    assert (tmp_path / "result.json").stat().st_size <= result.MOST_BYTES
    assert small["eagerbench"]["thinned"]["rounds_per_turn"] >= 3
    assert records.problems(small) == []
    assert "Raw rounds are thinned to at most" in (tmp_path / "result.md").read_text()
