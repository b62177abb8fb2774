"""GitHub's runner, as far as our workflows need one: every `run:` step in order, in a fresh clone, with the variables
and files that a runner sets, and artifacts carried from job to job.

What the public actions do that are called is done here: checkout is a clone, artifacts are directories, caches miss.
"""

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from expressions import Context, filled, is_due, text


@dataclass
class Step:
    """A `run:` step that has run."""

    job: str
    command: str
    code: int
    output: str
    environment: dict[str, str] = field(default_factory=dict)


@dataclass
class Runner:
    """Runs workflows.

    Attributes:
        repositories: by OWNER/NAME, a git repository; the one named `repository` is that of the workflow.
        work: an empty directory.
        path: a directory of programs that come first.
        steps: what has run.
        summary: of all jobs.
        artifacts: by name.
    """

    repositories: dict[str, Path]
    repository: str
    work: Path
    path: Path
    event: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    summary: str = ""
    artifacts: dict[str, Path] = field(default_factory=dict)

    def workflow(self, file: str, inputs: Context | None = None, home: str = "", called: str = "") -> dict:
        """Result and outputs of each job that was due, in order.

        Args:
            home: the repository that it is of; `$/` in it and in what it calls is there, at the same commit.
        """
        home = home or self.repository
        content = yaml.safe_load((self.repositories[home] / file).read_text())
        trigger = content[True]  # YAML's `on`
        declared = ((trigger.get("workflow_call") or {}) if isinstance(trigger, dict) else {}).get("inputs") or {}
        assert set(inputs or {}) <= set(declared), f"{file} has no input {set(inputs or {}) - set(declared)}"
        given = {name: kind.get("default", "") for name, kind in declared.items()} | dict(inputs or {})
        found: dict[str, Any] = {}
        for name, job in content["jobs"].items():
            needed = [job["needs"]] if isinstance(job.get("needs"), str) else job.get("needs", [])
            context = {**self._github(), "inputs": given, "needs": {other: found.get(other, {}) for other in needed}}
            succeeded = all(found.get(other, {}).get("result") == "success" for other in needed)
            if is_due(job.get("if", "success()"), context, succeeded):
                found[name] = self._job(f"{called}{name}", job, context, content.get("env", {}), home)
        return found

    def _github(self) -> dict[str, Any]:
        return {"github": {"event": self.event, "repository": self.repository, "sha": "0" * 40, "run_id": "1",
                           "ref": "refs/pull/1/merge", "workflow": "w"}, "runner": {"os": "Linux"}}

    def _job(self, name: str, job: dict, context: Context, environment: Context, home: str) -> dict[str, Any]:
        if "uses" in job:
            given = {key: filled(value, context) for key, value in job.get("with", {}).items()}
            where, file = self._found(job["uses"], home)
            inner = self.workflow(file, given, where, f"{name}.")
            results = {one["result"] for one in inner.values()}
            return {"result": "success" if results <= {"success"} else "failure", "outputs": {}, "jobs": inner}
        workspace = self.work / f"job-{name}"
        workspace.mkdir(parents=True)
        filled_in = {key: text(filled(value, context)) for key, value in {**environment, **job.get("env", {})}.items()}
        steps: dict[str, Any] = {}
        succeeded = self._steps(name, job["steps"], {**context, "steps": steps, "env": filled_in}, workspace, filled_in,
                                home)
        outputs = {key: filled(value, {**context, "steps": steps}) for key, value in job.get("outputs", {}).items()}
        return {"result": "success" if succeeded else "failure", "outputs": outputs}

    @staticmethod
    def _found(uses: str, home: str) -> tuple[str, str]:
        """Repository and path of what is used."""
        if uses.startswith("$/"):
            return home, uses.removeprefix("$/")
        found = re.fullmatch(r"([\w-]+/[\w-]+)(?:/(.*))?@[0-9a-f]{40}", uses)
        assert found, uses
        return found[1], found[2] or "."

    def _steps(self, job: str, steps: list[dict], context: dict[str, Any], workspace: Path, environment: dict[str, str],
               home: str, action: Path | None = None) -> bool:
        succeeded = True
        for step in steps:
            if not is_due(step.get("if", "success()"), context, succeeded):
                continue
            mine = environment | {key: text(filled(value, context)) for key, value in step.get("env", {}).items()}
            outputs: dict[str, Any] = {}
            if "run" in step:
                done = self._run(job, step, context, workspace, mine, action, outputs)
            else:
                given = {key: filled(value, context) for key, value in step.get("with", {}).items()}
                done = self._use(job, *self._found(step["uses"], home), given, workspace, mine, outputs)
            succeeded = succeeded and done
            if "id" in step:
                context["steps"][step["id"]] = {"outputs": outputs, "outcome": "success" if done else "failure"}
        return succeeded

    def _run(self, job: str, step: dict, context: Context, workspace: Path, environment: dict[str, str],
             action: Path | None, outputs: dict[str, Any]) -> bool:
        temporary = self.work / f"temporary-{len(self.steps)}"
        temporary.mkdir()
        files = {name: temporary / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_ENV")}
        for file in files.values():
            file.touch()
        script = temporary / "step.sh"
        script.write_text(filled(step["run"], context))
        strict = ["--noprofile", "--norc", "-eo", "pipefail"]
        shell = ["bash", *(strict if step.get("shell") == "bash" else ["-e"])]
        given = {**os.environ, **environment, **{name: str(file) for name, file in files.items()},
                 "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(workspace), "RUNNER_TEMP": str(temporary),
                 "PATH": f"{self.path}:{os.environ['PATH']}"}
        if action:
            given["GITHUB_ACTION_PATH"] = str(action)
        directory = workspace / filled(step.get("working-directory", "."), context)
        done = subprocess.run([*shell, str(script)], cwd=directory, env=given, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        self.steps.append(Step(job, step["run"].strip(), done.returncode, done.stdout, environment))
        outputs.update(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        self.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        return done.returncode == 0

    def _use(self, job: str, home: str, path: str, given: dict[str, Any], workspace: Path, environment: dict[str, str],
             outputs: dict[str, Any]) -> bool:
        if home in self.repositories:
            clone = self.work / "_actions" / home
            if not clone.exists():
                self._clone(home, clone, [])
            return self._composite(job, home, clone / path, given, workspace, environment, outputs)
        name = home if path == "." else f"{home}/{path}"
        done = {"actions/checkout": self._checkout, "actions/setup-python": self._nothing,
                "actions/cache": self._nothing, "actions/cache/restore": self._nothing,
                "actions/upload-artifact": self._upload, "actions/download-artifact": self._download}
        return done[name](given, workspace)

    def _composite(self, job: str, home: str, action: Path, given: dict[str, Any], workspace: Path,
                   environment: dict[str, str], outputs: dict[str, Any]) -> bool:
        content = yaml.safe_load((action / "action.yml").read_text())
        assert set(given) <= set(content["inputs"]), f"{action} has no input {set(given) - set(content['inputs'])}"
        inputs = {name: text(given.get(name, kind.get("default", ""))) for name, kind in content["inputs"].items()}
        context = {**self._github(), "inputs": inputs, "steps": {}, "env": environment}
        done = self._steps(job, content["runs"]["steps"], context, workspace, environment, home, action)
        outputs.update({name: filled(one["value"], context) for name, one in content.get("outputs", {}).items()})
        return done

    def _checkout(self, given: dict[str, Any], workspace: Path) -> bool:
        assert not {"repository", "path", "ref"} & set(given), given
        depth = str(given.get("fetch-depth", 1))
        self._clone(self.repository, workspace, ["--depth", depth] if depth != "0" else [])
        return True

    def _clone(self, name: str, place: Path, options: list[str]) -> None:
        subprocess.run(["git", "clone", "-q", *options, f"file://{self.repositories[name]}", str(place)], check=True,
                       capture_output=True)

    @staticmethod
    def _nothing(given: dict[str, Any], workspace: Path) -> bool:
        return True

    def _upload(self, given: dict[str, Any], workspace: Path) -> bool:
        place = self.work / "artifacts" / given["name"]
        found = [workspace / line for line in given["path"].split() if (workspace / line).exists()]
        assert found or given["if-no-files-found"] != "error", given
        hidden = given.get("include-hidden-files") is True
        for source in found:
            assert hidden or not any(part.startswith(".") for part in source.relative_to(workspace).parts)
            if source.is_dir():
                shutil.copytree(source, place, dirs_exist_ok=True)
            else:
                place.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, place)
        if found:
            self.artifacts[given["name"]] = place
        return True

    def _download(self, given: dict[str, Any], workspace: Path) -> bool:
        names = [name for name in self.artifacts if fnmatchcase(name, given.get("name", given.get("pattern", "")))]
        assert names, f"no artifact {json.dumps(given)}"
        for name in names:
            shutil.copytree(self.artifacts[name], workspace / given["path"], dirs_exist_ok=True)
        return True
