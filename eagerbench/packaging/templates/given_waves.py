import sys
import wave

import numpy as np
from verify import MANIFEST

GIVEN, AUDIO = "WAV files of equal length, 16 bits a sample", MANIFEST["audio"]


def waveform(file):
    """Samples of one channel between -1 and 1; the mean of several channels."""
    with wave.open(str(file)) as opened:
        if opened.getframerate() != AUDIO["rate"] or opened.getsampwidth() != 2:
            sys.exit(f"{file}: {AUDIO['rate']} samples a second of 16 bits are needed: convert it first")
        samples = np.frombuffer(opened.readframes(opened.getnframes()), "<i2") / 32768
        return samples.reshape(-1, opened.getnchannels()).mean(1)


def prepare(given):
    """Paths of WAV files."""
    waves = np.stack([waveform(file) for file in given])
    if AUDIO["normalise"]:
        waves = (waves - waves.mean(1, keepdims=True)) / np.sqrt(waves.var(1, keepdims=True) + 1e-7)
    return {MANIFEST["inputs"][0]["name"]: waves.astype(np.float32)}
