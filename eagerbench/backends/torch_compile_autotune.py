"""torch.compile with inductor's C++ matrix products on AMX: timed against oneDNN's for every layer, the faster kept."""

import re

from eagerbench.backends.base import Engagement, Runs, Variant
from eagerbench.backends.bf16 import has_flags
from eagerbench.backends.torch_compile import BACKEND as TORCH_COMPILE
from eagerbench.backends.torch_compile import TorchCompile
from eagerbench.shown import count

AUTOTUNE = {"freezing": True, "max_autotune": True, "max_autotune_gemm_backends": "CPP,ATEN",
            "autotune_num_choices_displayed": 0}


class TorchCompileAutotune(TorchCompile):
    """bf16 weights; without AMX inductor's own product widens them to float32 in every block.

    Source: https://pytorch.org/tutorials/prototype/max_autotune_on_CPU_tutorial.html
    """

    variants = (Variant("torch-compile-autotune-bf16", "reduced-precision", "bfloat16", AUTOTUNE, Runs.WHEN_NAMED),)
    devices = ("cpu",)

    def unavailable(self, variant, device):
        return super().unavailable(variant, device) or no_tiles("amx_bf16")

    def build_disengaged(self, variant, model, example, placement):
        """bf16 weights without tuning: oneDNN's products only."""
        plain = next(variant for variant in TORCH_COMPILE.variants if variant.dtype == "bfloat16")
        return TORCH_COMPILE.build(plain, model, example, placement)

    def probe(self, variant, runner, inputs):
        """Engaged when inductor's product was timed, and all layers run in bf16: by it, on AMX, or by oneDNN."""
        from eagerbench.backends.torch_runner import bf16_products, onednn_primitives

        compiled = TORCH_COMPILE.probe(TORCH_COMPILE.variants[0], runner, inputs)
        tuned = templates(runner)
        found, kernels = bf16_products(onednn_primitives(runner, inputs))
        facts = {**compiled.facts, **tuned.facts, "bf16_products": found, "bf16_kernels": kernels}
        engaged = (compiled.facts["inductor_graphs"] == runner.graphs_at_build and tuned.engaged
                   and found + runner.templates >= runner.products.weighted)
        return Engagement(engaged, f"{tuned.summary}, {found} by oneDNN in bf16 for "
                                   f"{count(runner.products.weighted, 'linear layer')}; {compiled.summary}", facts)


def no_tiles(flag: str) -> str | None:
    """Why this processor has no AMX product of this kind; None when it has."""
    if has_flags("amx_tile", flag):
        return None
    return (f"this processor has no AMX product ({flag}): inductor's own would be one of AVX-512, "
            "which `torch-compile-autotune` has in float32")


def templates(runner) -> Engagement:
    """Engaged when inductor's C++ products were timed, and those that were kept multiply by AMX tiles."""
    kernels = [kernel for code in runner.code for kernel in re.split(r"(?=async_compile\.cpp)", code)
               if "micro_gemm" in kernel]
    tiled = [kernel for kernel in kernels if "_tile_dp" in kernel]
    facts = {"tuned_products": runner.tuned, "templates_timed": runner.templates_timed,
             "cpp_templates": runner.templates, "cpp_kernels": len(kernels), "amx_kernels": len(tiled)}
    engaged = runner.templates_timed > 0 and len(kernels) == len(tiled) and bool(kernels) == (runner.templates > 0)
    return Engagement(engaged, "C++ template timed for {templates_timed} products, kept for {cpp_templates} "
                               "({amx_kernels} of {cpp_kernels} kernels on AMX)".format(**facts), facts)


BACKEND = TorchCompileAutotune()
