"""Series with known steps, and what other programs say of them: test data for `eagerbench.history.changes`.

    python scripts/step_series.py draw FILE
    PYTHON scripts/step_series.py asv FILE      # an environment with asv
    PYTHON scripts/step_series.py otava FILE    # an environment with apache-otava, which pins an old numpy

Nothing of eagerbench is imported. A value is a log ratio in units of 1e-4.
"""

import json
import sys
import time
from pathlib import Path

RUNS = 60
# Kind -> how many series, places of steps, size of each in percent, spread in percent, noise.
KINDS = {
    "flat": (200, (), 0, 1.0, "normal"),
    "flat, heavy tails": (100, (), 0, 1.0, "student"),
    "flat, one run in ten disturbed": (100, (), 0, 1.0, "disturbed"),
    "5 % step": (50, (40,), 5, 1.0, "normal"),
    "5 % step, five runs ago": (50, (55,), 5, 1.0, "normal"),
    "5 % step, heavy tails": (50, (40,), 5, 1.0, "student"),
    "5 % step, one run in ten disturbed": (50, (40,), 5, 1.0, "disturbed"),
    "2.5 % step": (50, (30,), 2.5, 1.0, "normal"),
    "two 5 % steps": (50, (20, 40), 5, 1.0, "normal"),
}


def draw() -> list[dict]:
    import numpy as np

    rng = np.random.default_rng(20261128)
    found = []
    for kind, (count, steps, percent, spread, noise) in KINDS.items():
        for _ in range(count):
            values = rng.normal(0, spread / 100, RUNS)
            if noise == "student":
                values = rng.standard_t(3, RUNS) * spread / 100 / np.sqrt(3)
            if noise == "disturbed":
                values += (rng.random(RUNS) < 0.1) * rng.normal(0, 0.1, RUNS)
            for step in steps:
                values[step:] += np.log1p(percent / 100) * rng.choice((-1, 1))
            found.append({"kind": kind, "steps": list(steps), "values": [round(1e4 * value) for value in values]})
    return found


def asv(values: list[float]) -> list[int]:
    """Places of the first run of each level but the first."""
    from asv.step_detect import detect_steps

    return [int(left) for left, *_ in detect_steps(values)[1:]]


def otava(values: list[float]) -> list[int]:
    from otava.series import AnalysisOptions, Metric, Series

    series = Series("made", None, list(range(len(values))), {"ratio": Metric(1, 1.0)}, {"ratio": values}, {})
    return [int(point.index) for point in series.analyze(AnalysisOptions()).change_points["ratio"]]


def main() -> int:
    what, file = sys.argv[1], Path(sys.argv[2])
    if what == "draw":
        content = {"unit": 1e-4, "series": draw(), "programs": {}}
    else:
        import math
        from importlib.metadata import version

        content = json.loads(file.read_text())
        answer = {"asv": asv, "otava": otava}[what]
        start = time.perf_counter()
        for one in content["series"]:  # of ratios, as these programs are used
            one[what] = answer([math.exp(value * content["unit"]) for value in one["values"]])
        content["programs"][what] = {"version": version({"otava": "apache-otava"}.get(what, what)),
                                     "seconds": round(time.perf_counter() - start, 1)}
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in content["series"])
    head = json.dumps({name: value for name, value in content.items() if name != "series"})
    file.write_text(f'{head[:-1]}, "series": [\n{lines}\n]}}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
