"""A repository of the user's own, with models in src/ and tests that time them."""

import subprocess
import sys
from pathlib import Path

import pytest

MODELS = '''
import torch


class Bag(torch.nn.Module):
    """A mean of embeddings, through some layers."""

    def __init__(self, layers):
        super().__init__()
        self.embedding = torch.nn.Embedding(50, 32)
        self.layers = torch.nn.ModuleList(torch.nn.Linear(32, 32) for _ in range(layers))

    def forward(self, input_ids, attention_mask):
        weights = attention_mask[..., None].to(self.embedding.weight.dtype)
        states = (self.embedding(input_ids) * weights).sum(1)
        for layer in self.layers:
            states = torch.relu(layer(states))
        return states


def build():
    return Bag(2)
'''
PYPROJECT = '''
[project]
name = "my-package"
version = "0"

[tool.eagerbench]
model = "my_package.models:build"
variant = "eager"
batch-sizes = 4
sequence-lengths = 16
threads = 1

[tool.eagerbench.gate]
base = "HEAD"
'''
CONFTEST = 'pytest_plugins = ("eagerbench.fixtures.plugin",)\n'
# What docs/your-repository.md shows, in the number of lines that it says.
PERF_TEST = '''
import pytest


def test_classifier(case, build, measuring):
    with measuring(case, build(case)) as run:
        run.finish(run.in_turns(run.call(run.inputs), run.eager(run.inputs)))


@pytest.mark.bench_id("my_package/sum")
def test_sum(turns):
    assert turns(lambda: sum(range(20_000)), lambda: 20_000 * 19_999 // 2) == 199_990_000
'''


def git(directory: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always",
                           *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(directory: Path, message: str) -> str:
    git(directory, "add", "-A")
    git(directory, "commit", "-q", "--allow-empty", "-m", message)
    return git(directory, "rev-parse", "HEAD")


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
    return directory


def repository(directory: Path, package: str = "src/my_package", **files: str) -> Path:
    """One commit: models, the table, and perf tests."""
    write(directory, {f"{package}/__init__.py": "", f"{package}/models.py": MODELS, "pyproject.toml": PYPROJECT,
                      "conftest.py": CONFTEST, "perf_tests/test_mine.py": PERF_TEST,
                      ".gitignore": ".artifacts/\n.benchmarks/\n__pycache__/\n", **files})
    git(directory, "init", "-q", "-b", "main")
    commit(directory, "first")
    return directory


def judged(verdict: dict) -> dict:
    """The verdict of a real gate; skips where other work on this machine spoilt the measurement."""
    if verdict["outcome"] == "CONTAMINATED":
        pytest.skip("; ".join(line for stage in verdict["stages"].values() for line in stage["contaminated"])
                    or "a suspect's own base against base moved")
    return verdict


def eagerbench(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "eagerbench", *map(str, arguments)]
