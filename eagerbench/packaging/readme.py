"""`README.md` of a package: one screen."""

from eagerbench.packaging import needs
from eagerbench.packaging.manifest import Manifest
from eagerbench.shown import count, markdown

_USE = {
    "texts": ('python load.py "A first text." "A second one."', 'Model()(["A first text.", "A second one."])'),
    "pairs": ('python load.py "Who wrote it?" "Ada wrote it."', 'Model()(["Who wrote it?", "Ada wrote it."])'),
    "images": ("python load.py photo.jpg", 'Model()(["photo.jpg"])'),
    "waves": ("python load.py speech.wav", 'Model()(["speech.wav"])'),
    "mels": ("python load.py speech.wav", 'Model()(["speech.wav"])'),
    "arrays": ("python load.py inputs.npz", "Model()({name: array, …})"),
}
_GIVES = {"embeddings": "`embedding` (texts, size)", "labels": "`logits` (inputs, labels); labels are in manifest.json",
          "tags": "`logits` (texts, tokens, labels); labels are in manifest.json",
          "answers": "`start_logits` and `end_logits` (pairs, tokens)", "arrays": "the model's own outputs"}


def text(manifest: Manifest, directories: list[str]) -> str:
    command, call = _USE[manifest.given]
    session = manifest.session
    lines = [
        f"# {markdown(manifest.model)} as {markdown(manifest.variant)}", "",
        f"Runs with {', '.join(f'{name} {number}' for name, number in manifest.packages.items())}; "
        f"takes {manifest.given}, gives {_GIVES[manifest.gives]}.", "", "```sh",
        "python -m venv .venv && .venv/bin/pip install -r requirements.txt",
        f".venv/bin/{command}", ".venv/bin/python load.py --check   # the shipped inputs must give the shipped outputs",
        ".venv/bin/python load.py --time    # a call here, beside the time that was measured", "```", "",
        "```python", "from load import Model", "", f"outputs = {call}", "```", "",
        f"* **Session**: {count(session.threads, 'thread')}, allocator {session.allocator}. `load.py` sets both before "
        "the runtime is loaded.", *_measured(manifest),
        f"* **Exactness**: largest difference to eager float32 {manifest.against_eager.max_abs_error:.2g}, cosine "
        f"{manifest.against_eager.cosine:.6f} ({manifest.against_eager.tolerance_class}).",
        f"* **Needs**: {needs.names(manifest.needs.instruction_sets)}; {manifest.needs.memory_bytes >> 20} MiB of "
        f"memory ({manifest.needs.memory_is}).",
        "* **Exit codes** of `load.py`: 0 done; 1 outputs differ (`--check`); 2 usage; 3 refused before the model is "
        "loaded: a changed file, another version, a missing instruction set, too little memory.", *_licence(manifest),
        f"* **Files**: `load.py` and `verify.py` are all that runs. {_files(directories)}", ""]
    return "\n".join(lines)


def _measured(manifest: Manifest) -> list[str]:
    found = manifest.measured
    if found is None:
        return ["* **Measured**: no record was packed; `eagerbench run` makes one."]
    ratio = "" if found.speedup_vs_eager is None else f", {found.speedup_vs_eager:.2f} times as fast as eager"
    if found.speedup_low is not None and found.speedup_high is not None:
        ratio += f" [{found.speedup_low:.2f}, {found.speedup_high:.2f}]"
    return [f"* **Measured**: {found.median_s * 1e3:.2f} ms a call of {found.workload}{ratio}, on "
            f"{markdown(found.machine)}."]


def _licence(manifest: Manifest) -> list[str]:
    found = manifest.licence
    return [f"* **Licence of the model**: {markdown(found.name)} ({markdown(found.source)})." if found else
            "* **Licence of the model**: its source names none."]


def _files(directories: list[str]) -> str:
    said = {"triton": "`triton/config.pbtxt` is for Triton Inference Server", "cpp": "`cpp/` is the same call in C++",
            "check": "`check/` is what `--check` compares"}
    return "; ".join(said[name] for name in said if name in directories) + "."
