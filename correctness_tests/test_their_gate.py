"""The gate for real, in an example repository: a commit of words, one that costs 8 %, and one that mends it."""

import json
import subprocess
import time

import pytest
from fake_suites import environment
from their_repository import commit, eagerbench, git, judged, write

MODELS = '''
"""Four models of a search engine."""

import torch


class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(width, 4, batch_first=True)
        self.inner, self.outer = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)
        self.first, self.second = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)

    def forward(self, states, hidden):
        found, _ = self.attention(states, states, states, key_padding_mask=hidden, need_weights=False)
        states = self.first(states + found)
        return self.second(states + self.outer(torch.nn.functional.gelu(self.inner(states))))


class Encoder(torch.nn.Module):
    def __init__(self, layers, labels, width=256):
        super().__init__()
        self.embedding = torch.nn.Embedding(1000, width)
        self.blocks = torch.nn.ModuleList(Block(width) for _ in range(layers))
        self.head = torch.nn.Linear(width, labels)

    def refined(self, states):
        return states

    def forward(self, input_ids, attention_mask):
        states = self.embedding(input_ids)
        for block in self.blocks:
            states = block(states, attention_mask == 0)
        return self.head(self.refined(states)[:, 0])


class Ranker(Encoder):
    def __init__(self):
        super().__init__(6, 1)


def query_encoder():
    return Encoder(3, 128)


def passage_encoder():
    return Encoder(6, 128)


def ranker():
    return Ranker()


def tagger():
    return Encoder(4, 9)
'''
# About 6 d² of 72 d² multiplications a token and layer stack: 8 %.
SLOWER = MODELS.replace('''        super().__init__(6, 1)
''', '''        super().__init__(6, 1)
        self.wide, self.narrow = torch.nn.Linear(256, 768), torch.nn.Linear(768, 256)

    def refined(self, states):
        return states + self.narrow(torch.relu(self.wide(states)))
''')
PYPROJECT = '''
[project]
name = "search"
version = "0"

[tool.eagerbench]
model = ["search.models:query_encoder", "search.models:passage_encoder", "search.models:ranker", "search.models:tagger"]
variant = "eager"
batch-sizes = 4
sequence-lengths = 64
threads = 1
'''


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    directory = tmp_path_factory.mktemp("example") / "search-engine"
    write(directory, {"src/search/__init__.py": "", "src/search/models.py": MODELS, "pyproject.toml": PYPROJECT,
                      ".gitignore": ".artifacts/\n.benchmarks/\n__pycache__/\n", "README.md": "Search.\n"})
    git(directory, "init", "-q", "-b", "main")
    commit(directory, "Four models")
    for message, files in (("README: how to train", {"README.md": "Search. Train by `python -m search`.\n"}),
                           ("Ranker: refine the states", {"src/search/models.py": SLOWER}),
                           ("Ranker: no gain in refining, out again", {"src/search/models.py": MODELS})):
        write(directory, files)
        commit(directory, message)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize(("base", "head", "outcome", "status"), [
    ("HEAD~3", "HEAD~2", "OK", None), ("HEAD~2", "HEAD~1", "REGRESSED", "REGRESSED"), ("HEAD~1", "HEAD", "OK",
                                                                                    "IMPROVED")])
def test_three_commits(example, tmp_path, base, head, outcome, status):
    started = time.monotonic()
    clean = {name: value for name, value in environment(tmp_path / "tmp").items() if name != "EAGERBENCH_ARTIFACTS"}
    done = subprocess.run(eagerbench("gate", "--base", base, "--head", head), cwd=example, capture_output=True,
                          text=True, check=False, env=clean)
    print(f"{base} {head}: {time.monotonic() - started:.0f} s\n{done.stdout}\n{done.stderr}")
    verdict = judged(json.loads((example / ".benchmarks" / "gate" / "verdict.json").read_text()))
    found = {entry["id"]: entry for entry in verdict["benchmarks"] if entry["id"].endswith("/cpu")}
    assert len(found) == 4
    assert verdict["outcome"] == outcome, done.stdout
    assert done.returncode == (1 if status == "REGRESSED" else 0)
    ranker = "search.models.ranker/eager/b4/s64/cpu"
    assert [name for name, entry in found.items() if entry["status"] == "REGRESSED"] == (
        [ranker] if status == "REGRESSED" else [])
    assert [name for name, entry in found.items() if entry["status"] == "IMPROVED"] == (
        [ranker] if status == "IMPROVED" else [])
    assert "would nearly always show a slowdown of" in done.stdout
    if status:
        assert abs(found[ranker]["ratio"] - (1.08 if status == "REGRESSED" else 1 / 1.08)) < 0.03
