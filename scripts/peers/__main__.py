"""Measure ours and other tools side by side: `python -m scripts.peers`, or `make peers`. Wants a quiet machine.

Without options MiniLM at 8×128 and 1×16 in float32, four repeats: about 14 minutes. `--all` adds bert-base and int8:
about 50 minutes. Every process of a side is a new one; each repeat runs all sides, forwards and backwards by turns.
"""

import argparse
import datetime
import json
import os
import signal
import sys
from pathlib import Path

import cpuinfo

from eagerbench.machine import quota
from scripts.peers.measure import Asked, measure, version
from scripts.peers.sides import ROOT, TOOLS

PACKAGES = {"openvino": None, "onnxruntime": None, "torch": None, "transformers": None, "sentence-transformers": None,
            "optimum-benchmark": TOOLS, "ctranslate2": TOOLS}
MODELS = ("minilm", "bert-base")


def shape(text: str) -> tuple[int, int]:
    batch, _, length = text.partition("x")
    return int(batch), int(length)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.peers", description=__doc__.partition("\n")[0])
    parser.add_argument("--all", action="store_true", help=f"{' and '.join(MODELS)}, and int8 too")
    parser.add_argument("--model", action="append", choices=MODELS, help="one of them (repeatable)")
    parser.add_argument("--shape", action="append", type=shape, metavar="BxS", help="default: 8x128 and 1x16")
    parser.add_argument("--repeats", type=int, default=4, help="processes of each side (default: 4)")
    parser.add_argument("--threads", type=int, default=quota.usable_cores(), help="default: every usable core")
    parser.add_argument("--seconds", type=float, default=2.0, help="of calls in each process (default: 2)")
    parser.add_argument("--only", action="append", default=[], metavar="WORD", help="sides with this in their name")
    parser.add_argument("--scratch", type=Path, default=ROOT / ".benchmarks" / "peers", metavar="DIR")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "results" / "peers.json", metavar="FILE")
    chosen = parser.parse_args()
    models = tuple(chosen.model or (MODELS if chosen.all else MODELS[:1]))
    chosen.scratch.mkdir(parents=True, exist_ok=True)
    if hasattr(os, "sched_setaffinity"):  # benchmark_app takes no number of threads beside a hint
        os.sched_setaffinity(0, sorted(quota.usable_cpus())[:chosen.threads])
    asked = Asked(models, tuple(chosen.shape or [(8, 128), (1, 16)]), chosen.repeats, chosen.threads, chosen.seconds,
                  chosen.all, tuple(chosen.only), chosen.scratch.resolve(), (chosen.scratch / "artifacts").resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the process that runs, with all that it started
    numbers = []
    head = {"date": datetime.date.today().isoformat(), "cpu": cpuinfo.get_cpu_info()["brand_raw"],
            "cores": quota.usable_cores(), "threads": chosen.threads, "repeats": chosen.repeats,
            "seconds": chosen.seconds, "versions": _versions()}
    for found in measure(asked, lambda line: print(line, file=sys.stderr, flush=True)):
        numbers.append(found)
        chosen.output.write_text(json.dumps({**head, "numbers": numbers}, indent=0) + "\n", encoding="utf-8")
    return 0


def _versions() -> dict[str, str]:
    pythons = {name: environment / "bin" / "python" if environment else Path(sys.executable)
               for name, environment in PACKAGES.items()}
    return {name: version(python, name) for name, python in pythons.items() if python.exists()}


if __name__ == "__main__":
    sys.exit(main())
