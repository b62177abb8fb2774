"""Puts `load.py` together from the parts in `templates`: inputs, outputs, runtime, and what is the same for all."""

import ast
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from eagerbench.packaging.manifest import LOADER, VERIFY, Manifest

TEMPLATES = Path(__file__).parent / "templates"
MOST_LINES = 100
_ASKED_FOR = {"finish", "build", "Model"}  # what another module of the package, or its user, imports


def sources(manifest: Manifest, recipe: Sequence[str] = ()) -> dict[str, str]:
    """The Python files of a package by their names: `load.py`, `verify.py`, and what does not fit into MOST_LINES.

    Args:
        recipe: parts that build a variant without an artifact: `build.py`.
    """
    kept, session = _without_unused(manifest), manifest.session
    shown = manifest.gives not in ("arrays", "embeddings")
    given, gives, runs = (_part(name) for name in (f"given_{manifest.given}", f"gives_{manifest.gives}",
                                                   f"runs_{session.runtime.replace('-', '_')}"))
    model = _part("model") if shown else _part("model").replace("GIVEN, show)", "GIVEN)")  # verify.py has a way
    title = f"{manifest.model} as {manifest.variant}: {manifest.given} in, {manifest.gives} out; README.md says how."
    found = {VERIFY: _part("verify"), LOADER: assembled(title, [given, gives, runs, model], kept)}
    if len(found[LOADER].splitlines()) > MOST_LINES:
        found["pooling.py"] = assembled("From the states of tokens to embeddings.", [gives], kept)
        found[LOADER] = assembled(title, [given, "from pooling import finish\n", runs, model], kept)
    if recipe:
        found["build.py"] = assembled("The model, built by torch and transformers.", map(_part, recipe), {})
    return found


def _part(name: str) -> str:
    return (TEMPLATES / f"{name}.py").read_text(encoding="utf-8")


def _without_unused(manifest: Manifest) -> dict[str, set[str]]:
    """Tables of which only some entries are needed: their names, and the keys to keep."""
    if manifest.pooling is None:
        return {}
    steps = {str(step["kind"]) for step in manifest.pooling.steps}
    if "dense with residual" in steps:
        steps.add("dense")
    modes = set(manifest.pooling.modes)
    if modes & {"weightedmean", "mean_sqrt_len_tokens"}:
        modes.add("mean")
    activations = {str(step["activation"]) for step in manifest.pooling.steps if "activation" in step}
    return {"POOLED": modes, "STEPS": steps, "ACTIVATIONS": activations}


def assembled(title: str, parts: Iterable[str], kept: dict[str, set[str]]) -> str:
    """One module of several: imports first, and nothing that is not used.

    Args:
        kept: by the name of a dict at the top level, the keys that stay.
    """
    imports: dict[str, set[str]] = {}
    blocks: list[tuple[set[str], set[str], str]] = []  # names that it defines, names that it uses, text
    for text in parts:
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import):
                imports |= {alias.name if alias.asname is None else f"{alias.name} as {alias.asname}": set()
                            for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imports.setdefault(f"from {node.module}", set()).update(alias.name for alias in node.names)
            else:
                blocks.append(_block(node, lines, kept))
    blocks = _used(blocks)
    names = set().union(*(uses for _, uses, _ in blocks))
    return f'"""{title}"""\n\n{_imports(imports, names)}{_spaced([text for _, _, text in blocks])}'


def _spaced(blocks: list[str]) -> str:
    """Two empty lines around functions and classes, one after imports."""
    text, apart = "", None
    for block in blocks:
        outer = block.startswith(("def ", "class ", "@", "if "))
        text += ("\n\n" if outer or apart else "\n" if apart is None else "") + f"{block}\n"
        apart = outer
    return text


def _block(node: ast.stmt, lines: list[str], kept: dict[str, set[str]]) -> tuple[set[str], set[str], str]:
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and isinstance(node.targets[0], ast.Name) \
            and node.targets[0].id in kept:
        name, table = node.targets[0].id, node.value
        wanted = [(key, value) for key, value in zip(table.keys, table.values, strict=True)
                  if isinstance(key, ast.Constant) and key.value in kept[name]]
        text = [lines[node.lineno - 1], *(line for key, value in wanted
                                          for line in lines[key.lineno - 1:value.end_lineno]), "}"]
        uses = set().union(*(_names(value) for _, value in wanted))
        return {name}, uses, "\n".join(text if wanted else [f"{name} = {{}}"])
    text = "\n".join(lines[first - 1:node.end_lineno])
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}, _names(node), text
    if isinstance(node, ast.Assign):
        return {one.id for target in node.targets for one in ast.walk(target) if isinstance(one, ast.Name)}, _names(
            node.value), text
    return set(), _names(node), text


def _names(node: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def _used(blocks: list[tuple[set[str], set[str], str]]) -> list[tuple[set[str], set[str], str]]:
    """Without definitions that no other block uses; whatever defines nothing stays."""
    while True:
        left = [block for place, block in enumerate(blocks) if not block[0] or block[0] & _ASKED_FOR or any(
            block[0] & uses for other, (_, uses, _) in enumerate(blocks) if other != place)]
        if len(left) == len(blocks):
            return left
        blocks = left


def _imports(found: dict[str, set[str]], names: set[str]) -> str:
    """Import lines that are needed: standard library, then the rest, each sorted as isort does."""
    lines: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for entry, members in found.items():
        if entry.startswith("from "):
            module, wanted = entry.removeprefix("from "), sorted(members & names, key=_case)
            text = f"{entry} import {', '.join(wanted)}" if wanted else ""
        else:
            module, _, alias = entry.partition(" as ")
            text = f"import {entry}" if (alias or module.partition(".")[0]) in names else ""
        if text:
            lines[module.partition(".")[0] in sys.stdlib_module_names].append((module, text))
    groups = [[text for _, text in sorted(group, key=lambda line: (line[1].startswith("from"), line[0]))]
              for group in lines.values() if group]
    return "\n\n".join("\n".join(group) for group in groups) + "\n"


def _case(name: str) -> tuple[int, str]:
    """Constants, classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name
