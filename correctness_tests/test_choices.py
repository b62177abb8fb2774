"""How often a recommendation flips: the count, and the page that shows it."""

import json
import re
from pathlib import Path

import pytest
from decision_files import EAGER, PAIRS, bench, content
from running import ROOT

from eagerbench import cli
from eagerbench.measuring import choices
from eagerbench.results import recommend, recommended, records
from eagerbench.results.decision import Budget, Source, decide
from eagerbench.results.decision.stability import Said, flipped, stability

PAGE = ROOT / "docs" / "choose.md"
RESULTS = ROOT / "docs" / "results"


def sources(*ratios: float, pairs=PAIRS) -> list[Source]:
    """A file for each ratio of `a`; `b` is 2 times as fast as eager in each."""
    return [Source(f"{index}.json", content(EAGER, bench("a", ratio, pairs=pairs), bench("b", 2.0, pairs=pairs)))
            for index, ratio in enumerate(ratios)]


def test_choices_that_flip_are_counted():
    found = stability(sources(*[1.8] * 6, 2.4), "all", Budget())
    assert (found.together, found.chosen, found.missed) == ("b", {"b": 6, "a": 1}, 1)
    assert (found.flips, found.pairs) == (6, 21)


def test_a_choice_that_had_said_tie_is_no_flip():
    noisy = tuple(one**6 for one in PAIRS)
    found = stability(sources(1.9, 2.1, 1.95, 2.05, 1.98, 2.02, pairs=noisy), "all", Budget())
    assert len(found.chosen) == 2
    assert (found.flips, found.missed) == (0, 0)


@pytest.mark.parametrize(("one", "other", "is_flip"), [
    (("a", []), ("a", []), False), (("a", []), ("b", []), True), (("a", ["b"]), ("b", []), False),
    (("a", []), ("b", ["a"]), False), ((None, []), ("a", []), True), ((None, []), (None, []), False)])
def test_flipped(one, other, is_flip):
    assert flipped(*(Said(choice=choice, ties=ties) for choice, ties in (one, other))) is is_flip


def test_files_that_are_there_are_counted_and_not_measured_again(tmp_path, capsys):
    for index, source in enumerate(sources(1.5, 1.5, 1.5), 1):
        (tmp_path / f"{index:03}.json").write_text(json.dumps(source.content))
    output = tmp_path / "choices.json"
    assert cli.main(["choices", "--runs", "3", "--directory", str(tmp_path), "-o", str(output)]) == 0
    assert "b 3" in capsys.readouterr().out
    saved = json.loads(output.read_text())
    assert len(saved["measurements"]) == 3
    assert saved["budgets"][0]["missed"] == 0


def test_one_measurement_is_refused(tmp_path, capsys):
    assert cli.main(["choices", "--runs", "1", "--directory", str(tmp_path)]) == 2
    assert "give 2 or more" in capsys.readouterr().err


def test_the_short_recommendation_names_the_choice_and_its_ties():
    found = recommended.short(content(EAGER, bench("a", 2.0), bench("b", 2.01, "reduced-precision", 0.01),
                                      bench("c", 1.0)))
    assert {name: [(take.variant, take.more) for take in takes] for name, takes in found.items()} == {
        "exact math": [("a", " [1.93, 2.07]")], "16 bits": [("b", " [1.94, 2.08] (= a)")],
        "8 bits": [("b", " [1.94, 2.08] (= a)")]}
    (eager,) = recommended.short(content(EAGER, bench("c", 1.0)))["8 bits"]
    assert (eager.variant, eager.gain, eager.more) == ("eager", "", ", nothing is provably faster (= c)")


def blocks() -> list[tuple[list[str], str]]:
    """Commands of the page and what it shows of them."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(r"\$ eagerbench (recommend .+)\n((?:.+\n)+?)```", text)
    return [(command.split(), shown) for command, shown in found]


@pytest.mark.parametrize("index", [0, 1])
def test_the_page_shows_what_is_printed(index, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    command, shown = blocks()[index]
    cli.main(command)
    assert capsys.readouterr().out == shown


def test_the_page_has_the_count_of_its_file():
    saved = json.loads((RESULTS / "choices.json").read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    for budget in saved["budgets"]:
        assert f"| {budget['missed']} of {len(budget['files'])} | {budget['flips']} of {budget['pairs']} |" in text
    assert f"{len(saved['measurements'])} measurements" in text
    assert " ".join(choices.CASE) == saved["case"]


def test_the_example_is_decided_as_the_count_says():
    found = decide([Source("choose.json", records.read(Path(RESULTS / "choose.json")))], Budget(max_error=0.05))
    assert recommend.lines(found)
