"""Images and audio: the values of a model's own preprocessing, where numpy and Pillow can do the same."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eagerbench.errors import CannotRun
from eagerbench.packaging.manifest import AudioInput, ImageInput

PREPROCESSOR = "preprocessor_config.json"
ARRAYS_INSTEAD = "add --inputs arrays for a package whose load.py takes prepared arrays"
Find = Callable[[str], Path | None]

# Processors that resize, crop, rescale and normalise, and do nothing else.
_IMAGES = ("ViT", "DeiT", "CLIP", "Bit", "Siglip")
_ACTS = ("do_resize", "do_rescale", "do_normalize", "do_center_crop", "do_convert_rgb")


def settings(find: Find) -> dict[str, Any] | None:
    """The content of the preprocessor's file; None without one."""
    file = find(PREPROCESSOR)
    try:
        content = None if file is None else json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CannotRun(f"{PREPROCESSOR} cannot be read ({error}): save the model's processor again") from None
    return content if isinstance(content, dict) else None


def image(found: Mapping[str, Any]) -> ImageInput:
    """
    Raises:
        CannotRun: the processor does what `load.py` cannot do.
    """
    kind = str(found.get("image_processor_type") or found.get("feature_extractor_type") or "")
    family = re.sub(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$", "", kind)
    acts = [name for name, value in found.items() if name.startswith("do_") and value and name not in _ACTS]
    if family not in _IMAGES or acts:
        what = f"{kind or 'an unnamed processor'}{f' with {acts[0]}' if acts else ''}"
        raise CannotRun(f"images go through {what}, which load.py cannot do; {ARRAYS_INSTEAD}")
    size = found.get("size") if found.get("do_resize", True) else None
    size = {"height": size, "width": size} if isinstance(size, int) else size or {}
    shortest = size.get("shortest_edge")
    crop = found.get("crop_size") if found.get("do_center_crop") else None
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    normalise = found.get("do_normalize", True)
    return ImageInput(
        shortest_edge=shortest, size=(size["width"], size["height"]) if "width" in size else None,
        resample=int(found.get("resample", 2)), crop=crop and (crop["width"], crop["height"]),
        rescale=float(found.get("rescale_factor", 1 / 255)) if found.get("do_rescale", True) else 1.0,
        mean=list(found["image_mean"]) if normalise else [0.0] * 3,
        std=list(found["image_std"]) if normalise else [1.0] * 3)


def audio(found: Mapping[str, Any], directory: Path) -> AudioInput:
    """The values, and for log-mel features the filters, written as a file.

    Raises:
        CannotRun: the extractor does what `load.py` cannot do.
    """
    kind = str(found.get("feature_extractor_type") or "")
    rate = int(found.get("sampling_rate", 16_000))
    if kind == "Wav2Vec2FeatureExtractor" and found.get("feature_size", 1) == 1:
        return AudioInput(rate=rate, normalise=bool(found.get("do_normalize", True)))
    if kind == "WhisperFeatureExtractor" and not found.get("dither", 0):
        from transformers import WhisperFeatureExtractor

        made = WhisperFeatureExtractor(**{name: found[name] for name in (
            "feature_size", "sampling_rate", "hop_length", "chunk_length", "n_fft") if name in found})
        np.save(directory / "mel_filters.npy", made.mel_filters)
        return AudioInput(rate=rate, window=made.n_fft, hop=made.hop_length, samples=made.n_samples)
    raise CannotRun(f"audio goes through {kind or 'an unnamed extractor'}, which load.py cannot do; {ARRAYS_INSTEAD}")
