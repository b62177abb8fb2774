"""llama.cpp as a runner: its C API through llama-cpp-python, on the real tokens of a batch."""

import ctypes
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import torch

from eagerbench.backends import gguf_file
from eagerbench.backends.base import Arrays
from eagerbench.backends.llama_cpp_library import library
from eagerbench.errors import CannotRun

_CELLS = 256  # of a row's cache: llama.cpp rounds up to these
_TOKENS = 64  # by which room for a call grows, so that a text that gets longer does not need a new context every time


class LlamaRunner:
    """`llama_decode` on all tokens of a batch that are no padding, each row a sequence of its own.

    Args:
        file: a GGUF file.
        cache: type of keys and values: `f32` or `f16`.

    Attributes:
        types: how many of the weights that are multiplied with are of each type, read from the file.
        buffers: in which of the library's buffers the weights lie; some are repacked for this processor.
    """

    def __init__(self, file: Path, cache: str, threads: int):
        before = len(library().log)
        self.types = gguf_file.types(file)
        self._model, self._settings = Model(file), (cache, threads)
        self._context: Context | None = None
        self.buffers = sorted(set(re.findall(r"(\S+) model buffer size", library().said_since(before))))

    def prepare(self, inputs: Arrays) -> tuple["Tokens", np.ndarray]:
        """The tokens, and which of a batch's places they are, bool (batch, length).

        Raises:
            CannotRun: padding between the tokens of a row.
        """
        ids = inputs["input_ids"]
        mask = np.asarray(inputs.get("attention_mask", np.ones_like(ids)), np.int8)
        if ((np.diff(mask, axis=1) > 0).sum(1) + mask[:, 0] > 1).any():
            raise CannotRun("llama.cpp takes the tokens of a row at positions that follow one another: it accepts no "
                            "padding between them")
        self.context(*ids.shape)
        rows, columns = np.nonzero(mask)
        return Tokens(ids[rows, columns], columns, rows, np.ones(len(rows), np.int8)), mask.astype(bool)

    def __call__(self, native):
        tokens, mask = native
        context = self.context(*mask.shape)
        context.clear()
        return context, context.decode(tokens), mask

    def arrays(self, outputs):
        """Copies: the next call overwrites what a call returned."""
        _, logits, mask = outputs
        whole = np.zeros((*mask.shape, logits.shape[1]), np.float32)
        whole[mask] = logits
        return {"logits": whole}

    def context(self, rows: int, length: int) -> "Context":
        """One with room for as many sequences of as many tokens: the last, or another in its place."""
        known = self._context
        if known is None or known.rows < rows or known.length < length:
            most = library().llama.llama_max_parallel_sequences()
            if rows > most:
                raise CannotRun(f"llama.cpp takes {most} sequences at a time, not {rows}")
            if known is not None:
                rows, length = max(rows, known.rows), max(length, known.length)
            self._context = Context(self._model, rows, -(-length // _TOKENS) * _TOKENS, *self._settings)
        return self._context

    @property
    def threads(self) -> int:
        return self.context(1, 1).threads

    @property
    def cache(self) -> str:
        """Type of keys and values, as llama.cpp says it when it allocates them."""
        return self.context(1, 1).cache

    @property
    def bytes(self) -> int:
        """Of the weights."""
        return library().llama.llama_model_size(self._model.pointer)

    @property
    def system(self) -> str:
        """Instruction sets that the library was built for and finds."""
        return library().llama.llama_print_system_info().decode()


class Model:
    """Weights that are freed with the last context that uses them."""

    def __init__(self, file: Path):
        llama, before = library().llama, len(library().log)
        settings = llama.llama_model_default_params()
        settings.n_gpu_layers = 0
        self.pointer = llama.llama_model_load_from_file(str(file).encode(), settings)
        if not self.pointer:
            raise ValueError(f"llama.cpp cannot load the file: {library().said_since(before)}")
        self.vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self.pointer))
        weakref.finalize(self, llama.llama_model_free, self.pointer)


class Context:
    """A cache of keys and values, `length` tokens for each of `rows` sequences, with llama.cpp's default settings.

    What `decode` returns lies in it: keep both.
    """

    def __init__(self, model: Model, rows: int, length: int, cache: str, threads: int):
        llama, before = library().llama, len(library().log)
        self._model = model
        self.rows, self.length = rows, length
        settings = llama.llama_context_default_params()
        settings.n_seq_max, settings.n_ctx = rows, rows * -(-length // _CELLS) * _CELLS
        settings.n_batch = rows * length
        settings.n_threads = settings.n_threads_batch = threads
        settings.type_k = settings.type_v = getattr(llama, f"GGML_TYPE_{cache.upper()}")
        if cache == "f32":  # its flash attention computes in float16 in part, whatever the cache is in
            settings.flash_attn_type = llama.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._pointer = llama.llama_init_from_model(model.pointer, settings)
        said = library().said_since(before)
        if not self._pointer:
            raise ValueError(f"llama.cpp makes no context: {said}")
        found = re.search(r"K \((\w+)\).*V \((\w+)\)", said)
        self.cache = "unknown" if found is None else found[1] if found[1] == found[2] else f"{found[1]}, {found[2]}"
        self._memory = llama.llama_get_memory(self._pointer)
        weakref.finalize(self, llama.llama_free, self._pointer)

    @property
    def threads(self) -> int:
        return library().llama.llama_n_threads_batch(self._pointer)

    def clear(self) -> None:
        library().llama.llama_memory_clear(self._memory, False)

    def decode(self, tokens: "Tokens") -> np.ndarray:
        """Logits of the tokens that are wanted, (tokens, vocabulary), in the library's memory."""
        llama = library().llama
        code = llama.llama_decode(self._pointer, tokens.struct)
        if code:
            raise CannotRun(f"llama_decode fails with {code}")
        return np.ctypeslib.as_array(llama.llama_get_logits(self._pointer), (tokens.wanted, self._model.vocabulary))


class Tokens:
    """A `llama_batch` over arrays of its own.

    Args:
        ids, positions, rows: of each token; a row is a sequence.
        wanted: 1 for each token whose logits are, (tokens,) int8.
    """

    def __init__(self, ids: np.ndarray, positions: np.ndarray, rows: np.ndarray, wanted: np.ndarray):
        llama = library().llama
        integers = [np.ascontiguousarray(array, np.int32) for array in (ids, positions, np.ones_like(ids), rows)]
        addresses = integers[3].ctypes.data + 4 * np.arange(len(ids), dtype=np.uint64)
        self._held = (*integers, addresses, wanted)
        token, position, count, _ = (array.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)) for array in integers)
        self.wanted = int(wanted.sum())
        self.struct = llama.llama_batch(
            n_tokens=len(ids), token=token, embd=None, pos=position, n_seq_id=count,
            seq_id=addresses.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            logits=wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)))


class OwnGeneration:
    """Greedy search over llama.cpp's cache, with the arguments of transformers' `generate()`: the prompts at once, then
    a token of each text at a time. It stops at the length only."""

    def __init__(self, runner: LlamaRunner):
        self._runner = runner

    def generate(self, input_ids: torch.Tensor, generation_config: Any, streamer: Any, **_: Any) -> "Continued":
        rows, length = input_ids.shape
        new, ends = generation_config.max_new_tokens, np.zeros((rows, length), np.int8)
        ends[:, -1] = 1
        context = self._runner.context(rows, length + new)
        context.clear()
        streamer.put(input_ids)
        tokens = Tokens(input_ids.numpy().ravel(), np.tile(np.arange(length), rows), np.arange(rows).repeat(length),
                        ends.ravel())
        chosen, logits = [], []
        for position in range(length, length + new):
            logits.append(context.decode(tokens).copy())
            chosen.append(logits[-1].argmax(1))
            streamer.put(chosen[-1])
            tokens = Tokens(chosen[-1], np.full(rows, position), np.arange(rows), np.ones(rows, np.int8))
        return Continued(input_ids, chosen, logits)


class Continued:
    """What `generate()` of transformers returns, made when it is asked for."""

    def __init__(self, input_ids: torch.Tensor, chosen: list[np.ndarray], logits: list[np.ndarray]):
        self._input_ids, self._chosen, self._logits = input_ids, chosen, logits

    @property
    def sequences(self) -> torch.Tensor:
        """(batch, tokens), prompts included."""
        return torch.cat([self._input_ids, torch.from_numpy(np.stack(self._chosen, 1))], 1)

    @property
    def logits(self) -> tuple[torch.Tensor, ...]:
        """Of each new token, (batch, vocabulary)."""
        return tuple(map(torch.from_numpy, self._logits))
