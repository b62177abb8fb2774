"""sentence-transformers as its users call it: texts in, embeddings out, by each of its three backends."""

import contextlib
import functools
import importlib.metadata
import io
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eagerbench.backends.base import Backend, Engagement, Runs, Variant
from eagerbench.errors import Refused, first_line
from eagerbench.outputs.predictions import SENTENCE_EMBEDDING
from eagerbench.workloads.sentences import SENTENCES

# What each backend needs besides sentence-transformers, by the names of PyPI.
NEEDS = {"torch": (), "onnx": ("optimum-onnx", "onnxruntime"), "openvino": ("optimum-intel", "openvino")}
PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
_ATTENTION = "aten::scaled_dot_product_attention"
_TRIED = list(SENTENCES[:2])


class EncodeRunner:
    """`encode` on a list of texts, all of them in one batch.

    Args:
        encoder: a `SentenceTransformer`.

    Attributes:
        model_s: seconds inside its model's forward so far, that is without tokenizer, pooling and what follows.
    """

    def __init__(self, encoder: Any):
        self.encoder = encoder
        self.model_s = 0.0
        model = self.model
        forward = model.forward

        @functools.wraps(forward)
        def clocked(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return forward(*given, **named)
            finally:
                self.model_s += time.perf_counter() - start

        model.forward = clocked

    @property
    def model(self) -> Any:
        """What computes: a transformers module, or a model of optimum."""
        return self.encoder[0].auto_model

    @property
    def effective(self) -> str:
        """The backend by what computes, not by what was asked for."""
        package = type(self.model).__module__
        for backend, prefix in (("onnx", "optimum.onnxruntime"), ("openvino", "optimum.intel")):
            if package.startswith(prefix):
                return backend
        return "torch"

    def prepare(self, texts: Sequence[str]) -> list[str]:
        return list(texts)

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings (texts, size)."""
        return self.encoder.encode(list(texts), batch_size=len(texts), show_progress_bar=False)

    def arrays(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return {SENTENCE_EMBEDDING: np.asarray(outputs, np.float32)}

    @property
    def threads(self) -> int:
        if self.effective == "onnx":
            return self.model.session.get_session_options().intra_op_num_threads
        if self.effective == "openvino":
            return self.compiled.get_property("INFERENCE_NUM_THREADS")
        import torch

        return torch.get_num_threads()

    @property
    def compiled(self) -> Any:
        """OpenVINO's compiled model, which optimum makes at the first call unless it is asked to before."""
        self.model.compile()
        return self.model.request


class SentenceTransformers(Backend):
    """`SentenceTransformer(directory, backend=…)` and its `encode(texts, batch_size=len(texts))`.

    Left as its users have it, but for what makes a variant the same on every machine: the number of threads, and of
    OpenVINO the precision, which it otherwise lowers to bf16 where the processor has it.

    Source: https://sbert.net/docs/sentence_transformer/usage/efficiency.html
    """

    variants = (
        Variant("sentence-transformers", "exact-math", options={"backend": "torch"}, runs=Runs.WHEN_NAMED),
        Variant("sentence-transformers-onnx", "exact-math", options={"backend": "onnx"}, runs=Runs.WHEN_NAMED),
        Variant("sentence-transformers-openvino", "exact-math", options={"backend": "openvino"}, runs=Runs.WHEN_NAMED),
        Variant("sentence-transformers-openvino-bf16", "reduced-precision", "bfloat16", {"backend": "openvino"},
                Runs.WHEN_NAMED),
    )
    packages = ("sentence_transformers", "torch", "transformers")
    devices = ("cpu",)
    costly = True
    reads_texts = True
    install = "make env-sentence-transformers"

    def unavailable(self, variant, device):
        """optimum's packages have versions of transformers of their own: they say so when they are imported."""
        missing = [name for name in NEEDS[variant.options["backend"]] if _version(name) is None]
        return super().unavailable(variant, device) or (
            f"not installed: {', '.join(missing)} (run: {self.install})" if missing else None)

    def build(self, variant, model, example, placement):
        backend = variant.options["backend"]
        return _loaded(model, backend, _model_arguments(backend, variant.dtype, placement.threads))

    def build_disengaged(self, variant, model, example, placement):
        """PyTorch in place of another backend; of PyTorch eager attention; of bf16 float32."""
        if variant.dtype != "float32":
            return self.build(self.variants[2], model, example, placement)
        attention = {"attn_implementation": "eager"} if variant.options["backend"] == "torch" else {}
        return _loaded(model, "torch", attention)

    def probe(self, variant, runner, inputs):
        """By texts of its own: the arrays of other variants are no inputs of this one."""
        wanted, effective = variant.options["backend"], runner.effective
        before = runner.model_s
        operators = _operators(runner) if effective == "torch" else {}
        runner(_TRIED)
        facts = {"backend": effective, "model": type(runner.model).__name__,
                 "sentence_transformers": str(_version("sentence-transformers"))}
        engaged = effective == wanted and runner.model_s > before
        how = ""
        if effective == "torch":
            facts["sdpa_calls"] = operators.get(_ATTENTION, 0)
            nothing = not getattr(runner.model, "_supports_sdpa", True)
            engaged = engaged and (facts["sdpa_calls"] > 0 or nothing)
            how = f", {facts['sdpa_calls']} SDPA calls"
        elif effective == "onnx":
            facts["providers"] = list(runner.model.session.get_providers())
            engaged = engaged and facts["providers"][:1] == ["CPUExecutionProvider"]
            how = f" on {facts['providers'][0]}"
        elif effective == "openvino":
            facts["precision"] = runner.compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
            engaged = engaged and facts["precision"] == PRECISIONS[variant.dtype]
            how = f" in {facts['precision']}"
        return Engagement(engaged, f"{effective} by {facts['model']}{how}", facts)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _model_arguments(backend: str, dtype: str, threads: int) -> dict[str, Any]:
    """`model_kwargs` of a backend."""
    if backend == "onnx":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return {"provider": "CPUExecutionProvider", "session_options": options}
    if backend == "openvino":
        return {"ov_config": {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": PRECISIONS[dtype]}}
    return {}


def _loaded(model: Any, backend: str, arguments: dict[str, Any]) -> EncodeRunner:
    """
    Raises:
        Refused: it is no directory or hub repository as it is; or sentence-transformers or optimum cannot load it.
    """
    spec = model.spec
    if spec.kind not in ("directory", "hub") or spec.layers is not None:
        raise Refused("sentence-transformers loads a directory or a hub repository as it is: save the model, and give "
                      "its directory")
    from eagerbench.backends.openvino_convert import no_telemetry

    where = spec.root or spec.target
    no_telemetry()
    with _quiet():
        import sentence_transformers

        try:
            encoder = sentence_transformers.SentenceTransformer(
                where, device="cpu", backend=backend, model_kwargs=arguments, local_files_only=spec.kind == "directory")
        except Exception as error:
            raise Refused(f"sentence-transformers {_version('sentence-transformers')} with backend={backend!r} fails: "
                          f"{first_line(error)}") from error
        return EncodeRunner(encoder)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress and warnings of an export, which each loading of a directory without an export makes."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _operators(runner: EncodeRunner) -> dict[str, int]:
    """How often each operator ran in one call."""
    import torch

    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        runner(_TRIED)
    return {event.key: event.count for event in profile.key_averages()}


BACKEND = SentenceTransformers()
