"""`eagerbench package`: what it writes, checked in an environment of the package's own requirements."""

import ast
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import msgspec
import numpy as np
import packages
import pytest
from decision_files import bench, content
from packages import manifest_of, package

from eagerbench import cli
from eagerbench.packaging import loader, manifest, requirements, writing
from eagerbench.results import decision

ALLOWED = {"numpy", "tokenizers", "verify", "pooling"}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def embedder(root) -> Path:
    return packages.save_sentences(root / "embedder")


@pytest.fixture(scope="module")
def by_onnxruntime(root, embedder) -> Path:
    """Embeddings of texts."""
    pytest.importorskip("onnxruntime")
    assert package("onnxruntime", embedder, root / "onnx") == 0
    return root / "onnx"


@pytest.fixture(scope="module")
def by_openvino(root) -> Path:
    """A catalog model: arrays in, arrays out."""
    pytest.importorskip("openvino")
    assert package("openvino", "tiny-bert", root / "openvino") == 0
    return root / "openvino"


@pytest.fixture(scope="module")
def empty(root, by_onnxruntime):
    return packages.environment(root / "onnx-environment", by_onnxruntime / "requirements.txt")


def test_texts_give_the_embeddings_of_the_suite_in_an_empty_environment(by_onnxruntime, empty):
    ended = packages.load(empty, by_onnxruntime, "--check", "--time", "the old cat sleeps")
    assert ended.code == 0, ended.out + ended.err
    assert "last_hidden_state: equal bit for bit" in ended.out
    assert "embedding: equal" in ended.out
    assert "embedding (1, 16):" in ended.out
    assert "ms a call" in ended.out
    assert "ready after" in ended.err


def test_a_query_has_the_prompt_of_its_role(by_onnxruntime, empty):
    code = ("from load import Model, prepare; m = Model(); a = m(['the dog'], role='query')['embedding']; "
            "b = m.forward(prepare(['the dog'], 'query'))['last_hidden_state']; print(a.shape, b.shape)")
    ended = packages.run(empty, by_onnxruntime, code)
    assert ended.out.strip() == "(1, 16) (1, 6, 32)", ended.err  # [CLS] what is the dog [SEP]


def test_neither_torch_nor_transformers_nor_this_project_is_loaded(by_onnxruntime, by_openvino, empty, root):
    other = packages.environment(root / "openvino-environment", by_openvino / "requirements.txt")
    for python, directory in ((empty, by_onnxruntime), (other, by_openvino)):
        code = ("import sys, numpy; from load import Model; from verify import shipped; m = Model();"
                "m.forward(shipped('inputs')); print(sorted({n.split('.')[0] for n in sys.modules}))")
        ended = packages.run(python, directory, code)
        assert ended.code == 0, ended.err
        assert not {"torch", "transformers", "eagerbench", "pytest"} & set(ast.literal_eval(ended.out))


def test_what_is_not_required_is_not_there(empty):
    code = "import importlib.util as u; print([n for n in ('torch', 'transformers', 'onnx', 'pip') if u.find_spec(n)])"
    assert packages.run(empty, Path("/"), code).out.strip() == "[]"


def test_openvino_in_an_empty_environment(by_openvino, root):
    python = packages.environment(root / "again", by_openvino / "requirements.txt")
    ended = packages.load(python, by_openvino, "--check")
    assert ended.code == 0, ended.out + ended.err
    assert "logits: equal bit for bit" in ended.out
    arrays = {file.stem: np.load(file) for file in (by_openvino / "check" / "inputs").glob("*.npy")}
    np.savez(root / "given.npz", **arrays)
    shown = packages.load(python, by_openvino, str(root / "given.npz"))
    assert "logits (4, 16):" in shown.out, shown.err


def test_the_timed_call_gives_the_same_bits(by_openvino, workshops):
    """The suite's own runner, of the same artifact."""
    workshop = workshops("tiny-bert")
    arrays = {file.stem: np.load(file) for file in (by_openvino / "check" / "inputs").glob("*.npy")}
    if workshop.placement.threads != 1:
        pytest.skip("the package was made for one thread")
    outputs = workshop.run("openvino", arrays)
    np.testing.assert_array_equal(outputs["logits"], np.load(by_openvino / "check" / "expected" / "logits.npy"))


def test_the_manifest_fits_its_schema(by_onnxruntime, by_openvino, capsys):
    assert cli.main(["package", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    for directory in (by_onnxruntime, by_openvino):
        found = manifest_of(directory)
        jsonschema.validate(found, schema)
        whole = msgspec.convert(found, manifest.Manifest)
        assert set(whole.sha256) == {file.relative_to(directory).as_posix() for file in writing.files(directory)} - {
            "manifest.json"}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**found, "given": "smells"}, schema)


def test_what_is_in_the_manifest(by_onnxruntime, by_openvino):
    found = manifest_of(by_onnxruntime)
    assert found["session"]["settings"]["graph_optimization_level"] == "ORT_ENABLE_ALL"
    assert found["session"]["settings"]["intra_op_num_threads"] == found["session"]["threads"] == 1
    assert found["inputs"][0] == {"name": "input_ids", "dtype": "int64", "shape": ["batch", "sequence"]}
    assert found["text"] == {"prompt": "the cat is ", "prompts": {"query": "what is "}, "lower_case": True,
                             "max_length": 20}
    assert found["pooling"]["modes"] == ["cls", "mean"]
    assert found["pooling"]["skipped_tokens"] == 4
    assert found["licence"] == {"name": "apache-2.0", "source": "the model card, README.md"}
    assert found["measured"] is None
    settings = manifest_of(by_openvino)["session"]["settings"]
    assert settings == {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": 1,
                        "INFERENCE_PRECISION_HINT": "f32"}


def test_the_session_is_that_of_the_suite(by_openvino, by_onnxruntime):
    """Read back from the runtimes."""
    threads = "from load import Model; print(Model().session.opened.get_property('INFERENCE_NUM_THREADS'))"
    assert packages.run(sys.executable, by_openvino, threads).out.strip() == "1"
    options = ("import os; from load import Model; found = Model().session.opened.get_session_options(); "
               "print(found.intra_op_num_threads, found.get_session_config_entry('session.intra_op.allow_spinning'), "
               "os.environ.get('GOMP_SPINCOUNT'))")
    ended = packages.run(sys.executable, by_onnxruntime, options)
    assert ended.out.split() == ["1", "1", "50000"], ended.err


def test_files_for_other_servers(by_onnxruntime, by_openvino):
    config = (by_onnxruntime / "triton" / "config.pbtxt").read_text()
    assert 'backend: "onnxruntime"' in config
    assert 'input [ { name: "input_ids" data_type: TYPE_INT64 dims: [ -1, -1 ] } ]' in config
    lines = dict(line.split("=", 1) for line in (by_openvino / "runner.txt").read_text().splitlines())
    assert lines["runtime"] == "openvino"
    assert lines["precision"] == "f32"
    assert lines["allocator"] == "pinned"
    assert lines["version"] == manifest_of(by_openvino)["packages"]["openvino"]
    assert lines["artifact"] == "model/model.xml"
    assert lines["outputs"] == "logits"
    assert float(lines["rtol"]) == 1e-4
    for file in (by_openvino / "check").rglob("*.npy"):
        array = np.load(file)
        assert array.flags.c_contiguous
        assert array.dtype.byteorder in "<=|"


def test_load_py_is_short_and_imports_the_runtime_only(by_onnxruntime, by_openvino):
    for directory, runtime in ((by_onnxruntime, "onnxruntime"), (by_openvino, "openvino")):
        text = (directory / "load.py").read_text()
        assert len(text.splitlines()) <= loader.MOST_LINES
        assert max(map(len, text.splitlines())) <= 120
        names = {name.split(".")[0] for node in ast.walk(ast.parse(text)) for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else
            [node.module] if isinstance(node, ast.ImportFrom) else [])}
        assert names - set(sys.stdlib_module_names) <= ALLOWED | {runtime}


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "torchscript", "aot-inductor", "built"])
@pytest.mark.parametrize(("given", "gives"), [
    ("texts", "embeddings"), ("texts", "labels"), ("texts", "tags"), ("pairs", "answers"), ("images", "labels"),
    ("waves", "arrays"), ("mels", "arrays"), ("arrays", "arrays")])
def test_every_load_py_is_short_and_complete(by_onnxruntime, tmp_path, runtime, given, gives):
    """Put together of all parts: at most 100 lines, and no name that is not defined or not used."""
    whole = msgspec.convert(manifest_of(by_onnxruntime), manifest.Manifest)
    steps = [{"kind": kind, "activation": "GELU"} for kind in ("dense", "layer norm", "normalised", "first")]
    pooling = manifest.Pooling(states="x", modes=["mean_sqrt_len_tokens", "cls"], skipped_tokens=0, steps=steps)
    whole = msgspec.structs.replace(whole, given=given, gives=gives, pooling=pooling if gives == "embeddings" else None,
                                    session=msgspec.structs.replace(whole.session, runtime=runtime))
    recipe = ("builds_loaded", "builds_plain") if runtime == "built" else ()
    found = loader.sources(whole, recipe)
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    assert len(found["load.py"].splitlines()) <= loader.MOST_LINES
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "--isolated", "--line-length", "120", "--select",
                           "E,F,W", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_equal_inputs_give_equal_bits(by_onnxruntime, root, embedder):
    """A package made again as a .zip file, and that of the files of the first."""
    for name in ("one", "two"):
        (root / name).mkdir()
    assert package("onnxruntime", embedder, root / "one" / "onnx.zip") == 0
    writing.write_zip(by_onnxruntime, root / "two" / "onnx.zip")
    one, two = ((root / name / "onnx.zip").read_bytes() for name in ("one", "two"))
    assert one == two
    with zipfile.ZipFile(root / "one" / "onnx.zip") as archive:
        assert archive.testzip() is None
        wanted = {file.relative_to(by_onnxruntime).as_posix(): file.read_bytes()
                  for file in writing.files(by_onnxruntime)}
        assert {name.removeprefix("onnx/"): archive.read(name) for name in archive.namelist()} == wanted


def test_requirements_are_pinned_and_closed(by_onnxruntime):
    lines = (by_onnxruntime / "requirements.txt").read_text().splitlines()
    found = dict(line.split("==") for line in lines)
    assert found == requirements.closed(found)
    assert {"numpy", "onnxruntime", "tokenizers"} <= set(found)
    assert not {"torch", "transformers", "eagerbench"} & set(found)


def test_a_decision_names_variant_model_and_record(root, embedder, tmp_path, capsys):
    from eagerbench.models import specs
    from eagerbench.models.loading import load

    fingerprint = load(specs.resolve(str(embedder), 0)).fingerprint
    common = {"model": "embedder", "model_fingerprint": fingerprint, "workload": (4, 16)}
    saved = content(bench("eager", 1.0, **common), bench("onnxruntime", 2.0, **common))
    (tmp_path / "run.json").write_text(json.dumps(saved))
    made = decision.decide([decision.Source("run.json", saved)], decision.Budget())
    (tmp_path / "decision.json").write_text(json.dumps(decision.to_json(made)))
    asked = ["package", "--from", str(tmp_path / "decision.json"), "-o", str(tmp_path / "taken")]
    assert cli.main([*asked, "--model", str(embedder)]) == 0
    found = manifest_of(tmp_path / "taken")
    assert found["variant"] == "onnxruntime"
    assert found["measured"]["workload"] == "4 × 16"
    assert found["measured"]["median_s"] == pytest.approx(0.05, rel=0.05)
    assert found["measured"]["machine"] == "a CPU, 1 thread"
    assert found["needs"]["memory_is"] == "measured"
    assert np.load(tmp_path / "taken" / "check" / "inputs" / "input_ids.npy").shape == (4, 16)
    assert cli.main([*asked, "--model", "tiny-bert"]) == 4
    assert "0 verdicts on the CPU for tiny-bert (it has embedder)" in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "said"), [
    (("onnxruntimes",), "unknown variant 'onnxruntimes': did you mean 'onnxruntime'?"),
    (("onnx*",), "onnx*: name one variant"),
    (("accelerate",), "needs --device-map"),
    (("onnxruntime", "--workload", "big"), "--workload big: write BATCHxLENGTH"),
    (("onnxruntime", "--threads", "9999"), "--threads 9999: this process may use"),
    (("onnxruntime", "--record", "nowhere.json"), "nowhere.json: No such file")])
def test_what_cannot_be_packed_is_one_line(tmp_path, capsys, arguments, said):
    assert cli.main(["package", *arguments, "--model", "tiny-bert", "-o", str(tmp_path / "made")]) == 4
    shown = capsys.readouterr().err
    assert said in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_where_it_cannot_go_is_one_line(tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    for name, said in (("full", "exists already"), ("full/file", "exists already"),
                       ("no/such/place", "is not a writable directory")):
        assert package("onnxruntime", "tiny-bert", tmp_path / name) == 4
        shown = capsys.readouterr().err
        assert said in shown
        assert shown.count("\n") == 1
    assert (tmp_path / "full" / "file").read_text() == "mine"
    assert cli.main(["package"]) == 4
    assert "name a variant and --model" in capsys.readouterr().err


def test_nothing_is_left_of_a_package_that_fails_its_check(tmp_path, monkeypatch, capsys):
    from eagerbench.packaging import pack

    def fails(directory):
        raise pack.WrongOutput("the package's own check fails")

    monkeypatch.setattr(pack, "prove", fails)
    assert package("openvino", "tiny-bert", tmp_path / "made") == 4
    assert "own check fails" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


