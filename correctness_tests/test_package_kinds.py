"""Packages of each kind of model, and of each variant, through `load.py` as their users run it."""

import json
import re
import subprocess
import sys
import venv
import wave

import numpy as np
import packages
import pytest
import torch
import transformers
from packages import manifest_of, package

from eagerbench import backends
from eagerbench.backends.base import Placement
from eagerbench.workloads.audio_batch import RATE, voices

TEXTS = ("the cat sleeps", "does the old dog bark ?")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("kinds")


@pytest.fixture(scope="module")
def classifier(root):
    return packages.save(root / "classifier", "BertForSequenceClassification", **packages.labels())


def outputs(directory, *given: object) -> dict[str, np.ndarray]:
    """What `Model()` returns for what a user has, in a process of its own."""
    code = ("import json, sys; from load import Model; made = Model()(json.loads(sys.argv[1])); "
            "print(json.dumps({name: array.tolist() for name, array in made.items()}))")
    done = subprocess.run([sys.executable, "-B", "-c", code, json.dumps(list(map(str, given)))], cwd=directory,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {name: np.array(values, np.float32) for name, values in json.loads(done.stdout.splitlines()[-1]).items()}


def test_a_classifier_says_its_labels(classifier, root):
    pytest.importorskip("onnxruntime")
    assert package("onnxruntime", classifier, root / "labels") == 0
    assert manifest_of(root / "labels")["labels"] == list(packages.LABELS.values())
    ended = packages.load(sys.executable, root / "labels", *TEXTS)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(classifier).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(classifier)
    with torch.no_grad():
        shares = model(**tokenizer(list(TEXTS), padding=True, return_tensors="pt")).logits.softmax(-1).numpy()
    wanted = [f"{packages.LABELS[int(row.argmax())]} {row.max():.4f}  {text}"
              for row, text in zip(shares, TEXTS, strict=True)]
    assert ended.out.splitlines() == wanted, ended.err


@pytest.mark.slow
def test_a_token_classifier_tags_every_token(root):
    directory = packages.save(root / "tagger", "BertForTokenClassification", **packages.labels())
    assert package("onnxruntime", directory, root / "tags") == 0
    shown = packages.load(sys.executable, root / "tags", TEXTS[0]).out
    model = transformers.AutoModelForTokenClassification.from_pretrained(directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    with torch.no_grad():
        best = model(**tokenizer(TEXTS[0], return_tensors="pt")).logits[0].argmax(-1).tolist()
    tokens = tokenizer.tokenize(TEXTS[0])
    wanted = [f"{token}/{packages.LABELS[label]}" for token, label in zip(tokens, best[1:-1], strict=True)]
    assert shown.split() == wanted


@pytest.mark.slow
def test_a_question_answerer_takes_pairs(root):
    directory = packages.save(root / "answerer", "BertForQuestionAnswering")
    assert package("onnxruntime", directory, root / "answers") == 0
    question, context = "what sleeps ?", "the old cat sleeps . the new dog barks ."
    shown = packages.load(sys.executable, root / "answers", question, context).out.strip()
    assert shown
    assert shown in context
    made = outputs(root / "answers", question, context)
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(directory).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    with torch.no_grad():
        wanted = model(**tokenizer(question, context, return_tensors="pt")).start_logits.numpy()
    np.testing.assert_allclose(made["start_logits"], wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("how", [
    {"size": {"height": 32, "width": 32}},
    {"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.1, 0.2, 0.3]},
    {"kind": "CLIPImageProcessorPil", "size": {"shortest_edge": 40}, "crop_size": {"height": 32, "width": 32}}],
    ids=["resized", "other values", "cropped"])
def test_an_image_model_takes_image_files(root, how, request):
    image_module = pytest.importorskip("PIL.Image")
    kind = how.pop("kind", "ViTImageProcessorPil")
    directory = root / f"vit-{request.node.callspec.id.replace(' ', '-')}"
    torch.manual_seed(0)
    config = transformers.ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                                    image_size=32, patch_size=8, initializer_range=0.2, **packages.labels())
    transformers.ViTForImageClassification(config).save_pretrained(directory)
    processor = getattr(transformers, kind)(**how)
    processor.save_pretrained(directory)
    image = np.random.default_rng(0).integers(0, 256, (48, 60, 3), np.uint8)
    image_module.fromarray(image).save(directory / "photo.png")
    output = root / f"{directory.name}-package"
    assert package("onnxruntime", directory, output) == 0
    made = outputs(output, directory / "photo.png")
    model = transformers.ViTForImageClassification.from_pretrained(directory).eval()
    pixels = processor(image_module.open(directory / "photo.png"), return_tensors="pt")
    with torch.no_grad():
        np.testing.assert_allclose(made["logits"], model(**pixels).logits.numpy(), rtol=1e-3, atol=1e-4)
    assert "pillow==" in (output / "requirements.txt").read_text()


def write_wave(file, seconds: float, channels: int = 1, rate: int = RATE) -> np.ndarray:
    samples = voices(channels, int(seconds * rate), 0)
    whole = (samples / np.abs(samples).max() * 32000).astype("<i2")
    with wave.open(str(file), "wb") as opened:
        opened.setnchannels(channels)
        opened.setsampwidth(2)
        opened.setframerate(rate)
        opened.writeframes(np.ascontiguousarray(whole.T).tobytes())
    return whole.mean(0) / 32768


@pytest.mark.slow
def test_an_audio_model_takes_wave_files(root):
    directory = root / "wav2vec2"
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=8,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4)
    transformers.Wav2Vec2ForCTC(config).save_pretrained(directory)
    extractor = transformers.Wav2Vec2FeatureExtractor()
    extractor.save_pretrained(directory)
    samples = write_wave(root / "speech.wav", 0.5, channels=2)
    assert package("onnxruntime", directory, root / "waves") == 0
    made = outputs(root / "waves", root / "speech.wav")
    model = transformers.Wav2Vec2ForCTC.from_pretrained(directory).eval()
    with torch.no_grad():
        wanted = model(**extractor(samples, sampling_rate=RATE, return_tensors="pt")).logits.numpy()
    np.testing.assert_allclose(made["logits"], wanted, rtol=1e-3, atol=1e-4)
    write_wave(root / "slow.wav", 0.5, rate=8000)
    ended = packages.load(sys.executable, root / "waves", str(root / "slow.wav"))
    assert ended.code == 1
    assert "16000 samples a second of 16 bits are needed: convert it first" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.slow
def test_whisper_takes_wave_files(tmp_path):
    """Its features by numpy are those of transformers."""
    from eagerbench.packaging import loader, media

    extractor = transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=2)
    extractor.save_pretrained(tmp_path)
    found = media.audio(media.settings(lambda name: tmp_path / name), tmp_path)
    samples = write_wave(tmp_path / "speech.wav", 1.3)
    names = ["audio", "inputs"]
    manifest = {"session": {}, "needs": {}, "outputs": [], "inputs": [{"name": "input_features"}],
                "audio": {"rate": found.rate, "window": found.window, "hop": found.hop, "samples": found.samples}}
    assert set(names) <= set(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for part in ("verify", "given_mels"):
        (tmp_path / f"{part}.py").write_text((loader.TEMPLATES / f"{part}.py").read_text())
    ended = packages.run(sys.executable, tmp_path, "import numpy; from given_mels import prepare; "
                         "numpy.savez('made.npz', **prepare(['speech.wav']))")
    assert ended.code == 0, ended.err
    wanted = extractor(samples, sampling_rate=RATE, return_tensors="np")["input_features"]
    np.testing.assert_allclose(np.load(tmp_path / "made.npz")["input_features"], wanted, atol=1e-3)


@pytest.mark.parametrize(("content", "said"), [
    ({"image_processor_type": "DonutImageProcessor"}, "images go through DonutImageProcessor, which load.py cannot do"),
    ({"image_processor_type": "ViTImageProcessor", "do_pad": True}, "ViTImageProcessor with do_pad, which load.py"),
    ({}, "images go through an unnamed processor")])
def test_preprocessing_that_numpy_cannot_do_is_said(content, said):
    from eagerbench.errors import CannotRun
    from eagerbench.packaging import media

    with pytest.raises(CannotRun, match=re.escape(said)) as raised:
        media.image(content)
    assert "add --inputs arrays" in str(raised.value)


@pytest.fixture(scope="module")
def installed(root):
    """`installed(requirements.txt)`: the Python of an environment that pip made of it alone; one for equal files."""
    made = {}

    def environment(requirements):
        wanted = requirements.read_text()
        if wanted not in made:
            place = root / f"environment-{len(made)}"
            venv.create(place, with_pip=True, symlinks=True)
            python = place / "bin" / "python"
            arguments = ["-m", "pip", "install", "--quiet", "--no-deps", "-r", str(requirements)]
            done = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            made[wanted] = python
        return made[wanted]

    return environment


@pytest.mark.slow
@pytest.mark.parametrize("variant", backends.variants())
def test_every_variant_in_an_environment_of_its_own(variant, classifier, root, installed):
    """Made by pip of the package's own requirements."""
    found, backend = backends.variants()[variant]
    if reason := backend.refuses(found, Placement()):
        pytest.skip(reason)
    output = root / variant
    if package(variant, classifier, output) == 4:
        pytest.skip("has no package: see the line above")
    ended = packages.load(installed(output / "requirements.txt"), output, "--check", *TEXTS)
    assert ended.code == 0, ended.out + ended.err
    assert "DIFFERENT" not in ended.out
    if found.dtype == "float32" or backend.devices == ("cpu",):
        assert "equal bit for bit" in ended.out
