"""The workflows: valid by schema, clean under zizmor, thin, and calling only what exists here."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from running import ROOT, run_python

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_schema(file):
    ended = run_python("-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(file))
    assert ended.code == 0, ended.out


def test_zizmor():
    import subprocess

    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run([zizmor, "--offline", "--no-progress", ROOT / ".github"], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_and_steps_are_one_call(file):
    text = file.read_text()
    for action in re.findall(r"uses: (\S+)", text):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
    for job in yaml.safe_load(text)["jobs"].values():
        for step in job["steps"]:
            command = step.get("run", ".ci/run")
            assert "\n" not in command.strip(), command
            program = command.split()[0]
            assert program == "make" or (ROOT / program).exists() or program.startswith("python"), command
