"""`${{ … }}` in workflows of GitHub: literals, contexts, comparisons and the functions that are used here."""

import re
from collections.abc import Callable, Mapping
from typing import Any

Context = Mapping[str, Any]
_TOKEN = re.compile(r"\s*(?:('(?:[^']|'')*')|(\d+)|([A-Za-z_][\w-]*)|(==|!=|&&|\|\||[!<>().,*\[\]]))")


class Expression:
    """The text of one, without the braces."""

    def __init__(self, text: str, context: Context, succeeded: bool = True):
        self._tokens = [next(filter(None, found)) for found in _TOKEN.findall(text)]
        self._context = context
        self._functions: dict[str, Callable[..., Any]] = {
            "always": lambda: True, "success": lambda: succeeded, "failure": lambda: not succeeded,
            "contains": lambda where, what: what in where if isinstance(where, list) else str(what) in str(where),
            "hashFiles": lambda *_: "0"}

    def value(self) -> Any:
        found = self._either()
        assert not self._tokens, self._tokens
        return found

    def _take(self, *wanted: str) -> str | None:
        return self._tokens.pop(0) if self._tokens and (not wanted or self._tokens[0] in wanted) else None

    def _either(self) -> Any:
        found = self._both()
        while self._take("||"):
            other = self._both()
            found = found or other
        return found

    def _both(self) -> Any:
        found = self._compared()
        while self._take("&&"):
            other = self._compared()
            found = found and other
        return found

    def _compared(self) -> Any:
        found = self._single()
        if how := self._take("==", "!=", "<", ">"):
            other = self._single()
            if how in "<>":
                found, other = (float(one or 0) for one in (found, other))
            return {"==": found == other, "!=": found != other, "<": found < other, ">": found > other}[how] \
                if how in "<>" else (found == other) == (how == "==")
        return found

    def _single(self) -> Any:
        if self._take("!"):
            return not self._single()
        if self._take("("):
            found = self._either()
            assert self._take(")")
            return found
        token = self._take()
        if token[0] == "'":
            return token[1:-1].replace("''", "'")
        if token.isdigit():
            return int(token)
        return self._called(token) if self._take("(") else self._looked_up(token)

    def _called(self, name: str) -> Any:
        arguments = []
        while not self._take(")"):
            arguments.append(self._either())
            self._take(",")
        return self._functions[name](*arguments)

    def _looked_up(self, name: str) -> Any:
        found = {"true": True, "false": False, **self._context}[name]
        while self._take("."):
            key = self._take()
            if key == "*":
                continue
            found = [one.get(key) for one in found] if isinstance(found, list) else (found or {}).get(key, "")
        return found


def filled(value: Any, context: Context) -> Any:
    """A value of a workflow, with its expressions filled in."""
    if not isinstance(value, str):
        return value
    whole = re.fullmatch(r"\$\{\{(.*?)\}\}", value.strip(), re.DOTALL)
    if whole:
        return Expression(whole[1], context).value()
    return re.sub(r"\$\{\{(.*?)\}\}", lambda found: text(Expression(found[1], context).value()), value)


def text(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def is_due(condition: Any, context: Context, succeeded: bool) -> bool:
    words = str(condition).strip().removeprefix("${{").removesuffix("}}")
    asks = re.search(r"\b(always|success|failure)\(", words)
    return (succeeded or bool(asks)) and bool(Expression(words, context, succeeded).value())
