"""A sentence-transformers directory: what makes one embedding of a sentence's token states.

`modules.json` lists the modules in order. We read them ourselves, weights from safetensors only; what we do not
understand is named, never passed over. Formats: https://github.com/huggingface/sentence-transformers, `models/*.py`.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from eagerbench.errors import BadInput
from eagerbench.models.sentence_layers import First, NotUnderstood, Read, Step, dense, layer_norm, normalised

MODULES, PROMPTS = "modules.json", "config_sentence_transformers.json"
DEFAULT_POOLING = "mean (no modules.json)"
# Names that the configuration of the Transformer module has had.
_TRANSFORMER_CONFIGS = tuple(f"sentence_{name}_config.json" for name in (
    "bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"))
# Flags of the modes, in the order in which their vectors stand side by side where only flags are given.
_MODES = {"pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_mean_tokens": "mean",
          "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
          "pooling_mode_weightedmean_tokens": "weightedmean", "pooling_mode_lasttoken": "lasttoken"}
_STATES = "last_hidden_state"



@dataclass(frozen=True)
class Pipeline:
    """From the states of one sentence to its embedding.

    Attributes:
        modes: of pooling, one vector each, side by side.
        steps: what follows: (name, function of a vector (size,)).
        max_length: tokens that a sentence is cut to; None for the model's own limit.
        lower_case: whether a text is lowered before it is tokenised.
        prompt: put before every text that has no role, or no prompt of its role.
        roles: (`query` or `document`, its prompt) of texts in a search.
        pool_prompt: whether the prompt's tokens count in pooling.
        not_understood: why this is not the embedding of its users; None when it is.
        declared: whether there is a `modules.json`; without one this is plain mean pooling.
        weights: SHA-256 of the steps' weights; empty without any.
    """

    modes: tuple[str, ...] = ("mean",)
    steps: tuple[tuple[str, Step], ...] = field(default=(), compare=False)
    max_length: int | None = None
    lower_case: bool = False
    prompt: str = ""
    roles: tuple[tuple[str, str], ...] = ()
    pool_prompt: bool = True
    not_understood: str | None = None
    declared: bool = False
    weights: str = ""

    @property
    def description(self) -> str:
        """For the record: `cls, dense 384 -> 128 Tanh, normalised`."""
        if not self.declared:
            return DEFAULT_POOLING
        if self.not_understood:
            return f"not understood: {self.not_understood}"
        prompt = f"; prompt {self.prompt!r}{'' if self.pool_prompt else ', not pooled'}" if self.prompt else ""
        return ", ".join(["+".join(self.modes), *(name for name, _ in self.steps)]) + prompt

    @property
    def search_description(self) -> str:
        """The same of queries and documents: `…; query 'query: ', document 'passage: '`."""
        prompts = ", ".join(f"{role} {prompt!r}" for role, prompt in self.roles if prompt)
        return f"{self.description}; {prompts}" if prompts else self.description

    def prepared(self, text: str, role: str = "") -> str:
        """A text as it goes to the tokenizer; `role` is `query` or `document` in a search."""
        whole = dict(self.roles).get(role, self.prompt) + text
        return whole.lower() if self.lower_case else whole

    def prompt_tokens(self, tokenizer: Any) -> int:
        """Tokens at the start of a row that are not pooled: the prompt's, with the special one before it."""
        if not self.prompt or self.pool_prompt:
            return 0
        ids = tokenizer(self.prepared(""))["input_ids"]
        return len(ids) - (ids[-1] in tokenizer.all_special_ids)

    def embed(self, states: np.ndarray, prompt_tokens: int = 0) -> np.ndarray:
        """The embedding (size,) of the states (tokens, hidden) of one sentence without padding, in their dtype."""
        vector = np.concatenate([_pooled(mode, states, prompt_tokens) for mode in self.modes])
        for _, step in self.steps:
            vector = step(vector).astype(states.dtype)
        return vector


    def require_width(self, hidden: int, where: str) -> None:
        """
        Raises:
            BadInput: a layer does not take what comes before it, for states (tokens, hidden).
        """
        try:
            self.embed(np.zeros((1, hidden), np.float32))
        except (ValueError, RuntimeError):
            raise BadInput(f"--model {where}: {self.description}: the layers of {MODULES} do not fit states of size "
                           f"{hidden}; save the model again") from None


MEAN = Pipeline()


def _pooled(mode: str, states: np.ndarray, prompt_tokens: int) -> np.ndarray:
    kept = states[prompt_tokens:]
    if mode == "cls":
        return kept[0] if len(kept) else states[0]
    if mode == "max":
        return kept.max(0) if len(kept) else np.full_like(states[0], -1e9)
    if mode == "lasttoken":
        return kept[-1] if len(kept) else np.zeros_like(states[0])
    if mode == "mean" and not prompt_tokens:
        return states.mean(0)
    weights = np.arange(prompt_tokens + 1, len(states) + 1) if mode == "weightedmean" else np.ones(len(kept))
    total = max(weights.sum(), 1e-9)
    summed = (kept * weights[:, None].astype(states.dtype)).sum(0)
    return summed / np.asarray(np.sqrt(total) if mode == "mean_sqrt_len_tokens" else total, states.dtype)


def transformer_directory(root: Path) -> Path:
    """Where config and weights are: the directory itself, or that of its Transformer (`0_Transformer`)."""
    if (root / "config.json").is_file() or not (root / MODULES).is_file():
        return root
    for module in _modules(lambda name: root / name, str(root)):
        if _type(module) == "Transformer" and module.get("path"):
            inner = (root / str(module["path"])).resolve()
            return inner if root.resolve() in inner.parents else root
    return root


def read(where: str, find: Read) -> Pipeline:
    """The pipeline of a directory or hub repository; plain mean pooling without a `modules.json`.

    Args:
        where: how the user named it, for messages.
        find: the file of a relative name, or None where there is none.

    Raises:
        BadInput: a file of it is damaged.
    """
    if find(MODULES) is None:
        return MEAN
    facts: dict[str, Any] = {"declared": True, "modes": (), "steps": ()}
    for module in _modules(find, where):
        try:
            _add(facts, _type(module), str(module.get("path") or ""), find, where)
        except NotUnderstood as reason:
            return Pipeline(**{**facts, "not_understood": str(reason), "modes": ("mean",), "steps": ()})
    facts |= _prompt(find, where)
    facts["steps"] = (*facts["steps"], *_truncation(find, where))
    if not facts["modes"]:
        return Pipeline(**{**facts, "not_understood": "it has no pooling module", "modes": ("mean",), "steps": ()})
    return Pipeline(**facts)


def _modules(find: Read, where: str) -> list[dict]:
    modules = _json(find(MODULES), where)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise BadInput(f"--model {where}: {MODULES} is no list of modules; save the model again")
    return sorted(modules, key=lambda module: module.get("idx") if isinstance(module.get("idx"), int) else 0)


def _type(module: dict) -> str:
    """`Pooling` of `sentence_transformers.models.Pooling` (or `….modules.pooling.Pooling`); else the whole name."""
    kind = str(module.get("type", ""))
    return kind.rpartition(".")[2] if kind.startswith("sentence_transformers.") else kind


def _add(facts: dict[str, Any], kind: str, path: str, find: Read, where: str) -> None:
    """Take one module into the facts of a `Pipeline`."""
    def config(*names: str) -> dict:
        files = [find(f"{path}/{name}" if path else name) for name in names]
        found = _json(next(filter(None, files), None), where)
        return found if isinstance(found, dict) else {}

    if kind == "Transformer":
        own = config(*_TRANSFORMER_CONFIGS)
        for key, usual in (("transformer_task", "feature-extraction"), ("module_output_name", "token_embeddings")):
            if own.get(key, usual) != usual:
                raise NotUnderstood(f"Transformer with {key} {own[key]}")
        text = (own.get("modality_config") or {}).get("text") or {}
        if (text.get("method", "forward"), text.get("method_output_name", _STATES)) != ("forward", _STATES):
            raise NotUnderstood(f"Transformer with {text.get('method_output_name')} of {text.get('method')}")
        facts["max_length"] = _size(own, "max_seq_length", where)
        facts["lower_case"] = bool(own.get("do_lower_case", False))
    elif kind == "Pooling":
        own = config("config.json")
        if not own:
            raise NotUnderstood(f"{path or 'Pooling'} has no config.json that says how tokens are pooled")
        if facts["modes"] or facts["steps"]:
            raise NotUnderstood("pooling after another step")
        facts["modes"], facts["pool_prompt"] = _modes(own), bool(own.get("include_prompt", True))
    elif kind in ("Dense", "LayerNorm", "Normalize"):
        if not facts["modes"]:
            raise NotUnderstood(f"{kind} before pooling")
        own = config("config.json")
        other = {own.get(key) for key in ("module_input_name", "module_output_name")} - {None, "sentence_embedding"}
        if other:
            raise NotUnderstood(f"{kind} works on {', '.join(sorted(map(str, other)))}")
        steps = {"Dense": dense, "LayerNorm": layer_norm, "Normalize": lambda *_: ("normalised", normalised)}
        facts["steps"] = (*facts["steps"], steps[kind](path, own, find))
        if kind != "Normalize":
            if find(f"{path}/config.json") is None:
                raise NotUnderstood(f"{path} has no config.json")
            held = find(f"{path}/model.safetensors").read_bytes()
            facts["weights"] = hashlib.sha256(facts.get("weights", "").encode() + held).hexdigest()
    elif kind != "Dropout":  # which does nothing once a model is trained
        raise NotUnderstood(f"module {kind or 'without a type'}")


def _modes(config: dict) -> tuple[str, ...]:
    """By one flag a mode, or, as newer versions write it, by name."""
    named = config.get("pooling_mode")
    flags = [key for key in [*_MODES, *sorted(set(config) - set(_MODES))] if key.startswith("pooling_mode_")]
    wanted = named if isinstance(named, list | tuple) else [named] if named else [
        _MODES.get(key, key) for key in flags if config.get(key)]
    unknown = [str(mode) for mode in wanted if mode not in _MODES.values()]
    if unknown:
        raise NotUnderstood(f"pooling mode {unknown[0]}")
    return tuple(wanted) or ("mean",)  # what sentence-transformers takes where no flag is set


def _truncation(find: Read, where: str) -> tuple[tuple[str, Step], ...]:
    """The `truncate_dim` of the whole model: what is left of an embedding once all modules are done."""
    config = _json(find(PROMPTS), where)
    size = _size(config, "truncate_dim", where) if isinstance(config, dict) else None
    return ((f"first {size}", First(size)),) if size else ()


def _size(config: dict, key: str, where: str) -> int | None:
    """A whole number above 0, or None where there is no word of it."""
    value = config.get(key)
    if value is None or (type(value) is int and value > 0):
        return value
    raise BadInput(f"--model {where}: {key} is {json.dumps(value)}; write a whole number above 0 into its file, or "
                   "null for no limit")


def _prompt(find: Read, where: str) -> dict[str, Any]:
    config = _json(find(PROMPTS), where)
    name = config.get("default_prompt_name") if isinstance(config, dict) else None
    prompts = config.get("prompts") if isinstance(config, dict) else None
    roles = _roles(prompts) if isinstance(prompts, dict) else {}
    if name is None:
        return roles
    if not isinstance(prompts, dict) or not isinstance(prompts.get(name), str):
        raise BadInput(f"--model {where}: {PROMPTS} has no prompt {name!r}, which it names as the default; save the "
                       "model again")
    return {"prompt": prompts[name], **roles}


def _roles(prompts: dict) -> dict[str, Any]:
    """The prompts that `encode_query` and `encode_document` of sentence-transformers look for, those that are there."""
    found = {}
    for role, names in (("query", ("query",)), ("document", ("document", "passage", "corpus"))):
        named = [prompts[name] for name in names if isinstance(prompts.get(name), str)]
        if named:
            found[role] = next(filter(None, named), "")
    return {"roles": tuple(found.items())}


def _json(file: Path | None, where: str) -> Any:
    if file is None:
        return None
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BadInput(f"--model {where}: {file.name} cannot be read ({error}); save the model again") from None
