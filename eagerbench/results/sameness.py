"""Whether records of one name are of one benchmark: what of their models and inputs changed.

Other weights, inputs, dtype, seed or corpus make another benchmark, which is not judged. Other code or configuration of
the model, with the same weights, is what a comparison is for: it is judged, and said. So are other weights where two
states of the user's model are compared.
"""

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

_WEIGHTS = "weights_sha256"
_BENCHMARK = {_WEIGHTS: "weights", "dtype": "dtype", "inputs": "inputs", "seed": "seed",
              "corpus_sha256": "corpus"}
_MODEL = {"code_sha256": "model code", "config_sha256": "model configuration"}
_ALL_IN_ONE = "model_fingerprint"  # weights, code and configuration; older records have nothing else
FIELDS = (*_BENCHMARK, *_MODEL, _ALL_IN_ONE)

Meaning = tuple[str | None, ...]


def meaning(record: Mapping[str, Any]) -> Meaning:
    """What was run, a text for each of FIELDS; None for what the record does not say."""
    values = [record.get(name) for name in FIELDS]
    try:
        return known(*values)
    except TypeError:  # a list where a text belongs
        return tuple(None if value is None else str(value) for value in values)


@lru_cache(maxsize=4096, typed=True)
def known(*values: Any) -> Meaning:
    """The same of the values of FIELDS. Thousands of records are of few models."""
    return tuple(None if value is None else sys.intern(str(value)) for value in values)


def changed(meanings: Iterable[Meaning], weights_judged: bool = False) -> tuple[str, str]:
    """Why these are not one benchmark, and what changed that is judged all the same; each empty when nothing did.

    Args:
        weights_judged: a model with other weights is one of its states, too: two commits of it are compared.
    """
    columns = dict(zip(FIELDS, zip(*dict.fromkeys(meanings), strict=True), strict=True))
    differing = {name for name, values in columns.items() if len({*values} - {None}) > 1}
    other = [text for name, text in _BENCHMARK.items() if name in differing - ({_WEIGHTS} if weights_judged else set())]
    if _ALL_IN_ONE in differing and None in columns[_WEIGHTS] and "weights" not in other:
        other.insert(0, "weights or model code (files saved before these were kept apart do not say which)")
    states = {**({_WEIGHTS: _BENCHMARK[_WEIGHTS]} if weights_judged else {}), **_MODEL}
    said = [text for name, text in states.items() if name in differing]
    return (f"another benchmark of this name: {' and '.join(other)} changed" if other else "",
            f"{' and '.join(said)} changed" if said else "")
