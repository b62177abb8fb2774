"""Pages with generated blocks: what is between `<!-- made: NAME ARGUMENTS -->` and `<!-- end -->`."""

import re
from pathlib import Path

from scripts.docs import blocks, pictures

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"(<!-- made: (?P<name>[a-z-]+)(?P<arguments>(?: [a-z]+)*) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """README and every page of docs that is written by hand."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def made(text: str) -> str:
    """A page with its blocks made again.

    Raises:
        KeyError: a block of a name that `blocks.BLOCKS` does not have.
    """

    def block(found: re.Match[str]) -> str:
        content = blocks.BLOCKS[found["name"]](*found["arguments"].split())
        return f"{found[1]}{content.strip()}\n{found[4]}"

    return _BLOCK.sub(block, text)


def out_of_date() -> dict[Path, str]:
    """Pages and pictures that differ from what would be made now, with what they should be."""
    wanted = {page: made(page.read_text(encoding="utf-8")) for page in pages()}
    wanted |= {ROOT / "docs" / name: text for name, text in pictures.made().items()}
    return {file: text for file, text in wanted.items()
            if not file.exists() or file.read_text(encoding="utf-8") != text}
