import numpy as np
from verify import MANIFEST

GIVEN = "one .npz file with an array for each input"


def prepare(given):
    """Named arrays, of the model's own dtypes: a mapping, or the path of an .npz file in a list."""
    arrays = given if isinstance(given, dict) else dict(np.load(given[0]))
    return {one["name"]: np.ascontiguousarray(arrays[one["name"]], one["dtype"]) for one in MANIFEST["inputs"]}
