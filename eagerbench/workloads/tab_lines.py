"""Files of lines with tabs between their parts, as editors, spreadsheets and shells write them."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eagerbench.errors import BadInput

# The longer mark first: that of UTF-32 begins with that of UTF-16.
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class Line:
    """A line's number in its file, from 1, and its parts without surrounding blanks."""

    number: int
    parts: tuple[str, ...]


class TabFile:
    """A file of lines `names[0] TAB names[1] TAB …`.

    Args:
        option: that named it, for messages.
        names: of the parts; a first line that ends in the last name is a heading.
    """

    def __init__(self, option: str, file: str, names: Sequence[str]):
        self._file = file
        self._where = f"{option} {file}"
        self._names = tuple(names)
        self.shape = " TAB ".join(names)

    def refuse(self, text: str, number: int | None = None) -> BadInput:
        """The error to raise, of a line or of the whole file."""
        return BadInput(f"{self._where}: {text}" if number is None else f"{self._where}: line {number} {text}")

    def lines(self) -> list[Line]:
        """Every line that is neither blank nor the heading. Parts may be empty.

        Raises:
            BadInput: missing, in no encoding that is known, or a line with another number of parts.
        """
        found = []
        # splitlines() would cut sentences at U+2028, form feeds and others too.
        for number, line in enumerate(self._text().split("\n"), 1):
            if not line.strip():
                continue
            parts = tuple(part.strip() for part in line.split("\t"))
            if number == 1 and parts[-1].lower() == self._names[-1]:
                continue
            if len(parts) != len(self._names):
                raise self.refuse(f"is not {self.shape}", number)
            found.append(Line(number, parts))
        return found

    def _text(self) -> str:
        """UTF-8, or UTF-16 and UTF-32 with a byte order mark."""
        try:
            content = Path(self._file).read_bytes()
        except OSError as error:
            raise self.refuse(f"{error.strerror or error}; name a file of lines {self.shape}") from None
        encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            raise self.refuse(f"is not {encoding.removesuffix('-sig').upper()}; convert the file, for example with "
                              "iconv -t UTF-8") from None
        if "\0" in text:
            raise self.refuse("is no text: it has zero bytes; convert the file, for example with "
                              "iconv -f UTF-16LE -t UTF-8")
        return text
