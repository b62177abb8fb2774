"""How long pages take to open in a browser: `python scripts/page_cost.py [FILE.html …]`.

Without a file: the report of 10,000 made records. Each page is opened a few times, each time by a new context of one
browser. Printed are milliseconds from the navigation until tables and the plots in sight are there (`ready`), until all
plots are drawn (`drawn`), and what the browser's main thread did in that time by its own counters (DevTools protocol,
Performance.getMetrics). Nothing is judged.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "correctness_tests")]

import browsing  # noqa: E402
import made_reports  # noqa: E402

TIMES = """() => {
  const marks = Object.fromEntries(performance.getEntriesByType('mark').map(one => [one.name, one.startTime]));
  const navigation = performance.getEntriesByType('navigation')[0];
  return {...marks, parsed: navigation.domInteractive, load: navigation.loadEventEnd};
}"""
TASKS = {"TaskDuration": "processor", "ScriptDuration": "of it scripts", "LayoutDuration": "layout",
         "RecalcStyleDuration": "styles"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path, metavar="FILE.html")
    parser.add_argument("--records", type=int, default=10_000, help="of the made report (default: 10,000)")
    parser.add_argument("--times", type=int, default=5, help="that each page is opened (default: 5)")
    parser.add_argument("--keep", type=Path, metavar="FILE.html", help="keep the made report")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, browsing.started() as browser:
        pages = chosen.pages or [browsing.written(Path(directory), made_reports.large(chosen.records))]
        if chosen.keep:
            chosen.keep.write_bytes(pages[0].read_bytes())
        for page in pages:
            opens = [opened(browser, page.absolute()) for _ in range(chosen.times)]
            names = [name for name in ("parsed", "load", "ready", "drawn", *TASKS.values()) if name in opens[0]]
            found = ", ".join(f"{name} {median(one[name] for one in opens):.0f}" for name in names)
            print(f"{page.name}, {page.stat().st_size / 1e6:.1f} MB, medians of {len(opens)} in ms: {found}; "
                  f"drawn {min(map(complete, opens)):.0f} to {max(map(complete, opens)):.0f}")
    return 0


def complete(found: dict[str, float]) -> float:
    return found.get("drawn", found["load"])


def opened(browser, page: Path) -> dict[str, float]:
    """Milliseconds, by name."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        tab = context.new_page()
        protocol = context.new_cdp_session(tab)
        protocol.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = _spent(protocol)
        tab.goto(page.as_uri())
        if tab.locator("[data-figure], #explore").count():
            tab.wait_for_selector(browsing.DRAWN, state="attached", timeout=60_000)
        after = _spent(protocol)
        return {**tab.evaluate(TIMES), **{name: after[name] - before[name] for name in after}}
    finally:
        context.close()


def _spent(protocol) -> dict[str, float]:
    metrics = {one["name"]: one["value"] for one in protocol.send("Performance.getMetrics")["metrics"]}
    return {ours: 1e3 * metrics[theirs] for theirs, ours in TASKS.items()}


if __name__ == "__main__":
    sys.exit(main())
