"""The workflows: valid by schema, clean under zizmor, thin, and calling only what exists here."""

import re
import shlex
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml
from running import ROOT, run_python

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTIONS = [ROOT / "action.yml", *sorted((ROOT / ".github" / "actions").rglob("action.yml"))]
LOCAL = ("$/.github/actions/gate", "$/.github/workflows/gate.yml")


@pytest.mark.parametrize(("schema", "files"), [("workflows", WORKFLOWS), ("actions", ACTIONS)])
def test_schema(schema, files):
    ended = run_python("-m", "check_jsonschema", "--builtin-schema", f"vendor.github-{schema}", *map(str, files))
    assert ended.code == 0, ended.out


def test_zizmor():
    import subprocess

    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run([zizmor, "--offline", "--no-progress", ROOT / ".github", ACTIONS[0]], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS],
                         ids=lambda file: str(file.relative_to(ROOT)))
def test_actions_are_pinned_and_steps_are_one_call(file):
    """A `$/` is of this repository, at the same commit."""
    text = file.read_text()
    for action in re.findall(r"uses: (\S+)", text):
        assert action in LOCAL or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
    content = yaml.safe_load(text)
    for job in content["jobs"].values() if "jobs" in content else [content["runs"]]:
        for step in job.get("steps", []):
            command = step.get("run", ".ci/run")
            assert "\n" not in command.strip(), command
            assert "${{" not in command, command  # inputs reach a shell by its environment alone
            program = shlex.split(command)[0].removeprefix("$GITHUB_ACTION_PATH/../../../")
            assert program == "make" or (ROOT / program).exists() or program.startswith("python"), command


def test_nightly_shards_hold_every_variant_of_the_main_environment():
    from eagerbench import backends

    nightly = yaml.safe_load((ROOT / ".github" / "workflows" / "nightly.yml").read_text())
    shards = [entry["variants"] for entry in nightly["jobs"]["grid"]["strategy"]["matrix"]["include"]]
    homes = {name: [shard for shard in shards if fnmatchcase(name, shard)] for name in backends.variants()}
    elsewhere = {name for name, found in homes.items() if not found}
    environments = {name for name, (_, backend) in backends.variants().items()
                    if backend.install.startswith("make env-")}
    assert {"ipex", "optimum-bettertransformer", "ctranslate2", "llama-cpp", "executorch", "litert"} < environments
    beside = {"accelerate", "cuda-graph", "cuda-graph-fp16", "neuron"}
    assert elsewhere == environments - {"onnxruntime-openvino"} | beside
    assert all(len(found) < 2 for found in homes.values())
