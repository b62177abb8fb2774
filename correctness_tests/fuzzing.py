"""Mutated files through every command that reads files. A mutation follows from its seed and number alone."""

import contextlib
import copy
import io
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from analysis_files import drawn, noise_floor
from gpu_files import usual
from markdown_it import MarkdownIt

from eagerbench import jsonfile
from eagerbench.cli import main
from eagerbench.results import fingerprint, records
from eagerbench.results.decode import decode
from eagerbench.results.record import to_json

DATA = Path(__file__).parent / "data" / "session.json"
HOSTILE = "<fuzz onerror=alert(1)>"
TEXTS = ("", " ", "\x1b[31mred", "\x1b]0;title\x07", "\x9b31m", "a\nb", "a\rb", "\u202eright", "zero\u200bwidth",
         "\ud800", "\u2028", HOSTILE, "<script>alert(1)</script>", "a|b", "`rm`", "**a** __b__ _c_", "[a](http://x)",
         "![a](x)", "\\", "\\|", "$x$", "@someone", "# a", "{{ 7 * 7 }}", "%s {0}", "名" * 40, "e\u0301" * 30,
         "x" * 110, "y " * 3000, "z" * 100_000, "NaN", "-inf", "/etc/passwd", "\0", "tiny-bert/eager/b2/s16/cpu",
         "latency", "failed", "::error::x")
NUMBERS = (0, -1, 1, 2, True, False, 0.0, -0.0, 1.0, 0.5, 1e-320, 1e-12, 1e12, 1e308, -1e308, float("nan"),
           float("inf"), float("-inf"), 10**20, 10**400, -(10**400), 2**63)
OTHERS = (None, [], {}, [[]], [None], [1, "a"], {"a": None}, {"\x1b[31m": [HOSTILE]}, [{"bench_id": 5}])
CODES = {"compare": {0, 1, 2, 3, 4}, "merge": {0, 2, 4}, "summary": {0, 2, 4}, "check": {0, 2, 4}, "plot": {0, 2, 4},
         "report": {0, 2, 4},
         "statements": {0, 2, 4}, "gate": {0, 1, 2, 3, 4}, "calibrate": {0, 2}, "history": {0, 2, 4}, "fleet": {0, 2},
         "gpu": {0, 2}, "recommend": {0, 1, 2}}
_ALLOWED = {"heading_open", "heading_close", "inline", "paragraph_open", "paragraph_close", "table_open", "table_close",
            "thead_open", "thead_close", "tbody_open", "tbody_close", "tr_open", "tr_close", "th_open", "th_close",
            "td_open", "td_close", "text", "text_special", "softbreak"}
_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Fuzzer:
    """Files of every kind in `directory`, and `run(seed, number)`: one mutation of one of them, and what is wrong."""

    def __init__(self, directory: Path):
        self._directory = directory
        session = json.loads(DATA.read_text(encoding="utf-8"))
        for record in (bench["extra_info"] for bench in session["benchmarks"]):
            if "parameter_bytes" in record:
                record["parameter_bytes"] = 10**9  # statements leave toys out
        nested = as_saved_today(session)
        duets = [drawn(1, {"b1": 0.06}, pairs=6, null_pairs=3, benches=2),
                 drawn(2, {"b1": 0.06}, "confirm", pairs=12, null_pairs=6, benches=2)]
        floors = noise_floor(["b0", session["benchmarks"][2]["extra_info"]["bench_id"]],
                             fingerprint.of(duets[0]["machine_info"]))
        self._saved("other", _slower(nested))
        self._saved("confirm", duets[1])
        verdict, store = directory / "verdict.json", directory / "store"
        _called("gate", self._saved("screen", duets[0]), directory / "confirm.json", "--verdict", verdict)
        _called("history", "add", self._saved("run", nested), directory / "other.json", verdict, "--store", store)
        entry = next(file for file in store.rglob("*.json") if json.loads(file.read_text())["anchor"] == "eager")
        self._starts = {"older": jsonfile.renamed(session), "session": nested, "duet": duets[0],
                        "verdict": json.loads(verdict.read_text()), "floor": floors,
                        "history": json.loads(entry.read_text()), "gpu": usual()}

    def run(self, seed: int, number: int) -> list[str]:
        """What a mutated file brought out that it must not."""
        rng = random.Random(f"{seed}/{number}")
        kind = rng.choices(list(self._starts), (6, 8, 3, 2, 1, 1, 2))[0]
        start = self._starts[kind]
        if kind in ("older", "session"):
            kind = "session"
            start = {**start, "benchmarks": rng.sample(start["benchmarks"], 6)}
        file = self._directory / "fuzzed.json"
        file.write_bytes(_spoilt(rng, mutated(rng, start)))
        output = self._directory / "out.json"
        wrong = []
        commands = self._commands(kind, file, output)
        slow = [1 if {"plot", "report", "--html"} & set(command) else 5 for command in commands]
        for command in rng.choices(commands, slow, k=2 if kind == "session" else 1):
            output.unlink(missing_ok=True)
            os.environ["COLUMNS"] = str(rng.choice((40, 80, 140)))
            wrong += [f"{command}: {line}" for line in _judged(command, *_called(*command))]
            if output.suffix == ".json" and output.exists():
                json.loads(output.read_text(encoding="utf-8"), parse_constant=_no_json)
        return wrong

    def _commands(self, kind: str, file: Path, output: Path) -> list[tuple]:
        other, screen, confirm = (self._directory / f"{name}.json" for name in ("other", "screen", "confirm"))
        page = output.with_suffix(".html")
        return {
            "session": [("compare", file, other), ("compare", other, file, "--markdown"), ("summary", file),
                        ("compare", file, "--with", other), ("summary", file, "--markdown"), ("check", file),
                        ("statements", file), ("statements", file, other, "--markdown"),
                        ("merge", file, other, "-o", output, "--keep-first"), ("merge", other, file, "-o", output),
                        ("report", file, "-o", page), ("report", file, "--base", other, "-o", page),
                        ("recommend", file, "--max-error", "0.05", "--calls", "100", "-o", output),
                        ("recommend", file, other, "--max-latency-ms", "9", "--percentile", "90"),
                        ("history", "add", file, "--store", output.with_suffix("")), ("fleet", file, other, "-o", page),
                        ("plot", "corpus", file, "-o", page), ("plot", "length", file, "-o", page)],
            "duet": [("gate", file), ("gate", file, confirm, "--summary-md", output.with_suffix(".md")),
                     ("calibrate", file, "-o", output), ("gate", file, "--html", page)],
            "verdict": [("gate", file), ("history", "add", file, "--store", output.with_suffix(""))],
            "gpu": [("gpu", file), ("gpu", file, "--markdown")],
            "floor": [("gate", screen, "--noise-floor", file), ("compare", other, DATA, "--noise-floor", file)],
            "history": [("history", "report", "--store", self._mixed(file), "-o", page, "--json", output),
                        ("history", "report", "--store", self._mixed(file), "--markdown"),
                        ("fleet", file, other, "-o", page, "--price", "a=1"), ("fleet", file, "--markdown")],
        }[kind]

    def _mixed(self, file: Path) -> Path:
        """A store with sound entries, and a file among them that may be none."""
        shutil.copy(file, self._directory / "store" / "fuzzed.json")
        return self._directory / "store"

    def _saved(self, name: str, content: Any) -> Path:
        file = self._directory / f"{name}.json"
        file.write_text(json.dumps(content), encoding="utf-8")
        return file


def as_saved_today(session: dict) -> dict:
    """An older file with its records nested by topic."""
    content = copy.deepcopy(jsonfile.renamed(session))
    for bench in filter(records.is_ours, content["benchmarks"]):
        bench["extra_info"] = to_json(decode(bench["extra_info"]))
    return content


def _slower(session: dict) -> dict:
    """Another session of the same suite: every round 3 % slower."""
    content = copy.deepcopy(session)
    for bench in content["benchmarks"]:
        bench["stats"]["data"] = [1.03 * seconds for seconds in bench["stats"]["data"]]
    return content


def mutated(rng: random.Random, content: Any) -> Any:
    """Some places of a copy replaced, removed, renamed, repeated or wrapped: one bad benchmark leaves the others."""
    content = copy.deepcopy(content)
    for _ in range(rng.choice((1, 1, 2, 4, 8, 16))):
        holder, key = _place(rng, content)
        rng.choice((_replace, _replace, _replace, _remove, _rename, _repeat, _wrap, _add))(rng, holder, key)
    return content


def _place(rng: random.Random, content: Any) -> tuple[Any, Any]:
    """A container and a key of it; every level as likely, so that records are met more often than their rounds."""
    holder = content
    while True:
        key = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.15:
            return holder, key
        holder = inner


def _value(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(rng.choice((TEXTS, NUMBERS, OTHERS))))


def _replace(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = _value(rng)


def _remove(rng: random.Random, holder: Any, key: Any) -> None:
    if len(holder) > 1 or isinstance(holder, dict):
        del holder[key]


def _rename(rng: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)


def _repeat(rng: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))


def _wrap(rng: random.Random, holder: Any, key: Any) -> None:
    holder[key] = rng.choice(([holder[key]], {"value": holder[key]}, str(holder[key])))


def _add(rng: random.Random, holder: Any, key: Any) -> None:
    if isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = _value(rng)


def _spoilt(rng: random.Random, content: Any) -> bytes:
    """The bytes of a file; one in eight is spoilt as text, another is in another encoding."""
    text = json.dumps(content, ensure_ascii=rng.random() < 0.5)
    choice = rng.randrange(16)
    if choice == 0:
        cut = rng.randrange(len(text))
        text = text[:cut] + rng.choice(("", "\0", "]", "{", "[" * 5000, '{"a": ' * 900, "9" * 5000)) + text[cut + 1:]
    encoding = {1: "utf-16", 2: "utf-8-sig", 3: "utf-32", 4: "latin-1"}.get(choice, "utf-8")
    return text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass")


def _called(*command: object) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in command])
    return code, out.getvalue(), err.getvalue()


def _judged(command: tuple, code: int, out: str, err: str) -> Iterator[str]:
    if code not in CODES[command[0]]:
        yield f"exit code {code}"
    if code == 2 and not err:
        yield "no reason given"
    if "Traceback" in err or "bug of eagerbench" in err:
        yield err.strip()
    for text in (out, err):
        raw = next((char for char in text if not char.isprintable() and char != "\n"), None)
        if raw:
            yield f"{raw!r} on the terminal"
    for argument in command:
        read = {".html": html_problems, ".md": markdown_problems}.get(getattr(argument, "suffix", ""))
        if read and argument.exists():
            yield from read(argument.read_text(encoding="utf-8"))
            argument.unlink()
    if "--markdown" in command:
        yield from markdown_problems(out)


def markdown_problems(text: str) -> Iterator[str]:
    """What a renderer of GitHub's Markdown would make of it besides headings, tables and plain text."""
    for token in _MARKDOWN.parse(text):
        for inner in (token, *(token.children or ())):
            if inner.type not in _ALLOWED:
                yield f"{inner.type} in Markdown: {(token.content or inner.markup)[:200]!r}"
    columns = 0
    for line in text.splitlines():
        count = len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) if line.startswith("|") else 0
        if count and columns and count != columns:
            yield f"{count - 1} cells of {columns - 1} in Markdown: {line[:200]!r}"
        columns = count


def html_problems(text: str) -> Iterator[str]:
    """Text of a file as markup of the page, or of plotly's labels, which are HTML in a script."""
    for start in ("<fuzz", r"\u003cfuzz", "<script>alert", r"\u003cscript\u003ealert"):
        if start in text:
            yield f"{start} in HTML"


def _no_json(name: str) -> None:
    raise AssertionError(f"{name} was written, which JSON cannot hold")


def until(stop: Callable[[int], bool], directory: Path, seed: int) -> tuple[int, list[str]]:
    """Run mutations 0, 1, … until `stop(number)`; how many ran, and a line for each thing that is wrong."""
    fuzzer = Fuzzer(directory)
    number, wrong = 0, []
    while not stop(number):
        wrong += [f"FUZZ_SEED={seed} FUZZ_ONLY={number}: {line}" for line in fuzzer.run(seed, number)]
        number += 1
    return number, wrong
