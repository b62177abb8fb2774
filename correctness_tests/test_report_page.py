"""The report in a real browser: what is seen, pressed and printed, and that numbers are those of the file."""

import math
from pathlib import Path

import made_reports as made
import pytest
from browsing import DRAWN, needed, opened, started, written

from eagerbench.results.numbers import digits, percent

needed()
ALL = 48  # rows of the usual report


@pytest.fixture(scope="module")
def browser():
    with started() as found:
        yield found


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("report")
    old = made.saved(directory, made.content([made.bench("eager"), made.bench("sdpa", speed=1.3)]), "old.json")
    return written(directory, made.usual(), "--base", str(old))


@pytest.fixture(scope="module")
def first(browser, usual):
    """The usual report, opened once: what it asked for and said, before anything was pressed."""
    with opened(browser, usual, permissions=["clipboard-read", "clipboard-write"]) as found:
        yield found.draw_all()


@pytest.fixture
def page(first):
    """The same, as it was opened."""
    first.page.evaluate("location.hash = '#?'")
    first.page.wait_for_selector(f"#count:has-text('{ALL} of {ALL}')")
    return first


def go(page, address: str) -> None:
    """To another address of the same page."""
    page.page.evaluate("address => { location.hash = address; }", address)


def records(experiment: str = "latency") -> list[dict]:
    return [one for one in made.usual()["benchmarks"] if one["extra_info"]["identity"]["experiment"] == experiment]


def test_nothing_is_loaded_and_nothing_complains(first, usual):
    page = first
    assert set(page.requests) == {usual.as_uri()}
    assert page.console == []
    assert page.texts("h1") == ["Which one to take: m"]
    assert usual.stat().st_size < 6.5e6


def test_the_recommendation_stands_first(page):
    taken = page.texts(".card .take b:first-of-type")
    assert taken == ["openvino", "openvino-bf16", "openvino-int8"]
    rows = {row.split("\n")[0]: row for row in page.page.locator("table.picks tbody tr").all_inner_texts()}
    names = [row.split("\t")[0] for row in rows]
    assert {"openvino", "openvino-bf16", "openvino-int8", "onnxruntime-int8", "eager"} == set(names)
    box = page.page.locator(".cards").bounding_box()
    assert box["y"] < 200


def test_numbers_are_those_of_the_file(page):
    """Three digits of each; every record has its row."""
    columns = ["variant", "experiment", "workload", "time", "speedup", "error", "memory", "build"]
    go(page, "#records?cols=" + "+".join(columns))
    page.page.wait_for_selector("#table thead th:nth-child(9)", state="detached")
    shown = [row.split("\t") for row in page.page.locator("#table tbody tr").all_inner_texts()]
    wanted = [_numbers(one) for one in made.usual()["benchmarks"]]
    assert shown[:len(wanted)] == wanted
    assert len(shown) == len(wanted) + 2  # one failed, one crashed


def _numbers(bench: dict) -> list[str]:
    info, costs = bench["extra_info"], bench["extra_info"]["costs"]
    speed = info["timing"].get("speedup_vs_eager")
    error = math.sqrt(max(0.0, 2 * (1 - info["correctness"]["cosine"])))
    return [info["identity"]["variant"], info["identity"]["experiment"], info["identity"]["workload"],
            digits(1e3 * bench["stats"]["median"]), digits(speed) if speed else "–", percent(error),
            digits(costs["peak_rss_bytes"] / 2**20), digits(costs["build_s"])]


def test_as_many_marks_as_records(page):
    places = [[one for one in records() if one["extra_info"]["identity"]["workload"] == name]
              for name in ("b8-s128", "b1-s128")]
    for number, here in enumerate(places):
        assert page.count(f"#figure-trade-{number} .scatterlayer path.point") == len(here)
        assert page.count(f"#figure-trade-{number} .errorbars path.xerror") == len(here)
    assert page.count("#figure-panels-0 .xy .barlayer .point path") == len(places[0])
    usable = [one for one in records() if one["extra_info"]["conditions"].get("usable", True)]
    assert page.count("#figure-latency-0 .scatterlayer path.point") == len(usable)
    for name in ("corpus", "quality", "memory", "threads", "padding", "generation", "tasks", "length"):
        assert page.count(f"[id^=figure-{name}-] .scatterlayer path.point") == len(records(name)), name
    assert page.count("[id^=figure-startup-] .barlayer .trace:first-child .point") == len(records("startup"))
    assert page.count("#explore .scatterlayer path.point") == len(made.usual()["benchmarks"])


def test_plots_are_drawn_when_they_are_near_and_on_paper(browser, usual):
    """A page is complete before those that nobody has scrolled to."""
    with opened(browser, usual) as found:
        plots = found.page.locator("[data-figure], #explore")
        drawn = [plot.locator("svg").count() > 0 for plot in plots.all()]
        assert drawn[0]
        assert not drawn[-1]
        assert drawn == sorted(drawn, reverse=True)
        marks = found.page.evaluate("performance.getEntriesByType('mark').map(one => one.name)")
        assert marks == ["ready", "drawn"]
        plots.last.scroll_into_view_if_needed()
        plots.last.locator("svg").first.wait_for(state="attached")
        found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        found.page.wait_for_function("every().every(isDrawn)")
        assert found.console == []


def test_hollow_marks_are_what_is_excluded(page):
    """A disturbed record is drawn, hollow, and its label says why."""
    figure = page.page.evaluate("DATA.figures['trade-0'].data.flatMap(trace => (trace.customdata || []).map("
                                "(id, at) => [id, trace.marker.symbol[at], trace.hovertext[at]]))")
    by_variant = {name.split("/")[1]: (symbol, text) for name, symbol, text in figure}
    assert by_variant["torchscript-optimized"][0] == "circle-open"
    assert "3 of 3 turns disturbed" in by_variant["torchscript-optimized"][1]
    assert {name for name, (symbol, _) in by_variant.items() if symbol == "star"} == {
        "openvino", "openvino-bf16", "openvino-int8"}


def test_what_is_chosen_is_in_the_address_and_survives_a_reload(page):
    page.page.locator("#q").fill("int8")
    page.page.select_option("#filter-experiment", "latency")
    page.page.locator("#table thead button", has_text="× eager").click()
    page.page.locator("summary", has_text="Choose columns").click()
    page.page.locator("#column-dtype").check()
    page.page.wait_for_selector(f"#count:has-text('6 of {ALL}')")
    before = page.page.locator("#table").inner_text()
    assert [row.split("\t")[0] for row in before.splitlines()[1:]][:2] == ["openvino-int8"] * 2
    assert "dtype" in before.splitlines()[0]
    address = page.page.url
    assert "q=int8" in address
    page.page.reload()
    page.page.wait_for_selector(DRAWN, state="attached")
    page.page.wait_for_selector(f"#count:has-text('6 of {ALL}')")
    assert page.page.locator("#table").inner_text() == before
    assert (page.page.locator("#q").input_value(), page.page.locator("#filter-experiment").input_value()) == (
        "int8", "latency")
    assert page.page.url == address
    page.page.locator("#reset").click()
    page.page.wait_for_selector(f"#count:has-text('{ALL} of {ALL}')")
    assert "q=" not in page.page.url


def test_a_filter_keeps_the_focus_and_the_keyboard_does_everything(page):
    go(page, "#records")
    keyboard = page.page.keyboard
    page.page.locator("#q").focus()
    keyboard.type("bnb-nf4")
    page.page.wait_for_selector(f"#count:has-text('1 of {ALL}')")
    assert page.page.evaluate("document.activeElement.id") == "q"
    page.page.locator("#table tbody button.open").focus()
    keyboard.press("Enter")
    page.page.wait_for_selector("#table tr.details")
    assert page.page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert page.texts("#table tr.details pre") == ["line <one>\nline two & last"]
    page.page.locator("#table thead button").first.focus()
    keyboard.press("Enter")
    assert page.page.locator("#table thead th").first.get_attribute("aria-sort") == "ascending"
    assert page.page.evaluate("document.activeElement.closest('thead') !== null")


def test_a_record_down_to_its_turns(page):
    bench = records()[3]
    identity = bench["extra_info"]["identity"]["bench_id"]
    go(page, f"#records?open={identity}")
    text = page.page.locator("#table tr.details").inner_text()
    rounds = bench["stats"]["data"]
    first = sorted(rounds[:3])[1] * 1e3
    assert f"{float(f'{first:.3g}'):g}" in text
    assert "12 kernels <ran> & more" in text
    assert f"{float(f'{1e3 * max(rounds):.4g}'):g}" in text  # the slowest round
    assert f"--variant {bench['extra_info']['identity']['variant']}" in text
    assert "costs.build_s 2.50" in text


def test_any_column_against_any(page):
    go(page, "#records?experiment=latency&x=memory&y=speedup&lin=1")
    assert page.page.locator("#x").input_value() == "memory"
    assert page.count("#explore .scatterlayer path.point") == len(records())
    assert page.texts("#explore .xtitle") == ["peak memory, MiB"]
    page.page.select_option("#y", "build")
    assert "y=build" in page.page.url


def test_the_matrix_is_filtered_by_reason(page):
    go(page, "#matrix")
    page.page.select_option("#reason", label="not installed (1)")
    names = [row.split("\t")[0] for row in page.page.locator("table.matrix tbody tr:visible").all_inner_texts()]
    assert names == ["ipex"]
    assert "reason=" in page.page.url
    assert "make env-ipex" in " ".join(page.texts("#matrix ~ details td"))


def serious(page) -> set[tuple[str, str]]:
    """What axe finds, with everything unfolded: rule and element."""
    from axe_playwright_python.sync_playwright import Axe

    page.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    violations = Axe().run(page.page).response["violations"]
    return {(one["id"], node["html"][:120]) for one in violations if one["impact"] in ("serious", "critical")
            for node in one["nodes"]}


OPEN = "#records?open=m/sdpa/b8/s128/cpu"
LOOKS = {"dark and narrow": (OPEN, {"color_scheme": "dark", "width": 375}), "dark": (OPEN, {"color_scheme": "dark"}),
         "narrow": ("#matrix?reason=0", {"width": 375})}


@pytest.mark.parametrize("look", ["dark and narrow", *(pytest.param(name, marks=pytest.mark.slow)
                                                       for name in ("dark", "narrow"))])
def test_another_look(browser, usual, look):
    """In the dark every label is light; on a narrow screen nothing is wider than it but what scrolls by itself; axe
    finds nothing serious."""
    address, how = LOOKS[look]
    with opened(browser, usual, address, **how) as found:
        found.draw_all()
        if "dark" in look:
            fills = found.page.evaluate("[...document.querySelectorAll('.xtick text, .ytick text, .legendtext')].map("
                                        "one => getComputedStyle(one).fill)")
            assert fills
            assert all(min(map(int, fill[4:-1].split(","))) > 150 for fill in fills)
        if "narrow" in look:
            assert found.page.evaluate("document.documentElement.scrollWidth") <= 375
            assert found.page.evaluate("[...document.querySelectorAll('.plot svg.main-svg')].every(one => "
                                       "one.getBoundingClientRect().width <= one.closest('.plot').clientWidth + 1)")
        assert found.count("#table tr.details") == (address == OPEN)
        assert serious(found) == set()


def test_on_paper(page):
    pdf = page.page.pdf(format="A4")
    assert pdf.startswith(b"%PDF")
    page.page.emulate_media(media="print")
    seen = {name: page.page.locator(name).is_visible() for name in ("nav.contents", "#q", "#table")}
    page.page.emulate_media(media="screen")
    assert seen == {"nav.contents": False, "#q": False, "#table": True}


def test_without_scripts_everything_is_a_table(browser, usual):
    with opened(browser, usual, java_script_enabled=False) as found:
        text = found.page.locator("main").inner_text()
        for bench in made.usual()["benchmarks"]:
            assert digits(1e3 * bench["stats"]["median"]) in text
        assert "Take openvino-bf16" in text
        assert "line <one> / line two & last" in text
        assert not found.page.locator("#q").is_visible()
        assert not found.page.locator("[data-figure]").first.is_visible()
        assert found.console == []


def test_commands_are_copied(page):
    command = page.page.locator("section[aria-labelledby=machine] .command").first
    command.locator("button").click()
    command.locator("button", has_text="Copied").wait_for()
    assert page.page.evaluate("navigator.clipboard.readText()") == command.locator("code").inner_text()
    assert command.locator("code").inner_text().startswith("eagerbench report ")


def test_against_a_base(page):
    assert "Tier 3" in " ".join(page.texts("section[aria-labelledby=base] h3"))
    assert "m/sdpa/b8/s128/cpu" in page.texts("section[aria-labelledby=base] th")
