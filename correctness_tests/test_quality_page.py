"""docs/quality.md: its recipe makes the file, and the file gives such numbers."""

import json
import os
import re
from pathlib import Path

import pytest
from running import ROOT, run_pytest

from eagerbench.results.decode import decode
from eagerbench.workloads.labelled import read_retrieval

PAGE = ROOT / "docs" / "quality.md"
WORDNET = Path("/usr/share/wordnet")
PAIRS = os.environ.get("EAGERBENCH_WORDNET")
VARIANTS = ("eager", "openvino-int8", "onnxruntime-int8", "bnb-nf4", "dynamic-int8")


def recipe() -> str:
    """The code of the page that makes the file."""
    return re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]


def synset(words: list[str], gloss: str) -> str:
    """A line of WordNet's data files (wndb(5WN)), as far as the recipe reads it."""
    return f"00000000 03 n {len(words):02x} {' '.join(f'{word} 0' for word in words)} 000 | {gloss}  \n"


def test_recipe_on_a_file_of_its_own(tmp_path, monkeypatch):
    noun = ["  1 This is the licence.\n", synset(["cat", "true_cat"], 'a feline mammal; "the true cat sat on the mat"'),
            synset(["dog"], 'a barking mammal; "too short"'), synset(["word"], 'alone; "the word is in this sentence"'),
            synset(["bird"], 'a flying animal; "no such thing is in here"')]
    for part in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{part}").write_text("".join(noun) if part == "noun" else "")
    monkeypatch.chdir(tmp_path)
    exec(recipe().replace(str(WORDNET), str(tmp_path)), {})
    assert (tmp_path / "wordnet-pairs.tsv").read_text() == "cat: the true cat sat on the mat\ta feline mammal\n"


@pytest.mark.slow
@pytest.mark.skipif(not WORDNET.is_dir(), reason="wordnet-base is not installed: apt install wordnet-base")
def test_recipe_on_wordnet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(recipe(), {})
    found = read_retrieval(str(tmp_path / "wordnet-pairs.tsv"))
    assert len(found.queries) == len(found.documents) == 1000
    assert found.relevant == tuple((index,) for index in range(1000))


@pytest.mark.slow
@pytest.mark.skipif(not PAIRS, reason="EAGERBENCH_WORDNET names no file (docs/quality.md says how to make it)")
def test_minilm_on_wordnet(tmp_path):
    """What labels tell and neighbours do not: an int8 variant that changes answers and costs nothing."""
    file = tmp_path / "run.json"
    ended = run_pytest("perf_tests/test_quality.py", "--benchmark-only", "--model", "minilm", "--retrieval", PAIRS,
                       "-k", "retrieval", *(word for name in VARIANTS for word in ("--variant", name)),
                       "--benchmark-json", str(file), timeout=3600)
    assert ended.code == 0, ended.out
    found = {record.identity.variant: record.result for record in
             (decode(bench["extra_info"]) for bench in json.loads(file.read_text())["benchmarks"])}
    assert set(found) == set(VARIANTS)
    assert 0.2 < found["eager"].quality < 0.4
    assert all(result.quality_loss_low <= result.quality_loss <= result.quality_loss_high for result in found.values())
    assert found["openvino-int8"].lost + found["openvino-int8"].won > 5
    assert found["openvino-int8"].quality_loss_low < 0.005
    assert found["bnb-nf4"].quality_loss_high > 0.005
