"""`python -m analysis gate --base REV`: screen, then confirm the suspects with fresh pairs.

Files in the directory of the gate: `screen.json` and `confirm.json` are duets, `verdict.json` holds both and what
follows from them, `summary.md` is for people. The two stages may run on two machines: `--stage screen`, then
`--stage confirm` where the directory with `screen.json` was brought to.
"""

import argparse
import math
import os
import sys
from pathlib import Path

from analysis import duet, duet_checkout, duet_signals, judge, noise_floor, pairs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("measuring first, instead of giving files")
    duet.add_sides(group, required=False)
    group.add_argument("--stage", choices=("screen", "confirm"), help="only this one (default: both)")
    group.add_argument("--directory", type=Path, default=Path(".benchmarks") / "gate", metavar="DIR",
                       help="where duets, verdict.json and summary.md are (default: %(default)s)")


def measure(chosen: argparse.Namespace) -> list[Path] | int:
    """Run the stages that are due, and set where the verdict goes.

    Returns:
        the files to judge, or an exit code when there are none.
    """
    directory = chosen.directory
    screen, confirm = directory / "screen.json", directory / "confirm.json"
    chosen.verdict = chosen.verdict or directory / "verdict.json"
    chosen.summary_md = chosen.summary_md or directory / "summary.md"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if chosen.stage != "confirm":
            for old in (screen, confirm, chosen.verdict, chosen.summary_md):
                old.unlink(missing_ok=True)
            limits = judge.THRESHOLDS
            duet.measure(chosen, screen, limits.screen_pairs, max(limits.null_pairs, limits.screen_pairs // 2), [],
                         "screen")
        floors = noise_floor.read(chosen.noise_floor) if chosen.noise_floor else None
        due = judge.judge([pairs.read(screen)], floors)["next"]
        if chosen.stage == "screen" or due is None:
            _tell_github(due)
            return [screen]
        print(f"to be confirmed by {due['pairs']} fresh pairs: {', '.join(due['benchmarks'])}", file=sys.stderr)
        duet.measure(chosen, confirm, due["pairs"], math.ceil(due["pairs"] / 2), due["benchmarks"], "confirm")
    except (duet_checkout.CannotCheckOut, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    except duet_signals.Ended as ended:
        print(f"ended by {ended}; finished pairs are in {directory}", file=sys.stderr)
        return ended.exit_code
    return [screen, confirm]


def _tell_github(due: dict | None) -> None:
    """Output `suspects` of a step in GitHub Actions: how many benchmarks a second job has to confirm."""
    if "GITHUB_OUTPUT" in os.environ:
        with Path(os.environ["GITHUB_OUTPUT"]).open("a") as output:
            output.write(f"suspects={len(due['benchmarks']) if due else 0}\n")
