"""`eagerbench gate`: outputs, exit codes, judging again, and files that cannot be judged."""

import json
import math
import re
import subprocess
import sys

import pytest
from analysis_files import MACHINE, analysis, drawn, noise_floor, saved
from running import ROOT, run_python

from eagerbench.gate import gate_html, judge
from eagerbench.results import fingerprint

SLOW = {"b1": math.log(1.08)}


@pytest.fixture
def files(tmp_path):
    return (saved(tmp_path, "screen.json", drawn(1, SLOW)),
            saved(tmp_path, "confirm.json", drawn(2, SLOW, "confirm", 12)))


def test_red_names_the_benchmark_in_every_output(tmp_path, capsys, files):
    verdict, markdown = tmp_path / "verdict.json", tmp_path / "summary.md"
    code, out, _ = analysis(capsys, "gate", *files, "--verdict", verdict, "--summary-md", markdown)
    assert code == 1
    for text in (" ".join(out.split()), markdown.read_text()):
        assert "Gate (tier 1, duet): REGRESSED" in text
        assert re.search(r"Slower: b1 by [78]\.\d% \(95 %: ", text)
        assert "a smaller one may stay unseen" in text
    content = json.loads(verdict.read_text())
    assert content["exit_code"] == 1
    assert content["seeds"] == [1, 1]
    assert content["thresholds"]["alpha"] == 0.01
    assert content["duets"][0] == json.loads(files[0].read_text())


def test_page_shows_every_pair_and_needs_no_network(tmp_path, capsys):
    bench = "<script>b</script>"
    duets = [json.loads(json.dumps(drawn(seed, SLOW, stage, pairs)).replace('"b1"', f'"{bench}"'))
             for seed, stage, pairs in ((1, "screen", 6), (2, "confirm", 12))]
    files = [saved(tmp_path, f"{duet['stage']}.json", duet) for duet in duets]
    page = tmp_path / "report.html"
    assert analysis(capsys, "gate", *files, "--html", page)[0] == 1
    text = page.read_text()
    assert "<h1>Gate (tier 1, duet): REGRESSED</h1>" in text
    assert '<td class="REGRESSED">REGRESSED</td>' in text
    assert '<th scope="row">&lt;script&gt;b&lt;/script&gt;</th>' in text
    assert bench not in text
    assert not re.search(r"<(script|link)[^>]+(src|href)=", text)
    verdict = judge.judge(duets)
    dots = {trace.name: trace for trace in gate_html.figure(verdict).data}
    shown = "&lt;script&gt;b&lt;/script&gt;"  # plotly reads HTML in its labels
    assert sum(name == shown for name in dots["head / base, a pair"].y) == 12  # of the confirming run
    assert sum(name == "b0" for name in dots["head / base, a pair"].y) == 6
    (entry,) = [entry for entry in verdict["benchmarks"] if entry["id"] == bench]
    place = dots["estimate, 95 % interval"].y.index(shown)
    assert dots["estimate, 95 % interval"].x[place] == pytest.approx(100 * (entry["ratio"] - 1))
    assert dots["estimate, 95 % interval"].error_x.arrayminus[place] == pytest.approx(
        100 * (entry["ratio"] - entry["low"]))
    code, _, err = analysis(capsys, "gate", *files, "--html", tmp_path / "missing" / "report.html")
    assert code == 2
    assert "report.html: cannot be written" in err


def test_page_of_nothing_to_judge(tmp_path, capsys):
    content = drawn(3, {}, pairs=1)
    for pair in content["pairs"]:
        pair |= {"valid": False, "reason": "time-out"}
    assert analysis(capsys, "gate", saved(tmp_path, "lost.json", content), "--html", tmp_path / "page.html")[0] == 3
    assert "NOT COMPARABLE" in (tmp_path / "page.html").read_text()


def test_verdict_is_judged_again_bit_for_bit(tmp_path, capsys, files):
    floor = saved(tmp_path, "floor.json", noise_floor(["b0", "b1"], fingerprint.of(MACHINE)))
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    assert analysis(capsys, "gate", *files, "--strict", "--noise-floor", floor, "--verdict", first)[0] == 1
    code, out, _ = analysis(capsys, "gate", first, "--verdict", second)
    assert code == 1
    assert first.read_bytes() == second.read_bytes()
    assert "Judged again: the same verdict, number for number." in out
    content = json.loads(first.read_text())
    content["benchmarks"][0]["ratio"] += 1e-15
    assert "Judged again: not what" in analysis(capsys, "gate", saved(tmp_path, "changed.json", content))[1]


def test_not_found_is_never_called_absent(tmp_path, capsys):
    for seed in (3, 4):
        code, out, _ = analysis(capsys, "gate", saved(tmp_path, "same.json", drawn(seed, {})))
        text = " ".join(out.split())
        assert code == 0
        assert "no regression" not in text.lower()
        shown = re.search(r"These pairs would nearly always show a slowdown of (\d\.\d)% in every benchmark", text)
        assert 5.0 < float(shown[1]) < 8.0  # half of those of just the floor, 5 %, stay unseen
    few = analysis(capsys, "gate", saved(tmp_path, "few.json", drawn(3, {}, pairs=3)))[1]
    assert "too few pairs to show anything" in " ".join(few.split())
    floor = saved(tmp_path, "floor.json", noise_floor(["b0"], fingerprint.of(drawn(3, {})["machine_info"])))
    unknown = analysis(capsys, "gate", saved(tmp_path, "same.json", drawn(3, {})), "--noise-floor", floor)[1]
    assert "UNKNOWN" in unknown
    assert "too few pairs to show anything" not in " ".join(unknown.split())


def test_output_that_nobody_reads_is_no_mistake(files):
    command = [sys.executable, "-m", "eagerbench", "gate", *map(str, files)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert (process.wait(60), process.stderr.read()) == (141, "")


def test_a_suspect_left_unconfirmed_is_no_pass(capsys, files):
    code, out, _ = analysis(capsys, "gate", files[0])
    assert code == 3
    assert "Next: 10 fresh pairs (--stage confirm) of b1." in " ".join(out.split())


def test_contaminated_vanished_and_lost(tmp_path, capsys):
    moved = saved(tmp_path, "moved.json", drawn(2, SLOW, "confirm", 12, control=math.log(1.05)))
    code, out, _ = analysis(capsys, "gate", moved)
    assert code == 3
    assert "This measurement cannot be trusted: control/matmul moved by +5." in " ".join(out.split())
    content = drawn(3, {})
    content["pairs"][0]["failed"] = {"b9": "vanished"}
    content["pairs"][1] |= {"valid": False, "reason": "time-out after 60 s"}
    code, out, _ = analysis(capsys, "gate", saved(tmp_path, "gone.json", content))
    assert code == 4
    assert "b9" in out
    assert "screen pair 1 (head): time-out after 60 s" in out


def changed(**changes):
    return lambda content: content.update(changes)


def first_ratio(**changes):
    return lambda content: content["pairs"][0]["benchmarks"]["b0"].update(changes)


@pytest.mark.parametrize(("change", "says"), [
    (changed(format="eagerbench-duet/2"), "expected 'eagerbench-duet/1'"),
    (changed(stage="third"), "stage: 'third' is not one of"),
    (changed(pairs=3), "pairs: 3 is not of type 'array'"),
    (changed(seed=-1), "seed: -1 is less than the minimum"),
    (first_ratio(turns=4), "turns is 4, with 3 of base and 3 of head"),
    (first_ratio(log_ratio=0.5), "log_ratio is 0.5, its turns give"),
    (first_ratio(log_ratio=math.nan), "not a finite number"),
    (first_ratio(log_ratio=math.inf), "not a finite number"),
    (first_ratio(log_ratio=10**400), "too large"),
    (first_ratio(base_turns=[-1.0, 1.0, 1.0]), "-1.0 is less than the minimum"),
    (first_ratio(base_turns=[0, 1.0, 1.0]), "0 is less than the minimum"),
    (first_ratio(base_turns=[math.nan, 1.0, 1.0]), "not a finite number"),
    (first_ratio(head_turns=[1e300, 1.0, 1.0]), "is greater than the maximum"),
    (lambda content: content["pairs"].append(content["pairs"][0]), "pair 0 of arm head occurs twice"),
    (lambda content: content.pop("base"), "'base' is a required property"),
])
def test_duet_that_cannot_be_judged(tmp_path, capsys, change, says):
    content = drawn(1, {})
    change(content)
    code, out, err = analysis(capsys, "gate", saved(tmp_path, "duet.json", content))
    assert (code, out) == (2, "")
    assert err.startswith(f"{tmp_path / 'duet.json'}: ")
    assert says in err


def test_duets_of_other_revisions_and_the_same_duet_twice(tmp_path, capsys, files):
    other = drawn(2, SLOW, "confirm", 12)
    other["head"] = {**other["head"], "revision": "cccc"}
    assert "its head is 'cccc', not 'bbbb'" in analysis(capsys, "gate", files[0], saved(tmp_path, "o.json", other))[2]
    assert "give each file once" in analysis(capsys, "gate", files[0], files[0])[2]


def test_noise_floor_that_cannot_be_read(tmp_path, capsys, files):
    good = noise_floor(["b0"], fingerprint.of(MACHINE))
    for content, says in ((noise_floor(["b0"], {}, b0={"floor": -1}), "-1 is less than or equal to the minimum"),
                          (noise_floor(["b0"], {}, b0={"margin": None}), "a floor without a margin"),
                          (noise_floor(["b0"], {}, b0={"floor": float("nan")}), "b0.floor is nan"),
                          (noise_floor(["b0"], {}, b0={"margin": 0.03}), "its margin 0.03 is not below its floor 0.03"),
                          ({**good, "format": "x"}, "'eagerbench-noise-floor/1' was expected")):
        code, _, err = analysis(capsys, "gate", *files, "--noise-floor", saved(tmp_path, "floor.json", content))
        assert code == 2
        assert says in err


def test_verdict_that_was_spoilt(tmp_path, capsys, files):
    verdict = tmp_path / "verdict.json"
    analysis(capsys, "gate", *files, "--verdict", verdict)
    content = json.loads(verdict.read_text())
    for change, says in (({"duets": []}, "no duets in this verdict"), ({"strict": 1}, "whether it was strict"),
                         ({"duets": [{}]}, "expected 'eagerbench-duet/1'"), ({"noise_floor": {}}, "required")):
        code, _, err = analysis(capsys, "gate", saved(tmp_path, "spoilt.json", {**content, **change}))
        assert code == 2
        assert says in err
    assert analysis(capsys, "gate", verdict, files[0])[0] == 2


def test_a_mistake_of_ours_is_no_regression(capsys, files, monkeypatch):
    """Python's exit code of a traceback is 1."""
    monkeypatch.setattr("eagerbench.gate.gate.tables", lambda _: [][0])
    code, _, err = analysis(capsys, "gate", *files)
    assert code == 2
    assert err.startswith("gate: IndexError: list index out of range (test_analysis_gate.py line ")
    assert len(err.splitlines()) == 1


def test_help_of_every_command_and_no_heavy_import(files):
    """What takes a second to import is imported by the commands that need it."""
    code = ("import sys; from eagerbench.cli import COMMANDS, main\n"
            "for name in COMMANDS:\n"
            "    try: main([name, '--help'])\n"
            "    except SystemExit as ended: assert ended.code == 0\n"
            f"main(['gate', {str(files[0])!r}, {str(files[1])!r}])\n"
            "heavy = {'torch', 'eagerbench.fixtures', 'scipy', 'statsmodels', 'pandas'}; "
            "print('HEAVY', sorted(heavy & set(sys.modules)))")
    ended = run_python("-c", code)
    assert ended.code == 0, ended.err
    assert "HEAVY []" in ended.out
    assert " ".join(ended.out.split()).count("a regression was confirmed") == len(re.findall("usage:", ended.out))


def with_models(content: dict, base: dict, head: dict) -> dict:
    """A duet whose sides say what `b0` was run on."""
    return {**content, "base": {**content["base"], "models": {"b0": base}},
            "head": {**content["head"], "models": {"b0": head}}}


def test_other_weights_of_a_side_are_another_benchmark(tmp_path, capsys):
    base = {"weights_sha256": "a", "code_sha256": "c", "model_fingerprint": "ac"}
    slow = drawn(1, {"b0": 0.2}), drawn(2, {"b0": 0.2}, "confirm", 12, 6)
    changed = [with_models(one, base, {**base, "weights_sha256": "b", "model_fingerprint": "bc"}) for one in slow]
    verdict = judge.judge(changed)
    assert [entry["id"] for entry in verdict["benchmarks"] if entry["id"] == "b0"] == []
    assert (verdict["outcome"], verdict["changed"]) == ("OK", {"b0": "another benchmark of this name: weights changed"})
    code = [with_models(one, base, {**base, "code_sha256": "d", "model_fingerprint": "ad"}) for one in slow]
    verdict = judge.judge(code)
    assert (verdict["outcome"], verdict["noted"]) == ("REGRESSED", {"b0": "model code changed"})
    files = [saved(tmp_path, f"{index}.json", one) for index, one in enumerate(code)]
    exit_code, out, _ = analysis(capsys, "gate", *files, "--verdict", tmp_path / "v.json")
    assert (exit_code, "model code changed" in " ".join(out.split())) == (1, True)


def test_nothing_but_other_benchmarks_is_not_comparable():
    one = with_models(drawn(1, {}, benches=1), {"weights_sha256": "a"}, {"weights_sha256": "b"})
    verdict = judge.judge([one])
    assert (verdict["outcome"], verdict["exit_code"]) == ("NOT COMPARABLE", 3)


def test_strict_fails_on_what_is_not_settled(tmp_path, capsys):
    file = saved(tmp_path, "screen.json", drawn(3, {"b1": 0.02}, spread=0.03, benches=1))
    assert "INCONCLUSIVE" in analysis(capsys, "gate", file)[1]
    assert [analysis(capsys, "gate", file, *strict)[0] for strict in ((), ("--strict",))] == [0, 3]
