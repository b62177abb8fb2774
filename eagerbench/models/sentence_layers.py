"""Layers of a sentence-transformers directory that follow pooling, on one vector."""

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Dense:
    """`activation(weight · vector + bias)`, and `residual · vector` where there is one."""

    weight: np.ndarray
    bias: np.ndarray
    activation: str
    residual: np.ndarray | None

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        import torch

        kind = vector.dtype
        summed = self.weight.astype(kind) @ vector + self.bias.astype(kind)
        made = getattr(torch.nn, self.activation)()(torch.from_numpy(summed)).numpy()
        return made + self.residual.astype(kind) @ vector if self.residual is not None else made


@dataclass(frozen=True, eq=False)
class LayerNorm:
    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        scaled = (vector - vector.mean()) / np.sqrt(vector.var() + 1e-5)
        return scaled * self.weight + self.bias


@dataclass(frozen=True)
class First:
    """The first so many values."""

    size: int

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        return vector[:self.size]


def dense(path: str, config: dict, find: Read) -> tuple[str, Step]:
    wanted = config.get("activation_function", "torch.nn.Tanh") or "torch.nn.Identity"
    package, _, name = str(wanted).rpartition(".")
    if name not in _ACTIVATIONS or not package.startswith("torch.nn"):
        raise NotUnderstood(f"{path} has activation {package}.{name}")
    weights = _weights(path, find)
    if "linear.weight" not in weights:
        raise NotUnderstood(f"{path} has no linear.weight")
    matrix = weights["linear.weight"]
    bias = weights.get("linear.bias", np.zeros(len(matrix), np.float32))
    residual = None
    if config.get("use_residual"):
        residual = weights.get("residual.weight", np.eye(len(matrix), dtype=np.float32))
    said = f"dense {matrix.shape[1]} -> {matrix.shape[0]} {name}{', residual' if residual is not None else ''}"
    return said, Dense(matrix, bias, name, residual)


def layer_norm(path: str, config: dict, find: Read) -> tuple[str, Step]:
    weights = _weights(path, find)
    if {"norm.weight", "norm.bias"} - set(weights):
        raise NotUnderstood(f"{path} has no norm.weight and norm.bias")
    return "layer norm", LayerNorm(weights["norm.weight"], weights["norm.bias"])


def normalised(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
