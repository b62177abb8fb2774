"""How the threads of a parallel loop wait for one another, as environment variables of OpenMP's runtimes.

`brief` spins for 0.5 to 3 ms, by the processor, then sleeps; `passive` sleeps at once; `active` is what each library
does by default: libgomp spins six times as long as `brief`, LLVM's and Intel's runtime for 200 ms.
https://gcc.gnu.org/onlinedocs/libgomp/GOMP_005fSPINCOUNT.html,
https://openmp.llvm.org/design/Runtimes.html#kmp-blocktime
"""

from collections.abc import Mapping

BRIEF, PASSIVE, ACTIVE = "brief", "passive", "active"
DEFAULT = BRIEF
ENVIRONMENTS: dict[str, dict[str, str]] = {
    BRIEF: {"GOMP_SPINCOUNT": "50000", "KMP_BLOCKTIME": "1"},
    PASSIVE: {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"},
    ACTIVE: {},
}
VARIABLES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def in_effect(environment: Mapping[str, str]) -> str:
    """The policy that an environment sets; `own (NAME=value …)` for variables that are none of ours."""
    found = {name: environment[name] for name in VARIABLES if name in environment}
    ours = next((policy for policy, wanted in ENVIRONMENTS.items() if wanted == found), None)
    return ours or f"own ({' '.join(f'{name}={value}' for name, value in found.items())})"
