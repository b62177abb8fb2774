"""Parts of what a session shows: the expected time, the link to the last run, other libraries' words, cases' lines."""

import io
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from selections import read

from eagerbench.estimate import Expected, cached_in
from eagerbench.fixtures import progress, quieter, saved
from eagerbench.plan import plan


def cases(*variants):
    found = plan(read(model=["tiny-bert"], variant=list(variants), grid="smoke", threads="1"))
    return [case for case in found if case.reason is None and case.experiment == "latency"]


def test_building_counts_where_nothing_is_cached(tmp_path):
    (tmp_path / "tiny-bert-onnxruntime-0123456789abcdef").mkdir()
    of_both = cases("eager", "onnxruntime", "torchscript")
    warm, cold = (Expected(of_both, 2.0, known) for known in (cached_in(tmp_path), cached_in(tmp_path / "none")))
    first = {name: next(case.id for case in of_both if case.variant.name == name)
             for name in ("eager", "onnxruntime", "torchscript")}
    assert warm.seconds[first["onnxruntime"]] < cold.seconds[first["onnxruntime"]]
    assert warm.seconds[first["torchscript"]] == cold.seconds[first["torchscript"]]
    assert warm.text == "about 1 minute (partly cold: 1 of 2 artifacts cached)"
    assert "(cold: 0 of 2 artifacts cached)" in cold.text
    assert Expected(cases("eager"), 300.0, cached_in(tmp_path)).text == "about 12 minutes"


@pytest.mark.parametrize("links", [True, False])
def test_latest_points_at_the_file_or_is_a_copy(tmp_path, monkeypatch, links):
    file, link = tmp_path / "machine" / "0001.json", tmp_path / "latest.json"
    file.parent.mkdir()
    file.write_text("{}")
    link.write_text("of an earlier run")

    def refused(*_):
        raise OSError("no links on this file system")

    if not links:
        monkeypatch.setattr(Path, "symlink_to", refused)
    saved._point(link, file)
    assert link.read_text() == "{}"
    assert link.is_symlink() is links
    assert sorted(tmp_path.iterdir()) == [link, file.parent]


def test_other_libraries_are_quiet_and_their_errors_are_not(caplog):
    quieter.configure(SimpleNamespace(addinivalue_line=lambda *_: None))
    torchao = logging.getLogger("torchao")
    caplog.set_level(logging.WARNING, logger="torchao")  # torch raises it when it is imported
    torchao.warning("Failed to load /x/_C.so: undefined symbol")
    torchao.warning("another word")
    torchao.error("Failed to load the model")
    assert [record.getMessage() for record in caplog.records] == ["another word", "Failed to load the model"]


@pytest.mark.parametrize(("status", "reason", "expected"), [
    ("timed", "", "[1/2] eager · 1×16   21.0 ms   1.00× [0.90, 1.10]"),
    ("skipped", "no compiler", "[1/2] eager · 1×16   skipped: no compiler"),
    ("failed", "output differs\n" * 30, "[1/2] eager · 1×16  failed: output differs output"),
])
def test_the_line_of_a_case(status, reason, expected):
    """Whole where it fits, one line in any case."""
    stream = io.StringIO()
    reporter = SimpleNamespace(isatty=False, ensure_newline=lambda: None, currentfspath="x",
                               write_line=lambda text, **markup: stream.write(f"{text}\n"))
    config = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda name: None))
    line = progress.Progress(config, lambda case_id: (status, reason), lines=True)
    two = cases("eager")
    line.expect(two, Expected(two, 1.0, lambda label: False))
    line._results[two[0].id] = "21.0 ms   1.00× [0.90, 1.10]"
    line._done.append(two[0].id)
    line._write(reporter, two[0].id, False)
    assert stream.getvalue().startswith(expected)
    assert stream.getvalue().count("\n") == 1
    assert len(stream.getvalue()) <= 141
