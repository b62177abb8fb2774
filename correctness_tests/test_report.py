"""What a report says, from made records: axes, thinning, intervals of rounds, the matrix, the tree, details."""

import json
import math

import made_reports as made
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_records import made as made_record

from eagerbench.cli import main
from eagerbench.experiments import EXPERIMENTS, Dots
from eagerbench.results.numbers import digits

pytest.importorskip("eagerbench.results.report.page", exc_type=ImportError)  # plotly is not in extra environments
from eagerbench.results.report import (
    advice,
    columns,
    details,
    drawing,
    experiments,
    look,
    matrix,
    source,
    spread,
    tree,
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return source.read([made.saved(tmp_path_factory.mktemp("sources"), made.usual())])


@pytest.mark.parametrize(("value", "text"), [(0.00012345, "0.000123"), (0.5234, "0.523"), (0.9996, "1.00"),
                                             (20.96, "21.0"), (1139.6, "1,140"), (0.0, "0"), (-3.14159, "-3.14"),
                                             (99.96, "100")])
def test_three_digits(value, text):
    assert digits(value) == text


def test_a_report_of_load_without_a_single_run_has_no_plot(tmp_path):
    none = {name: [] for name in ("rates", "run_valid", "run_queries", "run_p50_s", "run_p90_s", "run_p99_s")}
    file = made.saved(tmp_path, made.content([made.bench(experiment="serving", **none)]))
    assert experiments.figures("serving", source.rows(source.read([file]))) == []


@settings(max_examples=60)
@given(st.floats(1e-6, 1e6), st.floats(1.06, 1e9))
def test_a_logarithmic_axis_has_a_few_round_ticks(low, factor):
    axis = drawing.log_axis("t", [low, low * factor])
    assert 2 <= len(axis["tickvals"]) <= 20
    assert axis["range"][0] - 0.001 <= math.log10(min(axis["tickvals"]))
    assert math.log10(max(axis["tickvals"])) <= axis["range"][1] + 0.001
    assert len(set(axis["ticktext"])) == len(axis["ticktext"])


@settings(max_examples=40)
@given(st.integers(1, 3000), st.integers(2, 600), st.data())
def test_thinning_keeps_what_must_stay(count, most, data):
    kept = data.draw(st.sets(st.integers(0, count - 1), max_size=min(most - 1, count)))
    found = drawing.thin(range(count), [place in kept for place in range(count)], most)
    assert len(found) == min(count, most)
    assert found == sorted(set(found))
    assert kept <= set(found)


@pytest.mark.parametrize(("count", "rank"), [(6, 1), (9, 2), (20, 6), (100, 40), (400, 180)])
def test_interval_of_a_median(count, rank):
    """Ranks as in tables of the sign test: at most 2.5 % beyond either."""
    low, high = spread.of_median([1 + place / 1000 for place in range(count)])
    middle = 1 + (count - 1) / 2000
    assert low == pytest.approx((1 + (rank - 1) / 1000) / middle, rel=2e-3)
    assert high == pytest.approx((1 + (count - rank) / 1000) / middle, rel=2e-3)


def test_few_rounds_show_their_range_and_one_nothing():
    assert spread.of_median([2.0, 1.0, 4.0]) == (0.5, 2.0)
    assert spread.of_median([1.0]) is None
    bench = {"stats": {"data": [2.0, 1.0, 4.0]}}
    assert spread.around(10.0, bench, -1) == (10.0, 5.0, 20.0)
    assert spread.around(10.0, bench, 0) == (10.0, None, None)


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_every_experiment_is_drawn_and_says_how_to_read_it(name, tmp_path):
    """Each by `plot` too: with its question, date, machine and threads."""
    fields = {"sequence_length": 16} if name == "length" else {}
    file = made.saved(tmp_path, made.content([made.bench(variant, experiment=name, **fields)
                                              for variant in ("eager", "sdpa")]))
    rows = source.rows(source.read([file]))
    found = experiments.figures(name, rows)
    assert sum(figure.marks for figure in found) == (12 if name == "serving" else 2)  # two rates, three percentiles
    plot = EXPERIMENTS[name].plot
    assert len(plot.read.split()) > 15
    if isinstance(plot, Dots):
        assert plot.number(rows[0].record) is not None
    assert main(["plot", name, str(file), "-o", str(tmp_path / "plot.html")]) == 0
    page = (tmp_path / "plot.html").read_text()
    for said in (EXPERIMENTS[name].question, "2026-11-28 11:04 UTC", "A &lt;CPU&gt; &amp; more", "2 threads"):
        assert said.replace("'", "&#39;") in page


def test_a_matrix_says_a_reason_once_for_its_neighbours(sources):
    found = matrix.of(sources)
    rows = dict(found.rows)
    assert [one.label for one in found.reasons if "install" in one.label] == ["not installed"]
    assert rows["aot-inductor"][0].text == ["failed: output differs"]
    assert sum(cell.wide for cell in rows["sdpa"]) == len(found.columns)
    assert rows["torchscript-optimized"][0].text == ["1 timed"]


def test_a_tree_asks_only_what_makes_a_difference(sources):
    adviser = advice.Adviser(sources, ["m"])
    found = tree.of(adviser, "m", "cpu", [("b8-s128", "batch 8 × 128")])
    assert found.question == "How far may outputs be from eager's?"
    leaves = {leaf.variant for branch in found.branches for leaf in (branch.branches or [branch])}
    assert leaves <= {"eager", "openvino", "openvino-bf16", "openvino-int8"}
    assert leaves - {"eager"}
    same = [tree.Node("a", variant="x"), tree.Node("b", variant="x"), tree.Node("c", variant="y")]
    asked = tree._asked("", "?", same)
    assert [branch.answer for branch in asked.branches] == ["a, or b", "c"]
    assert tree._asked("z", "?", same[:2]).question == ""


def test_rows_are_records_and_failures(sources):
    rows = source.rows(sources)
    assert [row.variant for row in rows if row.record is None] == ["aot-inductor", "bnb-nf4"]
    assert {row.status for row in rows} == {"timed", "unusable", "failed", "crashed"}
    shown = columns.of_files(sources, rows)
    assert [one.usual for one in shown if one.key in ("model", "status")] == [False, True]


def test_details_have_the_last_lines_of_a_log():
    row = source.Row("i", 0, "m", "v", "latency", "w", "crashed", log="\n".join(map(str, range(100))) + "\x1b[0m")
    lines = details.of(row, turns=True)["log"].splitlines()
    assert lines[0] == "… 59 lines before"
    assert lines[-1] == "99\\x1b[0m"
    assert len(lines) == 1 + details.LOG_LINES


def test_a_command_measures_a_case_again(sources):
    (row,) = [row for row in source.rows(sources) if row.id == "m/openvino/b8/s128/cpu"]
    assert details.again(row) == ("eagerbench run test_latency.py --model m --variant openvino --batch-sizes 8 "
                                  "--sequence-lengths 128 --threads 2 --seed 1")


@settings(max_examples=30)
@given(st.text(st.sampled_from("<>&/!-\u2028\u2029\\\"ab")))
def test_no_text_leads_out_of_a_script(text):
    shown = look.in_script({"a": text})
    assert json.loads(shown) == {"a": text}
    assert not set("<>&\u2028\u2029") & set(shown)


def test_files_that_have_a_case_twice(tmp_path):
    """Every record is a row; the last of each case is what plots and tables are made of."""
    old = made.saved(tmp_path, made.content([made.bench("eager"), made.bench("sdpa")]), "a.json")
    new = made.saved(tmp_path, made.content([made.bench("sdpa", speed=2.0)]), "b.json")
    rows = source.rows(source.read([old, new]))
    assert len(rows) == 3
    assert [(row.variant, row.source) for row in source.latest(rows)] == [("eager", 0), ("sdpa", 1)]
    assert columns.of_files(source.read([old, new]), rows)[-1].key == "file"


def test_what_is_no_record_is_refused_or_left_out(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_text('{"benchmarks": []}')
    assert main(["report", str(file), "-o", str(tmp_path / "r.html")]) == 2
    assert capsys.readouterr().err == f"{file}: no record of eagerbench in it\n"
    content = made.content([made.bench("eager"), made.bench("sdpa")])
    content["benchmarks"][1]["extra_info"]["identity"]["seed"] = "x"
    made.saved(tmp_path, content)
    assert main(["report", str(file), "-o", str(tmp_path / "r.html")]) == 4
    assert "left out: run.json: m/sdpa/b8/s128/cpu: identity.seed: expected int, got str" in capsys.readouterr().err
    assert main(["report", str(file), "-o", str(tmp_path / "none" / "r.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_start_is_the_sum_of_its_parts():
    record = made_record("startup", startup_ready_s=5.0, startup_imports_s=2.0, startup_load_s=1.0,
                         startup_first_call_s=0.5)
    assert sum(EXPERIMENTS["startup"].plot.parts(record).values()) == pytest.approx(5.0)
