"""CTranslate2 on the CPU, in an environment of its own with transformers 4: float32, int8, and bf16 where it has it."""

import importlib.metadata
import re
import tempfile
from pathlib import Path

from eagerbench.backends.base import Engagement, ExportingBackend, Runs, Variant

_COMPUTE_TYPES = {"float32": "float32", "int8": "int8_float32", "bfloat16": "bfloat16"}
_ISA = r"Selected ISA: (\w+)"
_PRODUCTS = {"float32": r"SGEMM backend: (\w+)", "int8": r"GEMM_S8 backend: (\w+)", "bfloat16": r"(?!)"}


class CTranslate2(ExportingBackend):
    """Converted by its `TransformersConverter`; weights quantised by it with one scale a row, activations by the
    library with one a row at every call.

    Sources: https://opennmt.net/CTranslate2/guides/transformers.html, https://opennmt.net/CTranslate2/quantization.html
    """

    variants = (
        Variant("ctranslate2", "exact-math", runs=Runs.WHEN_NAMED),
        Variant("ctranslate2-int8", "quantised", "int8", runs=Runs.WHEN_NAMED),
        Variant("ctranslate2-bf16", "reduced-precision", "bfloat16", runs=Runs.WHEN_NAMED),
    )
    packages = ("ctranslate2", "torch", "transformers")
    devices = ("cpu",)
    right_padding_only = True
    install = "make env-ctranslate2"

    def unavailable(self, variant, device):
        """The converter asks a BertConfig for `position_embedding_type`, which transformers 5 has dropped."""
        reason = super().unavailable(variant, device)
        if reason:
            return reason
        found = importlib.metadata.version("transformers")
        if found.startswith("4."):
            return None
        return f"CTranslate2's converter needs transformers 4, found {found} (run: {self.install})"

    def bf16_unavailable(self):
        """The library itself is asked, in `refuses`: a list of cases must not load it."""
        return

    def refuses(self, variant, placement):
        reason = super().refuses(variant, placement)
        if reason or variant.dtype != "bfloat16":
            return reason
        import ctranslate2

        supported = ctranslate2.get_supported_compute_types("cpu")
        if _COMPUTE_TYPES[variant.dtype] in supported:
            return None
        return (f"CTranslate2 {ctranslate2.__version__} computes in {', '.join(sorted(supported))} on this processor, "
                "not in bfloat16")

    def export(self, variant, model, example, directory):
        from eagerbench.backends.ctranslate2_convert import convert

        convert(model, example, variant.dtype, directory)

    def load(self, variant, directory, placement):
        from eagerbench.backends.ctranslate2_runners import opened

        return opened(directory, _COMPUTE_TYPES[variant.dtype], placement.threads)

    def build_disengaged(self, variant, model, example, placement):
        """Another type of products: int8 for float32, float32 for the others."""
        other = self.variants[1 if variant.dtype == "float32" else 0]
        with tempfile.TemporaryDirectory(prefix="ctranslate2-disengaged-") as scratch:
            self.export(other, model, example, Path(scratch))
            return self.load(other, Path(scratch), placement)

    def probe(self, variant, runner, inputs):
        """Engaged when the type in effect is the one that was asked for; by which library is a fact."""
        dtype = next((dtype for dtype, name in _COMPUTE_TYPES.items() if name == runner.compute_type), "float32")
        facts = {"compute_type": runner.compute_type, "isa": _found(_ISA, runner.system),
                 "products_by": _found(_PRODUCTS[dtype], runner.system)}
        summary = "computes in {compute_type}, products by {products_by}, own kernels for {isa}".format(**facts)
        return Engagement(runner.compute_type == _COMPUTE_TYPES[variant.dtype], summary, facts)

    def cannot_generate(self, variant, cache):
        return "its own cache grows: it generates with a dynamic cache or none" if cache == "static" else None

    def generator(self, variant, runner, model, cache, placement):
        """With a cache, CTranslate2's own loop; without one transformers', which calls the build at every token."""
        if cache == "none":
            return super().generator(variant, runner, model, cache, placement)
        from eagerbench.backends.ctranslate2_runners import OwnGeneration

        return OwnGeneration(runner.model)


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1] if found else "unknown"


BACKEND = CTranslate2()
