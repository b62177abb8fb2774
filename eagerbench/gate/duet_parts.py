"""What a worktree of git lacks: submodules, and files that Git LFS keeps elsewhere."""

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

from eagerbench.gate import git
from eagerbench.shown import count

_POINTER = b"version https://git-lfs.github.com/spec/"
_MOST_BYTES = 1024  # a pointer is shorter (specification of Git LFS)
_GITLINK = "160000"  # mode of a submodule


def bring_submodules(repository: Path, place: Path) -> None:
    """Fill the submodules of a worktree from their clones in the repository, where these have the commit."""
    for path, commit in _submodules(place):
        clone = repository / path
        if not (clone / ".git").exists():
            continue
        done = subprocess.run(["git", "-C", str(clone), "archive", "--format=tar", commit], capture_output=True,
                              check=False, process_group=0)
        if done.returncode:
            continue
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(place / path, filter="tar")
        bring_submodules(clone, place / path)


def _submodules(place: Path) -> Iterator[tuple[str, str]]:
    """Path and commit of each."""
    if not (place / ".gitmodules").exists():
        return
    for line in (git.output(place, "ls-files", "--stage", "-z") or "").split("\0"):
        mode, _, rest = line.partition(" ")
        if mode == _GITLINK:
            described, _, path = rest.partition("\t")
            yield path, described.split()[0]


def lacking(side: str, place: Path) -> Iterator[str]:
    """A line for each kind of thing that is not there, with what to do."""
    empty = [path for path, _ in _submodules(place) if not any((place / path).glob("*"))]
    if empty:
        yield (f"{side}: {count(len(empty), 'submodule')} empty, such as {empty[0]}: type git submodule update --init "
               "--recursive, and git fetch in it where its commit is missing")
    pointers = list(lfs_pointers(place))
    if pointers:
        yield (f"{side}: {count(len(pointers), 'file')} of Git LFS not there, only its pointer, such as "
               f"{pointers[0].relative_to(place)}: type git lfs install; git lfs fetch --all; git lfs checkout")


def lfs_pointers(directory: Path) -> Iterator[Path]:
    """Files below a directory that are pointers of Git LFS, in place of their content."""
    for file in sorted(directory.rglob("*")):
        if ".git" not in file.parts and file.is_file() and file.stat().st_size < _MOST_BYTES:
            with file.open("rb") as stream:
                if stream.read(len(_POINTER)) == _POINTER:
                    yield file
