"""Reading saved pytest-benchmark files, and checking the records in them."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema


class UnreadableFile(Exception):
    """A file that is no benchmark file. Its text is one line with the file and the reason."""


def read(file: Path) -> dict[str, Any]:
    """Load a pytest-benchmark file.

    Raises:
        UnreadableFile: missing, not JSON, or without benchmarks.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"{file}: not JSON ({error}); save it again with --benchmark-json") from None
    if not isinstance(content, dict) or not isinstance(content.get("benchmarks"), list):
        raise UnreadableFile(f"{file}: no list of benchmarks in it; it is no pytest-benchmark file")
    return content


def problems(content: dict[str, Any]) -> list[str]:
    """One line for each record that does not fit `record.schema.json`, or that was saved without its rounds."""
    schema = json.loads(files("analysis").joinpath("record.schema.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    found = []
    for index, bench in enumerate(content["benchmarks"]):
        if not isinstance(bench, dict) or not isinstance(bench.get("stats"), dict):
            found.append(f"benchmark {index}: no stats in it")
            continue
        record = bench.get("extra_info") or {}
        if "model" not in record:
            continue
        name = record.get("bench_id", f"benchmark {index}")
        found += [f"{name}: {'.'.join(map(str, error.path)) or 'record'}: {error.message}"
                  for error in validator.iter_errors(record)]
        turns = record.get("variant_turns")
        if isinstance(turns, list) and len(bench["stats"].get("data") or []) != sum(turns):
            found.append(f"{name}: its raw rounds are missing (save with --benchmark-save-data)")
    return found
