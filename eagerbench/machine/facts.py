"""The machine: run-wide facts for the JSON, and its measured matrix-product peak."""

import importlib.metadata
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from eagerbench.machine import gpu_facts, quota, waiting
from eagerbench.machine.device_clock import DeviceClock

_SIZES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}
_REPEATS = 5
_FILLS_GPU_S = 2e-3  # a larger product than one of these seconds is no faster
_LAUNCHED = 10  # products on a GPU between two marks: launching one takes as long as a small one itself
_MOST_S = 0.5  # a product this slow tells that the dtype has no fast kernel; larger ones are left out
_LONG_S = 0.1  # a product expected to take this long is no faster than the one before, and takes seconds in all
_PACKAGES = ("torch", "transformers", "onnxruntime", "onnxruntime-gpu", "onnx", "onnxruntime-openvino", "openvino",
             "nncf", "torchao", "bitsandbytes", "accelerate", "optimum", "intel-extension-for-pytorch", "ctranslate2",
             "llama-cpp-python", "gguf", "numpy", "pytest-benchmark")


def facts(threads: int, allocator: str) -> dict:
    """What is the same in every case of a run and every run on this machine: no clock rates, no loads."""
    versions, limit = {}, quota.cpu_quota()
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "memory_bytes": psutil.virtual_memory().total,
        "logical_cores": psutil.cpu_count(),
        "usable_cores": len(quota.usable_cpus()),
        "threads": threads,
        "allocator": allocator,
        "wait_policy": waiting.in_effect(),
        "packages": versions,
        "cpu_quota": limit.text,
        "cpu_quota_cores": limit.cores,
        "blas": _blas(),
        **_gpus(),
    }


def _blas() -> str:
    """numpy's; torch and ONNX Runtime bring their own in the builds that their versions name."""
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', '')} {blas.get('version', '')}".strip()


def _gpus() -> dict[str, list[str] | str]:
    """Models and driver of NVIDIA GPUs, as the kernel module tells them; in a container that hides it, as NVML
    does."""
    root = Path("/proc/driver/nvidia")
    found = sorted(line.split(":", 1)[1].strip() for file in root.glob("gpus/*/information")
                   for line in file.read_text().splitlines() if line.startswith("Model:"))
    with suppress(OSError):
        return {"gpus": found, "gpu_driver": (root / "version").read_text().splitlines()[0]}
    return gpu_facts.listed()


@cache
def peak_flops(dtype: str, device: str, threads: int) -> float | None:
    """FLOP/s of the fastest square matrix product measured here, one multiply-add counted as two.

    Args:
        dtype: float32, tf32, float16, bfloat16 or int8 (ONNX Runtime's MatMulInteger).
        device: cpu or cuda:N.
        threads: as set for torch; part of the cache key.

    Returns:
        None when no library here multiplies this dtype.
    """
    best = 0.0
    for size in _SIZES[device.partition(":")[0]]:
        if best and 2 * size**3 / best > _LONG_S:
            break
        found = [(product(), product) for product in _products(dtype, device, threads, size)]
        quick = [(min(first, product()), product) for first, product in found if first < _MOST_S]
        if not quick:
            break
        once, product = min(quick, key=itemgetter(0))
        fastest = min(once, *(product() for _ in range(_REPEATS)))
        best = max(best, 2 * size**3 / fastest)
        if device != "cpu" and fastest > _FILLS_GPU_S:
            break
    return best or None


def _timed(product: Callable[[], object]) -> Callable[[], float]:
    def seconds() -> float:
        start = time.perf_counter()
        product()
        return time.perf_counter() - start

    return seconds


def _products(dtype: str, device: str, threads: int, size: int) -> list[Callable[[], float]]:
    """The product by each library that may have the fastest one: a call returns the seconds of one.

    In float32 on the CPU torch itself multiplies by MKL, which has half of oneDNN's speed on some processors.
    """
    import torch

    if dtype == "int8":
        product = _int8_product(threads, size) if device == "cpu" else None
        return [] if product is None else [_timed(product)]
    a = torch.randn(size, size, device=device).to(getattr(torch, dtype.replace("tf32", "float32")))
    if device != "cpu":
        return [_on_gpu(a, dtype == "tf32", DeviceClock(device), lambda: torch.cuda.synchronize(device))]
    if dtype == "float32" and torch.backends.mkldnn.is_available():
        by_onednn = _timed(lambda: torch.ops.mkldnn._linear_pointwise(a, a, None, "none", [], ""))
        return [_timed(lambda: a @ a), by_onednn]
    return [_timed(lambda: a @ a)]


def _on_gpu(a: Any, tf32: bool, clock: DeviceClock, synchronise: Callable[[], None]) -> Callable[[], float]:
    """Seconds of one of several products launched at once, between two marks on the stream."""
    import torch

    def seconds() -> float:
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        clock.start()
        for _ in range(_LAUNCHED):
            a @ a
        clock.stop()
        torch.set_float32_matmul_precision("highest")
        synchronise()
        return clock.seconds() / _LAUNCHED

    return seconds


def _int8_product(threads: int, size: int) -> Callable[[], object] | None:
    """`MatMulInteger` of uint8 activations and int8 weights, as dynamic quantisation uses it."""
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return None
    weights = np.random.default_rng(0).integers(-127, 128, (size, size), np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])], "product",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("c", TensorProto.INT32, [size, size])],
        [numpy_helper.from_array(weights, "b")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    waiting.configure_onnxruntime(options)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    activations = {"a": np.random.default_rng(1).integers(0, 256, (size, size), np.uint8)}
    return lambda: session.run(None, activations)
