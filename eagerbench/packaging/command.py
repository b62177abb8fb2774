"""`eagerbench package`: a variant as a directory or .zip file that runs without this project.

Exit codes: 0 done; 4 nothing was made, with one line that says why.
"""

import argparse
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eagerbench import backends, jsonfile, quieter
from eagerbench.backends.cpp_runner import CppBackend
from eagerbench.errors import BadInput, CannotRun, Refused, WrongOutput
from eagerbench.machine import quota, waiting
from eagerbench.option_values import writable_directory
from eagerbench.packaging import manifest, measured, writing
from eagerbench.results import records
from eagerbench.selection import ARTIFACTS_HELP, default_artifacts, refuse_unknown_variants, threads
from eagerbench.shown import say

if TYPE_CHECKING:
    from eagerbench.packaging.measured import Seen
    from eagerbench.packaging.pack import Asked

NOTHING_MADE = 4  # exit code
_LATEST = Path(".benchmarks") / records.LATEST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("variant", nargs="?", metavar="VARIANT", help="such as onnxruntime-int8; `eagerbench list-cases` names all")
    add("--model", metavar="M", help="a catalog name, a directory, a hub id or module:function, as for `run`")
    add("--from", dest="decision", type=Path, metavar="decision.json", help="take variant, model and record from it "
        "(`eagerbench recommend … -o decision.json`)")
    add("-o", "--output", metavar="DIR", help="write to this new directory, or to a file DIR.zip")
    add("--record", type=Path, action="append", metavar="FILE", help="saved file with the variant's record "
        f"(default: {_LATEST} where there is one)")
    add("--threads", metavar="N", help="threads of the runtime (default: those of the record, or every core)")
    add("--workload", metavar="BxS", help="shape of the shipped inputs, such as 8x128 (default: the record's)")
    add("--inputs", choices=["arrays"], help="make load.py accept an .npz file of prepared arrays, whatever the model")
    add("--seed", type=int, default=0, help="seed of random weights (default: 0)")
    add("--artifacts", metavar="DIR", help=f"the store of built models {ARTIFACTS_HELP}")
    add("--schema", action="store_true", help="print the JSON schema of manifest.json and exit")


def run(chosen: argparse.Namespace) -> int:
    if chosen.schema:
        say(json.dumps(manifest.schema(), indent=1))
        return 0
    try:
        _package(chosen)
    except (BadInput, CannotRun, Refused, WrongOutput, jsonfile.UnreadableFile) as reason:
        say(reason, error=True)
        return NOTHING_MADE
    return 0


def _package(chosen: argparse.Namespace) -> None:
    from eagerbench.models import specs

    variant, model, files = _named(chosen)
    refuse_unknown_variants([variant])
    if variant not in backends.variants():
        raise BadInput(f"{variant}: name one variant")
    variant, beside = _in_python(variant)
    if chosen.output is None:
        raise BadInput("-o: name a new directory, or a .zip file")
    target = writing.target(chosen.output)
    spec = specs.resolve(model, chosen.seed)
    seen = measured.seen(files, spec.name, variant)
    if chosen.decision and not seen:
        raise BadInput(f"--from {chosen.decision}: its files have no latency record of {variant} for {spec.name}; name "
                       "the file with --record")
    found, note = _make(chosen, variant, spec, seen, target)
    notes = "; ".join(filter(None, [note, beside]))
    say(f"wrote {target}: {found.model} as {found.variant}, {found.given} in, {found.gives} out"
        + (f" ({notes})" if notes else ""))


def _in_python(variant: str) -> tuple[str, str]:
    """The variant whose `load.py` opens the artifact; for one that is called from C++ the one of the same name in
    Python, with a line on that."""
    found, backend = backends.variants()[variant]
    if not isinstance(backend, CppBackend):
        return variant, ""
    twin = backend.twin(found).name
    return twin, f"{variant} is the artifact of {twin} called from C++: cpp/ has that call, load.py the one of {twin}"


def _named(chosen: argparse.Namespace) -> tuple[str, str, list[Path]]:
    """Variant, model, and the files with its record."""
    files = chosen.record or ([_LATEST] if _LATEST.is_file() else [])
    if chosen.decision is None:
        if not chosen.variant or not chosen.model:
            raise BadInput("name a variant and --model, or --from decision.json")
        return chosen.variant, chosen.model, files
    if chosen.variant:
        raise BadInput(f"{chosen.variant} and --from: name one of both")
    content = jsonfile.read_object(chosen.decision)
    verdict = _verdict(content, chosen)
    base = chosen.decision.parent
    named = [file if file.exists() or file.is_absolute() else base / file
             for file in map(Path, content.get("files") or [])]
    return verdict["choice"], chosen.model or verdict["model"], chosen.record or named


def _verdict(content: dict[str, Any], chosen: argparse.Namespace) -> dict[str, Any]:
    """The one that is meant."""
    from eagerbench.models import specs
    from eagerbench.results.decision.types import FORMAT

    where = f"--from {chosen.decision}"
    if content.get("format") != FORMAT or not isinstance(content.get("verdicts"), list):
        raise BadInput(f"{where}: not a decision; write one with: eagerbench recommend FILE -o decision.json")
    wanted = specs.resolve(chosen.model, chosen.seed).name if chosen.model else None
    found = [one for one in content["verdicts"] if isinstance(one, dict) and one.get("device") == "cpu"
             and (wanted is None or one.get("model") == wanted)]
    if len(found) != 1:
        models = ", ".join(str(one.get("model")) for one in content["verdicts"] if isinstance(one, dict)) or "none"
        raise BadInput(f"{where}: {len(found)} verdicts on the CPU for {wanted or 'any model'} (it has {models}); name "
                       "one with --model")
    if not isinstance(found[0].get("choice"), str):
        raise BadInput(f"{where}: no variant is chosen for {found[0].get('model')}: {found[0].get('why')}")
    return found[0]


def _make(chosen: argparse.Namespace, variant: str, spec: Any, seen: "list[Seen]",
          target: Path) -> tuple[manifest.Manifest, str]:
    """Load, build, judge, write, check."""
    store_directory = writable_directory("--artifacts", chosen.artifacts or default_artifacts(), create=True)
    asked = _asked(chosen, variant, seen)
    quieter.configure()
    waiting.configure(asked.policy if asked.policy in waiting.POLICIES else None)
    import torch

    from eagerbench.backends.artifacts import ArtifactStore
    from eagerbench.backends.torch_runner import exact_float32
    from eagerbench.models.loading import finder, load
    from eagerbench.packaging import pack

    torch.set_num_threads(asked.threads)
    exact_float32()
    model = load(spec)
    if asked.seen and asked.seen.record.identity.model_fingerprint != model.fingerprint:
        raise BadInput(f"{asked.seen.record.identity.bench_id} was measured with other weights or code of {spec.name}: "
                       "measure again, or name another file with --record")
    store = ArtifactStore(store_directory / "variants")
    package = pack.make(asked, model, finder(spec), store)
    with writing.staged(target) as directory:
        found = pack.write(package, directory, store)
        for line in pack.prove(directory):
            say(f"  {line}")
    return found, package.kind.note


def _asked(chosen: argparse.Namespace, variant: str, seen: "list[Seen]") -> "Asked":
    from eagerbench.machine import wait_policy
    from eagerbench.packaging.pack import Asked

    shape = _shape(chosen.workload) if chosen.workload else None
    count = threads(chosen.threads) if chosen.threads else None
    fitting = [one for one in seen if (shape is None or one.shape == shape)
               and (count is None or one.record.identity.threads == count)]
    record = fitting[0] if fitting else None
    if record is None:
        return Asked(variant, count or quota.usable_cores(), None, shape, chosen.inputs == "arrays")
    most = len(quota.usable_cpus())
    who, policy = record.record.identity, record.wait_policy
    if who.threads > most:
        raise BadInput(f"measured with {who.threads} threads, and this process may use {most} cores: package it where "
                       "it was measured, or give --threads")
    return Asked(variant, who.threads, record, shape, chosen.inputs == "arrays",
                 "pinned" if who.allocator == "pinned" else "system",
                 policy if policy in wait_policy.ENVIRONMENTS else wait_policy.in_effect(os.environ))


def _shape(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"([1-9]\d{0,4})\s*[x×]\s*([1-9]\d{0,4})", text)
    if not found:
        raise BadInput(f"--workload {text}: write BATCHxLENGTH, such as 8x128")
    return int(found[1]), int(found[2])
