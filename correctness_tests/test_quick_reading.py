"""The quick way to read a file says what the slow one says, or leaves the file to it."""

import json
import random

import numpy as np
import pytest
from fuzzing import DATA, as_saved_today, mutated

from eagerbench import jsonfile, statistics
from eagerbench.results import bench as one_bench
from eagerbench.results import records

SESSION = as_saved_today(json.loads(DATA.read_text(encoding="utf-8")))


def slowly(text: bytes):
    return json.loads(text.decode(), object_pairs_hook=jsonfile._without_twins)


@pytest.mark.parametrize("text", [
    '{"a": 1, "a": 2}', '{"a":1,"a":1}', '[{"b": {"a": 1, "b": [{"x": 1, "x": 1}]}}]', '{"a" : 1, "a": 2}',
    '{"a"\n: 1, "a"\t:2}', r'{"a\u0022": 1, "a\u0022": 1}', r'{"a": "\"\u003a", "b": 1, "b": 2}',
    r'{"a": "\u0022\u003A", "b": 1, "b": 2}', '{"a": NaN}', '{"a": 1e999}', "nothing", '{"a": 1} 2', '{"a": "\x01"}',
    "", "[1,]", r'{"a": "\ud800"}', '{"\ud83d": 1}', "[" * 3000,
], ids=range(18))
def test_what_it_leaves_to_the_slow_way(text):
    assert jsonfile.parsed_quickly(text.encode("utf-8", "surrogatepass")) is None


@pytest.mark.parametrize("text", [
    '{"a": 1, "b": {"a": 2}}', r'{"a": "\":\":", "b\":": 1}', '{"a": 123456789012345678901}', "[]",
    '{"": "é×\u2028", "b": "\\u00d7:x"}', json.dumps(SESSION),
], ids=range(6))
def test_what_it_reads(text):
    found = jsonfile.parsed_quickly(text.encode())
    assert found is not None
    assert found == slowly(text.encode())


def test_a_name_written_twice_anywhere_is_noticed():
    """A member of any object of a real file, once more."""
    text, rng = json.dumps(SESSION), random.Random(1)
    places = [place for place in range(len(text)) if text.startswith('": ', place)]
    for place in rng.sample(places, 60):
        start = text.rindex('"', 0, place)
        twin = f"{text[:start]}{text[start:place + 1]}: 0, {text[start:]}"
        assert jsonfile.parsed_quickly(twin.encode()) is None
        with pytest.raises(ValueError, match="occurs twice"):
            slowly(twin.encode())



def test_benchmarks_are_reduced_to_the_same():
    """Of mutated records, whenever the quick way says anything."""
    said = 0
    for number in range(1500):
        rng = random.Random(number)
        bench = mutated(rng, rng.choice(SESSION["benchmarks"])) if number % 5 else rng.choice(SESSION["benchmarks"])
        found = one_bench.quickly(bench)
        if found is not None:
            said += 1
            assert list(one_bench.bench_problems(bench)) == []
            assert found[:2] == (records.identity(bench), one_bench.of(bench))
            assert found[2] == bool(one_bench.identity_fields(bench).get("machine_differences"))
    assert said > 300


@pytest.mark.parametrize("sizes", [(150, 220), (400, 3), (1, 40_000), (300, 300)])
@pytest.mark.parametrize("digits", [3, 17])
def test_differences_by_their_rank(sizes, digits):
    """Without making all of them, and with ties."""
    rng = np.random.default_rng(3)
    old, new = (np.round(rng.normal(0, 0.01, size), digits) for size in sizes)
    every = np.sort(np.subtract.outer(new, old), axis=None)
    for place in (0, 1, len(every) // 3, len(every) // 2, len(every) - 1):
        found = statistics._of_many_differences(np.sort(old), np.sort(new), place)
        assert found == pytest.approx(every[place], abs=1e-15)
