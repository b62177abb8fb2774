"""The wheel: what is in it, and that it runs far from any clone, beside the user's own files of the same names."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from running import ROOT, copy_of_project, own_environment

from eagerbench.fixtures import settings

MODELS = '''
import torch

class Bag(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding = torch.nn.Embedding(50, 8)
        self.head = torch.nn.Linear(8, 3)

    def forward(self, input_ids, attention_mask):
        weights = attention_mask[..., None].to(self.embedding.weight.dtype)
        return self.head((self.embedding(input_ids) * weights).sum(1))

def build():
    return Bag()
'''
REFUSES = "raise RuntimeError('eagerbench imports a module of the user')\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    pytest.importorskip("setuptools", "77")
    source = copy_of_project(tmp_path_factory.mktemp("source"))
    shutil.copy(ROOT / "LICENSE", source)
    directory = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps",
                           "--no-build-isolation", "--wheel-dir", str(directory), str(source)],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = directory.glob("eagerbench-*.whl")
    return file


@pytest.fixture
def users_directory(tmp_path) -> Path:
    """A project with a model in it, and everything that could be taken for ours; whatever loads that, fails."""
    place = tmp_path / "theirs"
    for package in ("fixtures", "analysis", "tests", "perf_tests"):
        (place / package).mkdir(parents=True)
        (place / package / "__init__.py").write_text(REFUSES)
    (place / "conftest.py").write_text(REFUSES)
    (place / "tests" / "test_theirs.py").write_text(REFUSES)
    (place / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option -m nothing\ntestpaths = tests\n")
    (place / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = "--neither-this"\n')
    (place / "my_package").mkdir()
    (place / "my_package" / "models.py").write_text(MODELS)
    return place


def test_it_holds_what_a_clone_has_and_nothing_beside_the_package(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert {name.partition("/")[0] for name in names} == {"eagerbench"}
    wanted = set()
    for directory, package in (("eagerbench", ""), ("fixtures", "fixtures/"), ("perf_tests", "perf_tests/"),
                               ("runners", "runners/")):
        wanted |= {f"eagerbench/{package}{file.relative_to(ROOT / directory).as_posix()}"
                   for file in (ROOT / directory).rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    assert names == wanted


@pytest.mark.parametrize(("given", "sort", "columns"), [
    ((), "fullname", ["median", "iqr", "min", "max", "rounds"]),
    (("--benchmark-sort=name", "--benchmark-columns", "max"), "as given", "as given")])
def test_the_table_is_ours_unless_another_is_asked_for(monkeypatch, given, sort, columns):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    option = SimpleNamespace(benchmark_sort="as given", benchmark_columns="as given")
    settings.apply(SimpleNamespace(option=option, invocation_params=SimpleNamespace(args=given),
                                   getini=lambda name: [], addinivalue_line=lambda name, line: None))
    assert (option.benchmark_sort, option.benchmark_columns) == (sort, columns)


_OURS = ("PYTHONPATH", "EAGERBENCH_ARTIFACTS")  # a user has neither


def ran(program: list, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in own_environment().items() if name not in _OURS}
    done = subprocess.run([*map(str, program), *arguments], cwd=cwd, capture_output=True, text=True, check=False,
                          env=clean, timeout=300)
    assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
    return done


def test_a_clone_runs_in_another_directory(users_directory):
    """What the wheel's test does at length, by the files of the clone and with a benchmark that needs no model."""
    eagerbench = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); "
                  "from eagerbench.cli import main; sys.exit(main())"]
    done = ran(eagerbench, "run", "test_harness_overhead.py", "--model", "my_package.models:build", "-v", "--variant",
               "eager", "--time-budget", "0.1", cwd=users_directory)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = users_directory.glob(".benchmarks/*/0001_*.json")
    (saved,) = json.loads(file.read_text())["benchmarks"]
    assert saved["fullname"] == "perf_tests/test_harness_overhead.py::test_harness_overhead"
    plugins = re.search(r"^plugins: (.*)$", done.stdout, re.MULTILINE)[1]
    assert ("benchmark" in plugins, "hypothesis" in plugins, "anyio" in plugins) == (True, False, False)
    assert re.search(r"Name \(time in \w+\) +Median +IQR +Min +Max +Rounds", done.stdout)
    done = ran(eagerbench, "list-cases", "--model", "my_package.models:build", "--variant", "sdpa", cwd=users_directory)
    assert "my_package.models.build/sdpa/b8/s128/cpu" in done.stdout


@pytest.mark.slow
def test_an_installed_wheel_runs_on_a_model_of_the_working_directory(wheel, users_directory, tmp_path):
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    seen = [path for path in sys.path if Path(path).name == "site-packages"]
    (site / "packages.pth").write_text("\n".join(seen))  # of this interpreter, and no clone
    subprocess.run([sys.executable, "-m", "pip", "--python", environment / "bin" / "python", "install", "--quiet",
                    "--no-index", "--no-deps", wheel], check=True)
    before = {file for file in site.rglob("*") if "__pycache__" not in file.parts}
    python = [environment / "bin" / "python", "-P", "-c"]
    where = ran(python, "import eagerbench; print(eagerbench.__file__)", cwd=users_directory).stdout
    assert Path(where.strip()).is_relative_to(site)
    eagerbench = [environment / "bin" / "eagerbench"]
    done = ran(eagerbench, "run", "--model", "my_package.models:build", "--variant", "torchscript-freeze",
               "--grid", "smoke", "--batch-sizes", "2", "--sequence-lengths", "8", "--threads", "1",
               "--time-budget", "0.2", "--benchmark-json", "run.json", cwd=users_directory)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((users_directory / "run.json").read_text())
    saved = {bench["extra_info"]["bench_id"] for bench in content["benchmarks"]}
    for workload in ("b2/s8", "memory/b2/s8", "length/b2/s8"):  # memory: by a process of its own
        assert f"my_package.models.build/torchscript-freeze/{workload}/cpu" in saved
    for program in (eagerbench, [*python[:1], "-m", "eagerbench"]):
        assert ran(program, "check", "run.json", cwd=users_directory).returncode == 0
    assert (users_directory / ".artifacts" / "variants").is_dir()
    assert {file for file in site.rglob("*") if "__pycache__" not in file.parts} == before
