"""Whether quality holds between two models: what each answers right of labelled texts, asked once beside the pairs."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import eagerbench
from eagerbench.causes import last_words
from eagerbench.shown import say

_OPTIONS = ("--labels", "--retrieval")
_SHARED = ("--seed", "--threads")  # with the sides


def split(words: list[str]) -> tuple[list[str], list[str]]:
    """Options that name labelled texts, and the other words: a side that only times needs no labels."""
    return _of(words, _OPTIONS)


def _of(words: list[str], options: tuple[str, ...]) -> tuple[list[str], list[str]]:
    found, others, following = [], [], None
    for word in words:
        name, equals, _ = word.partition("=")
        if following:
            found.append(f"{following}={word}")
            following = None
        elif name in options and equals:
            found.append(word)
        elif name in options:
            following = name
        else:
            others.append(word)
    return found, others


def compared(of_side: Mapping[str, str], labels: list[str], words: list[str]) -> list[dict[str, Any]]:
    """An entry for each file of labels: how often each model is right, or why that is not known.

    Args:
        words: of the sides, for threads and seed.
    """
    say("asking both models about the labelled texts", error=True)
    path = os.pathsep.join([str(Path(eagerbench.__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run([sys.executable, "-m", "eagerbench.measuring.two_models", of_side["base"], of_side["head"],
                           *labels, *_of(words, _SHARED)[0]], capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": path})
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        reason = last_words(done.stderr) or f"ended with status {done.returncode}"
        return [{"option": label.partition("=")[0], "reason": reason} for label in labels]


def lines(entries: list[dict[str, Any]]) -> list[str]:
    """A sentence for each."""
    return [_line(entry) for entry in entries]


def _line(entry: dict[str, Any]) -> str:
    if "reason" in entry:
        return f"Quality by {entry['option']}: not known ({entry['reason']})."
    changed = f"{entry['lost']} lost, {entry['won']} won, p {entry['p']:.2g}"
    reach = f" ({-100 * entry['high']:+.1f} to {-100 * entry['low']:+.1f})" if entry["low"] is not None else ""
    return (f"Quality by {entry['option']}: {entry['metric']} {entry['head']:.3f}, base {entry['base']:.3f} of "
            f"{entry['items']:,}: {-100 * entry['loss']:+.1f} points{reach}; {changed}.")
