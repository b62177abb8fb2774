"""The workflows and the action, run as GitHub's runner would (`actions.py`): cheap with the programs replaced that they
call, slow for real, once green and once red."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from actions import Runner
from expressions import Expression, filled, is_due
from running import ROOT, copy_of_project, own_environment
from their_repository import MODELS, PYPROJECT, commit, git, judged, repository, write

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGE = ROOT / "docs" / "your-repository.md"
OURS, THEIRS = "OWNER/eagerbench", "someone/theirs"
# In place of the interpreter: notes how it was called, and does what the real one would leave behind.
PYTHON = '''#!{python}
import json, os, sys
from pathlib import Path
with open({log!r}, "a") as log:
    log.write(json.dumps([os.getcwd(), *sys.argv[1:]]) + chr(10))
if sys.argv[1:4] == ["-m", "eagerbench", "gate"]:
    place = Path(".benchmarks/gate")
    place.mkdir(parents=True, exist_ok=True)
    stage = sys.argv[sys.argv.index("--stage") + 1]
    if stage == "screen":
        (place / "screen.json").write_text("{{}}")
        with open(os.environ["GITHUB_OUTPUT"], "a") as output:
            output.write("suspects={suspects}" + chr(10))
    else:
        assert (place / "screen.json").exists()
        (place / "verdict.json").write_text("{{}}")
        Path(sys.argv[sys.argv.index("--summary-md") + 1]).write_text("Slower: b1" + chr(10))
        sys.exit({code})
'''


def program(directory: Path, name: str, content: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(content)
    (directory / name).chmod(0o755)
    return directory


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Path:
    """This project, as it is now, in a repository of one commit."""
    directory = copy_of_project(tmp_path_factory.mktemp("ours") / "eagerbench")
    for part in (".ci", ".github", "action.yml", "environments", "LICENSE", "Makefile", "scripts"):
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, directory / part)
    git(directory, "init", "-q", "-b", "main")
    for setting in ("core.compression", "pack.window"):  # every clone would compress everything anew
        git(directory, "config", setting, "0")
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "-m", "all")
    return directory


def their_workflow(suite: Path, more: str = "") -> str:
    """What the page shows, with this commit in it."""
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(shown.splitlines()) <= 10
    sha = git(suite, "rev-parse", "HEAD")
    return shown.replace("SHA", sha) + more


def two_commits(directory: Path, workflow: str, change: dict[str, str]) -> Path:
    repository(directory, **{".github/workflows/gate.yml": workflow})
    write(directory, change)
    commit(directory, "second")
    return directory


@pytest.mark.parametrize(("suspects", "code", "jobs"), [(0, 0, ["screen"]), (1, 1, ["screen", "confirm"]),
                                                        (2, 0, ["screen", "confirm"])])
def test_the_ten_lines_of_another_repository(ours, tmp_path, suspects, code, jobs):
    log = tmp_path / "log"
    programs = program(tmp_path / "bin", "python", PYTHON.format(python=sys.executable, log=str(log), suspects=suspects,
                                                                 code=code))
    workflow = their_workflow(ours, "      arguments: |\n        --lenient\n        "
                                    "--html=a b;$(touch planted).html\n      requirements: |\n        -e .\n")
    theirs = two_commits(tmp_path / "theirs", workflow, {"README": "words"})
    runner = Runner({OURS: ours, THEIRS: theirs}, THEIRS, tmp_path / "_work", programs)
    found = runner.workflow(".github/workflows/gate.yml")["gate"]
    assert list(found["jobs"]) == jobs
    assert found["result"] == ("failure" if code else "success")
    assert [step.code for step in runner.steps] == [0, 0, 0, code][:2 * len(jobs)]
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    for job, install, gate in zip(jobs, calls[::2], calls[1::2], strict=True):
        workspace = tmp_path / "_work" / f"job-gate.{job}"
        assert install[:5] == [str(workspace), "-m", "pip", "install", "--quiet"]
        assert install[5] == f"{tmp_path}/_work/_actions/{OURS}[onnxruntime]"
        assert gate[gate.index("--base") + 1] == "HEAD^1"
        assert gate[gate.index("--stage") + 1] == job
        assert gate[gate.index("--summary-md") + 2:] == ["--lenient", "--html=a b;$(touch planted).html", "--"]
        assert git(workspace, "log", "--format=%s") == "second\nfirst"
        assert git(workspace, "status", "--porcelain") == ""
    assert sorted(runner.artifacts) == ["gate-confirm", "gate-screen"][2 - len(jobs):]
    assert runner.summary == ("Slower: b1\n" if suspects else "")
    assert not list(tmp_path.rglob("planted*"))


def test_our_own_gate_is_the_same(ours, tmp_path):
    log = tmp_path / "log"
    programs = program(tmp_path / "bin", "python", PYTHON.format(python=sys.executable, log=str(log), suspects=0,
                                                                 code=0))
    event = {"action": "opened", "pull_request": {"labels": []}}
    runner = Runner({OURS: ours}, OURS, tmp_path / "_work", programs, event)
    found = runner.workflow(".github/workflows/benchmark-gate.yml")["gate"]
    assert list(found["jobs"]) == ["screen"]
    install, gate = (json.loads(line)[1:] for line in log.read_text().splitlines())
    assert install[4:6] == ["-c", "environments/main.txt"]
    assert install[6].endswith("/_actions/OWNER/eagerbench[all-cpu]")
    assert gate[-3:] == ["--lenient", "--time-out=120", "--"]
    labelled = {"action": "opened", "pull_request": {"labels": [{"name": "skip-benchmark-gate"}]}}
    assert Runner({OURS: ours}, OURS, tmp_path / "w2", programs, labelled).workflow(
        ".github/workflows/benchmark-gate.yml") == {}


@pytest.mark.parametrize("name", ["correctness.yml", "nightly.yml"])
def test_steps_of_other_workflows_call_what_is_there(ours, tmp_path, name):
    """In order, of a matrix the first two jobs; `make` and `.ci/run` are replaced by what notes how it was called."""
    log, targets = tmp_path / "log", set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    noted = f"#!/bin/sh\nprintf '%s\\n' \"$0 $*\" >> {log}\n"
    programs = program(tmp_path / "bin", "make", noted)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", f"file://{ours}", str(clone)], check=True)
    program(clone / ".ci", "run", noted)
    commit(clone, "replaced")
    runner = Runner({OURS: clone}, OURS, tmp_path / "_work", programs)
    content = yaml.safe_load((clone / ".github" / "workflows" / name).read_text())
    for job_name, job in content["jobs"].items():
        for number, matrix in enumerate(_matrix(job)[:2]):
            workspace = tmp_path / "_work" / f"{job_name}-{number}"
            workspace.mkdir(parents=True)
            context = {**runner._github(), "matrix": matrix, "steps": {}, "env": {}}
            for step in job["steps"]:  # what a step leaves for a later one or for an artifact
                for line in str(filled(step.get("with", {}).get("path", ""), context)).split():
                    (workspace / line).parent.mkdir(parents=True, exist_ok=True)
                    (workspace / line).touch() if "." in Path(line).name else (workspace / line).mkdir(exist_ok=True)
            runner.artifacts.setdefault("grid-eager", tmp_path)
            shutil.rmtree(workspace)
            workspace.mkdir()
            due = [step for step in job["steps"] if "upload-artifact" not in step.get("uses", "")
                   and "download-artifact" not in step.get("uses", "")]
            assert runner._steps(job_name, due, context, workspace, content.get("env", {}), OURS), runner.steps[-1]
    for step in runner.steps:
        words = shlex.split(step.command)
        assert words[0] == ".ci/run" or words[1] in targets, step.command
    called = log.read_text()
    if name == "nightly.yml":
        assert "--grid full --variant 'eager*' --benchmark-json eager.json" in called


def _matrix(job: dict) -> list[dict]:
    found = job.get("strategy", {}).get("matrix", {})
    return found.get("include") or [{key: value} for key, values in found.items() for value in values] or [{}]


def test_the_action_at_the_top_is_the_one_below():
    top, below = (yaml.safe_load((ROOT / place / "action.yml").read_text()) for place in (".", ".github/actions/gate"))
    assert top["inputs"] == below["inputs"]
    assert list(top["outputs"]) == list(below["outputs"])
    (step,) = top["runs"]["steps"]
    assert step["with"] == {name: f"${{{{ inputs.{name} }}}}" for name in top["inputs"]}


def test_expressions():
    context = {"inputs": {"a": "", "b-c": "x"}, "needs": {"screen": {"outputs": {"suspects": "2"}}},
               "github": {"event": {"labels": [{"name": "skip"}]}}}
    for text, value in (("inputs.a || inputs.b-c", "x"), ("needs.screen.outputs.suspects > 0", True),
                        ("contains(github.event.labels.*.name, 'skip')", True),
                        ("!inputs.a && inputs.b-c == 'x'", True), ("inputs.b-c != 'x' || 'it''s'", "it's"),
                        ("needs.other.outputs.suspects > 0", False)):
        assert Expression(text, context).value() == value, text
    assert filled("a-${{ inputs.b-c }}-${{ inputs.a }}", context) == "a-x-"
    assert is_due("always()", context, succeeded=False)
    assert not is_due("inputs.b-c == 'x'", context, succeeded=False)


INSTALLED = '''#!{python} -I
import os, sys
from pathlib import Path
suite = Path({state!r})
if sys.argv[1:3] == ["-m", "pip"]:  # no network: what is to be installed lies there, and its packages are here
    found = [word.partition("[")[0] for word in sys.argv[3:] if Path(word.partition("[")[0], "pyproject.toml").exists()]
    suite.write_text(found[0])
    sys.exit()
environment = {{**os.environ, "PYTHONPATH": suite.read_text()}}
os.execve({python!r}, [{python!r}, *sys.argv[1:]], environment)
'''


@pytest.mark.slow
@pytest.mark.parametrize("red", [False, True])
def test_for_real(ours, tmp_path, monkeypatch, red):
    """Their repository and its ten lines: a change of words is green, more work is red, in two jobs."""
    for name, value in own_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("EAGERBENCH_ARTIFACTS", raising=False)
    programs = program(tmp_path / "bin", "python", INSTALLED.format(python=sys.executable,
                                                                    state=str(tmp_path / "suite")))
    change = {"src/my_package/models.py": MODELS.replace("Bag(2)", "Bag(90)")} if red else {"README": "words"}
    workflow = their_workflow(ours, "      arguments: --turns=4\n")
    theirs = two_commits(tmp_path / "theirs", workflow, {
        **change, "pyproject.toml": PYPROJECT.replace("threads = 1", "threads = 1\ntime-budget = 0.2")})
    runner = Runner({OURS: ours, THEIRS: theirs}, THEIRS, tmp_path / "_work", programs)
    found = runner.workflow(".github/workflows/gate.yml")["gate"]
    told = "\n".join(step.output for step in runner.steps)
    last = runner.artifacts["gate-confirm" if "gate-confirm" in runner.artifacts else "gate-screen"]
    verdict = judged(json.loads((last / "verdict.json").read_text()))
    assert found["result"] == ("failure" if red else "success"), told
    assert list(found["jobs"]) == (["screen", "confirm"] if red else ["screen"]), told
    assert ("Slower: my_package.models.build/eager/b4/s16/cpu by" in runner.summary) == red
    assert verdict["outcome"] == ("REGRESSED" if red else "OK")
    assert verdict["duets"][0]["head"]["revision"] == git(theirs, "rev-parse", "HEAD")
    assert verdict["duets"][0]["base"]["revision"] == git(theirs, "rev-parse", "HEAD^1")
