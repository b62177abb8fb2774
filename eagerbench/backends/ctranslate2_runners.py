"""CTranslate2 as its users call it: on int32 arrays that it reads in place, with the length of each row."""

import json
import operator
import os
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eagerbench.backends import tracing
from eagerbench.backends.base import Arrays, Placement
from eagerbench.backends.ctranslate2_convert import ABOUT, CONVERTED, token
from eagerbench.errors import CannotRun


def opened(directory: Path, compute_type: str, threads: int) -> "EncoderRunner | GeneratorRunner | WhisperRunner":
    """An artifact, with one model that uses all threads for one call.

    Raises:
        ValueError: the library has no such computation on this processor.
    """
    import ctranslate2

    about = json.loads((directory / ABOUT).read_text())
    runner = {"encoder": EncoderRunner, "generator": GeneratorRunner, "whisper": WhisperRunner}[about["kind"]]
    model = operator.attrgetter(runner.opener)(ctranslate2)(
        str(directory / CONVERTED), device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads)
    return runner(model, directory, threads, about)


class _Runner:
    """What they share.

    Attributes:
        opener: name of CTranslate2's class.
        model: an object of it.
        directory: of the artifact.
        threads: as asked: CTranslate2 gives no number back. Its model is called by one thread of its own, which
            starts the others (test_ctranslate2.py counts them).
    """

    opener: str

    def __init__(self, model: Any, directory: Path, threads: int, about: dict[str, Any]):
        self.model = model
        self.directory = directory
        self.threads = threads
        self._about = about

    @property
    def compute_type(self) -> str:
        """In effect, by its own name."""
        return self.model.compute_type

    @cached_property
    def system(self) -> str:
        """What the library logs of itself, once a process and when a model is loaded: hence of another process.

        https://opennmt.net/CTranslate2/environment_variables.html#ct2-verbose
        """
        code = "import operator, sys, ctranslate2; operator.attrgetter(sys.argv[2])(ctranslate2)(sys.argv[1])"
        command = [sys.executable, "-c", code, str(self.directory / CONVERTED), self.opener]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600,
                              env={**os.environ, "CT2_VERBOSE": "1"}).stderr

    def prepare(self, inputs: Arrays) -> dict[str, Any]:
        """Ids and lengths of the rows, in CTranslate2's views of int32 arrays, and token types where one is not 0.

        Raises:
            CannotRun: padding that is not on the right.
        """
        from ctranslate2 import StorageView

        ids = np.ascontiguousarray(inputs["input_ids"], np.int32)
        lengths = _lengths(inputs.get("attention_mask"), ids)
        native = {"inputs": StorageView.from_array(ids), "lengths": StorageView.from_array(lengths)}
        types = inputs.get("token_type_ids")
        if types is not None and types.any():
            native["token_type_ids"] = types.tolist()
        return native


class EncoderRunner(_Runner):
    """`Encoder.forward_batch`, and transformers' head on its states where the model has one."""

    opener = "Encoder"

    def __init__(self, model, directory, threads, about):
        super().__init__(model, directory, threads, about)
        has_head = (directory / tracing.FILE).exists()
        self._head = tracing.load(directory, Placement()) if has_head else None

    def __call__(self, native):
        outputs = self.model.forward_batch(**native)
        states = [_tensor(getattr(outputs, name)) for name in self._about["states"]]
        if self._head is None:
            return states
        with torch.inference_mode():
            return self._head(*states)

    def arrays(self, outputs):
        return {name: np.array(tensor.numpy())
                for name, tensor in zip(self._about["outputs"], outputs, strict=True)}


class GeneratorRunner(_Runner):
    """`Generator.forward_batch`: the logits of all tokens."""

    opener = "Generator"

    def __call__(self, native):
        return self.model.forward_batch(**native)

    def arrays(self, outputs):
        return {"logits": np.array(outputs)}


class WhisperRunner(_Runner):
    """`Whisper.encode`."""

    opener = "models.Whisper"

    def prepare(self, inputs):
        from ctranslate2 import StorageView

        return StorageView.from_array(np.ascontiguousarray(inputs["input_features"], np.float32))

    def __call__(self, native):
        return self.model.encode(native)

    def arrays(self, outputs):
        return {"last_hidden_state": np.array(outputs)}


def _tensor(view: Any) -> torch.Tensor:
    """Of CTranslate2's memory, without a copy."""
    return torch.from_numpy(np.asarray(view))


def _lengths(mask: np.ndarray | None, ids: np.ndarray) -> np.ndarray:
    if mask is None:
        return np.full(len(ids), ids.shape[1], np.int32)
    if (np.diff(mask, axis=1) > 0).any():
        raise CannotRun("CTranslate2 is given the length of each row: it accepts padding on the right only")
    return mask.sum(1).astype(np.int32)


class OwnGeneration:
    """CTranslate2's own loop, by greedy search, under the name and with the arguments of transformers' `generate()`.

    It stops at the length only: no token ends a text.
    """

    def __init__(self, model: Any):
        self._model = model

    def generate(self, input_ids: torch.Tensor, generation_config: Any, streamer: Any, **_: Any) -> "Continued":
        prompts = [[token(number) for number in row] for row in input_ids.tolist()]
        streamer.put(input_ids)

        def put(step: Any) -> bool:
            if step.batch_id == len(prompts) - 1:  # the last of its step
                streamer.put(step.token_id)
            return False

        return Continued(input_ids, self._model.generate_batch(
            prompts, max_length=generation_config.max_new_tokens, end_token=[], beam_size=1, sampling_topk=1,
            include_prompt_in_result=False, return_logits_vocab=True, callback=put))


class Continued:
    """What `generate()` of transformers returns, made when it is asked for."""

    def __init__(self, input_ids: torch.Tensor, results: list[Any]):
        self._input_ids = input_ids
        self._results = results

    @property
    def sequences(self) -> torch.Tensor:
        """(batch, tokens), prompts included."""
        return torch.cat([self._input_ids, torch.tensor([result.sequences_ids[0] for result in self._results])], 1)

    @property
    def logits(self) -> tuple[torch.Tensor, ...]:
        """Of each new token, (batch, vocabulary)."""
        return tuple(torch.stack([_tensor(view).flatten() for view in step])
                     for step in zip(*(result.logits[0] for result in self._results), strict=True))
