"""Workload: a batch of audio, as waveforms for models like Wav2Vec2, as log-mel features for Whisper's encoder."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from eagerbench.workloads.base import OneBatch

if TYPE_CHECKING:
    from eagerbench.models.loading import LoadedModel

RATE = 16_000  # samples a second, what both kinds of models take
_FRAMES_PER_S = 100  # of log-mel features


@dataclass(frozen=True)
class WaveBatch(OneBatch):
    """`batch_size` waveforms, as long as makes `sequence_length` positions of the encoder (Wav2Vec2: 20 ms each).

    Attributes:
        field, stride: samples that one position sees, and samples from one position to the next.
    """

    batch_size: int
    sequence_length: int
    field: int
    stride: int
    seed: int = 0

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", f"s{self.sequence_length}"

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """`input_values`, float32 of shape (batch_size, samples), each row with mean 0 and variance 1."""
        samples = self.field + (self.sequence_length - 1) * self.stride
        waves = voices(self.batch_size, samples, self.seed)
        waves -= waves.mean(1, keepdims=True)
        return {"input_values": (waves / waves.std(1, keepdims=True)).astype(np.float32)}


@dataclass(frozen=True)
class MelBatch(OneBatch):
    """`batch_size` log-mel features of `bins` × `frames`: Whisper's encoder takes no other number of frames."""

    batch_size: int
    bins: int
    frames: int
    seed: int = 0

    @property
    def sequence_length(self) -> int:
        """Positions of the encoder, whose convolutions halve the frames."""
        return self.frames // 2

    @property
    def parts(self) -> tuple[str, ...]:
        return f"b{self.batch_size}", f"s{self.sequence_length}"

    def inputs(self, model: "LoadedModel") -> dict[str, np.ndarray]:
        """`input_features`, float32 of shape (batch_size, bins, frames), by transformers' own feature extractor."""
        from transformers import WhisperFeatureExtractor

        extract = WhisperFeatureExtractor(feature_size=self.bins, chunk_length=self.frames // _FRAMES_PER_S)
        waves = voices(self.batch_size, self.frames * RATE // _FRAMES_PER_S, self.seed)
        features = extract(list(waves), sampling_rate=RATE, return_tensors="np")["input_features"]
        return {"input_features": features.astype(np.float32)}


def audio_batch(audio: tuple[str, int, int], batch_size: int, sequence_length: int, seed: int) -> OneBatch:
    """The batch of a model by its `ModelSpec.audio`."""
    name, *sizes = audio
    if name == "input_features":
        return MelBatch(batch_size, *sizes, seed)
    return WaveBatch(batch_size, sequence_length, *sizes, seed)


def voices(rows: int, samples: int, seed: int) -> np.ndarray:
    """Waveforms like voiced speech, float64 of shape (rows, samples): harmonics of a gliding pitch between 80 and
    300 Hz, in syllables of a quarter of a second, with noise 20 dB below."""
    rng = np.random.default_rng([seed, rows, samples])
    seconds = np.arange(samples) / RATE
    pitch = rng.uniform(80, 250, (rows, 1)) * (1 + 0.2 * np.sin(2 * np.pi * rng.uniform(0.5, 2, (rows, 1)) * seconds))
    phase = 2 * np.pi * np.cumsum(pitch, 1) / RATE
    tone = sum(np.sin(harmonic * phase) / harmonic for harmonic in range(1, 9))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * seconds + rng.uniform(0, 2 * np.pi, (rows, 1)))
    return tone * syllables + 0.1 * rng.standard_normal((rows, samples))
