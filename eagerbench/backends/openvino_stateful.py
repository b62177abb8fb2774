"""An OpenVINO model that keeps keys and values in its request, from one call to the next."""

from typing import Any

import numpy as np

from eagerbench.backends.openvino_request import RequestRunner


class StatefulRunner(RequestRunner):
    """Of `openvino_convert.convert_stateful`. A plain call begins with an empty state: it is one forward pass.

    Keys and values are kept in the precision of the rest: left to itself OpenVINO keeps them in 8 bits.
    """

    def __init__(self, model: Any, precision: str, threads: int, **more: str):
        super().__init__(model, precision, threads, KV_CACHE_PRECISION=precision, **more)
        self.file = model

    def prepare(self, inputs):
        ids = inputs["input_ids"]
        given = {"attention_mask": np.ones_like(ids), **inputs, "beam_idx": np.arange(len(ids), dtype=np.int32)}
        return super().prepare(given)

    def __call__(self, native):
        self._request.reset_state()
        return super().__call__(native)

    def step(self, ids: Any, mask: Any, first: bool) -> Any:
        """Logits of `ids`, (batch, tokens, vocabulary), after all before them; `mask` is of both. Torch tensors."""
        import torch

        if first:
            self._request.reset_state()
        found = super().__call__(self.prepare({"input_ids": ids.cpu().numpy(), "attention_mask": mask.cpu().numpy()}))
        return torch.from_numpy(self.arrays(found)["logits"])
