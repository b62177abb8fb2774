"""Audio: waveforms and log-mel features, their shapes, and the models that take them."""

import numpy as np
import pytest

from eagerbench.models import specs
from eagerbench.workloads import workload
from eagerbench.workloads.audio_batch import MelBatch, WaveBatch, voices
from eagerbench.workloads.base import text_only


def test_what_a_model_takes():
    wave, mel = (specs.resolve(name, 0) for name in ("wav2vec2-base", "whisper-base-encoder"))
    assert wave.audio == ("input_values", 400, 320)
    assert mel.audio == ("input_features", 80, 3000)
    assert workload(wave, 2, 50) == WaveBatch(2, 50, 400, 320)
    assert workload(mel, 2, 50) == workload(mel, 2, 99) == MelBatch(2, 80, 3000)
    assert workload(mel, 2, 50).sequence_length == 1500
    assert text_only(wave) == "wav2vec2-base reads audio, not text"


@pytest.mark.parametrize("positions", [1, 2, 33])
def test_waveforms_have_as_many_positions_as_asked(workshops, positions):
    workshop = workshops("tiny-wav2vec2")
    inputs = workload(workshop.model.spec, 3, positions).inputs(workshop.model)
    waves = inputs["input_values"]
    assert (waves.shape, waves.dtype) == ((3, 400 + 320 * (positions - 1)), np.float32)
    assert np.allclose(waves.mean(1), 0, atol=1e-5)
    assert np.allclose(waves.std(1), 1, atol=1e-4)
    assert workshop.run("eager", inputs)["logits"].shape == (3, positions, 32)


def test_log_mel_features(workshops):
    workshop = workshops("tiny-whisper-encoder")
    work = workload(workshop.model.spec, 2, 8)
    features = work.inputs(workshop.model)["input_features"]
    assert (features.shape, features.dtype) == ((2, 80, 100), np.float32)
    assert features.std() > 0.1
    assert workshop.run("eager", {"input_features": features})["last_hidden_state"].shape == (2, work.sequence_length,
                                                                                               64)


def test_seed_decides():
    assert np.array_equal(voices(2, 500, 0), voices(2, 500, 0))
    assert not np.array_equal(voices(2, 500, 0), voices(2, 500, 1))
    assert not np.array_equal(*voices(2, 500, 0))
