"""ONNX Runtime's own text generator, onnxruntime-genai: its graphs, its loop."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from eagerbench.backends import onnxruntime
from eagerbench.backends.base import Runs, Variant
from eagerbench.backends.onnx_backend import FILE, NODES, SessionBackend
from eagerbench.backends.onnx_session import SessionRunner, settings
from eagerbench.causes import last_words
from eagerbench.errors import Refused
from eagerbench.models.catalog import CAUSAL_LM

_BUILD_S = 3600
_CONFIG = "genai_config.json"


class PromptRunner(SessionRunner):
    """One forward pass of the builder's graph, with no past key values, by `session.run`."""

    def __init__(self, model: Path, *rest):
        super().__init__(model, *rest)
        self.directory = model.parent
        self.head_size = json.loads((model.parent / _CONFIG).read_text())["model"]["decoder"]["head_size"]
        self._names = ["logits"]

    def prepare(self, inputs):
        return super().prepare(self._with_past(inputs))

    def profiled_nodes(self, inputs):
        return super().profiled_nodes(self._with_past(inputs))

    def _with_past(self, inputs):
        """Inputs with empty keys and values for every row, and positions where the graph takes them."""
        mask = inputs.get("attention_mask", np.ones_like(inputs["input_ids"]))
        found = {"input_ids": inputs["input_ids"], "attention_mask": mask,
                 "position_ids": np.maximum(mask.cumsum(1) - 1, 0)}
        for entry in self.session.get_inputs():
            if entry.name not in found:
                found[entry.name] = np.zeros((len(mask), entry.shape[1], 0, self.head_size), np.float32)
        return found


class OnnxRuntimeGenAi(SessionBackend):
    """The model builder of onnxruntime-genai writes its own graph of each architecture that it knows, with
    GroupQueryAttention, and quantises weights in blocks.

    Source: https://onnxruntime.ai/docs/genai/howto/build-model.html
    """

    variants = (
        Variant("onnxruntime-genai", "exact-math", options={"precision": "fp32"}, runs=Runs.WHEN_NAMED),
        Variant("onnxruntime-genai-int8", "quantised", options={"precision": "int8"}, runs=Runs.WHEN_NAMED),
        Variant("onnxruntime-genai-int4", "quantised-coarse", options={"precision": "int4"}, runs=Runs.WHEN_NAMED),
    )
    packages = ("onnxruntime_genai", *SessionBackend.packages)
    devices = ("cpu",)
    costly = True
    right_padding_only = True
    install = "pip install -e '.[genai]'"
    unpackaged = "its directory is onnxruntime-genai's own: give it to that"

    def export(self, variant, model, example, directory):
        from eagerbench.backends import onnx_export

        if model.spec.task != CAUSAL_LM:
            raise Refused("onnxruntime-genai generates text, and this is no causal language model")
        with tempfile.TemporaryDirectory(prefix="genai-") as scratch:
            model.copy().cpu().save_pretrained(scratch)
            _tokenizer(model).save_pretrained(scratch)
            done = subprocess.run(
                [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", scratch, "-o", str(directory), "-p",
                 variant.options["precision"], "-e", "cpu", "-c", str(Path(scratch) / "cache")],
                capture_output=True, text=True, check=False, timeout=_BUILD_S)
        if done.returncode or not (directory / FILE).is_file():
            raise Refused(f"the model builder of onnxruntime-genai fails: {last_words(done.stderr)}")
        config = json.loads((directory / _CONFIG).read_text())
        config["model"]["eos_token_id"] = []  # every text gets all of its tokens
        (directory / _CONFIG).write_text(json.dumps(config))
        (directory / NODES).write_text(json.dumps({"exported": onnx_export.node_counts(directory / FILE)}))

    def opened_by(self, variant, placement):
        return None

    def load(self, variant, directory, placement):
        return self.session(variant, directory, placement, PromptRunner)

    def build_disengaged(self, variant, model, example, placement):
        """The plain export: it has the same operators for attention as any other model."""
        return onnxruntime.BACKEND.plain(model, example, placement)

    def cannot_generate(self, variant, cache):
        return None if cache == "dynamic" else "its loop has a cache of its own: name the dynamic one"

    def generator(self, variant, runner, model, cache, placement):
        """Its own loop."""
        import onnxruntime_genai

        from eagerbench.backends.generating import OwnLoop

        wanted = settings(placement.threads, "all")
        options = {"intra_op_num_threads": placement.threads, **wanted["entries"]}
        config = onnxruntime_genai.Config(str(runner.directory))
        config.overlay(json.dumps({"model": {"decoder": {"session_options": options}}}))
        loaded = onnxruntime_genai.Model(config)

        def run(ids, new_tokens, told):
            params = onnxruntime_genai.GeneratorParams(loaded)
            params.set_search_options(batch_size=len(ids), max_length=ids.shape[1] + new_tokens, do_sample=False)
            generator = onnxruntime_genai.Generator(loaded, params)
            generator.append_tokens(ids.astype(np.int32))
            logits = []
            for _ in range(new_tokens):
                logits.append(np.array(generator.get_logits()).reshape(len(ids), -1))
                generator.generate_next_token()
                told(generator.get_next_tokens())
            return lambda: np.stack(logits, 1)

        return OwnLoop(run)

    def probe(self, variant, runner, inputs):
        """Engaged when every attention block is one GroupQueryAttention, and where weights are quantised, products
        with them are MatMulNBits."""
        seen = self.seen(variant, runner, inputs)
        whole, left = seen.executed["GroupQueryAttention"], seen.executed["Softmax"]
        narrow = seen.executed["MatMulNBits"]
        seen.facts.update(fused_attention=whole, softmax_left=left, quantised_matmuls=narrow,
                          float_matmuls=len(seen.products))
        parts = [f"{whole} GroupQueryAttention of {whole + left} attention blocks",
                 f"{narrow} products with narrow weights, {len(seen.products)} in float32"]
        enough = variant.options["precision"] == "fp32" or narrow > len(seen.products)
        return self.engagement(seen.as_asked and whole > 0 and not left and enough, parts, seen)


def _tokenizer(model) -> Any:
    """The model's, or one of a single word: the builder wants one, though ids go in and out."""
    if model.tokenizer is not None:
        return model.tokenizer
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"?": 0}, unk_token="?")))


BACKEND = OnnxRuntimeGenAi()
