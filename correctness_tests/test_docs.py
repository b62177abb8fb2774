"""README and docs: short, linked, of options and commands that exist, and with tables that are those of their files."""

import contextlib
import io
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from running import ROOT, run_python

from eagerbench import cli
from eagerbench.results.headline import Headline
from scripts.docs import blocks, kept, pages, pictures

PAGES = pages.pages()
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Pages that are written elsewhere and not here yet.
COMING = {"reading-the-report.md"}
# Options of other programs that a page shows.
# The last three of a package's load.py and of a runner in C++.
FOREIGN = {"--array", "--index-url", "--no-deps", "--check", "--serve", "--time"}
PARTS = {"history": ("add", "report", "schema")}  # commands of a command
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(params=PAGES, ids=NAMES)
def page(request) -> Path:
    return request.param


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def links(text: str) -> list[str]:
    """Targets of links and images that are no addresses."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text))
            if not re.match(r"[a-z]+:", target)]


@cache
def anchors(file: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", file.read_text(encoding="utf-8")), re.MULTILINE)
    found: dict[str, int] = {}
    for heading in headings:
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if number == 0 else f"{slug}-{number}" for slug, last in found.items() for number in range(last + 1)}


def broken(page: Path, text: str) -> list[str]:
    """Links of a page that lead nowhere."""
    wrong = []
    for target in links(text):
        path, _, anchor = unquote(target).partition("#")
        file = (page.parent / path).resolve() if path else page
        if file.parent == ROOT / "docs" and file.name in COMING and not file.exists():
            continue
        if not file.exists() or (anchor and (file.suffix != ".md" or anchor not in anchors(file))):
            wrong.append(target)
    return wrong


def test_readme_is_short():
    assert len(README.splitlines()) <= 180
    assert len(README.encode()) <= 12_000


def test_readmes_tables_are_narrow():
    """Seven columns, 100 characters that are seen; the result table five columns and seven rows."""
    for line in re.findall(r"^\|.*\|$", without_code(README), re.MULTILINE):
        seen = re.sub(r"\]\([^)]*\)", "", line).replace("[", "")
        assert len(seen) <= 100, line
    made = re.search(r"<!-- made: results -->\n(.*?)<!-- end -->", README, re.DOTALL)[1]
    header, _, *rows = [line for line in made.splitlines() if line.startswith("|")]
    assert len(rows) == len(blocks.README_VARIANTS) <= 7
    assert header.count("|") - 1 <= 5
    assert "A ranking does not travel" in README


def test_readmes_cells_have_enough_pairs():
    shown = [found for found in kept.headlines("latency")
             if found.place == blocks.README_PLACE and found.variant in blocks.README_VARIANTS]
    if "placeholder" in kept.conditions("latency"):
        pytest.skip("docs/results/latency.json was measured beside other work: run `make results` on a quiet machine")
    assert len(shown) == len(blocks.README_VARIANTS) * len(blocks.README_MODELS)
    assert [found.name for found in shown if found.few_pairs] == []


def test_links_lead_somewhere(page):
    assert broken(page, page.read_text(encoding="utf-8")) == []


def test_a_broken_link_is_noticed():
    text = "[a](docs/no-such.md) [b](README.md#no-such) [c](#licence) [d](docs/gate.md#floors) `[e](no)`"
    assert broken(ROOT / "README.md", text) == ["docs/no-such.md", "README.md#no-such"]


def test_every_page_is_reached_from_the_index():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = [(page.parent / target.partition("#")[0]).resolve() for target in links(page.read_text("utf-8"))]
        waiting += [target for target in targets if target.suffix == ".md" and target.exists()]
    assert {str(page.relative_to(ROOT)) for page in PAGES if page not in reached} == set()


@cache
def options_of(command: str) -> frozenset[str]:
    """Of a command, as its own help lists them. `run` has pytest's too: its help comes from a process."""
    if command in cli.PYTEST_COMMANDS:
        shown = run_python("-m", "eagerbench", command, "--help").out
    else:
        stream = io.StringIO()
        for words in ([command], *([command, part] for part in PARTS.get(command, ()))):
            with contextlib.redirect_stdout(stream), pytest.raises(SystemExit):
                cli.main([*words, "--help"])
        shown = stream.getvalue()
    return frozenset(re.findall(r"--[a-z][a-z0-9-]+", shown))


def shown_commands(text: str) -> list[str]:
    """Lines of shell blocks without comments, continued lines joined."""
    blocks_of_shell = [body for language, body in FENCE.findall(text) if language == "sh"]
    lines = [line for body in blocks_of_shell for line in body.replace("\\\n", " ").splitlines()]
    return [re.sub(r"\s#\s.*", "", line).strip() for line in lines if not line.startswith("#")]


def test_commands_and_targets_exist(page):
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extra = re.search(r"^EXTRA := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    targets |= {f"{kind}-{name}" for kind in ("bench", "test", "env") for name in extra}
    known = {*cli.COMMANDS, *cli.PYTEST_COMMANDS}
    text = page.read_text(encoding="utf-8")
    code = [*shown_commands(text), *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))]
    for line in code:
        for called in re.findall(r"(?:^|&& |-m )eagerbench ([a-z][a-z-]*)", line):
            assert called in known, line
        for target in re.findall(r"(?:^|&& )make ([a-z][a-z0-9-]*)", line):
            assert target in targets, line
        for file in re.findall(r"(?:perf_tests/)?\btest_[a-z_]+\.py", line):
            assert any((ROOT / place / Path(file).name).exists() for place in ("perf_tests", "correctness_tests")), line


def test_options_in_shown_commands_exist(page):
    """Behind `eagerbench NAME` those of that command; behind pytest and `make bench ARGS=` those of a run."""
    run_options = options_of("run")
    for line in shown_commands(page.read_text(encoding="utf-8")):
        given = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", line)) - FOREIGN
        called = re.match(r"eagerbench ([a-z][a-z-]*)", line)
        known = options_of(called[1]) if called else run_options
        if line.startswith(("pytest", "make gate", "eagerbench gate", "eagerbench duet")):
            known = run_options | options_of("gate") | options_of("duet")
        elif "scripts" in line:
            continue
        assert given <= known, f"{sorted(given - known)} in: {line}"


def test_options_in_the_text_exist(page):
    every = frozenset().union(*map(options_of, ["run", *cli.COMMANDS]))
    gpu = set(re.findall(r"--[a-z][a-z0-9-]+", (ROOT / "scripts/gpu/__main__.py").read_text()))
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    named = {option for code in re.findall(r"`([^`\n]+)`", text)
             for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", code)}
    assert named <= every | gpu | FOREIGN


def test_the_table_of_options_is_complete():
    from eagerbench.fixtures.options import add_options

    class Group:
        def __init__(self):
            self.names = set()

        def addoption(self, name, **_):
            self.names.add(name)

    class Parser:
        group = Group()

        def getgroup(self, *_):
            return self.group

    add_options(Parser())
    rows = re.findall(r"^\| (`--.*?) \|", (ROOT / "docs/options.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"--[a-z0-9-]+", row)} == Parser.group.names


def test_generated_parts_are_up_to_date():
    changed = [str(file.relative_to(ROOT)) for file in pages.out_of_date()]
    assert changed == [], "run `make docs`"


def test_an_edited_table_is_noticed():
    text = (ROOT / "docs/method.md").read_text(encoding="utf-8")
    edited = text.replace("| `quantised` |", "| `quantized` |")
    assert edited != text
    assert pages.made(edited) == text


def test_every_experiment_has_a_page():
    for name in blocks.EXPERIMENTS:
        text = (ROOT / f"docs/experiments/{name}.md").read_text(encoding="utf-8")
        assert f"<!-- made: experiment {name} -->" in text
        assert f"({name}.md)" in (ROOT / "docs/experiments/index.md").read_text(encoding="utf-8")


def test_spelling():
    pytest.importorskip("codespell_lib", reason="pip install -e '.[test]'")
    ended = run_python("-m", "codespell_lib", "README.md", "CHANGELOG.md", "docs", "eagerbench", "fixtures",
                       "perf_tests", "scripts", "--skip", "*.svg,*.json,*.min.js",
                       "-L", "valu")  # "value", cut on a screen
    assert ended.code == 0, ended.out


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    pytest.importorskip("material", reason="pip install -e '.[docs]'")
    ended = run_python("-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site"))
    assert ended.code == 0, ended.err
    assert (tmp_path / "site/gate/index.html").exists()


def test_every_column_of_a_result_is_explained():
    for name in blocks.EXPERIMENTS:
        text = (ROOT / f"docs/experiments/{name}.md").read_text(encoding="utf-8")
        explained = text.partition("## Columns")[2].partition("## A small result")[0]
        names = {part.strip(" `…") for row in re.findall(r"^\| (.*?) \| ", explained, re.MULTILINE)
                 for part in row.replace(";", "`").replace("`, …", "`").split("`")}
        made = re.search(rf"<!-- made: result {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)[1]
        headers = re.findall(r"^\| (.*) \|\n\| ---", made, re.MULTILINE)
        for column in (column for header in headers for column in header.split(" | ")):
            of_a_workload = re.match(r"[bn]\d+|\d+, ms", column)
            assert column in names or of_a_workload, f"{name}: {column}"


def test_pictures_are_svg_for_light_and_dark():
    for name, text in pictures.made().items():
        ElementTree.fromstring(text)
        assert "prefers-color-scheme: dark" in text
        assert (ROOT / "docs" / name).exists()


def headline(variant: str, call_s: float, error: float, tolerance: str = "exact-math") -> Headline:
    return Headline("m", variant, "latency", "8×128", "cpu", 1, tolerance, call_s, 1.0, 0.9, 1.1, 9, "", 1.0, error, 0,
                    0, "")


def test_the_picture_names_what_no_other_variant_beats():
    text = pictures.error_time([headline("eager", 1.0, 0.0), headline("slow", 1.1, 1e-6), headline("fast", 0.5, 1e-6),
                                headline("<int8>", 0.2, 0.1, "quantised"), headline("worse", 0.3, 0.2, "quantised")])
    names = [element.text for element in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")]
    assert {"eager", "fast", "<int8>"} <= set(names)
    assert not {"slow", "worse"} & set(names)
    titles = [element.text for element in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}title")]
    assert len(titles) == 5


@pytest.mark.parametrize("name", [*cli.COMMANDS, *cli.PYTEST_COMMANDS])
def test_every_command_is_on_a_page(name):
    assert any(re.search(rf"eagerbench {name}\b", page.read_text(encoding="utf-8")) for page in PAGES)


def test_every_kept_result_is_described():
    described = (ROOT / "docs/results/README.md").read_text(encoding="utf-8")
    kept_files = sorted(file.name for file in (ROOT / "docs/results").glob("*.json"))
    assert [name for name in kept_files if f"`{name}`" not in described] == []
