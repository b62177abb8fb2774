"""Candidate causes of a change: every recorded fact that differs between the runs around it."""

from collections.abc import Sequence
from pathlib import Path

from eagerbench.gate import git
from eagerbench.history.entry import Entry, Point
from eagerbench.results import fingerprint, sameness
from eagerbench.shown import count, one_line

MOST_COMMITS = 20
_SHORT = 10  # digits of a commit


def between(before: Entry, after: Entry, repository: Path | None = None) -> list[str]:
    """A line for each candidate: commits, versions and facts of the machine.

    Args:
        repository: asked for the subjects of the commits; None asks nobody.
    """
    return [*commits(before, after, repository), *fingerprint.differences(before.software, after.software)]


def of_model(points: Sequence[Point]) -> list[str]:
    """What moved in the model of a benchmark that stays the same one: its code, its configuration."""
    return list(filter(None, [sameness.changed([point.same for point in points])[1]]))


def commits(before: Entry, after: Entry, repository: Path | None = None) -> list[str]:
    """`commits a1b2c3d4e5..f6a7b8c9d0: 2 commits: f6a7b8c9d0 subject; …`; nothing where both are of one commit."""
    first, last = before.commit, after.commit
    changed = [f"uncommitted changes in {one.id[:_SHORT] or 'an unknown commit'}" for one in (first, last)
               if one.changed]
    if not first.id or not last.id:
        return ["the commits are not recorded", *changed]
    if first.id == last.id:
        return changed
    span = f"{first.id[:_SHORT]}..{last.id[:_SHORT]}"
    subjects = _subjects(first.id, last.id, repository) if repository else []
    if not subjects:
        return [f"commits {span} (git log {span})", *changed]
    more = ["…"] if len(subjects) > MOST_COMMITS else []
    return [f"commits {span}, {count(len(subjects), 'of them', 'of them')}: "
            + "; ".join([*map(one_line, subjects[:MOST_COMMITS]), *more]), *changed]


def _subjects(first: str, last: str, repository: Path) -> list[str]:
    """`a1b2c3d4e5 subject` of each commit, the newest first; none where git does not know both."""
    if not all(one.isalnum() for one in (first, last)):
        return []
    said = git.output(repository, "log", "--no-decorate", f"--abbrev={_SHORT}", "--format=%h %s",
                      f"--max-count={MOST_COMMITS + 1}", f"{first}..{last}", "--")
    return said.splitlines() if said else []
