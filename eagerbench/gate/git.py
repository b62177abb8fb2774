"""Runs git, and says in one line why it failed."""

import os
import subprocess
from pathlib import Path

_NO_GIT = 127
_NO_REPOSITORY = "not a git repository"
_NO_SUCH_REVISION = ("Needed a single revision", "unknown revision", "bad revision", "ambiguous argument")
_ADVICE = "safe.directory"  # in git's own line on what to type


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process group of its own: a Ctrl-C is ours to handle, and must not end git in the middle of its clean-up."""
    try:
        return subprocess.run(["git", "-C", str(directory), *arguments], capture_output=True, text=True, check=False,
                              errors="backslashreplace", process_group=0, env={**os.environ, "LC_ALL": "C"})
    except (OSError, ValueError) as error:  # a null byte
        missing = isinstance(error, FileNotFoundError)
        reason = getattr(error, "strerror", None) or error
        why = "git is not installed: install it" if missing else f"git cannot be run: {reason}"
        return subprocess.CompletedProcess(arguments, _NO_GIT, "", why)


def output(directory: Path, *arguments: str) -> str | None:
    """What git prints, or None where it fails."""
    done = run(directory, *arguments)
    return done.stdout if done.returncode == 0 else None


def no_repository(done: subprocess.CompletedProcess[str]) -> bool:
    return _NO_REPOSITORY in done.stderr


def no_commit(done: subprocess.CompletedProcess[str]) -> bool:
    return any(words in done.stderr for words in _NO_SUCH_REVISION)


def cause(done: subprocess.CompletedProcess[str], directory: Path) -> str:
    """The line of git that carries the cause, and what to type where that is known."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))]
    known = [line for line in told if not any(words in line for words in _NO_SUCH_REVISION)]
    why = (known or told or lines[-1:] or [f"git ended with status {done.returncode}"])[0]
    why = why.removeprefix("fatal: ").removeprefix("error: ")
    advice = next((line for line in lines if _ADVICE in line and line.startswith("git ")), None)
    if advice is None and (output(directory, "rev-parse", "--is-shallow-repository") or "").strip() == "true":
        advice = "git fetch --unshallow (this clone is shallow: it lacks older commits and other branches)"
    elif advice is None and told and not known:
        advice = "git branch --all; git tag (to see what there is)"
    return f"{why}; type: {advice}" if advice else why
