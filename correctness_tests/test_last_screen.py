"""The last screen and the line of a case, from made records: lines, columns, ranks, ties, and what did not run."""

import io
import itertools
import re

import pytest
from made_records import made
from rich.cells import cell_len

from eagerbench.experiments import EXPERIMENTS
from eagerbench.results import headline, last_screen, numbers, reasons
from eagerbench.results.recommended import Take
from eagerbench.results.record import to_json
from eagerbench.shown import count

LONGEST = "dynamic-int8-torchscript-nested"  # about as long as names of variants are
CLASSES = {"eager": "exact-math", "sdpa": "exact-math", "openvino": "exact-math", LONGEST: "reduced-precision",
           "eager-bf16": "reduced-precision", "openvino-int8": "quantised", "onnxruntime-int8": "quantised"}
RATIOS = {"eager": (1.0, 0.98, 1.02), "sdpa": (1.01, 0.95, 1.1), "openvino": (2.5, 2.1, 2.9), LONGEST: (3.5, 3.3, 3.7),
          "eager-bf16": (3.4, 3.2, 3.5), "openvino-int8": (7.0, 5.0, 9.6), "onnxruntime-int8": (5.4, 5.2, 5.6)}


def bench(variant, model="minilm", shape=(8, 128), pairs=10, **own):
    value, low, high = RATIOS[variant]
    experiment = own.pop("experiment", "latency")
    timed = {"speedup_vs_eager": value, "speedup_low": low, "speedup_high": high, "pairs": pairs}
    fields = {"model": model, "variant": variant, "workload": "b{}-s{}".format(*shape), "threads": 1,
              "tolerance_class": CLASSES[variant], "cosine": 1 - 2e-12, "artifact_bytes": 107 * 2**20,
              "peak_rss_bytes": 620 * 2**20, **own}
    if experiment == "latency":
        fields |= {"batch_size": shape[0], "sequence_length": shape[1], **timed, **own}
    return {"extra_info": to_json(made(experiment, **fields)), "stats": {"median": 0.146 / value}}


def screen(benches, cells=(), width=100, session=None, take=None):
    session = session or last_screen.Session(["saved .benchmarks/0001_a.json, also as .benchmarks/latest.json"],
                                             "eagerbench summary .benchmarks/latest.json", 2.0, take or TAKE,
                                             "eagerbench recommend .benchmarks/latest.json")
    headlines = [headline.of_bench(one) for one in benches]
    return [line.text for line in last_screen.lines(headlines, cells, session, width)]


def cell(variant, status, reason, model="minilm", workload="b8-s128"):
    return {"model": model, "variant": variant, "experiment": "latency", "workload": workload, "status": status,
            "reason": reason}


CELLS = [*(cell(f"cuda-{number}", "skipped", "runs on cuda, not on cpu") for number in range(11)),
         *(cell(name, "skipped", f"not installed: {name} (run: make env-{name})") for name in ("ipex", "neuron")),
         *(cell("bnb", "skipped", "not in the default run; add --variant '*'") for _ in range(3)),
         cell("torchscript", "failed", "output differs"), cell("sdpa", "unusable", "3 of 3 turns disturbed")]
TAKE = {"exact math": [Take("minilm", "openvino", " 2.50×", " [2.10, 2.90]")],
        "16 bits": [Take("minilm", LONGEST, " 3.50×", " [3.30, 3.70] (= eager-bf16)")],
        "8 bits": [Take("minilm", "onnxruntime-int8", " 5.40×", " [5.20, 5.60] (= openvino-int8)")]}
OTHERS = [bench("openvino", experiment=name, workload=f"w-{name}") for name in EXPERIMENTS
          if name not in ("latency", "python", "serving", "embeddings")]  # the last three only run when they are named


@pytest.mark.parametrize("width", [40, 80, 100, 200])
@pytest.mark.parametrize(("models", "shapes"), [(1, 1), (1, 2), (2, 2), (5, 1), (12, 3)])
def test_thirty_lines_of_a_hundred_columns_and_whole_names(models, shapes, width):
    benches = [bench(variant, f"model{number}", (8, 128 * shape), experiment="latency") for number, shape, variant in
               itertools.product(range(models), range(1, shapes + 1), RATIOS)]
    take = {name: parts * models for name, parts in TAKE.items()}
    lines = screen([*benches, *OTHERS], CELLS, width, take=take)
    assert max(map(cell_len, lines)) <= min(width, 100)
    assert len(lines) <= 30
    named = {word for line in lines for word in line.split() if "nested" in word}
    assert named == {LONGEST}
    shown = {name for name in (f"model{number}" for number in range(models)) if any(name in line for line in lines)}
    assert len(shown) == models or any("more model" in line for line in lines)
    assert lines[-1].endswith(".benchmarks/latest.json") or width < 60
    assert any(line.startswith("take, exact math: ") for line in lines) or width < 60
    assert any("exact math: openvino" in line for line in lines) or models > 1


def test_ranked_by_the_low_end_and_every_tie_marked():
    lines = screen([bench(variant) for variant in RATIOS])
    marks = {words[0]: line[0] for line in lines if len(words := line[2:].split()) > 5 and words[0] in RATIOS}
    assert marks == {"openvino": "*", "sdpa": " ", LONGEST: "*", "eager-bf16": "=", "onnxruntime-int8": "*",
                     "openvino-int8": "="}  # 5.2 at least against 5.0 at least: the larger point is no winner
    assert "  quantised: 2 variants, 1 tie with the fastest" in lines
    assert lines[1] == "minilm · 8×128 · eager 146 ms · 1 thread"
    assert any(line.startswith("* fastest of its class, by the low end of its 95 % interval; = a") for line in lines)


def test_few_pairs_are_marked_with_what_settles_it():
    lines = screen([bench("openvino", pairs=3), bench("sdpa", pairs=6)])
    rows = {line[2:].split()[0]: line for line in lines}
    assert "2.50× (!)" in rows["openvino"]
    assert "(!)" not in rows["sdpa"]
    assert any("(!) fewer than 6 pairs of turns: give --time-budget 5" in line for line in lines)  # 2 s · 7 / 3


def test_without_an_interval_nothing_is_decided():
    lines = screen([bench("openvino", pairs=1, speedup_low=None, speedup_high=None), bench("sdpa")])
    rows = {line[2:].split()[0]: line for line in lines}
    assert rows["sdpa"][0] == "*"
    assert rows["openvino"][0] == "="
    assert "–" in rows["openvino"]


def test_what_did_not_run_is_said_once_with_what_to_type():
    text = "\n".join(screen([bench("sdpa")], CELLS))
    assert "not run (variants): need cuda (11) · not installed (2): make env-ipex, make env-neuron" in text
    assert "not in the default run (1): add --variant '*'" in text
    assert "failed (1): torchscript b8-s128" in text
    assert "1 case disturbed by other work" in text


def test_without_latency_the_best_of_each_experiment():
    lines = screen(OTHERS)
    text = " ".join(" ".join(lines).split())
    for said in ("corpus: openvino, 1.00 sentences/s", "startup: openvino, ready in 1.0 s",
                 "memory: openvino, 1.00× eager's peak", "generation: openvino, 1.00 tokens/s"):
        assert said in text
    assert not any(line.startswith("* ") for line in lines)


def test_colours_only_where_the_terminal_has_them(monkeypatch):
    """By pytest's own writer: marked up on a terminal, never by NO_COLOR."""
    from _pytest._io import TerminalWriter

    found = last_screen.lines([headline.of_bench(bench("sdpa"))], CELLS, last_screen.Session())

    def written(markup):
        stream = io.StringIO()
        writer = TerminalWriter(stream)
        writer.hasmarkup = markup
        for line in found:
            writer.line(line.text, **({line.style: True} if line.style else {}))
        return stream.getvalue()

    assert "\x1b[" in written(True)
    assert written(False) == "".join(f"{line.text}\n" for line in found)
    monkeypatch.setenv("NO_COLOR", "1")
    from eagerbench.results import grid

    assert not grid.coloured(True)


@pytest.mark.parametrize(("error", "text"), [(None, "–"), (0.0, "<0.0001%"), (4.2e-6, "0.0004%"), (5e-4, "0.05%"),
                                             (0.015, "1.5%"), (0.22, "22%")])
def test_an_error_is_a_percentage(error, text):
    assert numbers.percent(error) == text


@pytest.mark.parametrize(("reason", "text"), [
    ("runs on cpu and cuda, not on mps", "need cpu or cuda (1)"),
    ("not installed: nncf (run: pip install -e '.[openvino]')", "not installed (1): pip install -e '.[openvino]'"),
    ("IPEX 2.8 needs torch 2.8, this is 2.13 (run: make env-ipex)", "IPEX 2.8 needs torch 2.8, this is 2.13 (1): make "
     "env-ipex"),
    ("its build serves another shape; add --grid full", "its build serves another shape (1): add --grid full"),
    ("tiny-bert accepts at most 512 tokens", "tiny-bert accepts at most 512 tokens (1)")])
def test_a_reason_in_a_few_words(reason, text):
    assert [group.text for group in reasons.grouped([("x", reason), ("x", reason)])] == [text]


def test_singular_and_plural():
    assert [count(number, "thread") for number in (0, 1, 2, 1000)] == ["0 threads", "1 thread", "2 threads",
                                                                       "1,000 threads"]
    assert count(2, "process", "processes") == "2 processes"


def test_every_experiment_has_a_main_number():
    """With a unit, in a few characters."""
    for name, experiment in EXPERIMENTS.items():
        text = experiment.headline(made(name))
        assert re.search(r"\d", text)
        assert len(text) <= 60


@pytest.mark.parametrize(("experiment", "field", "better", "worse"), [
    ("latency", "speedup_low", 2.0, 1.5), ("corpus", "sentences_per_s", 9.0, 8.0),
    ("padding", "padding_cost", 1.0, 2.0), ("length", "call_s", 0.1, 0.2),
    ("startup", "startup_ready_s", 1.0, 2.0), ("memory", "peak_rss_vs_eager", 0.5, 1.0),
    ("threads", "samples_per_s", 9.0, 8.0), ("quality", "neighbours_changed", 0.1, 0.2),
    ("tasks", "predictions_equal", 1.0, 0.5), ("generation", "tokens_per_s", 9.0, 8.0)])
def test_more_of_a_rank_is_better(experiment, field, better, worse):
    rank = EXPERIMENTS[experiment].rank
    assert rank(made(experiment, **{field: better})) > rank(made(experiment, **{field: worse}))
