"""`python -m analysis`: what can be done with a saved benchmark file.

Exit codes: 0 done, 2 usage or unreadable file, 4 a record that does not fit the schema or a failed case.
"""

import argparse
import shutil
import sys
from pathlib import Path

from analysis import records


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m analysis", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("summary", help="print the summary tables of a file again")
    show.add_argument("file", type=Path)
    show.add_argument("--markdown", action="store_true", help="as Markdown")
    check = commands.add_parser("check", help="check every record of a file against the schema")
    check.add_argument("file", type=Path)
    plot = commands.add_parser("plot", help="plot an experiment as one HTML file")
    plot.add_argument("experiment", choices=("corpus", "length"))
    plot.add_argument("file", type=Path)
    plot.add_argument("-o", "--output", type=Path, default=Path("plot.html"), help="default: plot.html")
    replay = commands.add_parser("statements", help="whether published statements hold in the records of files")
    replay.add_argument("files", type=Path, nargs="+", metavar="file")
    replay.add_argument("--markdown", action="store_true", help="as Markdown")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "statements":
            return _statements([records.read(file) for file in chosen.files], chosen.markdown)
        content = records.read(chosen.file)
    except records.UnreadableFile as error:
        print(error, file=sys.stderr)
        return 2
    if chosen.command == "plot":
        return _plot(chosen.experiment, content, chosen.file, chosen.output)
    return _summary(content, chosen.markdown) if chosen.command == "summary" else _check(content, chosen.file)


def _summary(content: dict, markdown: bool) -> int:
    from analysis import summary

    ours = content.get("inference_bench") or {}
    tables = summary.tables(content["benchmarks"], ours.get("cells", []),
                            ours.get("session", {"wall_s": 0.0, "measured_s": 0.0}))
    return _print(tables, markdown)


def _statements(contents: list[dict], markdown: bool) -> int:
    from analysis import statements

    found = [record for content in contents for record in statements.records_of(content)]
    sources, published = statements.published()
    return _print(statements.tables([statements.judge(statement, found) for statement in published], sources), markdown)


def _print(tables: list, markdown: bool) -> int:
    from analysis import grid

    width = shutil.get_terminal_size().columns
    print(grid.as_markdown(tables) if markdown else grid.as_text(tables, width, sys.stdout.isatty()))
    return 0


def _plot(experiment: str, content: dict, file: Path, output: Path) -> int:
    from analysis import plot

    try:
        plot.write(experiment, [bench.get("extra_info") or {} for bench in content["benchmarks"]], output)
    except (OSError, ValueError) as error:
        print(f"{output if isinstance(error, OSError) else file}: {getattr(error, 'strerror', None) or error}",
              file=sys.stderr)
        return 2
    print(output)
    return 0


def _check(content: dict, file: Path) -> int:
    found = records.problems(content)
    cells = (content.get("inference_bench") or {}).get("cells", [])
    found += [f"{cell['bench_id']}: {cell['reason']}" for cell in cells if cell["status"] == "failed"]
    benchmarks = [bench for bench in content["benchmarks"] if isinstance(bench, dict)]
    ours = sum("model" in (bench.get("extra_info") or {}) for bench in benchmarks)
    if not ours:
        found.append("no record of inference-bench in it")
    for line in found:
        print(f"{file}: {line}", file=sys.stderr)
    if not found:
        print(f"{file}: {ours} records, all complete")
    return 4 if found else 0


if __name__ == "__main__":
    sys.exit(main())
