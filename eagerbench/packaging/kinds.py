"""What a model is given and gives, in the words of its users: texts and embeddings, images and labels, or arrays."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eagerbench.errors import CannotRun
from eagerbench.packaging import media, texts
from eagerbench.packaging.manifest import AudioInput, Given, Gives, ImageInput, TextInput

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

_STATES = "last_hidden_state"


@dataclass(frozen=True)
class Kind:
    """`note` is one line on what the package leaves to its user; empty where it leaves nothing."""

    given: Given
    gives: Gives
    note: str = ""


@dataclass(frozen=True)
class Inputs:
    """What a kind writes of its inputs."""

    text: TextInput | None = None
    image: ImageInput | None = None
    audio: AudioInput | None = None


def kind_of(model: "LoadedModel", find: media.Find, outputs: list[str], arrays: bool) -> Kind:
    """
    Args:
        find: the file of a name beside the model, or None.
        arrays: whether the user asked for prepared arrays.

    Raises:
        CannotRun: the model has preprocessing that `load.py` cannot do.
    """
    spec = model.spec
    if arrays:
        return Kind("arrays", "arrays")
    if spec.image is not None or spec.audio is not None:
        if media.settings(find) is None:
            return Kind("arrays", "arrays", f"it has no {media.PREPROCESSOR}: load.py takes prepared arrays")
        if spec.image is not None:
            return Kind("images", "labels" if _labels(model) and outputs == ["logits"] else "arrays")
        return Kind("mels" if spec.audio[0] == "input_features" else "waves", "arrays")
    if model.tokenizer is None:
        return Kind("arrays", "arrays", "it has no tokenizer: load.py takes an .npz file of named arrays")
    if spec.task == "question-answering":
        return Kind("pairs", "answers")
    if _labels(model) and spec.task in ("sequence-classification", "token-classification"):
        return Kind("texts", "labels" if spec.task == "sequence-classification" else "tags")
    return _states(model, outputs)


def _states(model: "LoadedModel", outputs: list[str]) -> Kind:
    """Of a model that gives states of tokens: embeddings, where it says how they are made."""
    pipeline = model.sentence
    if not pipeline.declared or _STATES not in outputs:
        return Kind("texts", "arrays", "" if _STATES not in outputs else
                    "it has no modules.json that says how states are pooled: load.py gives the states of tokens")
    if pipeline.not_understood:
        raise CannotRun(f"its pooling is not understood ({pipeline.not_understood}); {texts.ARRAYS_INSTEAD}")
    if "attention_mask" not in model.input_names:
        raise CannotRun(f"it takes no attention mask, which pooling needs; {texts.ARRAYS_INSTEAD}")
    return Kind("texts", "embeddings")


def write_inputs(kind: Kind, model: "LoadedModel", find: media.Find, directory: Path) -> Inputs:
    """Write what turns a user's input into arrays.

    Raises:
        CannotRun: `load.py` cannot do the same.
    """
    found: dict[str, Any] = media.settings(find) or {}
    if kind.given in ("texts", "pairs"):
        return Inputs(text=texts.write_tokenizer(model, directory, kind.given == "pairs"))
    if kind.given == "images":
        return Inputs(image=media.image(found))
    if kind.given in ("waves", "mels"):
        return Inputs(audio=media.audio(found, directory))
    return Inputs()


def labels(kind: Kind, model: "LoadedModel") -> list[str] | None:
    return _labels(model) if kind.gives in ("labels", "tags") else None


def _labels(model: "LoadedModel") -> list[str]:
    """By the config, in the order of the logits; none where it does not name each."""
    named = getattr(model.config, "id2label", None) or {}
    by_number = {int(number): str(label) for number, label in named.items()}
    return [by_number[number] for number in range(len(by_number))] if set(by_number) == set(
        range(len(by_number))) else []
