"""What a duet runs: revisions and directories, each brought to a temporary path of the same length."""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eagerbench.gate import duet_parts, git
from eagerbench.gate.duet_signals import uninterrupted
from eagerbench.machine import owned

_PREFIX = "eagerbench-duet-"
_LOCK = "owner.lock"
_PARTNER = Path("eagerbench") / "measuring" / "partner.py"


class CannotCheckOut(Exception):
    """No such revision or directory, or one that cannot take turns. Its text is one line."""


def full(text: str) -> bool:
    """Whether a message is of a full disk, whoever wrote it."""
    return any(words in text for words in ("No space left on device", "Disk quota exceeded"))


def with_advice(text: str) -> str:
    """A message of one line, and what to do where it is of a full disk."""
    if not full(text):
        return text
    return (f"{text}; free some space, or name another directory than {tempfile.gettempdir()} for temporary files by "
            "the variable TMPDIR")


def told(error: Exception) -> str:
    """The line of what ended a duet."""
    if isinstance(error, shutil.Error):  # of every file that could not be copied
        error = OSError(next((why for _, _, why in error.args[0] if full(str(why))), error.args[0][0][2]))
    if "No usable temporary directory" in str(error):
        return "there is no temporary directory that can be written; name one by the variable TMPDIR"
    name = getattr(error, "filename", None)
    elsewhere = isinstance(name, str) and not Path(name).absolute().is_relative_to(tempfile.gettempdir())
    if elsewhere and full(str(error)):
        return f"{error}; free some space there"
    return with_advice(str(error))


@dataclass(frozen=True)
class Source:
    """What a side is made from. `commit` is None for a directory.

    Attributes:
        revision: what the record says of it.
        directory: the directory to copy, or where the repository is: its top, where there is one.
        below: where in it the side works.
        in_place: the side works in the directory itself, of which no copy is made.
    """

    revision: str
    directory: Path
    commit: str | None
    below: Path = Path()
    in_place: bool = False


def resolve(option: str, text: str, repository: Path) -> Source:
    """A revision of the repository at `repository`, otherwise a directory.

    Raises:
        CannotCheckOut: neither, or git refuses to work there; with git's own words.
    """
    asked = git.run(repository, "rev-parse", "--verify", f"{text}^{{commit}}")
    if text and not text.startswith("-") and asked.returncode == 0:
        return _of_commit(asked.stdout.strip(), repository)
    try:
        directory = Path(text).expanduser().absolute()
        there = bool(text) and directory.is_dir()
    except (OSError, RuntimeError, ValueError):  # too long for a name, or nobody's home
        there = False
    if not there:
        raise CannotCheckOut(f"{option} {text}: neither a revision in {repository} nor a directory "
                             f"({git.cause(asked, repository)})")
    top, below = _top(directory)
    return Source(_described(top), top, None, below)


def _of_commit(commit: str, repository: Path) -> Source:
    top, below = _top(repository)
    return Source(commit, top, commit, below)


def in_place(directory: Path) -> Source:
    """A directory that both sides work in, where what differs between them is no code of it."""
    return Source(_described(directory), directory, None, in_place=True)


def _top(directory: Path) -> tuple[Path, Path]:
    """The top of the repository that a directory is in, and the directory below it. Of one that git ignores, itself."""
    found = git.output(directory, "rev-parse", "--show-toplevel", "--show-prefix")
    if found is None or git.output(directory, "check-ignore", "--quiet", ".") is not None:
        return directory, Path()
    top, _, below = found.partition("\n")
    return Path(top), Path(below.strip("\n"))


def _described(directory: Path) -> str:
    """The commit of a directory and, where it differs from that, a hash over what differs: two states of one
    uncommitted change are two heads. Untracked files count where they are Python."""
    asked = git.run(directory, "rev-parse", "--verify", "HEAD")
    if asked.returncode and not git.no_repository(asked) and not git.no_commit(asked) and _has_git(directory):
        raise CannotCheckOut(f"{directory}: {git.cause(asked, directory)}")
    if asked.returncode:
        return str(directory)
    commit = asked.stdout
    changed = git.output(directory, "diff", "--name-only", "-z", "--relative", "HEAD") or ""
    added = git.output(directory, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.py") or ""
    names = sorted(filter(None, {*changed.split("\0"), *added.split("\0")}))
    digest = hashlib.sha256()
    for name in names:
        file = directory / name
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return f"{commit.strip()}-dirty-{digest.hexdigest()[:12]}" if names else commit.strip()


def _has_git(directory: Path) -> bool:
    """Whether it is in a repository, also where git itself cannot say."""
    return any((parent / ".git").exists() for parent in (directory, *directory.parents))


@contextlib.contextmanager
def checked_out(sources: dict[str, Source]) -> Iterator[tuple[Path, dict[str, Path]]]:
    """Bring every source to a path of its own, named as its key. They are removed whatever happens inside.

    A directory is copied as it is now, without what git ignores (or, outside of git, what begins with a dot).

    Returns:
        a temporary directory for the duet, and where each side works.

    Raises:
        CannotCheckOut: git fails, or the revision has no such directory.
    """
    _remove_stale()
    parent = Path(tempfile.mkdtemp(prefix=_PREFIX))
    places = {name: source.directory if source.in_place else parent / name for name, source in sources.items()}
    lock = None
    try:
        lock = _lock(parent)
        for name, source in sources.items():
            if not source.in_place:
                with uninterrupted():
                    _bring(source, places[name])
        yield parent, {name: _working(name, source, places[name]) for name, source in sources.items()}
    finally:
        with uninterrupted():
            for name, source in sources.items():
                if source.commit is not None:
                    git.output(source.directory, "worktree", "remove", "--force", "--force", str(places[name]))
            shutil.rmtree(parent, ignore_errors=True)
            if lock is not None:
                lock.release()


def bring_the_suite(sources: dict[str, Source], directories: dict[str, Path]) -> bool:
    """Whether the sides are states of this project, each with a suite of its own, and not of the user's.

    Raises:
        CannotCheckOut: one of them is, and another is older than the duet.
    """
    without = [name for name in sources if not (directories[name] / _PARTNER).exists()]
    if without and len(without) < len(sources):
        raise CannotCheckOut(f"{without[0]}: {sources[without[0]].revision} has no {_PARTNER}: it is older than the "
                             "duet, or another project; choose a later revision")
    return not without


def _working(name: str, source: Source, place: Path) -> Path:
    """Where a side works. This project works at its top, wherever the command was called."""
    if (place / _PARTNER).exists():
        return place
    if not (place / source.below).is_dir():
        raise CannotCheckOut(f"{name}: {source.revision} has no directory {source.below}; call the command where both "
                             "have their pyproject.toml, or choose another revision")
    return place / source.below


def _bring(source: Source, place: Path) -> None:
    if source.commit is not None:
        done = git.run(source.directory, "worktree", "add", "--quiet", "--detach", str(place), source.commit)
        if done.returncode:
            raise CannotCheckOut(with_advice(f"git worktree add {source.revision}: "
                                             f"{git.cause(done, source.directory)}"))
        duet_parts.bring_submodules(source.directory, place)
        return
    tracked = git.output(source.directory, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if tracked is None:
        # With compiled modules: their times are copied, so that Python takes them. Half-written ones may have gone.
        shutil.copytree(source.directory, place, symlinks=True, ignore=shutil.ignore_patterns(".*", "*.pyc.*"))
        return
    inside = git.output(source.directory, "ls-files", "-z", "--cached", "--recurse-submodules") or ""
    for name in dict.fromkeys(filter(None, [*tracked.split("\0"), *inside.split("\0")])):
        if (source.directory / name).is_file():  # neither deleted nor a submodule itself
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source.directory / name, place / name)


def _lock(parent: Path) -> owned.Lock | None:
    """None where the temporary directory knows no locks: it is then left alone if this process is killed."""
    try:
        return owned.Lock(parent / _LOCK)
    except OSError:
        return None


def _remove_stale() -> None:
    """Directories of a controller that was killed by SIGKILL, and what git knows of their worktrees.

    `git worktree prune` would not do: it forgets those that this process cannot see, of another container, say.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError, IndexError), owned.look(left / _LOCK) as state:
            if state != owned.FREE or left.lstat().st_uid != os.getuid():
                continue
            for link in left.glob("*/.git"):  # of a worktree a file: `gitdir: …/.git/worktrees/base`
                if link.is_file():
                    repository = Path(link.read_text().partition(" ")[2].strip()).parents[1]
                    git.output(repository, "worktree", "remove", "--force", "--force", str(link.parent))
            shutil.rmtree(left, ignore_errors=True)
