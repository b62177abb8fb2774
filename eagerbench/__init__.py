"""eagerbench: benchmarks of transformer backends against PyTorch eager: the library and the command `eagerbench`."""

from pathlib import Path

# In a clone the pytest layer and the perf tests lie beside this package; in a wheel inside of it. Either way they are
# `eagerbench.fixtures` and `eagerbench.perf_tests`, and a directory of the user's own may be named fixtures/.
_CLONE = Path(__file__).parents[1]
if (_CLONE / "fixtures" / "plugin.py").exists() and (_CLONE / "perf_tests").exists():
    __path__.append(str(_CLONE))
