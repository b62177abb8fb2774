"""A repository of the user's own: `[tool.eagerbench]` of its pyproject.toml, and where its packages are.

Keys are the options of `eagerbench run` without their dashes. `[tool.eagerbench.budget]` has those of `recommend`;
`[tool.eagerbench.gate]` has what the gate measures instead, and how. What is typed wins over the file.
"""

import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eagerbench.errors import BadInput, unknown

_PATHS = ("corpus", "eval", "retrieval", "labels", "artifacts", "noise-floor")
PYTHONPATH = "pythonpath"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


@dataclass(frozen=True)
class _Kind:
    """What a key takes.

    Attributes:
        fits: whether one value does.
        said: in a message, behind "expected".
        listed: whether a list of such values does, too.
        joined: whether a list is one option with commas between (otherwise the option is repeated).
    """

    fits: Callable[[Any], bool]
    said: str
    listed: bool = False
    joined: bool = False


_TEXT, _TEXTS = _Kind(_is_text, "a text"), _Kind(_is_text, "a text or a list of them", listed=True)
_WHOLE, _NUMBER = _Kind(_is_whole, "a whole number"), _Kind(_is_number, "a number")
_WHOLES = _Kind(_is_whole, "a whole number or a list of them", listed=True, joined=True)
_SWITCH = _Kind(_is_switch, "true or false")
# Options of `run` that say what is measured; those of one session (--resume, --rebuild, …) are typed.
OPTIONS = {
    "model": _TEXTS, "variant": _TEXTS, "device": _TEXT, "device-map": _TEXT, "max-memory": _TEXT,
    "batch-sizes": _WHOLES, "sequence-lengths": _WHOLES, "corpus": _TEXT, "sentences": _WHOLE, "eval": _TEXT,
    "retrieval": _TEXT, "labels": _TEXT, "threads": _WHOLE, "grid": _TEXT, "time-budget": _NUMBER,
    "p99-ms": _NUMBER, "artifacts": _TEXT, "artifacts-limit": _WHOLE, "seed": _WHOLE, "allocator": _TEXT,
    "wait-policy": _TEXT, "peaks": _TEXT, "case-timeout": _NUMBER,
}
# Options of `gate` and `duet`.
GATE = {"base": _TEXT, "design": _TEXT, "turns": _WHOLE, "time-out": _NUMBER, "noise-floor": _TEXT, "lenient": _SWITCH,
        "strict": _SWITCH, "tests": _TEXTS}
_TABLES = ("budget", "gate")

Options = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Project:
    """What the file says.

    Attributes:
        directory: of the file; the working directory without one.
        file: the pyproject.toml that has the table; None without one.
        options: by key, the texts of each option as they would be typed; paths are absolute.
        budget: as `results.decision.budget` reads it, who uses it; unchecked here.
        gate: options of the run, for the gate alone.
        gating: options of the gate itself, by key.
        pythonpath: directories below `directory` that have the user's packages.
    """

    directory: Path
    file: Path | None = None
    options: Options = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=dict)
    gate: Options = field(default_factory=dict)
    gating: Mapping[str, Any] = field(default_factory=dict)
    pythonpath: tuple[str, ...] = (".", "src")

    @property
    def budget_name(self) -> str:
        """For what is wrong in it."""
        return f"{self.file}: [tool.eagerbench.budget]"

    def roots(self, directory: Path | None = None) -> list[Path]:
        """Where the packages are, in this project or in another state of it; those that exist."""
        places = [((directory or self.directory) / name).absolute() for name in self.pythonpath]
        return [place for place in places if place.is_dir()]


def find(start: Path) -> Project:
    """The project that a directory is in: the nearest pyproject.toml with the table, up to the top of the repository.

    Raises:
        BadInput: it cannot be read, or has a key that there is not or a value that its key does not take.
    """
    for directory in (start, *start.parents):
        file = directory / "pyproject.toml"
        try:
            text = file.read_text(encoding="utf-8") if file.is_file() else ""
        except (OSError, ValueError) as error:
            raise BadInput(f"{file}: {getattr(error, 'strerror', None) or error}") from None
        if "eagerbench" in text and (table := _table(file, text)) is not None:
            return _project(file, table)
        if (directory / ".git").exists():
            break
    return Project(start)


def _table(file: Path, text: str) -> dict[str, Any] | None:
    try:
        tools = tomllib.loads(text).get("tool", {})
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{file}: not TOML ({error})") from None
    table = tools.get("eagerbench") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise BadInput(f"{file}: tool.eagerbench: expected a table, [tool.eagerbench]")
    return table


def _project(file: Path, table: dict[str, Any]) -> Project:
    where = f"{file}: [tool.eagerbench]"
    for name in _TABLES:
        if not isinstance(table.get(name, {}), dict):
            raise BadInput(f"{where} {name}: expected a table, [tool.eagerbench.{name}]")
    directory, limits = file.parent, table.get("budget", {})
    own = {key: value for key, value in table.items() if key not in (*_TABLES, PYTHONPATH)}
    gate, of_gate = table.get("gate", {}), f"{file}: [tool.eagerbench.gate]"
    chosen = {key: value for key, value in gate.items() if key not in GATE}
    gating = {key: value for key, value in gate.items() if key in GATE}
    return Project(directory, file, _texts(where, own, OPTIONS, directory, (*_TABLES, PYTHONPATH)), limits,
                   _texts(of_gate, chosen, OPTIONS, directory, tuple(GATE)), _gating(of_gate, gating, directory),
                   _directories(where, table.get(PYTHONPATH, list(Project.pythonpath))))


def _gating(where: str, values: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    """Checked, numbers and switches as they are."""
    texts = _texts(where, values, GATE, directory)
    return {key: texts[key] if GATE[key].listed else texts[key][0] if isinstance(value, str) else value
            for key, value in values.items()}


def _texts(where: str, values: Mapping[str, Any], kinds: Mapping[str, _Kind], directory: Path,
           others: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    found = {}
    for key, value in values.items():
        if key not in kinds:
            raise unknown(f"key in {where}", key, [*kinds, *others])
        kind = kinds[key]
        listed = kind.listed and isinstance(value, list)
        each = value if listed else [value]
        if not each or not all(map(kind.fits, each)):
            raise BadInput(f"{where} {key}: expected {kind.said}, not {value!r}")
        texts = [_path(key, str(one), directory) for one in each]
        found[key] = (",".join(texts),) if kind.joined else tuple(texts)
    return found


def _path(key: str, text: str, directory: Path) -> str:
    """A path of the file is relative to it, wherever the command is called."""
    relative = key in _PATHS or (key == "model" and text.startswith(("./", "../")))
    return str((directory / text).absolute()) if relative and directory != Path.cwd() else text


def _directories(where: str, value: Any) -> tuple[str, ...]:
    listed = [value] if isinstance(value, str) else value
    if not (isinstance(listed, list) and listed and all(map(_is_text, listed))):
        raise BadInput(f"{where} {PYTHONPATH}: expected a text or a list of them, not {value!r}")
    for one in listed:
        if Path(one).is_absolute() or ".." in Path(one).parts:
            raise BadInput(f"{where} {PYTHONPATH}: {one}: name directories below that of the file")
    return tuple(listed)


def words(options: Options) -> list[str]:
    """As they would be typed, each option and its value in one word."""
    return [f"--{key}={text}" for key, texts in options.items() for text in texts]


def typed(arguments: Iterable[object]) -> set[str]:
    """Keys of the options among words that were typed; behind `--` there are none."""
    return set(_keys(arguments))


def _keys(arguments: Iterable[object]) -> Iterator[str]:
    for word in map(str, arguments):
        if word == "--":
            return
        if word.startswith("--"):
            yield word[2:].partition("=")[0]


def echoed(found: Project, without: Iterable[str] = ()) -> str:
    """`from pyproject.toml [tool.eagerbench]: model a:b, batch-sizes 1,8`, of what counts; empty where nothing does."""
    left = set(without)
    return echoed_words(found, words({key: texts for key, texts in found.options.items() if key not in left}))


def echoed_words(found: Project, chosen: Iterable[str]) -> str:
    """The same of words; empty without a file."""
    said = [word[2:].replace("=", " ", 1) if word.startswith("--") else word for word in chosen]
    return f"from {found.file.name} [tool.eagerbench]: {', '.join(said)}" if found.file and said else ""
