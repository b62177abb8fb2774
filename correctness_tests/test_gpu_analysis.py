"""Tables and statements of GPU files, on files whose numbers are made up."""

import copy

import pytest
from analysis_files import analysis, saved
from gpu_files import gpu_file, padding, record, usual

from eagerbench.results import gpu, older, records, summary
from eagerbench.results.statements import DOES_NOT, HOLDS, NOT_MEASURED, judge, published, records_of
from eagerbench.results.thin import thinned
from eagerbench.statistics import paired_log_ratios, ratio_of_pairs

STATEMENTS = {one["id"]: one for one in published()[1]}
OF_GPUS = [name for name, one in STATEMENTS.items() if "cuda" in str(one["rule"])]


def verdict(name, content):
    judged = judge(STATEMENTS[name], records_of(content))
    return judged.verdict, [round(seen.number, 3) for seen in judged.observations]


def test_statements_about_gpus_hold():
    assert verdict("gpu-batch-32", usual()) == (HOLDS, [32.0])
    assert verdict("gpu-over-cpu", usual()) == (HOLDS, [100.0])
    assert verdict("gpu-fast-path-small", usual()) == (HOLDS, [1.2])
    assert verdict("gpu-fast-path-padding", usual()) == (HOLDS, [0.6])
    onnx = gpu_file(record("onnxruntime", 1, "cuda:0", 0.002, speedup_low=2.0))
    assert verdict("gpu-onnx-batch-1", onnx) == (HOLDS, [2.0])
    for name, ratio, bits in (("8-bit-quarter", 0.26, "bnb-int8"), ("4-bit-eighth", 0.13, "bnb-nf4")):
        small = gpu_file(record(bits, 1, "cuda:0", 0.01, engagement_footprint_ratio=ratio))
        assert verdict(name, small) == (HOLDS, [ratio])


def test_statements_about_gpus_do_not_hold():
    slow = gpu_file(record("eager", 1, "cuda:0", 0.005), record("eager", 32, "cuda:0", 0.05),
                    record("eager", 32, "cpu", 0.5), padding("eager", 1.2), padding("bettertransformer-nested", 2.0),
                    record("bettertransformer", 1, "cuda:0", 0.01, speedup_low=0.4),
                    record("onnxruntime", 1, "cuda:0", 0.01, speedup_low=0.4))
    assert {name: verdict(name, slow)[0] for name in OF_GPUS} == dict.fromkeys(OF_GPUS, DOES_NOT)


@pytest.mark.parametrize("name", OF_GPUS)
def test_statements_about_gpus_are_not_measured_on_a_cpu(name):
    on_cpu = gpu_file(record("eager", 1, "cpu", 0.005), record("eager", 32, "cpu", 0.01),
                      record("bettertransformer", 1, "cpu", 0.01, speedup_low=1.4), padding("eager", 1.2, "cpu"),
                      padding("bettertransformer-nested", 1.1, "cpu"), record("onnxruntime", 1, "cpu", 0.01))
    assert verdict(name, on_cpu) == (NOT_MEASURED, [])


def test_a_ratio_stays_on_one_device_unless_the_rule_compares_devices():
    rule = {"ratio": "samples_per_s", "by": ["model"], "among": {"variant": "eager"}, "over": {"batch_size": 32},
            "under": {"batch_size": 1}, "holds": {"above": 1}}
    apart = gpu_file(record("eager", 32, "cuda:0", 0.005), record("eager", 1, "cpu", 0.5))
    assert judge({"rule": rule}, records_of(apart)).verdict == NOT_MEASURED
    across = {**rule, "over": {"device": "cuda*"}, "under": {"device": "cpu"}}
    assert [seen.number for seen in judge({"rule": across}, records_of(apart)).observations] == [3200.0]


def test_two_gpus_in_machines_with_one_cpu_stay_apart():
    other = copy.deepcopy(usual())
    other["machine_info"]["gpus"] = ["Another GPU"]
    machines = {one["machine"] for one in [*records_of(usual()), *records_of(other)]}
    assert machines == {"Made-up CPU, 16 cores, Made-up GPU", "Made-up CPU, 16 cores, Another GPU"}


def test_tables_of_a_gpu_file():
    by_title = {grid.title: grid for grid in gpu.tables(usual())}
    assert ["gpu", "Made-up GPU"] in by_title["the machine"].rows
    assert ["tf32 product", "400.0 TFLOP/s"] in by_title["the machine"].rows
    latency = by_title["bert-base: latency on the GPU"]
    assert latency.header == ["variant", "b1-s128", "b32-s128"]
    assert latency.rows[1] == ["bettertransformer", "4.00 (1.25 [1.20, 1.30])", "–"]
    own = by_title["bert-base: the GPU's own view"].rows[0]
    assert own == ["eager", "b32-s128", "5.00", "4.00", "500", "1755–1980", "power cap"]
    against = by_title["bert-base: eager on the GPU and on this machine's CPU"].rows
    assert against == [["b1-s128", "–", "5.00", "–", "1.0"], ["b32-s128", "500.0", "5.00", "100.0", "32.0"]]
    assert len(by_title["bert-base: cost of padding"].rows) == 3
    assert by_title["published statements about GPUs"].note.startswith("4 holds; 0 does not hold; 1 not measured")
    assert by_title["steps"].rows[1][:2] == ["latency/onnxruntime", "skipped"]
    assert all(len(grid.header) <= 7 for grid in by_title.values())


def test_command(tmp_path, capsys):
    file = saved(tmp_path, "result.json", gpu_file(record("eager", 1, "cuda:0", 0.005)))
    code, out, _ = analysis(capsys, "gpu", file, "--markdown")
    assert code == 0
    assert "| eager | 5.00 (1.00 [0.90, 1.10]) |" in out
    hot = record("eager", 1, "cuda:0", 0.005)
    hot["gpu"]["gpu_power_w"] = ["hot"]
    wrong = saved(tmp_path, "wrong.json", gpu_file(hot))
    code, _, err = analysis(capsys, "gpu", wrong)
    assert code == 2
    assert "gpu.gpu_power_w[0]: expected float | null, got str" in err


def test_a_file_without_a_gpu_has_tables_too(tmp_path, capsys):
    file = saved(tmp_path, "cpu.json", {**gpu_file(record("eager", 1, "cpu", 0.005)), "eagerbench": {}})
    code, out, _ = analysis(capsys, "gpu", file)
    assert code == 0
    assert "latency on the GPU" not in out


def test_the_summary_of_two_devices_keeps_them_apart():
    """`merge` puts sessions of both into one file: a row must not take the other device's number."""
    content = gpu_file(record("eager", 32, "cuda:0", 0.005, speedup_vs_eager=2.0), record("eager", 32, "cpu", 0.5))
    grids = summary.tables(content["benchmarks"], [], {"wall_s": 0.0, "measured_s": 0.0})
    titles = [grid.title for grid in grids if "speed-up" in grid.title]
    assert titles == ["bert-base on cuda:0: speed-up over eager", "bert-base on cpu: speed-up over eager"]


def made_rounds(turns):
    return [0.01 * (1 + turn) + 1e-5 * ((7 * index) % count) for turn, count in enumerate(turns)
            for index in range(count)]


@pytest.mark.parametrize("form", ["today", "older"])
def test_thinning_keeps_medians_and_says_so(form):
    turns, reference = [301, 299, 305], [151, 149, 155]
    one = record("eager", 1, "cuda:0", 0.005, variant_turns=turns, reference_turns=reference,
                 reference_rounds=made_rounds(reference))
    content = gpu_file(one)
    content["benchmarks"][0]["stats"]["data"] = made_rounds(turns)
    content["benchmarks"].append(copy.deepcopy(content["benchmarks"][0]))
    content["benchmarks"][1]["stats"]["data"] = [0.1, 0.2]
    content["benchmarks"][1]["extra_info"] = record("eager", 8, "cuda:0", 0.005)
    if form == "older":
        for bench in content["benchmarks"]:
            bench["extra_info"] = older.flat(bench["extra_info"])
    assert thinned(content, 10**7) is content
    small = thinned(content, 10_000)
    record_of, other = (older.topic(bench["extra_info"], "timing") for bench in small["benchmarks"])
    data = small["benchmarks"][0]["stats"]["data"]
    most = small["eagerbench"]["thinned"]["rounds_per_turn"]
    assert record_of["variant_turns"] == record_of["reference_turns"] == [most] * 3
    assert len(data) == 3 * most
    assert record_of["thinned_from_rounds"] == sum(turns)
    assert "thinned_from_rounds" not in other
    ratios = [ratio_of_pairs(paired_log_ratios(rounds, *rest)).value for rounds, *rest in (
        (made_rounds(turns), turns, made_rounds(reference), reference),
        (data, record_of["variant_turns"], record_of["reference_rounds"], record_of["reference_turns"]))]
    assert ratios[1] == pytest.approx(ratios[0], rel=0.002)
    assert records.problems(small) == []
    before = older.topic(content["benchmarks"][0]["extra_info"], "timing")
    assert sum(before["variant_turns"]) == 905  # the original is as it was
    assert "thinned to at most" in gpu.markdown(small)


@pytest.mark.parametrize(("place", "value"), [
    (("eagerbench",), []), (("eagerbench", "gpu_machine"), "x"), (("machine_info", "cpu"), 5),
    (("eagerbench", "gpu_machine", "facts"), [1]), (("eagerbench", "gpu_machine", "steps"), [{"step": 5}]),
    (("eagerbench", "gpu_machine", "facts", "peak_flops_per_s"), {"float32": "fast"}),
    (("eagerbench", "thinned"), {"rounds_per_turn": "\x1b"})])
def test_what_stands_around_the_records_is_checked(tmp_path, capsys, place, value):
    content = copy.deepcopy(usual())
    holder = content
    for name in place[:-1]:
        holder = holder[name]
    holder[place[-1]] = value
    file = saved(tmp_path, "gpu.json", content)
    code, out, err = analysis(capsys, "gpu", file)
    assert (code, out) == (2, "")
    assert err.startswith(f"{file}: {'.'.join(place)}")
