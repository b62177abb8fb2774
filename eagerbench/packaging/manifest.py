"""`manifest.json` of a package, as types: they write it, and make its JSON schema."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from eagerbench.results.record import Count, Natural, Part, Positive, Sha256, Text

FORMAT = "eagerbench-package"
VERSION = 1
MANIFEST, LOADER, VERIFY = "manifest.json", "load.py", "verify.py"

Given = Literal["texts", "pairs", "images", "waves", "mels", "arrays"]
Gives = Literal["embeddings", "labels", "tags", "answers", "arrays"]


class Tensor(Part, kw_only=True, omit_defaults=False):
    """An input or output. `shape` has a name for each axis of no fixed size; equal names are equal sizes."""

    name: Text
    dtype: Text
    shape: list[int | str]


class Session(Part, kw_only=True, omit_defaults=False):
    """How the variant was run when it was measured, and is run by `load.py`.

    Attributes:
        runtime: `onnxruntime`, `openvino`, `torchscript`, `aot-inductor`, or `built`: by torch and transformers.
        mallopt: glibc's `mallopt` calls (parameter, value) that pin the allocator; none for the system's.
        environment: variables that say how threads wait for one another.
        affinity: cores that the process is bound to; None for all.
        settings: of the runtime, by its own names.
    """

    runtime: Literal["onnxruntime", "openvino", "torchscript", "aot-inductor", "built"]
    threads: Count
    allocator: Text
    mallopt: list[tuple[int, int]]
    environment: dict[str, str]
    affinity: list[Natural] | None
    settings: dict[str, Any]


class Needs(Part, kw_only=True, omit_defaults=False):
    """What the machine must have; `load.py` says what is missing before it loads anything.

    Attributes:
        instruction_sets: as Linux names them; of each list one is enough.
        memory_bytes: peak resident memory of a process that runs it, measured or, without a record, estimated.
        machine: architecture that the artifact is compiled for; None where it is not compiled.
        python: least version.
    """

    instruction_sets: list[Annotated[list[Text], Meta(min_length=1)]]
    memory_bytes: Count
    memory_is: Literal["measured", "estimated"]
    machine: Text | None
    python: tuple[int, int]


class TextInput(Part, kw_only=True, omit_defaults=False):
    """What comes before `tokenizer.json`: the prompt is put before each text, that of its role before one with a role
    (`query`, `document`). `max_length` is in that file, too."""

    prompt: str
    prompts: dict[str, str]
    lower_case: bool
    max_length: Count


class Pooling(Part, kw_only=True, omit_defaults=False):
    """From states of tokens to an embedding.

    Attributes:
        states: name of the output that is pooled.
        modes: one vector each, side by side.
        skipped_tokens: real tokens at the start of a row that are not pooled: those of a prompt.
        steps: what follows; weights are files of the package.
    """

    states: Text
    modes: list[Text]
    skipped_tokens: Natural
    steps: list[dict[str, str | int]]


class ImageInput(Part, kw_only=True, omit_defaults=False):
    """Sizes in pixels, (width, height). `resample` is Pillow's number."""

    shortest_edge: Count | None
    size: tuple[int, int] | None
    resample: Natural
    crop: tuple[int, int] | None
    rescale: float
    mean: list[float]
    std: list[float]


class AudioInput(Part, kw_only=True, omit_defaults=False):
    """`rate` in samples a second. Waveforms may be normalised; mel features have window, hop and samples of a clip."""

    rate: Count
    normalise: bool = False
    window: Count | None = None
    hop: Count | None = None
    samples: Count | None = None


class Tolerance(Part, kw_only=True, omit_defaults=False):
    """`numpy.allclose`'s, of outputs on another machine against those shipped; on the same they are equal."""

    rtol: float
    atol: float


class Against(Part, kw_only=True, omit_defaults=False):
    """The shipped outputs against eager's in float32."""

    tolerance_class: Text
    max_abs_error: float
    cosine: float


class Measured(Part, kw_only=True, omit_defaults=False):
    """The record: seconds of the median call of `workload`, times faster than eager, and the machine."""

    bench_id: Text
    workload: Text
    median_s: Positive
    speedup_vs_eager: Positive | None
    speedup_low: Positive | None
    speedup_high: Positive | None
    machine: Text
    when: str
    same_inputs: bool


class Licence(Part, kw_only=True, omit_defaults=False):
    """Of the model, as its source names it."""

    name: Text
    source: Text


class Manifest(Part, kw_only=True, omit_defaults=False):
    """Everything that `load.py` does, and what it was measured with.

    Attributes:
        artifact: the file or directory that the runtime opens.
        packages: versions without which `load.py` refuses: those of the runtime and the tokenizer.
        sha256: of every other file.
    """

    model: Text
    model_fingerprint: Sha256
    variant: Text
    dtype: Text
    given: Given
    gives: Gives
    artifact: Text
    inputs: list[Tensor]
    outputs: list[Tensor]
    session: Session
    needs: Needs
    packages: dict[str, str]
    tolerance: Tolerance
    against_eager: Against
    made_by: Text
    text: TextInput | None = None
    pooling: Pooling | None = None
    image: ImageInput | None = None
    audio: AudioInput | None = None
    labels: list[str] | None = None
    measured: Measured | None = None
    licence: Licence | None = None
    sha256: dict[str, Sha256] = msgspec.field(default_factory=dict)
    version: Count = VERSION
    format: Literal["eagerbench-package"] = FORMAT


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of `manifest.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Manifest)}
