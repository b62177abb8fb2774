import numpy as np
from verify import MANIFEST


def finish(outputs, inputs):
    """The model's own outputs."""
    return outputs


def show(outputs, given):
    """The likeliest label of each, with its probability."""
    odds = np.exp(outputs["logits"] - outputs["logits"].max(-1, keepdims=True))
    for one, row in zip(given, odds / odds.sum(-1, keepdims=True), strict=True):
        print(f"{MANIFEST['labels'][row.argmax()]} {row.max():.4f}  {one}")
