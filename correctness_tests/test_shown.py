"""Text on its way to a terminal, Markdown or HTML, and tables of every width."""

import ast
import json
import unicodedata

import pytest
from analysis_files import analysis, benchmark_file, drawn, saved
from fuzzing import markdown_problems
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from running import ROOT

from eagerbench import shown
from eagerbench.errors import BadInput, CannotRun, first_line
from eagerbench.results import grid
from eagerbench.results.grid import Grid

LONG = "tests/test_models.py::test_forward[" + "some-very-long-parameter-" * 3 + "end]"
WIDE = "tests/" + "名前" * 40 + "/cpu"
ACCENTS = "tests/" + "e\u0301" * 100 + "/cpu"


@given(st.text())
def test_nothing_invisible_is_left(text):
    assert shown.visible(text).isprintable()
    assert all(line.isprintable() for line in shown.printable(text).split("\n"))


@given(st.text(alphabet=st.sampled_from("ab_*`~|<>&[]()!:\\@#$ \n\x1b\u202e"), max_size=30))
def test_markdown_is_plain_text(text):
    table = grid.as_markdown([Grid(f"t {text}", ["a", f"b {text}"], [[text, "x"], ["y", text]], f"Note: {text}")])
    assert list(markdown_problems(table)) == []


def test_markdown_stays_readable():
    """What means nothing in Markdown is left as it is."""
    for plain in ("tests/test_a.py::test_b[x-1]", "minilm/sdpa/b8/s128/cpu", "1.04 [0.98, 1.10]", "model@layers=2"):
        assert shown.markdown(plain) == plain
    assert shown.markdown("a|b `c` <d> __init__") == r"a\|b \`c\` &lt;d&gt; \_\_init\_\_"


GRIDS = [Grid("Benchmarks", ["benchmark", "verdict", "new / old", "95 % interval", "floor", "p", "files", "reason"],
              [[name, "INCONCLUSIVE", "1.2345", "0.9812 to 1.0245", "3%", "0.00012", "12 / 12", "at least 3% slower"]
               for name in (LONG, f"{LONG}2", WIDE, ACCENTS, "short")], "A note.")]


@pytest.mark.parametrize("width", [20, 40, 80, 120, 140, 300])
def test_names_yield_and_verdicts_never(width):
    text = grid.as_text(GRIDS, width, False)
    lines = text.splitlines()
    for whole in ("INCONCLUSIVE", "1.2345", "0.00012"):
        assert text.count(whole) == 5
    assert "0.9812 to 1.0245" in text or width < 40
    assert " ".join(text.split()).count("at least 3% slower") == 5
    for name in (LONG, f"{LONG}2", WIDE, ACCENTS):
        assert any(line.endswith((f" {name}", f"] {name}")) or line == name or f"│ {name} " in line for line in lines)
    drawn_lines = [line for line in lines if line[:1] in "┏┃┡│└"]
    assert all(cell_len(line) <= width for line in drawn_lines)


@given(st.text(max_size=60), st.integers(3, 30))
def test_a_shortened_name_fits(text, size):
    short = grid.middle(shown.visible(text), size)
    assert cell_len(short) <= size
    _, cut, after = short.partition("…")
    assert not cut or not after or not unicodedata.combining(after[0])


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_every_command_shows_verdicts_beside_long_names(tmp_path, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    old, new = (saved(tmp_path, f"{side}.json", benchmark_file({LONG: [0.01 * factor] * 3, "b": [1.0]}))
                for side, factor in (("old", 1), ("new", 2)))
    code, out, _ = analysis(capsys, "compare", old, new)
    assert code == 0
    assert all(word in out for word in ("NOT JUDGED", "2.000", "10 ms", "20 ms", LONG))
    duet = json.loads(json.dumps(drawn(1, {"b1": 0.2})).replace('"b1"', json.dumps(LONG)))
    _, out, _ = analysis(capsys, "gate", saved(tmp_path, "duet.json", duet))
    assert all(word in out for word in ("SUSPECT", "1.2", LONG))


def test_a_width_that_nobody_knows_is_that_of_a_log(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    assert grid.width(False) == 140
    monkeypatch.setenv("COLUMNS", "44")
    assert grid.width(False) == grid.width(True) == 44


def test_one_place_prints():
    """Everything of ours goes out through `shown.say` or `grid.show`. A package prints what its own user gave it."""
    ours = [file for file in (ROOT / "eagerbench").rglob("*.py") if file.parent.name != "templates"]
    found = {file.name for file in ours for node in ast.walk(ast.parse(file.read_text()))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"}
    assert found == {"shown.py", "grid.py"}


def test_errors_quote_nothing_raw(capsys, tmp_path):
    for error in (BadInput("--model \x1b[31m\nx"), CannotRun("\x1b[31m")):
        assert "\x1b" not in str(error)
    assert "\n" not in str(BadInput("--model a\nb"))
    assert first_line(ValueError("\x1b[31mno")) == r"ValueError: \x1b[31mno"
    for command in (("summary", "\x1b[31m.json"), ("check", tmp_path / "\x1b[31m\n.json"),
                    ("compare", "a", "--\x1b[31m"), ("compare", "--noise-floor", "\x1b", "a", "b"),
                    ("duet", "--base", "\x1b[31m", "--head", ".")):
        code, out, err = analysis(capsys, *command)
        assert code == 2
        assert "\x1b" not in out + err
        assert r"\x1b" in err
