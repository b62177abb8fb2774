"""Paths that a compiler's command line can hold: inductor does not quote those of sources, outputs and libraries.

A space, a quote or a backslash in the directory of this project, of its environment or of `--artifacts` would break
each variant that inductor compiles, so the compiler gets links without them.
"""

import hashlib
import importlib.util
import os
import re
import tempfile
from pathlib import Path

_ODD = re.compile(r"""[\s'"\\]""")
_OTHERS = ("/tmp", "/var/tmp", "/dev/shm")


def plain(path: Path) -> Path:
    """The path, or a link to it that has no character which a command line would take apart.

    The link is the same in every session, as inductor's cache holds paths, and stays: other sessions may use it.

    Raises:
        OSError: no directory for temporary files has a plain path and can be written.
    """
    if not _ODD.search(str(path)):
        return path
    link = _directory() / hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    if not (link.is_symlink() and os.readlink(link) == str(path)):
        new = link.with_name(f"{link.name}-{os.getpid()}")
        new.unlink(missing_ok=True)
        new.symlink_to(path)
        new.replace(link)
    return link


def _directory() -> Path:
    """A directory of this user's alone."""
    for place in (*_OTHERS, tempfile.gettempdir()):
        made = Path(place) / f"eagerbench-links-{os.getuid()}"
        try:
            if not _ODD.search(place):
                made.mkdir(mode=0o700, exist_ok=True)
                if made.stat().st_uid == os.getuid() and not made.is_symlink():
                    return made
        except OSError:
            continue
    raise OSError(f"no directory for temporary files has a path without spaces ({', '.join(_OTHERS)} were tried)")


def _plain_directory(path: Path) -> Path:
    """`plain`, of a directory that is made: nothing can be made below a link that leads nowhere."""
    if _ODD.search(str(path)):
        path.mkdir(parents=True, exist_ok=True)
    return plain(path)


def for_inductor() -> None:
    """Give inductor plain paths of torch's libraries, of its cache and of temporary files, before it first compiles."""
    from torch._inductor import codecache, cpp_builder
    from torch.utils import cpp_extension

    cpp_extension.TORCH_LIB_PATH = str(plain(Path(cpp_extension.TORCH_LIB_PATH)))
    cpp_builder._LINKER_SCRIPT = str(plain(Path(cpp_builder._LINKER_SCRIPT)))
    for name in ("_HEADER_DIR", "_HEADER_LOCK_DIR"):  # of precompiled headers; below TMPDIR, set at import
        setattr(codecache, name, str(_plain_directory(Path(getattr(codecache, name)))))
    cache = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    if cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(_plain_directory(Path(cache)))
    temporary = plain(Path(tempfile.gettempdir()))
    if str(temporary) != tempfile.gettempdir():  # in its place: of this process, and of inductor's own workers
        tempfile.tempdir = os.environ["TMPDIR"] = str(temporary)


def unavailable() -> str | None:
    """Why inductor cannot compile from where this project lies; None when it can."""
    torch = importlib.util.find_spec("torch")  # imported, a list of cases would take two seconds longer
    cache = os.environ.get("TORCHINDUCTOR_CACHE_DIR", "")
    places = (Path(torch.origin).with_name("lib"), cache, tempfile.gettempdir())
    try:
        for path in places:
            plain(Path(path))
    except OSError as error:
        return f"inductor's compiler accepts no path with a space or a quote, and {error}: set TMPDIR to a plain one"
    return None
