"""What the analysis makes of experiments' records: the fit over lengths, tables, plots."""

import importlib.util
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_records import made, saved_file
from running import run_python

from eagerbench.cli import main
from eagerbench.experiments import EXPERIMENTS, Plot, corpus, length, padding

pytest.importorskip("eagerbench.results.plot", exc_type=ImportError)  # plotly is not in extra environments
LINES = {name: one.plot for name, one in EXPERIMENTS.items() if isinstance(one.plot, Plot)}

positive = st.floats(1e-7, 1e-2)


@given(fixed=positive, linear=positive, square=st.floats(1e-9, 1e-5))
def test_fit_finds_the_cost_it_was_made_of(fixed, linear, square):
    lengths = [8, 16, 64, 128, 512]
    found = length.fit(lengths, [fixed + linear * n + square * n * n for n in lengths])
    assert found.marginal_s(512) == pytest.approx(linear + 1024 * square, rel=1e-3)
    assert found.fixed_s + 8 * found.linear_s + 64 * found.square_s == pytest.approx(
        fixed + 8 * linear + 64 * square, rel=1e-3)


@given(st.lists(st.floats(1e-6, 1), min_size=5, max_size=5))
def test_no_cost_is_negative(seconds):
    found = length.fit([8, 16, 64, 128, 512], seconds)
    assert min(found.fixed_s, found.linear_s, found.square_s) >= 0


def test_fit_of_few_points():
    assert length.fit([16], [1.0]) is None
    found = length.fit([16, 64], [2.0, 5.0])
    assert (found.fixed_s, found.linear_s, found.square_s) == pytest.approx((1.0, 1 / 16, 0.0))


def corpus_record(variant, policy, batch, speed, **more):
    return made("corpus", **{
        "variant": variant, "workload": f"b{batch}-{policy}-n8", "policy": policy, "batch_size": batch,
        "sentences_per_s": speed, "tokens_per_s": 10 * speed, "padding_efficiency": 0.5, "sentences": 8,
        "real_tokens": 80, "longest_sentence": 40, "blank_lines": 0, "truncated_sentences": 0, "token_limit": 512,
        "passes": 5, **more})


def length_record(batch, length, call_s):
    return made("length", variant="sdpa", workload=f"b{batch}-s{length}", batch_size=batch, sequence_length=length,
                call_s=call_s)


RECORDS = [corpus_record(variant, policy, batch, speed * batch, speedup_vs_eager=float(speed), speedup_low=speed - 0.1,
                         speedup_high=speed + 0.1) for variant, speed in (("eager", 1), ("sdpa", 3))
           for policy in ("in-order", "sorted") for batch in (1, 8)]


def test_corpus_table_has_the_best_first_and_its_interval():
    throughput, efficiency = corpus.tables("m", RECORDS)
    assert throughput.header[2] == "sentences/s"
    assert throughput.rows[2][:6] == ["sdpa", "in-order", "24.0", "b8", "240", "3.00 [2.90, 3.10]"]
    assert throughput.rows[2][7:] == ["3.0", "24.0"]
    assert "in turns with eager" in throughput.note
    assert efficiency.rows == [["in-order", "50%", "50%"], ["sorted", "50%", "50%"]]


def test_corpus_table_says_what_became_of_lines():
    record = corpus_record("sdpa", "sorted", 8, 1.0, blank_lines=3, truncated_sentences=1)
    note = corpus.tables("m", [record])[0].note
    assert "3 blank lines skipped, 1 sentences cut at 512 tokens" in note


def test_corpus_records_without_pairs_have_no_ratio():
    """Older files timed passes without eager beside them."""
    throughput, _ = corpus.tables("m", [corpus_record("sdpa", "sorted", 8, 24.0)])
    assert throughput.rows[0][5] == "–"


def test_padding_table():
    record = {"workload": "b8-s64-p75-one-batch", "padded_tokens": 512, "real_tokens": 128, "variant": "sdpa",
              "padding_cost": 3.5, "padding_cost_low": 3.0, "padding_cost_high": 4.0}
    nested = {**record, "variant": "nested", "padding_cost": 1.5, "padding_cost_low": 1.4, "padding_cost_high": 1.6}
    (grid,) = padding.tables("m", [made("padding", **record), made("padding", **nested)])
    assert grid.rows == [["sdpa", "3.50 [3.00, 4.00]"],
                         ["nested", "1.50* [1.40, 1.60]"], ["padded over real tokens", "4.00"]]


def test_length_table():
    """The fit is of all records, in whatever order they ran."""
    records = [length_record(2, n, 1e-3 + 2e-5 * n) for n in (128, 8, 512, 32)]
    (grid,) = length.tables("m", records)
    assert grid.rows == [["sdpa", "2", "10.0", "1.00", "1.00", "1.16", "1.64", "3.56", "11.24"]]
    (grid,) = length.tables("m", records[:1])
    assert grid.rows == [["sdpa", "2", "–", "–", "–", "3.56"]]


@pytest.mark.parametrize(("experiment", "fields", "says"), [
    ("corpus", {"sentences_per_s": 123.4}, "123 sentences/s"),
    ("padding", {"padding_cost": 1.5, "padding_cost_low": 1.4, "padding_cost_high": 1.6},
     "padding costs 1.50× [1.40, 1.60]"),
    ("length", {"call_s": 0.0123}, "12.3 ms"),
    ("quality", {"neighbours_changed": 0.021}, "neighbours kept 97.9%, loss 2.1 points")])
def test_headline(experiment, fields, says):
    assert EXPERIMENTS[experiment].headline(made(experiment, **fields)) == says


@pytest.mark.parametrize("experiment", list(LINES))
def test_plot_is_one_file_with_every_line(tmp_path, experiment, capsys):
    file, output = tmp_path / "run.json", tmp_path / "plot.html"
    load = {"rates": [100.0, 200.0], "run_valid": [True, False], "run_queries": [700, 700], "run_p50_s": [0.01, 0.03],
            "run_p90_s": [0.02, 0.06], "run_p99_s": [0.04, 0.09]}
    records = [*RECORDS, *(length_record(1, n, n / 1000) for n in (8, 16)), made("serving", variant="sdpa", **load)]
    file.write_text(json.dumps(saved_file(*records)))
    assert main(["plot", experiment, str(file), "-o", str(output)]) == 0
    html = output.read_text()
    lines, panels = {"corpus": (["sdpa", "eager"], ["m, sorted", "m, in-order"]),
                     "length": (["sdpa"], ["m, batch 1"]),
                     "serving": (["sdpa"], ["m, p50", "m, p90", "m, p99"])}[experiment]
    assert all(f'"name":"{name}"' in html for name in lines)
    assert all(f"<h3>{panel}" in html for panel in panels)
    drawn = LINES[experiment].lines([record for record in records if record.identity.experiment == experiment])
    assert html.count('"mode":"lines+markers"') == len(drawn)
    assert "<script src=" not in html  # opens without a network
    assert main(["plot", experiment, str(file), "-o", str(tmp_path / "none" / "plot.html")]) == 2
    assert "No such file" in capsys.readouterr().err


@pytest.mark.skipif(importlib.util.find_spec("kaleido") is not None, reason="kaleido is installed: images work")
def test_an_image_without_kaleido_is_one_line(tmp_path, capsys):
    file = tmp_path / "run.json"
    file.write_text(json.dumps(saved_file(*RECORDS)))
    assert main(["plot", "corpus", str(file), "-o", str(tmp_path / "plot.svg")]) == 2
    error = capsys.readouterr().err
    assert "kaleido wrote no image: " in error
    assert "an .html file needs no kaleido" in error
    assert not (tmp_path / "plot.svg").exists()
    assert error.count("\n") == 1


def test_plot_without_records_is_one_line(tmp_path):
    file = tmp_path / "run.json"
    file.write_text('{"benchmarks": []}')
    ended = run_python("-m", "eagerbench", "plot", "corpus", str(file))
    assert (ended.code, ended.err) == (2, f"{file}: no record of eagerbench in it\n")
    file.write_text(json.dumps(saved_file(length_record(1, 8, 1.0))))
    ended = run_python("-m", "eagerbench", "plot", "corpus", str(file))
    assert (ended.code, ended.err) == (2, f"{file}: no record of the experiment corpus in it\n")
