"""What the backends on ONNX Runtime share: providers, export and conversion, loading, and reading a profile."""

import json
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eagerbench.backends.base import Arrays, Engagement, ExportingBackend, OpenedBy
from eagerbench.backends.onnx_session import PROVIDERS, SessionRunner, settings
from eagerbench.errors import Refused
from eagerbench.outputs.tolerance import relative_distance

if TYPE_CHECKING:
    from eagerbench.backends.onnx_export import SharedExport

FILE = "model.onnx"
NODES = "nodes.json"  # operator types of the graph as exported, before any fusion, and as saved
_QUANTISED = ("MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "QAttention")
_FLOAT_PRODUCTS = ("MatMul", "FusedMatMul", "Gemm", "FusedGemm", "Attention", "MultiHeadAttention")
_FUSED_DISTANCE = 1e-3  # of float32 sums in another order it is below 1e-5


@dataclass(frozen=True)
class Seen:
    """What ran in one call of a runner.

    Attributes:
        executed: how often each operator ran.
        fused: those of them that were not in the graph as exported.
        products: for each float matrix product its provider and the dtype of its first input, as ONNX Runtime names it.
        as_asked: whether the session has the optimisation level that was asked for and ran by its own provider:
            on the CPU by no other, elsewhere every matrix product.
        facts: JSON for the record.
    """

    executed: Counter
    fused: dict[str, int]
    products: list[tuple[str, str]]
    as_asked: bool
    facts: dict[str, Any]

    @property
    def quantised(self) -> int:
        return sum(self.executed[name] for name in _QUANTISED)

    @property
    def fused_names(self) -> list[str]:
        return [f"{count} {name}" for name, count in self.fused.items()]


class SessionBackend(ExportingBackend):
    """An ONNX Runtime backend. Options of a variant: `exporter` (`torchscript`), `level` (`all`), `provider` (that of
    the device), and `step`, a function of `onnx_convert` (`copy`)."""

    packages = ("onnxruntime", "onnx", "torch", "transformers")
    install = "pip install -e '.[onnxruntime]'"

    def provider(self, variant, device) -> str:
        return variant.options.get("provider") or PROVIDERS[device.partition(":")[0]]

    def unavailable(self, variant, device):
        reason = super().unavailable(variant, device)
        if reason or device == "cpu":
            return reason
        import onnxruntime

        provider = self.provider(variant, device)
        if provider not in onnxruntime.get_available_providers():
            return f"the installed onnxruntime has no {provider} (install onnxruntime-gpu in its place)"
        return None

    def export(self, variant, model, example, directory):
        from eagerbench.backends import onnx_convert, onnx_export

        shared = onnx_export.shared_export(model, example, variant.options.get("exporter", "torchscript"))
        step = variant.options.get("step", "copy")
        getattr(onnx_convert, step)(shared.file, directory / FILE, model)
        saved = onnx_export.node_counts(directory / FILE)
        if step != "copy" and set(saved) <= set(shared.nodes):
            raise Refused(f"{step} changed nothing in this graph, so it is the same as `onnxruntime`")
        if step == "fuse":
            require_the_same(shared.file, directory / FILE, example, type(model.module).__name__)
        self.write_nodes(shared, directory)
        return shared.saved_s

    @staticmethod
    def write_nodes(shared: "SharedExport", directory: Path) -> None:
        """`weighted`: float products with a weight as saved; `weighted_exported`: as exported."""
        from eagerbench.backends import onnx_export

        nodes = {"exported": shared.nodes, "saved": onnx_export.node_counts(directory / FILE),
                 "weighted": onnx_export.weighted_products(directory / FILE),
                 "weighted_exported": onnx_export.weighted_products(shared.file)}
        (directory / NODES).write_text(json.dumps(nodes))

    def opened_by(self, variant, placement):
        if self.provider(variant, placement.device) != PROVIDERS["cpu"]:
            return None
        return OpenedBy("onnxruntime", FILE, settings(placement.threads, variant.options.get("level", "all")))

    def load(self, variant, directory, placement):
        return self.session(variant, directory, placement, SessionRunner)

    def session(self, variant, directory, placement, kind: type[SessionRunner]) -> SessionRunner:
        nodes = json.loads((directory / NODES).read_text())
        return kind(directory / FILE, nodes, placement.device, placement.threads,
                    variant.options.get("level", "all"), self.provider(variant, placement.device))

    def cannot_generate(self, variant, cache):
        if cache == "static":
            return "exported with past key values that grow: it generates with a dynamic cache or none"
        if cache == "dynamic" and variant.options.get("exporter", "torchscript") != "torchscript":
            return "exported without past key values: it generates without a cache only"
        return None

    def generator(self, variant, runner, model, cache, placement):
        """With a cache, another export: that of the artifact takes no past key values."""
        if cache == "none":
            return super().generator(variant, runner, model, cache, placement)
        import torch

        from eagerbench.backends import onnx_convert, onnx_export
        from eagerbench.backends.generating import growing

        shared = onnx_export.shared_export(model, {}, "with-past")
        step = variant.options.get("step", "copy")
        with tempfile.TemporaryDirectory(prefix="onnx-with-past-") as scratch:
            file = Path(scratch) / FILE
            getattr(onnx_convert, step)(shared.file, file, model)
            if step != "copy" and set(onnx_export.node_counts(file)) <= set(shared.nodes):
                raise Refused(f"{step} changed nothing in the graph with past key values")
            session = SessionRunner(file, {}, placement.device, placement.threads, variant.options.get("level", "all"),
                                    self.provider(variant, placement.device))

        names = onnx_export.past_names(model)

        def call(ids, mask, past):
            arrays = [tensor.cpu().numpy() for tensor in (ids, mask, *past)]
            outputs = session(session.prepare(dict(zip(names, arrays, strict=True))))
            return [torch.from_numpy(array).to(model.device) for array in session.arrays(outputs).values()]

        return growing(model, call)

    def plain(self, model, example, placement, level: str = "all") -> SessionRunner:
        """The TorchScript-based export on the device's own provider: what a variant is told apart from, so that what
        ONNX Runtime does anyway is not taken for the work of the optimizer or of quantisation."""
        from eagerbench.backends import onnx_export

        shared = onnx_export.shared_export(model, example)
        nodes = {"exported": shared.nodes, "saved": shared.nodes}
        return SessionRunner(shared.file.read_bytes(), nodes, placement.device, placement.threads, level)

    def build_disengaged(self, variant, model, example, placement):
        return self.plain(model, example, placement)

    def seen(self, variant, runner: SessionRunner, inputs) -> Seen:
        """Profile one call."""
        nodes = runner.profiled_nodes(inputs)
        executed = Counter(node["op_name"] for node in nodes)
        fused = {name: count for name, count in sorted(executed.items())
                 if name not in runner.nodes["exported"] and not name.startswith("Memcpy")}
        products = [(node["provider"], next(iter(node["input_type_shape"][0]), "")) for node in nodes
                    if node["op_name"] in _FLOAT_PRODUCTS]
        providers = {node["provider"] for node in nodes}
        own = self.provider(variant, runner.device)
        elsewhere = providers - {own} if own == PROVIDERS["cpu"] else {name for name, _ in products} - {own}
        as_asked = runner.level == variant.options.get("level", "all") and own in providers and not elsewhere
        facts = {"providers": sorted(providers), "level": runner.level, "nodes": len(nodes),
                 "fused_nodes": sum(fused.values()), **{f"nodes_{name}": count for name, count in fused.items()}}
        return Seen(executed, fused, products, as_asked, facts)

    def attention(self, seen: Seen) -> str:
        """A line on how many attention blocks ran as one operator; the rest show as a Softmax each."""
        whole = seen.executed["Attention"] + seen.executed["MultiHeadAttention"]
        left = seen.executed["Softmax"]
        seen.facts.update(fused_attention=whole, softmax_left=left)
        return f"attention fused in {whole} of {whole + left} blocks"

    @staticmethod
    def engagement(engaged: bool, parts: list[str], seen: Seen) -> Engagement:
        return Engagement(engaged, ", ".join(parts) or "nothing fused", seen.facts)


def require_the_same(exported: Path, fused: Path, example: Arrays, name: str) -> None:
    """Raise ValueError where the optimizer took a pattern for another.

    It knows attention by the shape of its graph: a causal mask inside the graph (CLIP's text tower) looks like padding.
    """
    outputs = []
    for file in (exported, fused):
        runner = SessionRunner(file, {}, "cpu", 1)
        outputs.append(runner.arrays(runner(runner.prepare(example))))
    distance = relative_distance(outputs[1], outputs[0], example.get("attention_mask"))
    if not distance < _FUSED_DISTANCE:
        raise Refused(f"ONNX Runtime's transformers optimizer changes what {name} computes (relative distance "
                      f"{distance:.2g} to the export): use `onnxruntime`, which fuses without it")
