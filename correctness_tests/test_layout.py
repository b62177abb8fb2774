"""The arrows between modules, read from their sources; and that saved files are read where torch cannot be imported."""

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from running import ROOT, run_python

TREES = {"eagerbench": "eagerbench", "fixtures": "eagerbench.fixtures", "perf_tests": "eagerbench.perf_tests",
         "correctness_tests": "correctness_tests", "scripts": "scripts"}
PYTEST_LAYER = ("eagerbench.fixtures", "eagerbench.perf_tests", "correctness_tests")
RUNTIMES = ("torch", "transformers", "onnxruntime", "openvino")


@cache
def sources() -> dict[str, ast.Module]:
    """The syntax tree of every module, by its import name; tests by the name of their file."""
    found = {}
    for directory, package in TREES.items():
        for file in sorted((ROOT / directory).rglob("*.py")):
            parts = file.relative_to(ROOT / directory).with_suffix("").parts
            flat = directory == "correctness_tests"  # its directory is on sys.path, and it is no package
            name = ".".join(parts if flat else (package, *parts)).removesuffix(".__init__")
            found[name] = ast.parse(file.read_text(encoding="utf-8"))
    return found


def library() -> list[str]:
    return [name for name in sources() if name.split(".")[0] == "eagerbench" and not name.startswith(PYTEST_LAYER)]


def imported(name: str) -> Iterator[str]:
    """What a module imports anywhere in it: in functions and for type checkers too. Of a package, the module in it."""
    for node in ast.walk(sources()[name]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in sources() else node.module


def texts(name: str) -> Iterator[str]:
    """String constants that are no docstrings."""
    tree = sources()[name]
    docstrings = {id(node.body[0].value) for node in ast.walk(tree)
                  if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


def below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_the_library_knows_nothing_of_pytest():
    know = {name for name in library()
            if any(below(what, ("pytest", "_pytest", "pytest_benchmark", *PYTEST_LAYER)) for what in imported(name))}
    assert sorted(know) == []


def test_only_the_command_line_names_the_pytest_layer():
    """As text, to import it when the command is called."""
    assert {name for name in library() if any("eagerbench.fixtures" in text for text in texts(name))} == {
        "eagerbench.cli"}


def test_the_gate_does_not_name_the_pytest_layer():
    for name in library():
        if below(name, ("eagerbench.gate",)):
            assert not [text for text in texts(name) if re.search(r"\bfixtures\b", text)], name


def test_perf_tests_know_only_fixtures_and_the_library():
    for name in sources():
        if below(name, ("eagerbench.fixtures", "eagerbench.perf_tests")):
            assert not [what for what in imported(name) if below(what, ("correctness_tests", "scripts"))], name
        if below(name, ("eagerbench.fixtures",)):
            assert not [what for what in imported(name) if below(what, ("eagerbench.perf_tests",))], name


@pytest.mark.parametrize("package", ["eagerbench.results", "eagerbench.gate", "eagerbench.history", "eagerbench.fleet"])
def test_readers_of_files_never_import_a_runtime(package):
    for name in library():
        if below(name, (package,)):
            assert not [what for what in imported(name) if below(what, RUNTIMES)], name


def test_no_circle():
    graph = {name: {what for what in imported(name) if what in sources() and what != name} for name in sources()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_no_long_module_or_function():
    long = set()
    for name, tree in sources().items():
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        if max((node.end_lineno for node in tree.body), default=0) > 300 \
                or any(node.end_lineno - node.lineno >= 60 for node in functions):
            long.add(name)
    assert sorted(long) == []


def test_private_attributes_of_pytest_benchmark_stand_in_one_file():
    private = ("_benchmarksession", "_logger", "_mode", "_make_runner", "_calibrate_timer", "_raw_pedantic")
    users = {name for name, tree in sources().items() for node in ast.walk(tree)
             if isinstance(node, ast.Attribute) and node.attr in private}
    assert users == {"eagerbench.fixtures.benchmark_session"}
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert any(re.fullmatch(r"pytest-benchmark>=[\d.]+,<\d+", line) for line in wanted)


WITHOUT_RUNTIMES = f'''
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {RUNTIMES!r}:
            raise ImportError(f"{{name}} is not to be imported here")
sys.meta_path.insert(0, Refuse())
from eagerbench.cli import main
sys.exit(main(sys.argv[1:]))
'''


@pytest.mark.parametrize("command", ["compare", "report", *(pytest.param(name, marks=pytest.mark.slow)
                                                             for name in ("summary", "check"))])
def test_saved_files_are_read_without_a_runtime(command, tmp_path):
    saved = Path(__file__).parent / "data" / "session.json"
    files = [saved]
    if command == "compare":
        files += [tmp_path / "other.json"]
        files[1].write_text(saved.read_text().replace('"datetime":"2026', '"datetime":"2027'))
    if command == "report":
        files += ["-o", tmp_path / "report.html"]
    ended = run_python("-c", WITHOUT_RUNTIMES, command, *map(str, files))
    assert ended.code == 0, ended.out + ended.err
