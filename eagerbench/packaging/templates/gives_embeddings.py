import math
from functools import cache

import numpy as np
from verify import HERE, MANIFEST

POOLING = MANIFEST["pooling"]
POOLED = {  # of states (texts, tokens, size), 1 for tokens that count, and each token's place
    "cls": lambda states, kept, place: states[np.arange(len(states)), kept.argmax(1)],
    "max": lambda states, kept, place: np.where(kept[..., None] > 0, states, np.float32(-1e9)).max(1),
    "mean": lambda states, kept, place: (states * kept[..., None]).sum(1) / np.maximum(kept.sum(1), 1e-9)[:, None],
    "mean_sqrt_len_tokens": lambda states, kept, place: POOLED["mean"](states, kept, place) * np.sqrt(
        kept.sum(1))[:, None],
    "weightedmean": lambda states, kept, place: POOLED["mean"](states, kept * place, place),
    "lasttoken": lambda states, kept, place: states[np.arange(len(states)), (kept * place).argmax(1)],
}
ACTIVATIONS = {
    "Identity": lambda made: made,
    "Tanh": np.tanh,
    "ReLU": lambda made: np.maximum(made, 0),
    "GELU": lambda made: made * (1 + np.vectorize(math.erf, "f")(made / np.sqrt(2))) / 2,
    "SiLU": lambda made: made / (1 + np.exp(-made)),
    "Sigmoid": lambda made: 1 / (1 + np.exp(-made)),
    "ELU": lambda made: np.where(made > 0, made, np.expm1(np.minimum(made, 0))),
    "LeakyReLU": lambda made: np.where(made > 0, made, made / 100),
    "Softplus": lambda made: np.logaddexp(made, 0),
}
STEPS = {  # what follows pooling: of vectors (texts, size) and a step with its arrays
    "dense": lambda made, step: ACTIVATIONS[step["activation"]](made @ array(step["weight"]).T + array(step["bias"])),
    "dense with residual": lambda made, step: STEPS["dense"](made, step) + made @ array(step["residual"]).T,
    "layer norm": lambda made, step: (made - made.mean(1, keepdims=True)) / np.sqrt(
        made.var(1, keepdims=True) + 1e-5) * array(step["weight"]) + array(step["bias"]),
    "normalised": lambda made, step: made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-12),
    "first": lambda made, step: made[:, :step["size"]],
}


@cache
def array(name):
    return np.load(HERE / name)


def finish(outputs, inputs):
    """Embeddings (texts, size) of the states of tokens."""
    place = inputs["attention_mask"].cumsum(1).astype(np.float32)
    kept = inputs["attention_mask"] * (place > POOLING["skipped_tokens"]).astype(np.float32)
    made = np.concatenate([POOLED[mode](outputs[POOLING["states"]], kept, place) for mode in POOLING["modes"]], 1)
    for step in POOLING["steps"]:
        made = STEPS[step["kind"]](made, step).astype(np.float32)
    return {"embedding": made.astype(np.float32)}
