"""Escapes text from files, names, paths and errors before it is printed or written."""

import html
import re
import sys

_MARKDOWN = re.compile(r"""[\\`*~$|]            # emphasis, code, strike-through, mathematics, a column's end
                           |(?<![^\W_])_|_(?![^\W_])  # emphasis too, but not inside of a word
                           |\](?=[(\[:])        # the end of a link's text
                        """, re.VERBOSE)
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
_MENTION = re.compile(r"[&<>]|(?<!\w)@(?=\w)")


def visible(text: object) -> str:
    """One line: control characters, escape sequences, direction marks, line breaks and lone surrogates as escapes."""
    text = str(text)
    return text if text.isprintable() else "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def printable(text: object) -> str:
    """The same, but line breaks stay."""
    return "\n".join(map(visible, str(text).split("\n")))


def one_line(text: object) -> str:
    """`visible`, every run of white space a single space."""
    return visible(" ".join(str(text).split()))


def markdown(text: object) -> str:
    """One line of Markdown that shows the text: no markup, link, HTML, mention or column's end in it."""
    escaped = _MARKDOWN.sub(r"\\\g<0>", one_line(text))
    return _MENTION.sub(lambda found: _ENTITIES[found[0]], escaped)


def label(text: object) -> str:
    """A name for plotly, which reads some HTML in its labels."""
    return html.escape(visible(text), quote=False)


def say(text: object, error: bool = False) -> None:
    """Print lines, safe for a terminal, on stdout or stderr."""
    print(printable(text), file=sys.stderr if error else sys.stdout, flush=error)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 thread`, `2 threads`, `1,000 processes`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
