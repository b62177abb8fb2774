"""The report in a real browser where there is hardly anything to report, something hostile, or very much."""

import made_reports as made
import pytest
from browsing import needed, opened, started, written

needed()
HOSTILE = "<img src=x onerror=alert(1)></script><script>boom()//"


@pytest.fixture(scope="module")
def browser():
    with started() as found:
        yield found


def hostile() -> dict:
    content = made.content([made.bench(HOSTILE.replace("/", "").replace(" ", "")), made.bench("eager")],
                           [made.failed("x", reason=HOSTILE, log=f"{HOSTILE}\x1b[31m\u202e")])
    content["machine_info"] = {**made.MACHINE, "cpu": {"brand_raw": HOSTILE}, "packages": {HOSTILE: HOSTILE}}
    return content


DEGENERATE = {
    "one case": (made.content([made.bench("eager")]), "eager"),
    "no winner": (made.content([made.bench("eager"), made.bench("sdpa", speed=0.7)]), "eager"),
    "all failed": (made.content([], [made.failed("sdpa"), made.failed("eager")]), ""),
    "all disturbed": (made.content([made.bench("eager", usable=False, unusable_reason="disturbed")]), ""),
    "no latency": (made.content([made.bench("eager", experiment="memory")]), ""),
    "hostile": (hostile(), "eager"),
}


QUICK = ("no winner", "all failed", "hostile")


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK))
                                  for name in DEGENERATE])
def test_complete_with_little(browser, tmp_path, name):
    content, taken = DEGENERATE[name]
    file = written(tmp_path, content)
    with opened(browser, file, "#records") as found:
        found.draw_all()
        assert (found.requests, found.console) == ([file.as_uri()], [])
        assert found.count("#table tbody tr") == len(content["benchmarks"]) + sum(
            cell["status"] == "failed" for cell in content["eagerbench"]["cells"])
        said = found.texts(".card .take")
        assert all(f"Take {taken}" in line for line in said) if taken else "Take" not in said[0] or "none" in said[0]
        assert found.texts("h2")[-1] == "Machine, versions, commands"
        assert found.count("[data-figure]") == found.count("[data-figure] .main-svg") // 3 or not taken


def many() -> dict:
    """621 variants at one place."""
    benches = [made.bench("eager"), *made.large(620)["benchmarks"]]
    for number, bench in enumerate(benches[1:]):
        bench["extra_info"]["identity"] |= {"model": "m", "variant": f"v{number}", "workload": "b8-s128",
                                            "bench_id": f"m/v{number}/b8/s128/cpu"}
        bench["extra_info"]["workload"] = {"batch_size": 8, "sequence_length": 128}
    return made.content(benches)


def test_long_tables_are_made_when_they_are_unfolded(browser, tmp_path):
    """They have every row then, on paper, and where there are no scripts."""
    file, rows = written(tmp_path, many()), "section[aria-labelledby=latency] > details tbody tr"
    with opened(browser, file) as found:
        assert found.count(rows) == 0
        found.page.locator("summary", has_text="Numbers of latency").click()
        found.page.wait_for_selector(rows)
        assert found.count(rows) == 2 * 621  # two tables
        assert found.console == []
    with opened(browser, file) as found:
        found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert found.count(rows) == 2 * 621
    with opened(browser, file, java_script_enabled=False) as found:
        assert found.count(rows) == 2 * 621


def test_more_marks_than_a_plot_has_are_thinned_and_said(tmp_path):
    file = made.saved(tmp_path, many())
    from eagerbench.results.report import overview, source

    rows = source.rows(source.read([file]))
    (figure,) = overview.scatters(rows, {}, {})
    assert (figure.marks, figure.of) == (500, 621)
    assert figure.thinned == "500 of 621 records are drawn, evenly chosen."
    assert sum(len(trace["x"]) for trace in figure.data if trace["mode"] != "lines") == 500


@pytest.mark.slow
def test_ten_thousand_records(browser, tmp_path):
    file = written(tmp_path, made.large(10_000))
    assert file.stat().st_size < 25e6
    with opened(browser, file) as found:
        assert found.console == []
        assert found.texts("#count") == ["10,000 of 10,000 records, the first 250 shown"]
        found.draw_all()
        assert "500 of 1,000 records are drawn" in " ".join(found.texts("figcaption"))
        assert found.count("#explore .scatterlayer path.point") == 500
        found.page.locator("#q").fill("variant-07 model-3")
        found.page.wait_for_selector("#count:has-text('20 of 10,000')")
