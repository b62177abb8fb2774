import sys
import wave

import numpy as np
from verify import HERE, MANIFEST

GIVEN, AUDIO = "WAV files, 16 bits a sample", MANIFEST["audio"]


def waveform(file):
    """Samples of one channel between -1 and 1, cut or padded to the seconds that the model takes."""
    with wave.open(str(file)) as opened:
        if opened.getframerate() != AUDIO["rate"] or opened.getsampwidth() != 2:
            sys.exit(f"{file}: {AUDIO['rate']} samples a second of 16 bits are needed: convert it first")
        samples = np.frombuffer(opened.readframes(opened.getnframes()), "<i2") / 32768
        samples = samples.reshape(-1, opened.getnchannels()).mean(1)[:AUDIO["samples"]]
    return np.pad(samples, (0, AUDIO["samples"] - len(samples)))


def log_mel(samples):
    """Whisper's features (bins, frames): log10 of a mel spectrogram, within 8 of its largest."""
    size, filters = AUDIO["window"], np.load(HERE / "mel_filters.npy")
    framed = np.lib.stride_tricks.sliding_window_view(np.pad(samples, size // 2, "reflect"), size)[::AUDIO["hop"]]
    power = np.abs(np.fft.rfft(framed * np.hanning(size + 1)[:-1])) ** 2
    found = np.log10(np.maximum(filters.T @ power.T, 1e-10))[:, :-1]
    return (np.maximum(found, found.max() - 8) + 4) / 4


def prepare(given):
    """Paths of WAV files."""
    return {MANIFEST["inputs"][0]["name"]: np.stack([log_mel(waveform(file)) for file in given]).astype(np.float32)}
