"""Layers of a sentence-transformers directory that follow pooling, on one vector."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

Step = Callable[[np.ndarray], np.ndarray]
Read = Callable[[str], Path | None]

_ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid", "ELU", "LeakyReLU", "Softplus")


class NotUnderstood(Exception):
    """A layer that we cannot compute; its text says which."""


def _weights(path: str, find: Read) -> dict[str, np.ndarray]:
    file = find(f"{path}/model.safetensors")
    if file is None:
        raise NotUnderstood(f"{path} has no model.safetensors (pickled weights are never loaded)")
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return {name: tensor.float().numpy() for name, tensor in load_file(file).items()}
    except (SafetensorError, OSError) as error:
        raise NotUnderstood(f"{path}/model.safetensors is damaged ({error})") from None


def dense(path: str, config: dict, find: Read) -> tuple[str, Step]:
    import torch

    wanted = config.get("activation_function", "torch.nn.Tanh") or "torch.nn.Identity"
    package, _, name = str(wanted).rpartition(".")
    if name not in _ACTIVATIONS or not package.startswith("torch.nn"):
        raise NotUnderstood(f"{path} has activation {package}.{name}")
    weights, activation = _weights(path, find), getattr(torch.nn, name)()
    if "linear.weight" not in weights:
        raise NotUnderstood(f"{path} has no linear.weight")
    matrix, bias = weights["linear.weight"], weights.get("linear.bias", np.float32(0))
    residual = None
    if config.get("use_residual"):
        residual = weights.get("residual.weight", np.eye(len(matrix), dtype=np.float32))

    def step(vector: np.ndarray) -> np.ndarray:
        made = activation(torch.from_numpy(matrix.astype(vector.dtype) @ vector + bias.astype(vector.dtype))).numpy()
        return made + residual.astype(vector.dtype) @ vector if residual is not None else made

    return f"dense {matrix.shape[1]} -> {matrix.shape[0]} {name}{', residual' if residual is not None else ''}", step


def layer_norm(path: str, config: dict, find: Read) -> tuple[str, Step]:
    weights = _weights(path, find)
    if {"norm.weight", "norm.bias"} - set(weights):
        raise NotUnderstood(f"{path} has no norm.weight and norm.bias")

    def step(vector: np.ndarray) -> np.ndarray:
        scaled = (vector - vector.mean()) / np.sqrt(vector.var() + 1e-5)
        return scaled * weights["norm.weight"] + weights["norm.bias"]

    return "layer norm", step


def normalised(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
