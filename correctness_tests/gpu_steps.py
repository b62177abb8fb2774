"""Steps for tests of `scripts/gpu.sh`: a line of Python each."""

from scripts.gpu.steps import Step

NO_GPU = {"gpu": None, "torch": "2.99", "python": "3.12", "packages": {}, "onnx_providers": []}


def code(name, text, limit_s=20.0, **more):
    return Step(name, ("-c", text), limit_s, 1.0, **more)


SESSION = """
import json, os, sys
json.dump({"eagerbench": {"cells": [{"status": "timed", "reason": ""}]}, "benchmarks": []}, open(%r, "w"))
"""
