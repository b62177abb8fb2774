"""The licence of a model, where its source names one: in the front matter of its model card, or as a file beside it."""

import re
from collections.abc import Callable
from pathlib import Path

from eagerbench.packaging.manifest import Licence

_CARD, _FILES = "README.md", ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING")
_LONGEST = 100_000


def found(find: Callable[[str], Path | None]) -> tuple[Licence | None, Path | None]:
    """The licence, and its text where that is a file.

    Args:
        find: the file of a name beside the model, or None.
    """
    text = next(filter(None, map(find, _FILES)), None)
    card = find(_CARD)
    if card is not None:
        front = re.match(r"---\s*\n(.*?)\n---\s*\n", card.read_text(encoding="utf-8", errors="replace")[:_LONGEST],
                         re.DOTALL)
        named = re.search(r"^licen[sc]e:\s*[\"']?([\w .+-]{1,60})", front[1], re.MULTILINE) if front else None
        if named:
            return Licence(name=named[1].strip(), source="the model card, README.md"), text
    return (Licence(name=f"see {text.name}", source=text.name), text) if text is not None else (None, None)
