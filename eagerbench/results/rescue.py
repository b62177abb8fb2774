"""`eagerbench rescue`: the journal of an interrupted session as an ordinary pytest-benchmark file."""

import argparse
import contextlib
import json
from pathlib import Path

from eagerbench import jsonfile
from eagerbench.errors import BadInput
from eagerbench.isolation import journal
from eagerbench.machine.owned import HELD, look
from eagerbench.shown import count, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="JOURNAL.jsonl",
                        help="its path is in the header of the next session")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the saved file, then delete the journal")
    what.add_argument("--dismiss", action="store_true", help="delete the journal and its measurements")
    parser.add_argument("--keep", action="store_true", help="with -o: do not delete the journal")


def run(chosen: argparse.Namespace) -> int:
    with look(chosen.file.with_suffix(".lock")) as state:
        if state == HELD:
            raise BadInput(f"{chosen.file}: its session still runs; wait for its end")
        content = journal.read(chosen.file)  # also to delete: it may be no journal at all
        if chosen.output is not None:
            if chosen.output.exists():
                raise BadInput(f"{chosen.output}: exists; name a new file")
            jsonfile.write_text(chosen.output, json.dumps(journal.saved(content), indent=4) + "\n")
            torn = f"; {count(content.torn, 'torn line')} left out" if content.torn else ""
            benchmarks = sum(bool(line.get("benchmark")) for line in content.finished.values())
            say(f"wrote {chosen.output}: {count(benchmarks, 'benchmark')} of "
                f"{count(content.tests, 'test')}{torn}")
        if not chosen.keep:
            _delete(chosen.file)
    return 0


def _delete(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{file}: cannot be deleted ({error.strerror}); sessions mention it until it is gone") from None
    with contextlib.suppress(OSError):
        file.with_suffix(".lock").unlink(missing_ok=True)
    say(f"deleted {file}")
