"""A history: what its folder takes and refuses, which runs make a series, and what the report says in each form."""

import json
import re
import subprocess
from xml.etree import ElementTree

import jsonschema
import pytest
from analysis_files import MACHINE, analysis, benchmark_file, complete_record, saved
from analysis_files import drawn as drawn_duet
from fuzzing import HOSTILE, html_problems
from made_history import XEON, ZEN, drawn, kept, made

from eagerbench.history import causes, entry, feed, page, report, series, store, text

BENCHES = [f"m/v{index}/b1/s8/cpu" for index in range(4)]
SLOW = {BENCHES[1]: (30, 0.08)}
ATOM = {"a": "http://www.w3.org/2005/Atom"}


def run_file(speedup: float = 2.0, machine: dict = ZEN, bench: str = "m/sdpa/b1/s8/cpu", **more) -> dict:
    record = complete_record(bench, speedup_vs_eager=speedup, speedup_low=speedup / 1.1, speedup_high=speedup * 1.1)
    return benchmark_file({bench: [0.1, 0.2]}, machine=machine, records={bench: record},
                          commit_info={"id": "ab" * 20, "dirty": False, "branch": "main"}, **more)


def report_of(tmp_path, entries, **more):
    return report.of_store(store.read(kept(tmp_path / "history", entries)), **more)


@pytest.fixture(scope="module")
def stepped(tmp_path_factory):
    """40 runs of four benchmarks, one of them 8 % slower from the 31st on; torch moved there. And another machine."""
    directory = tmp_path_factory.mktemp("stepped")
    moved = {**ZEN, "packages": {**ZEN["packages"], "torch": "2.13.0"}}
    before, after = drawn(1, 40, SLOW)[:30], drawn(1, 40, SLOW, info=moved)[30:]
    return kept(directory / "history", [*before, *after, *drawn(2, 12, {BENCHES[1]: (0, 0.5)}, info=XEON)])


def test_a_run_is_added_once(tmp_path, capsys):
    file, folder = saved(tmp_path, "run.json", run_file()), tmp_path / "history"
    assert analysis(capsys, "history", "add", file, "--store", folder)[1].startswith("added ")
    assert "already in the history" in analysis(capsys, "history", "add", file, "--store", folder)[1]
    (one,) = store.read(folder).entries
    assert (one.anchor, one.commit.id, one.commit.branch) == ("eager", "ab" * 20, "main")
    assert one.points["m/sdpa/b1/s8/cpu"].ratio == 2.0
    assert one.points["m/sdpa/b1/s8/cpu"].median_s == pytest.approx(0.15)
    assert "vm" not in json.dumps(one.hardware)


def test_a_verdict_gives_ratios_to_its_base(tmp_path, capsys):
    files = [saved(tmp_path, "screen.json", drawn_duet(1, {"b0": 0.2}))]
    analysis(capsys, "gate", *files, "--verdict", tmp_path / "verdict.json")
    code, out, _ = analysis(capsys, "history", "add", tmp_path / "verdict.json", "--store", tmp_path / "history")
    assert (code, "to aaaa" in out) == (0, True)
    (one,) = store.read(tmp_path / "history").entries
    (judged,) = [row for row in json.loads((tmp_path / "verdict.json").read_text())["benchmarks"] if row["id"] == "b0"]
    point = one.points["b0"]
    assert (one.anchor, one.commit.id) == ("aaaa", "bbbb")
    inverse = [1 / judged[name] for name in ("ratio", "high", "low")]
    assert [point.ratio, point.low, point.high] == pytest.approx(inverse)


@pytest.mark.parametrize(("content", "said"), [
    (run_file(machine={"system": "Linux"}), "which machine it was measured on: unknown is CPU, cores, architecture"),
    (run_file(datetime="yesterday"), "started is not an ISO 8601 date"),
    (benchmark_file({"some": [0.1]}), "no ratio in it"),
    ({"format": "eagerbench-verdict/1"}, "not a complete verdict"),
    ({"a": 1}, "neither a pytest-benchmark file, nor a verdict, nor a history entry"),
    ([], "no object"),
    ({**json.loads(entry.encoded(made(0, {"m/a/x/cpu": 1.0}))), "extra": 1}, "extra: no such field"),
])
def test_what_is_refused_is_one_line_and_adds_nothing(tmp_path, capsys, content, said):
    good, bad = saved(tmp_path, "good.json", run_file()), saved(tmp_path, "bad.json", content)
    code, _, err = analysis(capsys, "history", "add", good, bad, "--store", tmp_path / "history")
    assert (code, len(err.splitlines())) == (2, 1)
    assert said in err
    assert not (tmp_path / "history").exists()


def test_a_damaged_entry_costs_itself(tmp_path, capsys):
    folder = kept(tmp_path / "history", drawn(1, 3))
    files = sorted(folder.rglob("*.json"))
    whole = files[0].read_text()
    damages = {"torn": whole[:100], "twin": whole.replace('"anchor"', '"anchor": "x",\n"anchor"', 1), "empty": "",
               "huge": re.sub(r'"ratio":[\d.e-]+', '"ratio":1e400', whole, count=1), "other": '{"format": "x"}',
               "nan": re.sub(r'"ratio":[\d.e-]+', '"ratio":NaN', whole, count=1),
               "text": re.sub(r'"ratio":([\d.e-]+)', r'"ratio":"\1"', whole, count=1)}
    for name, damaged in damages.items():
        assert damaged != whole
        (folder / f"{name}.json").write_text(damaged)
    code, out, err = analysis(capsys, "history", "report", "--store", folder)
    assert code == 4
    assert "of 1 machine, 3 runs" in " ".join(out.split())
    for name in damages:
        assert f"{name}.json" in err
    for file in files:
        file.write_text("{}")
    assert analysis(capsys, "history", "report", "--store", folder)[0] == 2


def test_no_history_is_one_line(tmp_path, capsys):
    code, _, err = analysis(capsys, "history", "report", "--store", tmp_path / "none")
    assert (code, err.count("\n")) == (2, 1)
    assert "history add" in err
    assert analysis(capsys, "history", "report", "--store", tmp_path, "--least", "lots")[0] == 2


def test_machines_are_never_joined(stepped):
    streams = series.streams(store.read(stepped).entries)
    assert [(len(one.runs), len({run.kind for run in one.runs})) for one in streams] == [(40, 1), (12, 1)]
    assert len({one.kind for one in streams}) == 2
    assert all(len(one.series) == 4 for one in streams)


def test_versions_and_kernels_do_not_make_another_machine_and_threads_do():
    same = {**ZEN, "release": "6.9", "packages": {"torch": "3.0"}, "memory_bytes": 5}
    other = {**ZEN, "threads": 1}
    kinds = [made(0, {"m/a/x/cpu": 1.0}, info).kind for info in (ZEN, same, other, XEON)]
    assert kinds[0] == kinds[1]
    assert len(set(kinds)) == 3


def test_the_change_its_interval_and_its_causes(stepped):
    found = report.of_store(store.read(stepped))
    ((stream, change),) = found.changes
    assert (change.bench, stream.runs[change.after].started[:10]) == (BENCHES[1], "2026-10-31")
    assert change.low < change.ratio < change.high
    assert change.ratio == pytest.approx(1 / 1.08, abs=0.01)
    assert not change.provisional
    assert any(line.startswith("commits 0000000") for line in change.causes)
    assert "torch: 2.12.0 → 2.13.0" in change.causes


def test_new_vanished_and_another_benchmark_of_the_name(tmp_path):
    days = [made(day, {"m/a/x/cpu": 1.0, "m/b/x/cpu": 2.0}) for day in range(3)]
    last = made(3, {"m/a/x/cpu": 1.0, "m/c/x/cpu": 1.0}, absent={"failed: output differs": ["m/b/x/cpu"]})
    found = report_of(tmp_path, [*days, last])
    assert (found.streams[0].vanished, found.streams[0].new) == ({"m/b/x/cpu": "failed: output differs"}, ["m/c/x/cpu"])
    point = {"ratio": 1.0, "meaning": {"weights_sha256": "aa", "code_sha256": "cc"}}
    runs = [made(day, {}, points={"m/a/x/cpu": {**point, "meaning": {**point["meaning"], **changed}}})
            for day, changed in enumerate([{}, {"code_sha256": "dd"}, {"weights_sha256": "bb"}])]
    parts = series.streams(runs)[0].series
    assert [len(one.runs) for one in parts] == [2, 1]
    assert "weights changed" in parts[1].begins
    assert causes.of_model(parts[0].points) == ["model code changed"]


def test_subjects_of_the_commits_between(tmp_path):
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path, *arguments],
                              check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    ids = []
    for subject in ("first", "second \x1b[31m", "third"):
        git("commit", "-q", "--allow-empty", "-m", subject)
        ids.append(git("rev-parse", "HEAD"))
    runs = [made(day, {"m/a/x/cpu": 1.0}, commit=ids[day]) for day in (0, 2)]
    (line,) = causes.between(*runs, repository=tmp_path)
    assert f"{ids[0][:10]}..{ids[2][:10]}" in line
    assert "third" in line
    assert "second" in line
    assert "first" not in line
    assert line.isprintable()
    assert causes.between(runs[0], runs[0]) == []


@pytest.fixture(scope="module")
def written(stepped, tmp_path_factory):
    """The report's files, of the stepped history, by their ending."""
    directory = tmp_path_factory.mktemp("written")
    from eagerbench.cli import main

    names = {"html": "-o", "json": "--json", "atom": "--atom"}
    options = [word for ending, option in names.items() for word in (option, str(directory / f"out.{ending}"))]
    assert main(["history", "report", "--store", str(stepped), *options]) == 0
    return {ending: (directory / f"out.{ending}").read_text(encoding="utf-8") for ending in names}


def test_the_text_list(stepped, capsys):
    code, out, _ = analysis(capsys, "history", "report", "--store", stepped)
    said = " ".join(out.split())
    assert code == 0
    assert "1 change (1 slower, 0 faster) in 8 series of 2 machines, 52 runs, 2026-10-01 to 2026-11-09" in said
    assert "torch: 2.12.0 → 2.13.0" in said


def test_json_fits_its_schema(written, stepped, capsys):
    code, out, _ = analysis(capsys, "history", "schema")
    assert code == 0
    validator = jsonschema.Draft202012Validator(json.loads(out))
    content = json.loads(written["json"])
    validator.validate(content)
    validator.validate(json.loads(next(stepped.rglob("*.json")).read_text()))
    assert [change["bench"] for stream in content["streams"] for change in stream["changes"]] == [BENCHES[1]]
    assert not validator.is_valid({**content, "streams": [{}]})


def test_the_feed(written):
    root = ElementTree.fromstring(written["atom"])
    assert root.tag == "{http://www.w3.org/2005/Atom}feed"
    assert root.find("a:updated", ATOM).text == "2026-11-09T02:00:00Z"
    (one,) = root.findall("a:entry", ATOM)
    assert BENCHES[1] in one.find("a:title", ATOM).text
    assert one.find("a:published", ATOM).text == "2026-10-31T02:00:00Z"
    assert "torch: 2.12.0 → 2.13.0" in one.find("a:content", ATOM).text
    ids = [found.text for found in root.iter("{http://www.w3.org/2005/Atom}id")]
    assert len(set(ids)) == len(ids) == 2


def test_ids_of_the_feed_stay_when_runs_are_added(tmp_path):
    runs = drawn(1, 45, SLOW)
    feeds = [ElementTree.fromstring(feed.atom(report_of(tmp_path / str(count), runs[:count]))) for count in (34, 45)]
    ids, updated = ([one.find(f"a:entry/a:{name}", ATOM).text for one in feeds] for name in ("id", "updated"))
    assert ids[0] == ids[1]
    assert updated[0] < updated[1]  # provisional, then settled


def test_the_page_needs_no_network_and_no_script(written):
    html = written["html"]
    assert html.count("<svg") == 8
    assert not re.search(r"(?:src|href)=\"(?!#)", html)
    assert len(html) < 200_000
    assert 'class="slower"' in html
    body = re.sub(r"<script>.*?</script>", "", html)
    assert BENCHES[1] in body


def test_what_files_say_is_escaped_everywhere(tmp_path):
    bench = f"m/{HOSTILE}\x1b[31m/b1/cpu"
    runs = [made(day, {bench: 2.0 + (day > 9)}, commit=HOSTILE, software={"torch": f"{HOSTILE}{day > 9}", "a": "\x1b"})
            for day in range(20)]
    found = report_of(tmp_path, runs, repository=tmp_path)
    assert found.changes
    html = page.page(found)
    assert list(html_problems(html)) == []
    assert "\x1b" not in html
    ElementTree.fromstring(feed.atom(found))
    assert "\x1b" not in feed.atom(found)
    assert len(text.grids(found)) > 1


def test_make_release_adds_to_the_store():
    from running import ROOT

    rule = re.search(r"^release:.*?\n\n", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)[0]
    assert "history add .benchmarks/release/verdict.json --store $(HISTORY)" in rule


def test_fingerprints_of_made_machines_are_complete():
    assert entry.machines.unknown(entry.machines.hardware(MACHINE)) == []
