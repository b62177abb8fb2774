"""optimum's original BetterTransformer, `to_bettertransformer()` of transformers 4, in an environment of its own."""

import collections
import importlib.metadata

import numpy as np

from eagerbench.backends.base import Backend, Engagement, Variant
from eagerbench.errors import CannotRun, Refused

_FAST_PATH = "aten::_transformer_encoder_layer_fwd"
_SDPA = "aten::scaled_dot_product_attention"
# Its attention leaves the position bias out in silence with transformers 4.46 to 4.48 (largest error above 1).
_WRONG = ("t5", "blip-2")


class OptimumBetterTransformer(Backend):
    """Encoder layers become one fused operator on nested tensors, GPT-2's attention becomes SDPA.

    Source: https://huggingface.co/docs/optimum/v1.27.0/bettertransformer/overview
    """

    variants = (Variant("optimum-bettertransformer", "exact-math"),)
    packages = ("optimum", "torch", "transformers")
    install = "make env-optimum-bettertransformer"
    right_padding_only = True

    def unavailable(self, variant, device):
        """From transformers 4.48 on GPT-2 is left as it is in silence, from 4.49 on optimum refuses; 2.0 removed it."""
        reason = super().unavailable(variant, device)
        if reason:
            return reason
        versions = {name: importlib.metadata.version(name) for name in ("optimum", "transformers")}
        major, minor = (int(part) for part in versions["transformers"].split(".")[:2])
        if (major, minor) < (4, 48) and versions["optimum"].startswith("1."):
            return None
        found = ", ".join(f"{name} {version}" for name, version in versions.items())
        return f"needs optimum 1 and transformers before 4.48, found {found} (run: {self.install})"

    def build(self, variant, model, example, placement):
        return _runner(convert(model.copy()), placement.device)

    def build_disengaged(self, variant, model, example, placement):
        """Converted and reversed."""
        return _runner(convert(model.copy()).reverse_bettertransformer(), placement.device)

    def probe(self, variant, runner, inputs):
        from eagerbench.backends.torch_runner import profiled_operators

        layers = converted_layers(runner.module)
        operators = profiled_operators(runner, inputs)
        attention = sum(count for name, count in layers.items() if "Attention" in name)
        encoder = layers.total() - attention
        facts = {"converted_layers": layers.total(), "fast_path_layers": operators[_FAST_PATH],
                 "nested_tensors": operators["aten::_nested_tensor_from_mask"], "sdpa_calls": operators[_SDPA]}
        engaged = layers.total() > 0 and facts["fast_path_layers"] == encoder and facts["sdpa_calls"] == attention
        names = ", ".join(sorted(layers)) or "nothing converted"
        ran = f"{facts['sdpa_calls']} SDPA calls" if attention else f"{facts['fast_path_layers']} fast-path layers"
        return Engagement(engaged, f"{ran} of {layers.total()} converted ({names})", facts)


def convert(module):
    """Convert in place by `to_bettertransformer()`.

    Raises:
        ValueError: an architecture that optimum refuses, or converts wrongly; no model of transformers.
    """
    kind = getattr(getattr(module, "config", None), "model_type", None)
    if not hasattr(module, "to_bettertransformer"):
        raise Refused(f"optimum converts models of transformers, not a {type(module).__name__}")
    if kind in _WRONG:
        raise Refused(f"optimum converts {kind} wrongly: its attention loses the position bias")
    return module.to_bettertransformer()


def converted_layers(module) -> collections.Counter:
    """How many modules of each class of optimum's stand in a module."""
    names = [type(part).__name__ for part in module.modules()]
    return collections.Counter(name for name in names if name.endswith("BetterTransformer"))


def _runner(module, device):
    from eagerbench.backends.torch_runner import TorchRunner

    class MaskCheckingRunner(TorchRunner):
        def prepare(self, inputs):
            _check_mask(inputs.get("attention_mask"), converted_layers(self.module))
            return super().prepare(inputs)

    return MaskCheckingRunner(module, device)


def _check_mask(mask: np.ndarray | None, layers: collections.Counter) -> None:
    """Refuse the masks, (batch, length), that the converted model fails on or drops in silence.

    Nested tensors hold the first tokens of a row; `gpt2_wrapped_scaled_dot_product` drops the mask of a batch of one.
    """
    if mask is None or not layers or mask.all():
        return
    attention_only = all("Attention" in name for name in layers)
    if attention_only and len(mask) == 1:
        raise CannotRun("optimum's attention ignores the mask of a batch of one: leave its padding out")
    if not attention_only and (np.diff(mask, axis=1) > 0).any():
        raise CannotRun("optimum's encoder layers accept padding on the right only (torch._nested_tensor_from_mask)")


BACKEND = OptimumBetterTransformer()
