"""A model as CTranslate2's own converter writes it, and the task head beside it, which CTranslate2 has not."""

import contextlib
import copy
import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from transformers.modeling_outputs import BaseModelOutputWithPooling

from eagerbench.backends import tracing
from eagerbench.backends.artifacts import saving
from eagerbench.backends.base import Arrays
from eagerbench.backends.torch_runner import Positional, TorchRunner, named_tensors
from eagerbench.errors import Refused
from eagerbench.models.catalog import CAUSAL_LM, task_of

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

CONVERTED = "converted"  # directory of CTranslate2's files in an artifact
ABOUT = "about.json"  # `kind` and, of an encoder, what `_write_head` returns
STATES = ("last_hidden_state", "pooler_output")  # what its encoders give
_UNKNOWN = "No conversion is registered for the model configuration"


def convert(model: "LoadedModel", example: Arrays, quantization: str, directory: Path) -> None:
    """Write an artifact.

    Args:
        quantization: of the weights in the file: `float32`, `int8` or `bfloat16`.

    Raises:
        Refused: no model of transformers, an architecture that the converter does not know, outputs that it has not.
    """
    import ctranslate2.converters

    module = model.module
    if not isinstance(module, transformers.PreTrainedModel):
        raise Refused(f"CTranslate2 converts models of transformers, not a {type(module).__name__}")
    about: dict[str, Any] = {"kind": _kind(module)}
    with tempfile.TemporaryDirectory(prefix="ctranslate2-") as scratch, _quietly():
        _save_whole(model, about["kind"], scratch)
        with saving():  # the converter makes and writes it in one
            try:
                ctranslate2.converters.TransformersConverter(scratch).convert(
                    str(directory / CONVERTED), quantization=quantization)
            except ValueError as error:
                if not str(error).startswith(_UNKNOWN):
                    raise
                raise Refused(f"CTranslate2 {ctranslate2.__version__}: {str(error).partition(' (')[0]}") from error
    if about["kind"] == "encoder":
        about |= _write_head(model, example, directory)
    (directory / ABOUT).write_text(json.dumps(about))


def token(number: int) -> str:
    """The word of an id in the vocabulary of every converted model: ids are given, but `generate_batch` takes words."""
    return f"t{number}"


def _kind(module: transformers.PreTrainedModel) -> str:
    if type(module).__name__ == "WhisperEncoder":
        return "whisper"
    return "generator" if task_of(type(module).__name__) == CAUSAL_LM else "encoder"


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without transformers' lines on weights that the converter's own class has and the model has not."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.logging.set_verbosity(verbosity)


def _save_whole(model: "LoadedModel", kind: str, directory: str) -> None:
    """The checkpoint that the converter reads, with a vocabulary of as many words as there are ids."""
    module = model.copy()
    if kind == "whisper":
        module = _with_some_decoder(module)
    module.save_pretrained(directory)
    _tokenizer(module.config).save_pretrained(directory)


def _tokenizer(config: transformers.PretrainedConfig) -> transformers.PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, models

    size = getattr(config, "vocab_size", 1)
    special = {name: token(known if isinstance(known := getattr(config, f"{name}_id", None), int) else 0)
               for name in ("unk_token", "bos_token", "eos_token")}
    words = models.WordLevel({token(number): number for number in range(size)}, unk_token=special["unk_token"])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), **special)


def _with_some_decoder(encoder: torch.nn.Module) -> transformers.PreTrainedModel:
    """The converter takes whole Whisper models only: one with the smallest decoder, which `encode` never calls."""
    config = copy.deepcopy(encoder.config)
    config.update({"decoder_layers": 1, "decoder_attention_heads": config.encoder_attention_heads, "vocab_size": 8,
                   "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 3})
    whole = transformers.WhisperForConditionalGeneration(config)
    whole.model.encoder = encoder
    whole.generation_config.suppress_tokens = whole.generation_config.begin_suppress_tokens = []
    return whole.eval()


class _Given(torch.nn.Module):
    """In place of an encoder under its head: gives the states that it is called with."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None, **_: Any):
        return BaseModelOutputWithPooling(last_hidden_state=input_ids, pooler_output=attention_mask)


def _write_head(model: "LoadedModel", example: Arrays, directory: Path) -> dict[str, list[str]]:
    """Trace a model's task head into the directory, if it has one: that of transformers, to be called on CTranslate2's
    states, as https://opennmt.net/CTranslate2/guides/transformers.html#bert has it.

    Returns:
        `states` of the encoder that count, `outputs` of the model: the same without a head.
    """
    module, native = model.copy(), TorchRunner(None).prepare(example)
    base = module.base_model
    with torch.no_grad():
        outputs, given = list(named_tensors(module(**native))), named_tensors(base(**native))
    states = [name for name in STATES if name in given]
    if base is module:
        if set(outputs) <= set(STATES):
            return {"states": outputs, "outputs": outputs}
        raise Refused(f"CTranslate2's encoders give {' and '.join(STATES)}, not {', '.join(outputs)}")
    setattr(module, module.base_model_prefix, _Given())
    head = Positional(module, ["input_ids", "attention_mask"][:len(states)]).eval()
    tracing.save(tracing.trace_module(head, {"example_inputs": tuple(given[name] for name in states)}), directory)
    return {"states": states, "outputs": outputs}
