"""`eagerbench gate --base REV`: screen, then confirm the suspects with fresh pairs.

Files in the directory of the gate: `screen.json` and `confirm.json` are duets, `verdict.json` holds both and what
follows from them, `summary.md` and `report.html` are for people. The two stages may run on two machines: `--stage
screen`, then `--stage confirm` where the directory with `screen.json` was brought to.
"""

import argparse
import math
import os
from pathlib import Path
from typing import Any

from eagerbench import project
from eagerbench.gate import duet, duet_checkout, duet_request, duet_signals, judge, noise_floor, pairs
from eagerbench.gate.duet_pair import MOST_TURNS
from eagerbench.shown import say


class NotMeasured(Exception):
    """There is nothing to judge. Its text is one line."""

    def __init__(self, text: str, exit_code: int):
        super().__init__(text)
        self.exit_code = exit_code


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("to measure first, instead of giving files")
    duet.add_sides(group)
    group.add_argument("--stage", choices=("screen", "confirm"), help="run only this stage (default: both)")
    group.add_argument("--directory", type=Path, default=Path(".benchmarks") / "gate", metavar="DIR",
                       help="where duets, verdict.json, summary.md and report.html are (default: %(default)s)")
    group.add_argument("--lenient", action="store_true", help="exit 0, with a warning, if the measurement was "
                       "contaminated: a machine that was too noisy is no fault of head's")


def measures(chosen: argparse.Namespace) -> bool:
    """Whether something is to be measured: a side was named, or `[tool.eagerbench.gate]` names the base and no file is
    given."""
    if any(getattr(chosen, name) for name in ("base", "base_model", "head_model", "base_python", "head_python")):
        return True
    no_files = not chosen.files or chosen.files[0].startswith("-")
    return no_files and "base" in project.find(Path.cwd()).gating


def measure(chosen: argparse.Namespace) -> list[Path]:
    """Run the stages that are due, and set where the verdict goes.

    Returns:
        the files to judge.

    Raises:
        NotMeasured: wrong usage, or ended by a signal.
    """
    directory = chosen.directory
    screen, confirm = directory / "screen.json", directory / "confirm.json"
    chosen.verdict = chosen.verdict or directory / "verdict.json"
    chosen.summary_md = chosen.summary_md or directory / "summary.md"
    chosen.html = chosen.html or directory / "report.html"
    limits = judge.THRESHOLDS
    try:
        duet_request.complete(chosen, MOST_TURNS)
    except duet_checkout.CannotCheckOut as error:
        raise NotMeasured(str(error), 2) from None
    floors = noise_floor.read(chosen.noise_floor) if chosen.noise_floor else None  # refused before minutes are spent
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for old in (confirm, chosen.verdict, chosen.summary_md, chosen.html):
            old.unlink(missing_ok=True)
        if chosen.stage != "confirm":
            screen.unlink(missing_ok=True)
            duet.measure(chosen, screen, limits.screen_pairs, max(limits.null_pairs, limits.screen_pairs // 2), [],
                         "screen")
        due = judge.judge([pairs.read(screen)], floors)["next"]
        _tell_github("suspects", len(due["benchmarks"]) if due else 0)
        if chosen.stage == "screen" or due is None:
            return [screen]
        say(f"to be confirmed by {due['pairs']} fresh pairs: {', '.join(due['benchmarks'])}", error=True)
        duet.measure(chosen, confirm, due["pairs"], math.ceil(due["pairs"] / 2), due["benchmarks"], "confirm")
    except (duet_checkout.CannotCheckOut, OSError) as error:
        raise NotMeasured(duet_checkout.told(error), 2) from None
    except duet_signals.Ended as ended:
        raise NotMeasured(f"ended by {ended}; finished pairs are in {directory}", ended.exit_code) from None
    return [screen, confirm]


def exit_code(verdict: dict[str, Any], lenient: bool, stage: str | None = None) -> int:
    """The verdict's; lenient, 0 where it is contaminated, and nothing else: a head that cannot start is no pass.

    Of the screening stage alone 0 where there are suspects: finding them is its task, the next stage confirms them.
    """
    if stage == "screen" and verdict["outcome"] == "SUSPECT":
        say("there are suspects: run --stage confirm with the same --directory")
        return 0
    if lenient and verdict["outcome"] == "CONTAMINATED":
        say(f"{'::warning::' if 'GITHUB_ACTIONS' in os.environ else ''}not judged: {verdict['outcome']}")
        return 0
    return verdict["exit_code"]


def _tell_github(name: str, value: int) -> None:
    """Set an output of this step in GitHub Actions: whether a second job has something to confirm."""
    if "GITHUB_OUTPUT" in os.environ:
        with Path(os.environ["GITHUB_OUTPUT"]).open("a") as output:
            output.write(f"{name}={value}\n")
