"""llama.cpp on the CPU, for GPT-2 and LLaMA: float32, and its own Q8_0 and Q4_K."""

from pathlib import Path
from tempfile import TemporaryDirectory

from eagerbench.backends.artifacts import saving
from eagerbench.backends.base import Engagement, ExportingBackend, Runs, Variant

FILE = "model.gguf"
_PLAIN = "plain.gguf"


class LlamaCpp(ExportingBackend):
    """Weights written by its Python package `gguf` and quantised by its library, which is called through
    llama-cpp-python: built of its source package for this processor.

    Keys and values are float32 in `llama-cpp`, without flash attention, which has float16 in it; in the others float16,
    and flash attention where llama.cpp chooses it: its defaults.
    Sources: https://github.com/ggml-org/llama.cpp/blob/master/tools/quantize/README.md,
    https://llama-cpp-python.readthedocs.io/en/latest/api-reference/#low-level-api
    """

    variants = (
        # Its GELU, GPT-2's, is a table of float16 (`GGML_GELU_FP16`); LLaMA alone would be exact.
        Variant("llama-cpp", "half-precision", options={"weights": "F32", "cache": "f32"}, runs=Runs.WHEN_NAMED),
        Variant("llama-cpp-q8_0", "quantised", "int8", {"weights": "Q8_0", "cache": "f16"}, Runs.WHEN_NAMED),
        Variant("llama-cpp-q4_k", "quantised-coarse", "int8", {"weights": "Q4_K", "cache": "f16"}, Runs.WHEN_NAMED),
    )
    packages = ("llama_cpp", "gguf", "torch", "transformers")
    devices = ("cpu",)
    install = "make env-llama-cpp"

    def export(self, variant, model, example, directory):
        from eagerbench.backends import gguf_file

        kind = variant.options["weights"]
        with saving():
            if kind == "F32":
                gguf_file.write(model, directory / FILE)
                return
            gguf_file.write(model, directory / _PLAIN)
            gguf_file.quantise(directory / _PLAIN, directory / FILE, kind)
            (directory / _PLAIN).unlink()

    def load(self, variant, directory, placement):
        from eagerbench.backends.llama_cpp_runner import LlamaRunner

        return LlamaRunner(directory / FILE, variant.options["cache"], placement.threads)

    def weights_bytes(self, runner):
        return runner.bytes

    def build_disengaged(self, variant, model, example, placement):
        """float32 for what is quantised; for float32 float16, which llama.cpp's converter and cache have by default."""
        options = {"weights": "F16", "cache": "f16"} if variant.dtype == "float32" else {"weights": "F32",
                                                                                         "cache": "f16"}
        other = Variant("disengaged", variant.tolerance, options=options)
        with TemporaryDirectory(prefix="llama-cpp-disengaged-") as scratch:
            self.export(other, model, example, Path(scratch))
            return self.load(other, Path(scratch), placement)

    def probe(self, variant, runner, inputs):
        """Engaged when the types in the file and of the cache are those that were asked for."""
        from eagerbench.backends.gguf_file import TYPES

        kind = variant.options["weights"]
        (most, _), = runner.types.most_common(1)
        facts = {**{f"weights_{name}": count for name, count in sorted(runner.types.items())}, "cache": runner.cache,
                 "buffers": runner.buffers, "system": runner.system}
        counts = ", ".join(f"{count} {name}" for name, count in runner.types.most_common())
        return Engagement(most == kind and set(runner.types) <= set(TYPES[kind])
                          and runner.cache == variant.options["cache"],
                          f"weights: {counts}; keys and values in {runner.cache}", facts)

    def cannot_generate(self, variant, cache):
        if cache == "static":
            return "its own cache is read as far as it is filled: it generates with a dynamic cache or none"
        return None

    def generator(self, variant, runner, model, cache, placement):
        """With a cache, llama.cpp's; without one transformers' loop, which calls the build at every token."""
        if cache == "none":
            return super().generator(variant, runner, model, cache, placement)
        from eagerbench.backends.llama_cpp_runner import OwnGeneration

        return OwnGeneration(runner)


BACKEND = LlamaCpp()
