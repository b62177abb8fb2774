"""What a duet runs: revisions and directories, each brought to a temporary path of the same length."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from analysis import owned
from analysis.duet_signals import uninterrupted

_PREFIX = "inference-bench-duet-"
_LOCK = "owner.lock"
_PARTNER = Path("fixtures") / "measurement" / "partner.py"


class CannotCheckOut(Exception):
    """No such revision or directory, or one that cannot take turns. Its text is one line."""


@dataclass(frozen=True)
class Source:
    """What a side is made from. `commit` is None for a directory.

    Attributes:
        revision: what the record says of it.
        directory: the directory to copy, or where the repository is.
    """

    revision: str
    directory: Path
    commit: str | None


def resolve(option: str, text: str, repository: Path) -> Source:
    """A revision of the repository at `repository`, otherwise a directory.

    Raises:
        CannotCheckOut: neither.
    """
    commit = _git(repository, "rev-parse", "--verify", "--quiet", f"{text}^{{commit}}") if text else None
    if commit:
        return Source(commit.strip(), repository, commit.strip())
    directory = Path(text).expanduser().absolute()
    if not text or not directory.is_dir():
        raise CannotCheckOut(f"{option} {text}: neither a revision in {repository} nor a directory")
    return Source(_described(directory), directory, None)


def _described(directory: Path) -> str:
    """The commit of a directory and, where it differs from that, a hash over what differs: two states of one
    uncommitted change are two heads. Untracked files count where they are Python."""
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return str(directory)
    changed = _git(directory, "diff", "--name-only", "-z", "--relative", "HEAD") or ""
    added = _git(directory, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.py") or ""
    names = sorted(filter(None, {*changed.split("\0"), *added.split("\0")}))
    digest = hashlib.sha256()
    for name in names:
        file = directory / name
        content = file.read_bytes() if file.is_file() else b""
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return f"{commit.strip()}-dirty-{digest.hexdigest()[:12]}" if names else commit.strip()


@contextlib.contextmanager
def checked_out(sources: dict[str, Source]) -> Iterator[dict[str, Path]]:
    """Bring every source to a path of its own, named as its key. They are removed whatever happens inside.

    A directory is copied as it is now, without what git ignores (or, outside of git, what begins with a dot).

    Raises:
        CannotCheckOut: git fails, or the revision is older than the duet.
    """
    _remove_stale()
    parent = Path(tempfile.mkdtemp(prefix=_PREFIX))
    places = {name: parent / name for name in sources}
    lock = None
    try:
        lock = _lock(parent)
        for name, source in sources.items():
            with uninterrupted():
                _bring(source, places[name])
            if not (places[name] / _PARTNER).exists():
                raise CannotCheckOut(f"{name}: {source.revision} has no {_PARTNER}: it is older than the duet, or "
                                     "another project; choose a later revision")
        yield places
    finally:
        with uninterrupted():
            for name, source in sources.items():
                if source.commit is not None:
                    _git(source.directory, "worktree", "remove", "--force", "--force", str(places[name]))
            shutil.rmtree(parent, ignore_errors=True)
            if lock is not None:
                lock.release()


def _bring(source: Source, place: Path) -> None:
    if source.commit is not None:
        done = _run_git(source.directory, "worktree", "add", "--quiet", "--detach", str(place), source.commit)
        if done.returncode:
            raise CannotCheckOut(f"git worktree add {source.revision}: {done.stderr.strip().splitlines()[-1]}")
        return
    tracked = _git(source.directory, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if tracked is None:
        shutil.copytree(source.directory, place, symlinks=True, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        return
    for name in filter(None, tracked.split("\0")):
        if (source.directory / name).is_file():  # neither deleted nor a submodule
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
                    _git(repository, "worktree", "remove", "--force", "--force", str(link.parent))
            shutil.rmtree(left, ignore_errors=True)


def _git(directory: Path, *arguments: str) -> str | None:
    done = _run_git(directory, *arguments)
    return done.stdout if done.returncode == 0 else None


def _run_git(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process group of its own: a Ctrl-C is ours to handle, and must not end git in the middle of its clean-up."""
    try:
        return subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=False,
                              process_group=0)
    except FileNotFoundError:
        return subprocess.CompletedProcess(arguments, 127, "", "git is not installed")
