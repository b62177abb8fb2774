"""Where there are more cores than threads: both sides of a duet take their turns on the same ones."""

import ast

import pytest
from fake_suites import suite

from eagerbench.gate.duet_cores import quickest
from eagerbench.machine import quota

PLACED = """
import threading

@pytest.mark.bench_id("placed")
def test_placed(timed):
    threads, over = [], threading.Event()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    def call():
        if not threads:
            threads.append(threading.Thread(target=over.wait))
            threads[0].start()
        numbers = (threading.get_native_id(), threads[0].native_id, child.pid)
        seen.append([sorted(os.sched_getaffinity(number)) for number in numbers])
        time.sleep(0.03)
    seen = []
    timed(call)
    over.set()
    child.kill()
    child.wait()
    seen.append(sorted(os.sched_getaffinity(0)))
    (pathlib.Path(os.environ["DIARY"]) / pathlib.Path.cwd().name).write_text(repr(seen))
"""


@pytest.mark.skipif(quota.usable_cores() < 2, reason="needs two cores")
def test_both_sides_take_their_turns_on_the_same_core(duet, tmp_path, monkeypatch):
    """Threads and children of a side too; before and after its turns each may use every core."""
    monkeypatch.setenv("DIARY", str(tmp_path))
    _, content = duet(suite(tmp_path / "one", PLACED), suite(tmp_path / "two", PLACED), "--turns", 2)
    (core,) = content["pairs"][0]["benchmarks"]["placed"]["cores"]
    for side in ("base", "head"):
        *calls, after = ast.literal_eval((tmp_path / side).read_text())
        assert [[core]] * 3 in calls
        assert calls[-1] == [[core]] * 3
        assert after == sorted(quota.usable_cpus())


def test_quickest_of_cores_that_exist_and_of_one_that_was_taken_away():
    usable = quota.usable_cpus()
    assert quickest(1, [*sorted(usable), 4000]) <= usable
    assert quickest(2, [0, 4000]) == {0, 4000}
    assert quota.usable_cpus() == usable
