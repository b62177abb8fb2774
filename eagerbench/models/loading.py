"""Loading: from a spec to the reference module (float32, eager attention) and fresh copies of it."""

import copy
import importlib
import inspect
import operator
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers

from eagerbench.errors import BadInput, first_line
from eagerbench.models import fingerprint, quantised, state
from eagerbench.models.catalog import CATALOG
from eagerbench.models.classes import auto_class, bare_class, is_pretrained
from eagerbench.models.fingerprint import Fingerprint
from eagerbench.models.pruning import keep_layers
from eagerbench.models.sentence import MEAN, MODULES, Pipeline
from eagerbench.models.sentence import read as read_pipeline
from eagerbench.models.specs import ModelSpec, config_length, roots

_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model",
                 "tokenizer.model")
_INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model.

    Attributes:
        spec: what the user named.
        module: the reference, in eval mode, float32, eager attention, on `device`. It is never called: what a call may
            change, `fresh` and `copy` have of their own.
        tokenizer: the model's own tokenizer, or None for a model without one.
        pretrained: whether the weights were trained (agreement of predictions means something only then).
        single_use: `copy` may hand out the module itself, for a process that needs no reference beside it.
        sentence: how its users make an embedding of a sentence's states.
    """

    spec: ModelSpec
    module: torch.nn.Module
    tokenizer: Any
    pretrained: bool
    single_use: bool = False
    sentence: Pipeline = MEAN

    def copy(self, attention: str = "eager", dtype: str = "float32") -> torch.nn.Module:
        """A module of its own with the same weights.

        `attention` is a `transformers` attention implementation; plain `torch.nn` modules have none to set.
        """
        module = self.module if self.single_use else copy.deepcopy(self.module)
        return with_attention(module, attention).to(getattr(torch, dtype)).eval()

    def fresh(self) -> torch.nn.Module:
        """The reference with a state of its own, as no call has changed it, and with the same parameters."""
        return self.module if self.single_use else state.fresh(self.module)

    @property
    def config(self) -> transformers.PretrainedConfig | None:
        return _config(self.module)

    @property
    def device(self) -> str:
        """Where the parameters are: `cpu` or `cuda:N`."""
        return str(next((p.device for p in self.module.parameters()), "cpu"))

    @cached_property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs that `forward` takes: of images and audio one, or token ids, mask and types."""
        if self.spec.image is not None:
            return ("pixel_values",)
        if self.spec.audio is not None:
            return (self.spec.audio[0],)
        accepted = set(inspect.signature(self.module.forward).parameters)
        if self.config is not None and getattr(self.config, "type_vocab_size", 0) < 2:
            accepted.discard("token_type_ids")  # RoBERTa and GPT-2 take the argument, their users leave it out
        if self.tokenizer is not None:
            accepted &= set(self.tokenizer.model_input_names)
        return tuple(name for name in _INPUT_NAMES if name in accepted)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of all parameters, tied ones once."""
        return sum(p.numel() * p.element_size() for p in self.module.parameters())

    @cached_property
    def identity(self) -> Fingerprint:
        """Digests of its weights, code and configuration. No call has changed them: none is made on `module`."""
        factory = self.spec.target if self.spec.kind == "factory" else None
        return fingerprint.of(self.module, factory, self.sentence.weights)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that determines it but `derived`."""
        return self.identity.whole

    @cached_property
    def derived(self) -> str:
        """SHA-256 over the other buffers, which code makes: a build holds them too."""
        return fingerprint.derived(self.module)


def load(spec: ModelSpec, device: str = "cpu", single_use: bool = False) -> LoadedModel:
    """Load or build the model of a spec.

    Raises:
        BadInput: missing hub model, damaged, incomplete or quantised weights, a factory that fails or returns no
            module, a module that cannot be made float32 on the device.
    """
    loaders = {"catalog": _from_catalog, "directory": _from_pretrained, "hub": _from_pretrained,
               "factory": _from_factory}
    try:
        module, tokenizer = loaders[spec.kind](spec)
        module = with_attention(module, "eager")
        if spec.layers is not None:
            keep_layers(module, spec.layers, f"--model {spec.name}")
        _keep_what_counts(module)
        module = module.to(device=device, dtype=torch.float32).eval().requires_grad_(False)
    except BadInput:
        raise
    except Exception as error:  # whatever the user's module does when it is changed
        raise BadInput(f"--model {spec.name}: cannot be made float32 with eager attention on {device}: "
                       f"{first_line(error)}") from error
    if spec.max_length is None and _config(module) is not None:
        spec = replace(spec, max_length=config_length(module.config.to_dict()))
    pipeline = MEAN if single_use else read_pipeline(spec.target, finder(spec))
    if pipeline.steps and isinstance(hidden := getattr(_config(module), "hidden_size", None), int):
        pipeline.require_width(hidden, spec.name)
    return LoadedModel(spec, module, tokenizer, spec.kind in ("directory", "hub"), single_use, pipeline)


def _keep_what_counts(module: torch.nn.Module) -> None:
    """One forward pass is timed, and its named outputs are compared."""
    if _config(module) is None:
        return
    module.config.use_cache = False  # a cache would only be an extra output
    if type(module).__module__.startswith("transformers."):  # any other may itself read them
        # Hidden states and attentions are compared by nobody; SDPA would compute no attentions, and others slower ones.
        module.config.output_hidden_states = module.config.output_attentions = False
        module.config.return_dict = True  # outputs have names


def with_attention(module: torch.nn.Module, implementation: str) -> torch.nn.Module:
    """The module with one of `transformers`' attention implementations; a plain `torch.nn` module as it is.

    A family without SDPA keeps its own attention, as `from_pretrained` gives it; the variant `sdpa` refuses those.
    transformers 4 chooses it when a module is made, and later versions of it can change it for some families only
    (4.57 warns and leaves a BERT with SDPA): there, a new one with the same weights.
    """
    if implementation == "sdpa" and not getattr(module, "_supports_sdpa", True):
        implementation = "eager"
    if hasattr(module, "set_attn_implementation") and (
            not transformers.__version__.startswith("4.") or module._can_set_attn_implementation()):
        module.set_attn_implementation(implementation)
    elif is_pretrained(module) and module.config._attn_implementation != implementation:
        config = copy.deepcopy(module.config)
        config._attn_implementation = implementation
        made = type(module)(config)
        made.load_state_dict(module.state_dict())
        module = made.to(module.device).requires_grad_(False)
    return module


def _config(module: torch.nn.Module) -> transformers.PretrainedConfig | None:
    config = getattr(module, "config", None)
    return config if isinstance(config, transformers.PretrainedConfig) else None


def _from_catalog(spec: ModelSpec) -> tuple[torch.nn.Module, None]:
    entry = CATALOG[spec.target]
    labels = {"num_labels": 2} if spec.head == "question-answering" else {}  # a start and an end
    config = getattr(transformers, entry.config_class)(**{**entry.config, **labels})
    torch.manual_seed(spec.seed)
    name = entry.with_head(spec.head) if spec.head else entry.architecture
    try:
        return operator.attrgetter(name)(transformers)(config), None
    except AttributeError:
        raise BadInput(f"--model {spec.name}: there is no {name}") from None


def _from_pretrained(spec: ModelSpec) -> tuple[torch.nn.Module, Any]:
    local = spec.kind == "directory"
    transformers.utils.logging.disable_progress_bar()
    common = {"local_files_only": local, "trust_remote_code": False}
    config = None
    try:
        config = transformers.AutoConfig.from_pretrained(spec.target, **common)
        quantised.refuse(spec.target, quantised.method_of_config(config.to_dict()))
        auto = bare_class(config) if finder(spec)(MODULES) is not None else auto_class(config)
        torch.manual_seed(spec.seed)  # a pooler that was not saved is drawn anew
        module, report = auto.from_pretrained(
            spec.target, config=config, use_safetensors=True, output_loading_info=True,
            **{_dtype_option(): torch.float32}, **common)
    except BadInput:
        raise
    except Exception as error:
        what = "cannot be loaded" if local else "cannot be fetched from the model hub"
        raise BadInput(f"--model {spec.target}: {what}: {first_line(error)}{_padding(config)}") from error
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise BadInput(f"--model {spec.target}: weights of {len(missing)} tensors are missing, first {missing[0]!r}; "
                       f"the file does not fit {type(module).__name__}: save the model again")
    return module, _tokenizer(spec, common)


def _dtype_option() -> str:
    """Of `from_pretrained`. Not asked for when this module is imported: not every model is one of transformers."""
    return "dtype" if hasattr(transformers.PreTrainedModel, "set_attn_implementation") else "torch_dtype"


def _padding(config: transformers.PretrainedConfig | None) -> str:
    """Names a padding id that an embedding refuses: the error does not."""
    pad_id, size = getattr(config, "pad_token_id", None), getattr(config, "vocab_size", None)
    fits = not isinstance(pad_id, int) or not isinstance(size, int) or 0 <= pad_id < size
    return "" if fits else f" (pad_token_id {pad_id}, vocabulary {size}: put one of its ids into config.json)"


def finder(spec: ModelSpec) -> Callable[[str], Path | None]:
    """Finds files beside a model: in its directory and nowhere above it, or in its hub repository."""
    def in_directory(name: str) -> Path | None:
        root = Path(spec.root or spec.target).resolve()
        file = (root / name).resolve()
        return file if file.is_file() and root in file.parents else None

    def in_hub(name: str) -> Path | None:
        found = transformers.utils.cached_file(spec.target, name, _raise_exceptions_for_missing_entries=False,
                                               _raise_exceptions_for_connection_errors=False)
        return found and Path(found)

    return {"directory": in_directory, "hub": in_hub}.get(spec.kind, lambda _: None)


def _tokenizer(spec: ModelSpec, common: dict) -> Any:
    """The model's own tokenizer; None for a directory without one: token ids are then drawn from the seed.

    transformers makes an empty tokenizer where the files are missing, and its every word is unknown.
    """
    if spec.kind == "directory" and not any((Path(spec.target) / name).exists() for name in _VOCABULARIES):
        return None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(spec.target, **common)
    except Exception as error:
        raise BadInput(f"--model {spec.target}: its tokenizer cannot be loaded: {first_line(error)}") from error
    return tokenizer if len(tokenizer) > len(tokenizer.all_special_ids) else None


def _from_factory(spec: ModelSpec) -> tuple[torch.nn.Module, Any]:
    module_name, _, function_name = spec.target.partition(":")
    for place in reversed(roots()):
        if str(place) not in sys.path:
            sys.path.insert(0, str(place))
    torch.manual_seed(spec.seed)
    try:
        made = getattr(importlib.import_module(module_name), function_name)()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script may call sys.exit() when it is imported, a test module pytest.skip()
        raise BadInput(f"--model {spec.target}: the factory failed: {first_line(error)}") from error
    module, tokenizer = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, torch.nn.Module):
        raise BadInput(f"--model {spec.target}: the factory returned {_kind(made)}; return a torch.nn.Module or "
                       "(module, tokenizer)")
    if isinstance(module, torch.jit.ScriptModule):
        raise BadInput(f"--model {spec.target}: the factory returned a TorchScript module, which does not describe its "
                       "inputs; return the torch.nn.Module that it was made from: --variant 'torchscript*' traces it")
    if not (tokenizer is None or isinstance(tokenizer, transformers.PreTrainedTokenizerBase)):
        raise BadInput(f"--model {spec.target}: the factory's second value is {_kind(tokenizer)}, no tokenizer of "
                       "transformers; wrap it with PreTrainedTokenizerFast(tokenizer_object=…), or return the module "
                       "alone: token ids are then drawn")
    quantised.refuse(spec.target, quantised.method_of_module(module))
    return module, tokenizer


def _kind(value: Any) -> str:
    """`str`, or for a tuple `(str, Linear)`."""
    if isinstance(value, tuple):
        return f"({', '.join(type(part).__name__ for part in value)})"
    return type(value).__name__
